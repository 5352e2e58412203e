"""The same flows in nflows, hepflows, zuko and normflows. nflows and hepflows share the weights; the other two cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import normflows
import torch
import zuko
from nflows.distributions.normal import StandardNormal
from nflows.flows.base import Flow as NflowsFlow
from nflows.nn import nets
from nflows.transforms import (
    CompositeTransform,
    InverseTransform,
    MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
    PiecewiseRationalQuadraticCouplingTransform,
    RandomPermutation,
)
from torch import Tensor, nn

from hepflows.flow import Flow
from hepflows.nflows_adapter import from_nflows

FEATURES, HIDDEN, CONTEXT, BOUND, BINS = 504, 378, 4, 14.0, 8
"""One block of CaloFlow's shower flow (arXiv:2106.05285)."""


@dataclass
class Pair:
    """A flow of nflows and ours with the same weights."""

    nflows: NflowsFlow
    hepflows: Flow


def pair(theirs: NflowsFlow) -> Pair:
    """Convert, both in training mode as they are (no dropout, no batch norm)."""
    return Pair(theirs, from_nflows(theirs))


def coupling(features: int = 10, layers: int = 6, *, residual: bool = False) -> Pair:
    """Spline couplings with networks of two hidden layers of 64 units, or nflows' usual ones of two residual blocks."""
    torch.manual_seed(0)
    transforms = [
        PiecewiseRationalQuadraticCouplingTransform(
            [(i + layer) % 2 for i in range(features)],
            lambda i, o: nets.ResidualNet(i, o, 64) if residual else nets.MLP([i], [o], [64, 64]),
            num_bins=BINS,
            tails="linear",
            tail_bound=5.0,
        )
        for layer in range(layers)
    ]
    for transform in [] if residual else transforms:  # nflows hands its networks a context, which its MLP does not take
        net = transform.transform_net
        net.forward = lambda x, context=None, net=net: nets.MLP.forward(net, x)
    return pair(NflowsFlow(CompositeTransform(transforms), StandardNormal([features])))


def maf(blocks: int = 1, *, residual: bool = False) -> Pair:
    """Masked autoregressive blocks with random permutations between them."""
    torch.manual_seed(0)
    transforms: list[nn.Module] = []
    for block in range(blocks):
        if block:
            transforms.append(RandomPermutation(FEATURES))
        transforms.append(autoregressive(residual=residual))
    return pair(NflowsFlow(CompositeTransform(transforms), StandardNormal([FEATURES])))


def autoregressive(*, residual: bool = False) -> nn.Module:
    """One nflows block: feed-forward with two hidden layers, or nflows' default of two residual blocks."""
    return MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
        FEATURES,
        HIDDEN,
        context_features=CONTEXT,
        num_bins=BINS,
        tails="linear",
        tail_bound=BOUND,
        num_blocks=2 if residual else 1,
        use_residual_blocks=residual,
    )


def iaf(blocks: int) -> NflowsFlow:
    """The student built with nflows: the same blocks turned round, so that sampling takes one pass each."""
    torch.manual_seed(1)
    transforms: list[nn.Module] = []
    for block in range(blocks):
        if block:
            transforms.append(RandomPermutation(FEATURES))
        transforms.append(InverseTransform(autoregressive()))
    return NflowsFlow(CompositeTransform(transforms), StandardNormal([FEATURES]))


def zuko_coupling(features: int = 10, layers: int = 6) -> nn.Module:
    """zuko's spline flow in two passes: masked networks of the same hidden widths."""
    torch.manual_seed(0)
    return zuko.flows.NSF(features, bins=BINS, transforms=layers, hidden_features=(64, 64), passes=2)


def zuko_maf() -> nn.Module:
    """One autoregressive block of zuko's spline flow."""
    torch.manual_seed(0)
    return zuko.flows.NSF(FEATURES, CONTEXT, bins=BINS, transforms=1, hidden_features=(HIDDEN, HIDDEN))


def normflows_coupling(features: int = 10, layers: int = 6) -> Any:
    """normflows' spline couplings; its residual networks have one layer more."""
    torch.manual_seed(0)
    flows = [
        normflows.flows.CoupledRationalQuadraticSpline(
            features, 1, 64, num_bins=BINS, tail_bound=5.0, reverse_mask=bool(layer % 2)
        )
        for layer in range(layers)
    ]
    return normflows.NormalizingFlow(normflows.distributions.DiagGaussian(features, trainable=False), flows)


def normflows_maf() -> Any:
    """One autoregressive block of normflows, residual as it always is there, with one residual block."""
    torch.manual_seed(0)
    flow = normflows.flows.AutoregressiveRationalQuadraticSpline(
        FEATURES, 1, HIDDEN, num_context_channels=CONTEXT, num_bins=BINS, tail_bound=BOUND
    )
    base = normflows.distributions.DiagGaussian(FEATURES, trainable=False)
    return normflows.ConditionalNormalizingFlow(base, [flow])


def network_flops(flow: Flow) -> int:
    """Floating-point operations of one event in one pass of the networks, counting only what the masks allow."""
    flops = 0
    for module in flow.modules():
        mask = getattr(module, "mask", None)
        if isinstance(mask, Tensor):
            flops += 2 * int(mask.sum())
        elif isinstance(module, nn.Linear):
            flops += 2 * module.weight.numel()
    return flops
