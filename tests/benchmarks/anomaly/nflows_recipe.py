"""CATHODE with our flow and with one of nflows: the same recipe, one fit of 250,000 events each, and the time until its largest SIC.

    python -m tests.benchmarks.anomaly.nflows_recipe --seeds 0:3 --json nflows.json [--events 250000]

The recipe: preprocessing, spline couplings of the same number, widths, bins and tails, the training loop, its batches, learning rates and
epochs, samples, classifier and test sample. Only the flow's code differs (nflows' coupling transforms with its residual networks of one
block, the alternating masks of its examples). One thread. ``ratio`` is the time of nflows over ours, and counts where ``sic`` is within
5 % of nflows' or better.
"""

from __future__ import annotations

import time
from typing import Any
from unittest.mock import patch

import torch
from nflows.distributions.normal import StandardNormal
from nflows.flows.base import Flow as NflowsFlow
from nflows.nn import nets
from nflows.transforms import CompositeTransform, PiecewiseRationalQuadraticCouplingTransform
from torch import Tensor, nn

from hepflows.applications.anomaly import Cathode, FastModel, Regions, load_config
from hepflows.applications.anomaly.config import DensityConfig
from hepflows.applications.anomaly.density import DTYPE, Density
from hepflows.applications.anomaly.metrics import curve
from hepflows.applications.anomaly.simulate.fast import SIGNAL_REGION, signal_events
from tests.benchmarks.anomaly.journal import measure, middle, parser

REGIONS = Regions(*SIGNAL_REGION)


class Theirs(nn.Module):
    """A flow of nflows behind the few methods that a density asks for."""

    def __init__(self, features: int, config: DensityConfig, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        (hidden,) = set(config.hidden)
        transforms = [
            PiecewiseRationalQuadraticCouplingTransform(
                [(i + layer) % 2 for i in range(features)],
                lambda i, o: nets.ResidualNet(i, o, hidden_features=hidden, context_features=1, num_blocks=1),
                num_bins=config.bins,
                tails="linear",
                tail_bound=5.0,
            )
            for layer in range(config.blocks)
        ]
        self.flow = NflowsFlow(CompositeTransform(transforms), StandardNormal([features]))

    def log_prob(self, x: Tensor, context: Tensor) -> Tensor:
        return self.flow.log_prob(x, context=context)

    def sample(self, shape: tuple[int, ...], context: Tensor, *, generator: torch.Generator) -> Tensor:
        torch.manual_seed(generator.initial_seed() % 2**63)
        with torch.no_grad():
            return torch.cat([self.flow.sample(1, context=part)[:, 0] for part in torch.split(context, 65_536)])


class TheirDensity(Density):
    """A density whose flow is of nflows."""

    def __init__(self, features: int, config: DensityConfig, *, seed: int) -> None:
        super().__init__(features, config, seed=seed)
        self.flow = Theirs(features, config, seed).to(DTYPE)  # type: ignore[assignment]


def main() -> None:
    options = parser(__doc__, seeds="0:3", events=250_000)
    options.add_argument("--test", type=int, default=100_000)
    chosen = options.parse_args()
    config = load_config(chosen.preset, [*chosen.settings, "method=cathode"])

    few = FastModel().generate(1500, seed=1)
    for density in (Density, TheirDensity):  # what is imported and compiled at first use is no part of either
        with patch("hepflows.applications.anomaly.methods.cathode.Density", density):
            Cathode(load_config("quick", ["density.training.epochs=1", "null_events=1000"])).fit(few, REGIONS, seed=1)

    def one(seed: int) -> dict[str, Any]:
        events = FastModel().generate(chosen.events, signal=signal_events(chosen.events, 0.006), seed=2 * seed)
        test = FastModel().generate(chosen.test, signal=chosen.test // 10, seed=2 * seed + 1, window=SIGNAL_REGION)
        row: dict[str, Any] = {}
        pair: list[tuple[str, type[Density]]] = [("ours", Density), ("nflows", TheirDensity)]
        for name, density in pair[:: 1 - 2 * (seed % 2)]:  # in turn
            with patch("hepflows.applications.anomaly.methods.cathode.Density", density):
                started = time.perf_counter()
                method = Cathode(config).fit(events, REGIONS, seed=seed)
                taken = time.perf_counter() - started
            found = curve(method.score(test), test.label).max_sic[0]
            loss = min(method.histories["density"].validation)
            row[name] = {"seconds": round(taken, 2), "sic": found, "loss": loss}
        row["ratio"] = row["nflows"]["seconds"] / row["ours"]["seconds"]
        return row

    rows = measure(chosen, one, setting={"test": chosen.test})
    for name in ("ours", "nflows"):
        print(name, *(f"{key} {middle([row[name][key] for row in rows])}" for key in ("seconds", "sic", "loss")))
    print(
        "ratio",
        middle([row["ratio"] for row in rows]),
        "SIC over nflows'",
        middle([row["ours"]["sic"] / row["nflows"]["sic"] for row in rows]),
    )


if __name__ == "__main__":
    main()
