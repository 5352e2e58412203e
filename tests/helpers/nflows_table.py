"""Every nflows transform that can be converted, one row each, with rough weights, float64, in eval mode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from nflows import transforms as t
from nflows.nn.nets import MLP, ResidualNet
from torch import nn

FEATURES, CONTEXT = 6, 3
MASK = [1, 0, 0, 1, 1, 0]
TAILS = {"tails": "linear", "tail_bound": 2.5}
MINIMA = {"min_bin_width": 2e-3, "min_bin_height": 1e-2}
MASKED = {
    "affine": (t.MaskedAffineAutoregressiveTransform, {}),
    "linear box": (t.MaskedPiecewiseLinearAutoregressiveTransform, {"num_bins": 5}),
    "quadratic": (t.MaskedPiecewiseQuadraticAutoregressiveTransform, {"num_bins": 7, **TAILS}),
    "quadratic box": (t.MaskedPiecewiseQuadraticAutoregressiveTransform, {"num_bins": 4, **MINIMA}),
    "rational": (t.MaskedPiecewiseRationalQuadraticAutoregressiveTransform, {"num_bins": 8, **TAILS}),
    "rational minima": (
        t.MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
        {"num_bins": 5, **TAILS, **MINIMA, "min_derivative": 0.05},
    ),
    "rational box": (t.MaskedPiecewiseRationalQuadraticAutoregressiveTransform, {"num_bins": 3}),
}
NETWORKS = {
    "residual": {},
    "feed-forward": {"use_residual_blocks": False, "num_blocks": 1},
    "random mask": {"use_residual_blocks": False, "random_mask": True, "activation": torch.tanh},
}
COUPLINGS = {
    "affine": (t.AffineCouplingTransform, {}),
    "additive": (t.AdditiveCouplingTransform, {}),
    "linear": (t.PiecewiseLinearCouplingTransform, {"num_bins": 6, **TAILS}),
    "linear box": (t.PiecewiseLinearCouplingTransform, {"num_bins": 4}),
    "quadratic": (t.PiecewiseQuadraticCouplingTransform, {"num_bins": 5, **TAILS, **MINIMA}),
    "quadratic box": (t.PiecewiseQuadraticCouplingTransform, {"num_bins": 8}),
    "rational": (t.PiecewiseRationalQuadraticCouplingTransform, {"num_bins": 8, **TAILS}),
    "rational box": (t.PiecewiseRationalQuadraticCouplingTransform, {"num_bins": 6, **MINIMA, "min_derivative": 1e-2}),
}
CDFS = {
    "linear": (t.PiecewiseLinearCDF, {"num_bins": 6, **TAILS}),
    "linear box": (t.PiecewiseLinearCDF, {"num_bins": 6}),
    "quadratic": (t.PiecewiseQuadraticCDF, {"num_bins": 6, **TAILS}),
    "quadratic box": (t.PiecewiseQuadraticCDF, {"num_bins": 6, **MINIMA}),
    "rational": (t.PiecewiseRationalQuadraticCDF, {"num_bins": 6, **TAILS}),
    "rational box": (t.PiecewiseRationalQuadraticCDF, {"num_bins": 6, **MINIMA}),
}


class OwnNet(nn.Module):
    """A network of a user's own, which knows how wide its context is."""

    def __init__(self, inputs: int, outputs: int, context_features: int) -> None:
        super().__init__()
        self.context_features = context_features
        self.mlp = MLP([inputs + context_features], [outputs], [10])

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        x = x.view(-1).view(len(x), -1)  # wants its input in one piece, as nflows hands it over
        return self.mlp(x if context is None else torch.cat([x, context], 1))


def nets(context: int) -> dict[str, Callable[[int, int], nn.Module]]:
    width = context or None
    return {
        "residual": lambda i, o: ResidualNet(i, o, 12, width, num_blocks=2),
        "residual with batch norm": lambda i, o: ResidualNet(i, o, 12, width, num_blocks=1, use_batch_norm=True),
        "own": lambda i, o: OwnNet(i, o, context),
    }


@dataclass(frozen=True)
class Row:
    build: Callable[[], t.Transform]
    context: int = 0
    box: bool = False


def _masked(kind: str, network: str, context: int) -> t.Transform:
    cls, options = MASKED[kind]
    return cls(features=FEATURES, hidden_features=16, context_features=context or None, **options, **NETWORKS[network])


def _coupling(kind: str, net: str, context: int, unconditional: bool = False) -> t.Transform:
    cls, options = COUPLINGS[kind]
    extra = {"apply_unconditional_transform": True} if unconditional else {}
    return cls(mask=MASK, transform_net_create_fn=nets(context)[net], **options, **extra)


def _composite() -> t.Transform:
    return t.CompositeTransform(
        [
            t.PointwiseAffineTransform(torch.tensor(0.3), torch.tensor(1.7)),
            _masked("rational", "residual", CONTEXT),
            t.ReversePermutation(FEATURES),
            t.BatchNorm(FEATURES),
            t.InverseTransform(_masked("affine", "feed-forward", CONTEXT)),
            t.CompositeTransform([t.LULinear(FEATURES, identity_init=False), t.RandomPermutation(FEATURES)]),
            t.IdentityTransform(),
            _coupling("quadratic", "residual", CONTEXT),
        ]
    )


TABLE: dict[str, Row] = {
    **{
        f"masked {kind}, {network}{', context' if c else ''}": Row(
            lambda kind=kind, network=network, c=c: _masked(kind, network, c), c, "box" in kind
        )
        for kind in MASKED
        for network in NETWORKS
        for c in (0, CONTEXT)
    },
    **{
        f"coupling {kind}, {net}{', context' if c else ''}": Row(
            lambda kind=kind, net=net, c=c: _coupling(kind, net, c), c, "box" in kind
        )
        for kind in COUPLINGS
        for net in nets(0)
        for c in (0, CONTEXT)
    },
    **{
        f"coupling {kind}, unconditional too": Row(
            lambda kind=kind: _coupling(kind, "residual", CONTEXT, True), CONTEXT, "box" in kind
        )
        for kind in COUPLINGS
        if kind in CDFS
    },
    **{
        f"cdf {kind}": Row(lambda kind=kind: CDFS[kind][0]([FEATURES], **CDFS[kind][1]), 0, "box" in kind)
        for kind in CDFS
    },
    "permutation": Row(lambda: t.Permutation(torch.tensor([3, 1, 4, 0, 2, 5]))),
    "random permutation": Row(lambda: t.RandomPermutation(FEATURES)),
    "reverse permutation": Row(lambda: t.ReversePermutation(FEATURES)),
    "lu": Row(lambda: t.LULinear(FEATURES, identity_init=False)),
    "lu with cache": Row(lambda: t.LULinear(FEATURES, using_cache=True)),
    "batch norm": Row(lambda: t.BatchNorm(FEATURES, eps=1e-4)),
    "pointwise affine": Row(lambda: t.PointwiseAffineTransform(torch.arange(6.0), torch.arange(1.0, 7.0))),
    "inverse of masked": Row(lambda: t.InverseTransform(_masked("rational", "residual", 0))),
    "composite": Row(_composite, CONTEXT),
}


def build(name: str, dtype: torch.dtype = torch.float64, seed: int = 3) -> t.Transform:
    """The transform with weights moved away from where it starts; made in float64 and rounded."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        transform = TABLE[name].build().double()
        with torch.no_grad():
            for key, parameter in transform.named_parameters():
                small = name == "composite" or "lower" in key or "upper" in key
                parameter.add_((0.05 if small else 0.2) * torch.randn_like(parameter))
            for key, buffer in transform.named_buffers():
                if "running" in key:
                    buffer.copy_(0.5 + torch.rand_like(buffer))
    return transform.eval().to(dtype)


def points(
    name: str, n: int, seed: int = 5, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Points, some of them in the tails or at the edges, and contexts."""
    rng = torch.Generator().manual_seed(seed)
    x = 1.6 * torch.randn(n, FEATURES, generator=rng, dtype=torch.float64)
    if TABLE[name].box:
        x = torch.special.ndtr(x)
        x[0], x[1] = 0.0, 1.0
    context = torch.randn(n, CONTEXT, generator=rng, dtype=torch.float64).to(dtype) if TABLE[name].context else None
    return x.to(dtype), context
