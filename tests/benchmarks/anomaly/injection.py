"""A signal of two standard deviations before the cut: what is its significance after it?

    python -m tests.benchmarks.anomaly.injection --seeds 0:10 --json injection.json [--events 250000] [--method cathode]

The signal is Poisson around 2 sqrt(B), with B the background expected in the signal region. ``before`` is the significance of the fit
without a cut; the others are those after the cuts of the preset.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from hepflows.applications.anomaly import BumpHunt, FastModel, Regions, cross_fit, load_config
from hepflows.applications.anomaly.bumphunt import Window
from hepflows.applications.anomaly.simulate.fast import SIGNAL_REGION, signal_events
from hepflows.applications.anomaly.verdict import hunted
from tests.benchmarks.anomaly.journal import measure, middle, parser

REGIONS = Regions(*SIGNAL_REGION)


def main() -> None:
    options = parser(__doc__, seeds="0:10", events=250_000)
    options.add_argument("--method", default="cathode")
    options.add_argument("--sigma", type=float, default=2.0)
    chosen = options.parse_args()
    config = load_config(chosen.preset, [*chosen.settings, f"method={chosen.method}"])
    per_ratio = signal_events(
        chosen.events, 1.0
    )  # signal events at S/B = 1: the background of the region over its share of the signal
    background = 0.9545 * per_ratio
    mean = chosen.sigma / background**0.5 * per_ratio

    def one(seed: int) -> dict[str, Any]:
        signal = int(np.random.default_rng(seed).poisson(mean))
        events = FastModel().generate(chosen.events, signal=signal, seed=70_000 + seed)
        with tempfile.TemporaryDirectory() as folder:
            ensemble = cross_fit(events, REGIONS, config, seed=seed, folder=Path(folder), jobs=chosen.jobs)
        row: dict[str, Any] = {"signal": signal, "before": BumpHunt().test(events.resonance, REGIONS).significance}
        for cut, found in hunted(ensemble.score_held_out(events), events, REGIONS, config.verdict, seed=seed):
            row[f"{cut:g}"] = found.significance if isinstance(found, Window) else None
        return row

    rows = measure(chosen, one, setting={"method": chosen.method, "sigma": chosen.sigma})
    for name in ("before", *(f"{one:g}" for one in config.verdict.efficiencies)):
        values = [row[name] for row in rows if row.get(name) is not None]
        if values:
            print(name, middle(values))


if __name__ == "__main__":
    main()
