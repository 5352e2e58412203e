"""The speed of shower generation beside nflows and Geant4, in one process and in turn.

    python -m tests.benchmarks.calorimeter.speed [--rows teacher student coupling training geant4] [--repeats 7] [--json FILE]

Models have the sizes of the presets ``paper``, ``paper_student`` and ``caloinn`` in float32, and random weights, on which no time depends.
Ours make showers from incident energies, preprocessing included; of nflows only the flow is timed, and where one of its inverses takes
minutes, one pass of its networks times the number of voxels. Times are medians; ratios are taken repetition by repetition, with the
smallest and the largest. Quote nothing from a machine that does other work: the rate of a matrix product, measured before and
after, must agree.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from nflows.distributions.normal import StandardNormal
from nflows.flows.base import Flow as NflowsFlow
from nflows.nn import nets
from nflows.transforms import CompositeTransform, PiecewiseRationalQuadraticCouplingTransform
from torch import Tensor, nn

from hepflows.applications.calorimeter import CaloFlow, load_config
from hepflows.applications.calorimeter.models.kinds import layerwise_permutations
from hepflows.nflows_adapter import from_nflows
from tests.benchmarks.calorimeter.nflows_teacher import nflows_maf
from tests.benchmarks.core.rows import step
from tests.benchmarks.core.timing import Gemm, compare

Row = dict[str, Any]


def caloflow(preset: str) -> CaloFlow:
    """A model of a preset in float32, with random weights."""
    return CaloFlow(config=load_config(preset, ["model.precision=float32"]).model, seed=1)


def generate(model: CaloFlow, n: int) -> None:
    """Showers of 1 to 100 GeV."""
    model.sample(n, energies="1:100", seed=1)


def teachers() -> tuple[CaloFlow, NflowsFlow]:
    """The paper's teacher, its shower flow in nflows as well: the same weights."""
    model = caloflow("paper")
    config, geometry = model.config.shower_flow, model.geometry
    orders = layerwise_permutations(geometry, 0, config.blocks - 1, torch.Generator().manual_seed(1))
    theirs = nflows_maf(config, geometry.n_voxels, 1 + geometry.n_layers, orders, 1)
    model.shower_flow = from_nflows(theirs)
    return model.eval(), theirs.eval()


def teacher(repeats: int) -> dict[str, Row]:
    """The exact teacher against the same one in nflows."""
    model, theirs = teachers()
    z, context = torch.randn(1000, 504), torch.randn(1000, 4)

    @torch.no_grad()
    def one_pass() -> None:
        theirs.log_prob(z, context)

    calls = {"nflows": one_pass, "teacher": lambda: generate(model, 1000)}
    return {"exact teacher, batch 1000; nflows: one pass x 504": compare(calls, repeats, factor=504)}


def student(repeats: int) -> dict[str, Row]:
    """The exact teacher against its student."""
    model = caloflow("paper")
    pupil = CaloFlow("student", preset="paper_student", teacher=model, seed=2)
    rows = {}
    for batch in (1000, 10_000):
        calls = {
            "student": lambda n=batch: generate(pupil, n),
            "teacher": lambda n=batch: generate(model, n),
        }
        rows[f"exact teacher against student, batch {batch}"] = compare(calls, repeats, baseline="student")
    return rows


class _Network(nn.Module):
    """nflows' perceptron, with the context among its inputs as in ours."""

    def __init__(self, inputs: int, outputs: int, context: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.mlp = nets.MLP([inputs + context], [outputs], list(hidden))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        out: Tensor = self.mlp(x if context is None else torch.cat([x, context], 1))
        return out


def coupling(repeats: int) -> dict[str, Row]:
    """The coupling flow of CaloINN, layer energies among its dimensions, against one of the same size in nflows."""
    model = caloflow("caloinn")
    config, features = model.config.shower_flow, model.shower_flow.features
    torch.manual_seed(1)
    theirs = NflowsFlow(
        CompositeTransform(
            [
                PiecewiseRationalQuadraticCouplingTransform(
                    torch.randperm(features) % 2,
                    lambda inputs, outputs: _Network(inputs, outputs, 1, config.hidden),
                    num_bins=config.bins,
                    tails="linear",
                    tail_bound=config.bound,
                )
                for _ in range(config.blocks)
            ]
        ),
        StandardNormal([features]),
    ).eval()
    rows = {}
    for batch in (1, 100, 10_000):
        context = torch.randn(batch, 1)

        @torch.no_grad()
        def sample(context: Tensor = context) -> None:
            for part in context.split(1000):  # as many at once as in ours
                theirs.sample(1, part)

        calls = {"nflows": sample, "coupling": lambda n=batch: generate(model, n)}
        rows[f"coupling flow of CaloINN, batch {batch}"] = compare(calls, repeats)
    return rows


def training(repeats: int) -> dict[str, Row]:
    """A step of the paper's teacher, eight blocks, with Adam."""
    rows = {}
    for batch in (200, 1000):
        model, theirs = teachers()
        x, context = 3 * torch.randn(batch, 504), torch.randn(batch, 4)
        calls = {
            name: step(flow.train(), lambda flow=flow, x=x, context=context: -flow.log_prob(x, context).mean())
            for name, flow in {"nflows": theirs, "teacher": model.shower_flow}.items()
        }
        rows[f"training step of the teacher, batch {batch}"] = compare(calls, repeats)
    return rows


def geant4(repeats: int, showers: int = 12) -> dict[str, Row]:
    """e+ of 1 to 100 GeV in Geant4, one process, against batches of 1000; times are for 1000 showers."""
    import numpy as np

    from hepflows.applications.calorimeter.simulate import Gun, Spread, geant4_data, load_detector
    from hepflows.applications.calorimeter.simulate.geant4 import Geant4Engine

    detector, gun = load_detector("calogan"), Gun(-11, Spread.parse("1:100", "--energy"))
    elements = {z for material in detector.resolved.values() for z in material.elements}
    engine = Geant4Engine(detector, "em", geant4_data(elements).folder)
    # the mean energy of the spectrum, so that few showers are enough
    primaries = gun.draw(showers, np.random.default_rng(1))
    primaries.energies[:] = np.linspace(1, 100, showers)
    models = {"teacher": caloflow("paper"), "coupling": caloflow("caloinn")}
    calls: dict[str, Callable[[], Any]] = {"Geant4": lambda: engine.shoot(primaries, seed=1)}
    calls |= {name: lambda model=model: generate(model, 1000) for name, model in models.items()}
    row = compare(calls, repeats, baseline="Geant4")
    scale = 1000 / showers
    row["ms"]["Geant4"] *= scale
    row["ratio"] = {name: [scale * value for value in values] for name, values in row["ratio"].items()}
    return {"Geant4 against batches of 1000, 1-100 GeV": row}


ROWS: dict[str, Callable[[int], dict[str, Row]]] = {
    "teacher": teacher,
    "student": student,
    "coupling": coupling,
    "training": training,
    "geant4": geant4,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    gemm, found = Gemm(), {}
    gemm.measure()
    for name in chosen.rows:
        for title, row in ROWS[name](chosen.repeats).items():
            found[title] = row
            times = ", ".join(f"{which} {ms:.4g} ms" for which, ms in row["ms"].items())
            ratios = ", ".join(
                f"{which} {m:.3g} [{low:.3g}-{high:.3g}]" for which, (m, low, high) in row["ratio"].items()
            )
            print(f"{title}: {times}; faster by {ratios}", flush=True)
            gemm.measure()
    print(
        f"{torch.get_num_threads()} thread(s); matrix product: rates differ by a factor {gemm.spread:.2f} during the run"
    )
    if chosen.json:
        chosen.json.write_text(
            json.dumps({"threads": torch.get_num_threads(), "gemm_spread": gemm.spread, "rows": found}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
