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
    Permutation,
    RationalQuadraticSpline,
    Standardize,
)
from hepflows.flow import Flow
from hepflows.posterior.config import PosteriorConfig


def posterior_flow(mean: Tensor, std: Tensor, context_features: int, config: PosteriorConfig, *, seed: int) -> Flow:
    """A flow of ``len(mean)`` coordinates, conditioned on the observables or their summary.

    ``spline``: a shift and a scale of each coordinate that a network of the context gives, then blocks of a rational-quadratic spline
    coupling and an LU-decomposed matrix. Where and how wide a posterior is the first step says, so that the splines have its shape to
    learn, not its place.

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
    features = len(mean)
    bijections: list[Bijection] = [Standardize(mean, std)]

    def coupling(univariate: Affine | RationalQuadraticSpline, mask: Tensor) -> Coupling:
        return Coupling(
            univariate, mask, context_features, hidden=config.hidden, dropout=config.dropout, generator=generator
        )

    masks = [torch.arange(features) % 2 == parity for parity in (0, 1)]
    if features == 1:  # nothing to keep: the context alone conditions
        masks = [torch.ones(1, dtype=torch.bool)]
    if config.kind == "spline":
        hidden = tuple(config.hidden)
        bijections.append(Elementwise(Affine(), features, context_features, hidden=hidden, generator=generator))
    for block in range(config.blocks):
        if config.kind == "spline":
            spline = RationalQuadraticSpline(bins=config.bins, bound=5.0)
            bijections += [coupling(spline, masks[block % len(masks)]), LULinear(features)]
        else:
            bijections += [coupling(Affine(max_log_scale=2.0), mask) for mask in masks]
            if features > 1 and block < config.blocks - 1:
                bijections.append(Permutation.random(features, generator))
    return Flow(Chain(bijections))
