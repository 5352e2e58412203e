"""Background-only pseudo-experiments: are the significances normal, the p-values uniform, and is no bump sculpted?

    python -m tests.benchmarks.anomaly.pseudo --seeds 0:200 --json pseudo.json [--events 20000] [--method cathode]

Each experiment draws new events without a signal and does all that a run does but the report and the classifier test of the sidebands.
The first of ``verdict.efficiencies`` is the cut; ``p_toys`` is the mid-p value, (k + 1/2) / (n + 1). ``bump`` is that of the test for
sculpting at 1 %, in standard deviations.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kstest

from hepflows.applications.anomaly import FastModel, Regions, cross_fit, load_config
from hepflows.applications.anomaly.bumphunt import Window
from hepflows.applications.anomaly.simulate.fast import SIGNAL_REGION
from hepflows.applications.anomaly.verdict import hunted, sculpting
from tests.benchmarks.anomaly.journal import measure, middle, parser

REGIONS = Regions(*SIGNAL_REGION)


def main() -> None:
    options = parser(__doc__, seeds="0:200", events=20_000)
    options.add_argument("--method", default="cathode")
    chosen = options.parse_args()
    config = load_config(chosen.preset, [*chosen.settings, f"method={chosen.method}"])

    def one(seed: int) -> dict[str, Any]:
        events = FastModel().generate(chosen.events, seed=50_000 + seed)
        with tempfile.TemporaryDirectory() as folder:
            ensemble = cross_fit(events, REGIONS, config, seed=seed, folder=Path(folder), jobs=chosen.jobs)
        scores = ensemble.score_held_out(events)
        row: dict[str, Any] = {"bump": sculpting(events.resonance, scores >= 2.0, REGIONS)["sculpting_bump"]}
        for cut, found in hunted(scores, events, REGIONS, config.verdict, seed=seed):
            if isinstance(found, Window):
                toys = None if found.p_toys is None else found.p_toys - 0.5 / (config.verdict.toys + 1)
                row[f"{cut:g}"] = {
                    "z": found.significance,
                    "p": found.p_value,
                    "p_toys": toys,
                    "expected": found.expected,
                }
        return row

    rows = measure(chosen, one, setting={"method": chosen.method})
    for cut in (f"{one:g}" for one in config.verdict.efficiencies):
        found = [row[cut] for row in rows if cut in row]
        if len(found) > 1:
            z = np.array([one["z"] for one in found])
            toys = [one["p_toys"] for one in found if one["p_toys"] is not None]
            uniform = kstest(toys, "uniform").pvalue if toys else float("nan")
            print(
                f"cut {cut}: {len(found)} of {len(rows)} fitted; z mean {z.mean():+.3f} +- {z.std() / len(z) ** 0.5:.3f}, "
                f"std {z.std(ddof=1):.3f}; "
                f"KS p: normal {kstest(z, 'norm').pvalue:.3g}, toys uniform {uniform:.3g}"
            )
    bumps = np.array([row["bump"] for row in rows if row["bump"] is not None])
    print(f"bump at 1 %: mean {bumps.mean():+.3f} +- {bumps.std() / len(bumps) ** 0.5:.3f}, std {bumps.std():.3f}")
    print("seconds", middle([row["seconds"] for row in rows]))


if __name__ == "__main__":
    main()
