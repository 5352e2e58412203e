"""Every bijection, one row each. A new row buys the tests of test_bijections.py."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from hepflows.bijections import (
    Affine,
    Autoregressive,
    BatchNorm,
    Bijection,
    Chain,
    Continuous,
    Coupling,
    Elementwise,
    Inductive,
    Inverse,
    Inverted,
    LinearSpline,
    Logit,
    LULinear,
    MaskedAutoregressive,
    Permutation,
    QuadraticSpline,
    RationalQuadraticSpline,
    Shift,
    Standardize,
    TransformerAutoregressive,
    Univariate,
)
from hepflows.bijections.inductive import context_width
from hepflows.made import MADE
from hepflows.transformer import CausalTransformer

FEATURES, CONTEXT = 5, 2
UNIVARIATES: dict[str, Univariate] = {
    "shift": Shift(),
    "affine": Affine(),
    "affine softplus": Affine(scale="softplus"),
    "affine sigmoid": Affine(scale="sigmoid"),
    "linear": LinearSpline(bins=6, bound=3.0),
    "quadratic": QuadraticSpline(bins=6, bound=3.0),
    "quadratic free": QuadraticSpline(bins=6, bound=3.0, free_edges=True),
    "rational": RationalQuadraticSpline(bins=6, bound=3.0),
    "rational free": RationalQuadraticSpline(bins=6, bound=3.0, free_edges=True),
    "rational minima": RationalQuadraticSpline(bins=6, bound=3.0, min_width=0.05, min_height=0.01, min_derivative=0.1),
    "rational box": RationalQuadraticSpline(bins=6, box=(-0.5, 2.5), minimum=1e-4),
}
MASK = [True, False, True, False, True]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def autoregressive(univariate: Univariate, context: int, hidden: tuple[int, ...] = (12, 7)) -> Bijection:
    made = MADE(
        FEATURES, univariate.per_feature, hidden, context_features=context, context_hidden=8, generator=generator()
    )
    return MaskedAutoregressive(univariate, made)


class CausalConvolution(nn.Module):
    """Reads the features from the last to the first; the context is added to the hidden channels."""

    def __init__(self, per_feature: int, context: int, hidden: int = 6) -> None:
        super().__init__()
        self.first, self.last = nn.Conv1d(1, hidden, 3), nn.Conv1d(hidden, per_feature, 2)
        self.bring_in = nn.Linear(context, hidden) if context else None
        rng = generator()
        for parameter in self.parameters():
            parameter.data.uniform_(-0.3, 0.3, generator=rng)

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        shifted = torch.nn.functional.pad(x.flip(1)[:, None, :-1], (3, 0))  # position d sees what came before it
        h = self.first(shifted)
        if self.bring_in is not None:
            h = h + self.bring_in(context)[:, :, None]
        h = torch.tanh(torch.nn.functional.pad(h, (1, 0)))
        return self.last(h).flip(2).transpose(1, 2).flatten(1)


def causal(univariate: Univariate, context: int) -> Bijection:
    return Autoregressive(univariate, CausalConvolution(univariate.per_feature, context), FEATURES, context)


def transformer(univariate: Univariate, patches: list[int], context: int) -> Bijection:
    net = CausalTransformer(
        patches, univariate.per_feature, width=8, layers=2, heads=2, context_features=context, generator=generator()
    )
    return TransformerAutoregressive(univariate, net)


def lu() -> Bijection:
    bijection = LULinear(FEATURES)
    for parameter in bijection.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator())
    return bijection


def inductive(window: int, *, shared: bool) -> Bijection:
    """Blocks of 2, 1 and 2 features, or of one feature each that share all but the first bijection."""
    widths = [1] * FEATURES if shared else [2, 1, 2]

    def step(block: int) -> Bijection:
        is_shared = shared and block > 0
        context = context_width(widths, block, CONTEXT, window, shared=is_shared)
        made = MADE(widths[block], UNIVARIATES["rational"].per_feature, (8,), context_features=context, generator=rng)
        return MaskedAutoregressive(UNIVARIATES["rational"], made)

    rng = generator()
    steps = [step(0), *[step(1)] * 4] if shared else [step(block) for block in range(3)]
    return Inductive(steps, CONTEXT, window=window)


def batch_norm() -> Bijection:
    """Between trainings: there its inverse exists and events do not see each other."""
    bijection = BatchNorm(FEATURES)
    bijection.running_mean.copy_(torch.arange(FEATURES))
    bijection.running_var.copy_(1 + torch.arange(FEATURES) / 2)
    return bijection.eval()


TABLE: dict[str, Callable[[], Bijection]] = {
    **{f"maf {name}": lambda u=u: autoregressive(u, 0) for name, u in UNIVARIATES.items()},
    **{f"maf {name} context": lambda u=u: autoregressive(u, CONTEXT) for name, u in UNIVARIATES.items()},
    **{
        f"coupling {name}": lambda u=u: Coupling(u, MASK, CONTEXT, generator=generator())
        for name, u in UNIVARIATES.items()
    },
    **{
        f"elementwise {name}": lambda u=u: Elementwise(u, FEATURES, generator=generator())
        for name, u in UNIVARIATES.items()
    },
    "elementwise context": lambda: Elementwise(UNIVARIATES["rational"], FEATURES, CONTEXT, generator=generator()),
    "maf one layer": lambda: autoregressive(UNIVARIATES["affine"], CONTEXT, (9,)),
    "maf narrow": lambda: autoregressive(UNIVARIATES["rational"], CONTEXT, (2, 3, 2)),
    "iaf": lambda: Inverse(autoregressive(UNIVARIATES["rational"], CONTEXT)),
    "student": lambda: Inverse(autoregressive(Inverted(UNIVARIATES["rational"]), CONTEXT)),
    "student affine": lambda: Inverse(autoregressive(Inverted(UNIVARIATES["affine"]), 0)),
    "causal affine": lambda: causal(UNIVARIATES["affine"], 0),
    "causal rational context": lambda: causal(UNIVARIATES["rational"], CONTEXT),
    "transformer affine": lambda: transformer(UNIVARIATES["affine"], [1] * FEATURES, 0),
    "transformer rational patches": lambda: transformer(UNIVARIATES["rational"], [2, 1, 2], CONTEXT),
    "inductive": lambda: inductive(1, shared=False),
    "inductive shared window": lambda: inductive(2, shared=True),
    "continuous": lambda: Continuous(FEATURES, CONTEXT, hidden=(8,), steps=20, generator=generator()),
    "lu": lu,
    "batch norm": batch_norm,
    "permutation": lambda: Permutation([3, 1, 4, 0, 2]),
    "standardize": lambda: Standardize(torch.arange(5.0), torch.arange(1.0, 6.0)),
    "logit": lambda: Logit(FEATURES, alpha=1e-3),
    "chain": lambda: Chain(
        [
            lu(),
            autoregressive(UNIVARIATES["rational"], CONTEXT),
            Permutation.reverse(FEATURES),
            Coupling(Affine(), MASK),
        ]
    ),
}
SLOW_EDGES = {"linear", "quadratic free", "rational free", "rational box"}
"""Splines whose slope jumps at the edge of the box."""


def build(name: str) -> Bijection:
    """The bijection with weights moved away from where it starts."""
    bijection = TABLE[name]().double()
    rng = generator()
    with torch.no_grad():
        for parameter in bijection.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=rng))
    return bijection


def points(name: str, n: int = 40) -> torch.Tensor:
    """Points in the domain, most of them inside the boxes, some outside."""
    x = 1.7 * torch.randn(n, FEATURES, generator=generator())
    return torch.sigmoid(x) if name == "logit" else x


def contexts(bijection: Bijection, n: int = 40) -> torch.Tensor | None:
    return torch.randn(n, CONTEXT, generator=generator()) if bijection.context_features else None
