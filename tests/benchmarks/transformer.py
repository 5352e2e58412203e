"""A transformer flow beside a masked autoregressive one: parameters, training step and sampling, in one process and in turn.

    python -m tests.benchmarks.transformer [--features 504] [--patch 24] [--repeats 7]

The flows are those of the presets ``demo`` and ``transformer``, with the same splines. Times are medians; a ratio
is the MAF's time over the transformer's, repetition by repetition, with the smallest and the largest. Quote nothing from a machine
that does other work: the rate of a matrix product, measured before and after, must agree.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch

from hepflows.bijections import RationalQuadraticSpline
from hepflows.flow import Flow
from hepflows.zoo import maf, transformer_flow
from tests.benchmarks.core.timing import Gemm, compare

CONTEXT = 4


def training_step(flow: Flow, batch: int) -> Callable[[], None]:
    """Forward, backward and a fused Adam step."""
    optimizer = torch.optim.Adam(flow.parameters(), fused=True)
    x, context = torch.randn(batch, flow.features), torch.randn(batch, CONTEXT)

    def step() -> None:
        optimizer.zero_grad()
        (-flow.log_prob(x, context).mean()).backward()
        optimizer.step()

    return step


def sampling(flow: Flow, batch: int) -> Callable[[], torch.Tensor]:
    """One sample for each of ``batch`` contexts."""
    context, rng = torch.randn(batch, CONTEXT), torch.Generator().manual_seed(0)
    return lambda: flow.sample((), context, generator=rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=504)
    parser.add_argument("--patch", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=7)
    chosen = parser.parse_args()
    torch.manual_seed(0)
    spline = RationalQuadraticSpline(bins=8, bound=6.0)
    flows = {
        "maf": maf(chosen.features, CONTEXT, blocks=6, hidden=(128, 128), univariate=spline),
        "transformer": transformer_flow(chosen.features, CONTEXT, patches=chosen.patch, univariate=spline),
    }
    gemm = Gemm()
    gemm.measure()
    print(f"{torch.get_num_threads()} thread(s), {chosen.features} features, patches of {chosen.patch}")
    for name, flow in flows.items():
        print(f"{name}: {sum(parameter.numel() for parameter in flow.parameters()):,} parameters")
    works = {"training step, B=100": (training_step, 100), "sampling, B=1000": (sampling, 1000)}
    for what, (work, batch) in works.items():
        row = compare({name: work(flow, batch) for name, flow in flows.items()}, chosen.repeats, baseline="maf")
        median, low, high = row["ratio"]["transformer"]
        times = ", ".join(f"{name} {ms:.1f} ms" for name, ms in row["ms"].items())
        print(f"{what}: {times}, ratio {median:.2f} [{low:.2f} - {high:.2f}]")
        gemm.measure()
    print(f"rates of a matrix product: largest over smallest {gemm.spread:.2f}")


if __name__ == "__main__":
    main()
