"""The conditional flows of a posterior, in coordinates that are standardised."""

from __future__ import annotations

import torch
from torch import Tensor

from hepflows.bijections import (
    Affine,
    Bijection,
    Chain,
    Coupling,
    Elementwise,
    LULinear,
    MaskedAutoregressive,
    Permutation,
    RationalQuadraticSpline,
    Standardize,
)
from hepflows.bijections.univariate import Univariate
from hepflows.flow import Flow
from hepflows.made import MADE
from hepflows.posterior.config import PosteriorConfig

BOUND = 5.0
"""Where the splines end; beyond they are the identity."""


def posterior_flow(mean: Tensor, std: Tensor, context_features: int, config: PosteriorConfig, *, seed: int) -> Flow:
    """A flow of ``len(mean)`` coordinates, conditioned on the observables or their summary.

    ``spline``: a shift and a scale of each coordinate that a network of the context gives, then blocks of a rational-quadratic spline
    coupling and an LU-decomposed matrix. Where and how wide a posterior is the first step says, so that the splines have its shape to
    learn, not its place.

    ``autoregressive``: the last coordinate first, each other one with a network of the context and of the coordinates after it: a shift
    and a scale, then blocks of splines in the same way, in reversed order from block to block.

    ``affine``: blocks of two affine couplings, one for each half of the coordinates, and a fixed random permutation (the GLOW block of the
    published cINN, arXiv:1907.02392; log scales are limited to +-2).

    Args:
        mean: (D,) means of the coordinates.
        std: (D,) their standard deviations.
        context_features: width of the context.
        config: kind and sizes.
        seed: draws the initial weights and the permutations.

    Example:
        >>> flow = posterior_flow(torch.zeros(2), torch.ones(2), 3, PosteriorConfig(blocks=2), seed=0)
        >>> flow.log_prob(torch.zeros(7, 2), torch.zeros(7, 3)).shape
        torch.Size([7])
    """
    generator = torch.Generator().manual_seed(seed)
    place: Bijection = Standardize(mean, std)
    blocks = _BLOCKS[config.kind](len(mean), context_features, config, generator)
    return Flow(Chain([place, *blocks]))


def _first(features: int, context_features: int, config: PosteriorConfig, generator: torch.Generator) -> Bijection:
    return Elementwise(Affine(), features, context_features, hidden=tuple(config.hidden), generator=generator)


def _spline(
    features: int, context_features: int, config: PosteriorConfig, generator: torch.Generator
) -> list[Bijection]:
    blocks = [_first(features, context_features, config, generator)]
    univariate, masks = RationalQuadraticSpline(bins=config.bins, bound=BOUND), _halves(features)
    for block in range(config.blocks):
        mask = masks[block % len(masks)]
        blocks += [_coupling(univariate, mask, context_features, config, generator), LULinear(features)]
    return blocks


def _autoregressive(
    features: int, context_features: int, config: PosteriorConfig, generator: torch.Generator
) -> list[Bijection]:
    blocks: list[Bijection] = []
    univariates = [Affine(), *[RationalQuadraticSpline(bins=config.bins, bound=BOUND)] * config.blocks]
    for univariate in univariates:
        made = MADE(
            features, univariate.per_feature, config.hidden,
            context_features=context_features, dropout=config.dropout, generator=generator,
        )  # fmt: skip
        made.start_at(univariate.identity())
        blocks += [Permutation.reverse(features), MaskedAutoregressive(univariate, made)]
    return blocks


def _affine(
    features: int, context_features: int, config: PosteriorConfig, generator: torch.Generator
) -> list[Bijection]:
    blocks: list[Bijection] = []
    for block in range(config.blocks):
        affine = Affine(max_log_scale=2.0)
        blocks += [_coupling(affine, mask, context_features, config, generator) for mask in _halves(features)]
        if features > 1 and block < config.blocks - 1:
            blocks.append(Permutation.random(features, generator))
    return blocks


_BLOCKS = {"spline": _spline, "autoregressive": _autoregressive, "affine": _affine}


def _halves(features: int) -> list[Tensor]:
    """Which coordinates a coupling moves; of a single one all: the context alone conditions it."""
    if features == 1:
        return [torch.ones(1, dtype=torch.bool)]
    return [torch.arange(features) % 2 == parity for parity in (0, 1)]


def _coupling(
    univariate: Univariate, mask: Tensor, context_features: int, config: PosteriorConfig, generator: torch.Generator
) -> Coupling:
    return Coupling(
        univariate, mask, context_features, hidden=config.hidden, dropout=config.dropout, generator=generator
    )
