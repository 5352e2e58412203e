"""Real stars of GD-1: how many of the isochrone-selected ones are found, and how they crowd in phi2, beside boosted trees.

    python -m tests.benchmarks.anomaly.gd1 --seeds 0:5 --json gd1.json --data FOLDER/gaia_gd1 [--method cathode]

Signal region -9 to -6.9 mas/yr of pm_phi1, sidebands from -12 and to -4. The baseline is scikit-learn's histogram boosting of signal region
against sidebands, five folds, the same seeds and features. ``recall`` is the share of the 103 stars (winner_df within the box of
selected_df) among the fifth of the signal region that scores highest. ``excess`` is that of the phi2 profile of the tenth with the highest
scores over the sidebands, for a search that does not see phi2: a test that nothing was trained for.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from hepflows.applications.anomaly import Events, Regions, Selection, cross_fit, load_config, read_events
from hepflows.applications.anomaly.kfold import folds_of
from hepflows.applications.anomaly.sky import Sky
from hepflows.io.columns import open_columns
from tests.benchmarks.anomaly.journal import measure, middle, parser

REGIONS = Regions(-9.0, -6.9, -12.0, -4.0)
FEATURES = ("phi1", "phi2", "pm_phi2")


def column(path: Path, key: str, name: str) -> np.ndarray:
    with open_columns(path, key=key) as table:
        return np.concatenate([part[name] for part in table.iterate([name], chunk=10_000)])


def boosted(events: Events, seed: int) -> np.ndarray:
    """Held-out scores of the baseline."""
    used = REGIONS.signal(events.resonance) | REGIONS.sidebands(events.resonance)
    fold, scores = folds_of(len(events), 5, seed), np.full(len(events), -np.inf)
    for index in range(5):
        model = HistGradientBoostingClassifier(
            learning_rate=0.05, max_iter=150, max_leaf_nodes=15, early_stopping=True, random_state=seed
        )
        train, rest = used & (fold != index), used & (fold == index)
        model.fit(events.features[train], REGIONS.signal(events.resonance[train]))
        scores[rest] = model.decision_function(events.features[rest])
    return scores


def main() -> None:
    options = parser(__doc__, seeds="0:5", events=0)
    options.set_defaults(preset="stream")
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--method", default="cathode")
    chosen = options.parse_args()
    path, key = chosen.data / "gd1_data.hdf", "centerline_df"
    config = load_config(chosen.preset, [*chosen.settings, f"method={chosen.method}"])
    stars = column(path, key, "source_id")
    tagged = np.isin(stars, column(path, "winner_df", "source_id")) & np.isin(
        stars, column(path, "selected_df", "source_id")
    )
    sky = Sky.read(path, ("phi1", "phi2"), key)
    samples = {
        "with phi2": read_events(path, Selection("pm_phi1", FEATURES, units="mas/yr", key=key)),
        "without phi2": read_events(path, Selection("pm_phi1", ("phi1", "pm_phi2"), units="mas/yr", key=key)),
    }
    inside = REGIONS.signal(samples["with phi2"].resonance)

    def judged(scores: np.ndarray, name: str) -> dict[str, float]:
        top = inside & (scores >= np.quantile(scores[inside], 0.8))
        assert sky is not None
        found = sky.profile(scores, samples[name].resonance, REGIONS)
        return {"recall": float(top[tagged & inside].mean()), "excess": found.significance, "p": found.p_value}

    def one(seed: int) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for name, events in samples.items():
            with tempfile.TemporaryDirectory() as folder:
                ensemble = cross_fit(events, REGIONS, config, seed=seed, folder=Path(folder), jobs=chosen.jobs)
            row[name] = {
                chosen.method: judged(ensemble.score_held_out(events), name),
                "boosting": judged(boosted(events, seed), name),
            }
        return row

    rows = measure(chosen, one, setting={"method": chosen.method, "tagged": int((tagged & inside).sum())})
    for name in samples:
        for method in (chosen.method, "boosting"):
            print(
                name,
                method,
                *(f"{key} {middle([row[name][method][key] for row in rows])}" for key in ("recall", "excess")),
            )


if __name__ == "__main__":
    main()
