"""Largest SIC of the methods against that of the true likelihood ratio, on analytic events at S/B = 0.6 %.

    python -m tests.benchmarks.anomaly.sic --seeds 0:10 --json sic.json [--methods cathode,idealised,anode] [--events 250000]

Every seed draws new events and new models. SIC curves are those of a test sample of the signal region that nothing learnt from (100,000
background and 10,000 signal events, scored by the mean over the folds), with at least 25 background events at every cut; ``held_out`` is
that of the events themselves, scored by models that have not seen them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hepflows.applications.anomaly import FastModel, Regions, cross_fit, load_config
from hepflows.applications.anomaly.metrics import curve
from hepflows.applications.anomaly.simulate.fast import SIGNAL_REGION, signal_events
from tests.benchmarks.anomaly.journal import measure, middle, parser

REGIONS = Regions(*SIGNAL_REGION)


def main() -> None:
    options = parser(__doc__, seeds="0:10", events=250_000)
    options.add_argument("--methods", default="cathode,idealised,anode")
    options.add_argument("--variant", default="plain")
    options.add_argument("--test", type=int, default=100_000)
    chosen = options.parse_args()
    methods = chosen.methods.split(",")
    model = FastModel(chosen.variant)

    def one(seed: int) -> dict[str, Any]:
        events = model.generate(chosen.events, signal=signal_events(chosen.events, 0.006), seed=2 * seed)
        test = model.generate(chosen.test, signal=chosen.test // 10, seed=2 * seed + 1, window=SIGNAL_REGION)
        inside = REGIONS.signal(events.resonance)
        # as much pure background as the papers have: four times that of the signal region
        more = model.generate(4 * int(inside.sum()), seed=10_000 + seed, window=SIGNAL_REGION)
        row: dict[str, Any] = {"true": curve(model.log_likelihood_ratio(test), test.label).max_sic[0]}
        for method in methods:
            config = load_config(chosen.preset, [*chosen.settings, f"method={method}"])
            background = more if method in ("idealised", "supervised") else None
            with tempfile.TemporaryDirectory() as folder:
                ensemble = cross_fit(
                    events, REGIONS, config, seed=seed, background=background, folder=Path(folder), jobs=chosen.jobs
                )
            held_out = curve(ensemble.score_held_out(events)[inside], events.label[inside])
            row[method] = curve(ensemble.score(test), test.label).max_sic[0]
            row[f"{method} held_out"] = held_out.max_sic[0]
        return row

    rows = measure(chosen, one, setting={"variant": chosen.variant, "methods": methods, "test": chosen.test})
    print("true", middle([row["true"] for row in rows]))
    for method in methods:
        print(
            method,
            middle([row[method] for row in rows]),
            "of the true",
            middle([row[method] / row["true"] for row in rows]),
        )
    if "idealised" in methods:
        for method in set(methods) - {"idealised"}:
            print(method, "of the idealised", middle([row[method] / row["idealised"] for row in rows]))


if __name__ == "__main__":
    main()
