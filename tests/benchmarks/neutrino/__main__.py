"""Speed of the neutrino flow: one draw for many events, many draws for some, against the same flow in nflows 0.14.

    python -m tests.benchmarks.neutrino [--events 100000] [--repeats 3] [--threads 1] [--json out.json]

The whole of `NeutrinoFlow.sample` (rows, event network, flow, coordinates) is timed on simulated events; a time for a million is
extrapolated from ``--events`` and says so. Beside it stand two flows in nflows and converted by `from_nflows`: that of the default
model, five spline couplings of eight bins whose conditioners are fully connected, and that of nu-Flows, seven of ten bins with residual
conditioners; matrices are LU-decomposed in both. Same weights, same contexts, outputs compared first, interleaved call by call; the ratio
is nflows' time over ours, the median of the repetitions with the smallest and the largest. Weights are random: the time does not depend on
them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow as NflowsFlow
    from nflows.nn import nets
    from nflows.transforms import CompositeTransform, LULinear, PiecewiseRationalQuadraticCouplingTransform

from hepflows.applications.neutrino.config import load_config
from hepflows.applications.neutrino.methods.flow import NeutrinoFlow
from hepflows.applications.neutrino.simulate.fast import Selection, top_pairs
from hepflows.applications.neutrino.verdict import quietly
from hepflows.bijections import Coupling
from hepflows.flow import Flow
from hepflows.nets import MLP
from hepflows.nflows_adapter import from_nflows


class ContextMLP(nn.Module):
    """A fully connected conditioner of ``(x, context)``, as one writes it for nflows."""

    def __init__(self, inputs: int, outputs: int, context: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs + context, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, outputs)
        )

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        outputs: Tensor = self.layers(torch.cat([x, context], dim=1))
        return outputs


def residual(inputs: int, outputs: int, context: int) -> nn.Module:
    """Two residual blocks of 64."""
    return nets.ResidualNet(inputs, outputs, hidden_features=64, context_features=context, num_blocks=2)


@dataclass(frozen=True)
class Peer:
    """A flow of three features in nflows: stacks of a matrix and a spline coupling."""

    stacks: int
    bins: int
    bound: float
    context: int
    net: Callable[[int, int, int], nn.Module]

    def build(self) -> NflowsFlow:
        """It, with random weights."""
        torch.manual_seed(0)
        transforms = []
        for i in range(self.stacks):
            mask = ((np.arange(3) // 2 + i + 1) % 2).tolist()
            coupling = PiecewiseRationalQuadraticCouplingTransform(
                mask,
                lambda n, m: self.net(n, m, self.context),
                num_bins=self.bins,
                tails="linear",
                tail_bound=self.bound,
            )
            transforms += [LULinear(3), coupling]
        return NflowsFlow(CompositeTransform(transforms), StandardNormal([3])).eval()


PEERS = {
    "default": Peer(5, 8, 5.0, 32, ContextMLP),
    "nuflows": Peer(7, 10, 4.0, 41, residual),
}


def converted(theirs: NflowsFlow, context: int) -> Flow:
    """The same flow in hepflows, a `ContextMLP` as an `MLP`."""
    ours = from_nflows(theirs, context_features=context)
    for coupling in ours.modules():
        if isinstance(coupling, Coupling) and isinstance(getattr(coupling.net, "net", None), ContextMLP):
            coupling.net = as_mlp(coupling.net, context)
    return ours


@torch.no_grad()
def as_mlp(wrapped: Any, context: int) -> MLP:
    """Our `MLP` of the same function as a `ContextMLP`, outputs in our order."""
    linear = [layer for layer in wrapped.net.layers if isinstance(layer, nn.Linear)]
    mlp = MLP(linear[0].in_features - context, linear[-1].out_features, (64, 64), context_features=context)
    for layer, other in zip(mlp.hidden, linear[:-1], strict=True):
        layer.load_state_dict(other.state_dict())
    factors = wrapped.factors.to(torch.float32)
    mlp.output.weight.copy_(linear[-1].weight[wrapped.places] * factors[:, None])
    mlp.output.bias.copy_(linear[-1].bias[wrapped.places] * factors)
    return mlp


def seconds(call: Callable[[], Any]) -> float:
    """Wall time of a call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


@torch.no_grad()
def against_nflows(peer: Peer, repeats: int) -> dict[str, Any]:
    """Ratios for the density of 20,000 events, one draw for each of them, and 256 draws for 200."""
    theirs = peer.build()
    ours = converted(theirs, peer.context)
    generator = torch.Generator().manual_seed(1)
    y, context = torch.randn(20_000, 3, generator=generator), torch.randn(20_000, peer.context, generator=generator)
    difference = float((ours.log_prob(y, context) - theirs.log_prob(y, context)).abs().max())
    some = context[:200]
    z = torch.randn(20_000, 3, generator=generator)
    back = ours.bijection.inverse(z, context)[0] - theirs._transform.inverse(z, context=context)[0]
    calls = {
        "log_prob, 20,000 events": (lambda: theirs.log_prob(y, context), lambda: ours.log_prob(y, context)),
        "1 draw for 20,000 events": (lambda: theirs.sample(1, context), lambda: ours.sample(1, context)),
        "256 draws for 200 events": (lambda: theirs.sample(256, some), lambda: ours.sample(256, some)),
    }
    found: dict[str, Any] = {
        "largest difference of log_prob": difference,
        "largest difference of draws": float(back.abs().max()),
    }
    for name, (slow, fast) in calls.items():
        slow(), fast()
        pairs = [(seconds(slow), seconds(fast)) for _ in range(repeats)]
        ratios = sorted(a / b for a, b in pairs)
        found[name] = {
            "ratio": statistics.median(ratios), "ratio_min": ratios[0], "ratio_max": ratios[-1],
            "nflows_seconds": statistics.median(a for a, _ in pairs), "hepflows_seconds": statistics.median(b for _, b in pairs),
        }  # fmt: skip
    return found


def whole(events: int, repeats: int) -> dict[str, Any]:
    """Seconds of the default model, from events to neutrinos."""
    flow = NeutrinoFlow(load_config("default", ["posterior.training.epochs=1"]), seed=1)
    flow.fit(top_pairs(3000, selection=Selection(), seed=1))
    many = top_pairs(events, selection=Selection(), seed=2)
    started = time.perf_counter()
    top_pairs(events, seed=3)
    simulated = time.perf_counter() - started
    one = [seconds(lambda: quietly(flow, many, 1, 1)) for _ in range(repeats)]
    posterior = [seconds(lambda: quietly(flow, many[:1000], 256, 1)) for _ in range(repeats)]
    return {
        "events": events,
        "1 draw, seconds": one,
        "1 draw for 1e6 events, seconds, extrapolated": statistics.median(one) * 1e6 / events,
        "256 draws for 1000 events, seconds": posterior,
        "simulated events a second, no selection": events / simulated,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = {
        "threads": options.threads, "load": os.getloadavg()[0],
        "whole": whole(options.events, options.repeats),
        "against nflows": {name: against_nflows(peer, options.repeats) for name, peer in PEERS.items()},
    }  # fmt: skip
    text = json.dumps(found, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
