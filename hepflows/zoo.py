"""Ready-made flows: each function is a recipe of a few lines that returns a `Flow`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from hepflows.bases import Base
from hepflows.bijections import (
    Affine,
    Bijection,
    Chain,
    Continuous,
    Coupling,
    Inductive,
    Inverse,
    MaskedAutoregressive,
    Permutation,
    RationalQuadraticSpline,
    Shift,
    TransformerAutoregressive,
    Univariate,
)
from hepflows.bijections.inductive import context_width
from hepflows.errors import ShapeError
from hepflows.flow import Flow
from hepflows.made import MADE
from hepflows.transformer import CausalTransformer


def maf(
    features: int,
    context_features: int = 0,
    *,
    blocks: int = 4,
    hidden: Sequence[int] = (64, 64),
    univariate: Univariate | None = None,
    dropout: float = 0.0,
    permutations: Sequence[Sequence[int]] | None = None,
    base: Base | None = None,
    seed: int = 0,
) -> Flow:
    """Masked autoregressive flow (arXiv:1705.07057): fast density, exact inverse at about the cost of one pass.

    Args:
        features: dimension of the data.
        context_features: width of the context, zero for none.
        blocks: number of autoregressive bijections.
        hidden: widths of the hidden layers of each MADE.
        univariate: map of one feature; a rational-quadratic spline of 8 bins on [-5, 5] where not given.
        dropout: in the hidden layers, in training.
        permutations: ``blocks - 1`` orders of the features between the blocks; each reverses them where not given.
        base: density of the latents, a standard normal where not given.
        seed: draws the initial weights.

    Example:
        >>> flow = maf(features=3, context_features=2, seed=0)
        >>> flow.log_prob(torch.zeros(7, 3), torch.zeros(7, 2)).shape
        torch.Size([7])
    """
    generator = torch.Generator().manual_seed(seed)
    univariate = RationalQuadraticSpline(bins=8, bound=5.0) if univariate is None else univariate
    bijections: list[Bijection] = []
    for block in range(blocks):
        made = MADE(
            features,
            univariate.per_feature,
            hidden,
            context_features=context_features,
            dropout=dropout,
            generator=generator,
        )
        made.start_at(univariate.identity())
        bijections.append(MaskedAutoregressive(univariate, made))
        if block < blocks - 1:
            order = range(features)[::-1] if permutations is None else permutations[block]
            bijections.append(Permutation(order))
    return Flow(Chain(bijections), base)


def iaf(features: int, context_features: int = 0, **options: Any) -> Flow:
    """Inverse autoregressive flow (arXiv:1606.04934): sampling in one pass. Takes the options of `maf`."""
    flow = maf(features, context_features, **options)
    return Flow(Inverse(flow.bijection), flow.base)


def coupling_flow(
    features: int,
    context_features: int = 0,
    *,
    univariate: Univariate | None = None,
    blocks: int = 6,
    hidden: Sequence[int] = (64, 64),
    dropout: float = 0.0,
    base: Base | None = None,
    seed: int = 0,
) -> Flow:
    """Coupling flow (neural spline flow, arXiv:1906.04032): density and sampling in one pass each.

    Half of the features are mapped in each block; a random permutation between the blocks mixes them.

    Args:
        features: dimension of the data, at least 2 unless there is a context.
        context_features: width of the context, zero for none.
        univariate: map of one feature; a rational-quadratic spline of 8 bins on [-5, 5] where not given.
        blocks: number of coupling bijections.
        hidden: widths of the conditioning networks.
        dropout: in their hidden layers, in training.
        base: density of the latents, a standard normal where not given.
        seed: draws the initial weights and the permutations.
    """
    generator = torch.Generator().manual_seed(seed)
    univariate = RationalQuadraticSpline(bins=8, bound=5.0) if univariate is None else univariate
    bijections: list[Bijection] = []
    for block in range(blocks):
        mask = torch.arange(features) % 2 == block % 2 if features > 1 else torch.ones(1, dtype=torch.bool)
        bijections.append(
            Coupling(univariate, mask, context_features, hidden=hidden, dropout=dropout, generator=generator)
        )
        if block % 2 and block < blocks - 1:
            bijections.append(Permutation.random(features, generator))
    return Flow(Chain(bijections), base)


def nice(features: int, context_features: int = 0, **options: Any) -> Flow:
    """Volume-preserving coupling flow (arXiv:1410.8516). Takes the options of `coupling_flow`."""
    return coupling_flow(features, context_features, univariate=Shift(), **options)


def realnvp(features: int, context_features: int = 0, **options: Any) -> Flow:
    """Affine coupling flow (arXiv:1605.08803). Takes the options of `coupling_flow`."""
    return coupling_flow(features, context_features, univariate=Affine(), **options)


def inductive_flow(
    widths: Sequence[int],
    context_features: int = 0,
    *,
    window: int = 1,
    share: bool = False,
    coupling: bool = False,
    base: Base | None = None,
    seed: int = 0,
    **options: Any,
) -> Flow:
    """One flow a block of features, conditioned on the blocks before it (iCaloFlow, arXiv:2305.11934).

    Args:
        widths: features of each block.
        context_features: width of the context, zero for none.
        window: how many blocks before it a block sees.
        share: whether all blocks but the first have one flow in common, for which these must be of one width.
        coupling: coupling flows instead of masked autoregressive ones.
        base: density of the latents, a standard normal where not given.
        seed: draws the initial weights.
        options: those of `maf` or `coupling_flow`, for each of the flows.

    Raises:
        ShapeError: blocks of different widths shall share a flow.

    Example:
        >>> flow = inductive_flow([2, 4, 3], context_features=1, blocks=2)
        >>> flow.log_prob(torch.zeros(5, 9), torch.zeros(5, 1)).shape
        torch.Size([5])
    """
    if share and len(set(widths[1:])) > 1:
        message = f"blocks that share a flow must be of one width, got {list(widths[1:])}: make them equal, or set share=False"
        raise ShapeError(message)
    recipe = coupling_flow if coupling else maf
    steps: list[Bijection] = []
    for block, width in enumerate(widths):
        if share and block > 1:
            steps.append(steps[1])
            continue
        context = context_width(
            widths, block, context_features, window, shared=share and block == 1 and len(widths) > 2
        )
        steps.append(recipe(width, context, seed=seed + block, **options).bijection)
    return Flow(Inductive(steps, context_features, window=window), base)


def continuous_flow(
    features: int,
    context_features: int = 0,
    *,
    hidden: Sequence[int] = (64, 64, 64),
    steps: int = 16,
    base: Base | None = None,
    seed: int = 0,
) -> Flow:
    """Continuous flow (arXiv:1806.07366): any network, a strong density for its size, slow to sample and to evaluate.

    Args:
        features: dimension of the data.
        context_features: width of the context, zero for none.
        hidden: widths of the network of the velocity.
        steps: of the solver.
        base: density of the latents, a standard normal where not given, which is what `hepflows.FlowMatching` trains for.
        seed: draws the initial weights.

    Raises:
        MissingExtraError: torchdiffeq is not installed (``pip install 'hepflows[ode]'``).

    Example:
        >>> flow = continuous_flow(features=3, context_features=2, hidden=(16,), seed=0)
        >>> flow.log_prob(torch.zeros(7, 3), torch.zeros(7, 2)).shape
        torch.Size([7])
    """
    generator = torch.Generator().manual_seed(seed)
    return Flow(Continuous(features, context_features, hidden=hidden, steps=steps, generator=generator), base)


def transformer_flow(
    features: int,
    context_features: int = 0,
    *,
    patches: int | Sequence[int] = 1,
    blocks: int = 4,
    width: int = 64,
    layers: int = 2,
    heads: int = 4,
    univariate: Univariate | None = None,
    dropout: float = 0.0,
    permutations: Sequence[Sequence[int]] | None = None,
    base: Base | None = None,
    seed: int = 0,
) -> Flow:
    """Autoregressive flow of causal transformers over patches of features (TarFlow, arXiv:2412.06329).

    Few parameters however many features; the density takes one pass, sampling one step a patch. The sizes of the patches are reversed from
    block to block.

    Args:
        features: dimension of the data.
        context_features: width of the context, zero for none.
        patches: how many neighbouring features make a patch, one number for all (the last patch takes what is left) or one a patch.
        blocks: number of autoregressive bijections; two or more tie the features of one patch to each other.
        width: of a token, a multiple of ``heads``.
        layers: depth of each transformer.
        heads: of each attention.
        univariate: map of one feature; a rational-quadratic spline of 8 bins on [-5, 5] where not given.
        dropout: of what each layer adds, in training.
        permutations: ``blocks - 1`` orders of the features between the blocks; each reverses the order of the patches where not given.
        base: density of the latents, a standard normal where not given.
        seed: draws the initial weights.

    Raises:
        ShapeError: patches that do not make up the features.

    Example:
        >>> flow = transformer_flow(features=6, context_features=2, patches=[3, 2, 1], blocks=2, width=16)
        >>> flow.log_prob(torch.zeros(7, 6), torch.zeros(7, 2)).shape
        torch.Size([7])
    """
    generator = torch.Generator().manual_seed(seed)
    univariate = RationalQuadraticSpline(bins=8, bound=5.0) if univariate is None else univariate
    if isinstance(patches, int):
        patches = [min(patches, features - first) for first in range(0, features, max(1, patches))]
    sizes = list(patches)
    if sum(sizes) != features:
        message = f"the patches hold {sum(sizes)} features together and there are {features}: make them equal"
        raise ShapeError(message)
    bijections: list[Bijection] = []
    for block in range(blocks):
        net = CausalTransformer(
            sizes, univariate.per_feature, width=width, layers=layers, heads=heads, context_features=context_features,
            dropout=dropout, generator=generator,
        )  # fmt: skip
        net.start_at(univariate.identity())
        bijections.append(TransformerAutoregressive(univariate, net))
        if block < blocks - 1:
            reverse = torch.cat(torch.split(torch.arange(features), sizes)[::-1])
            bijections.append(Permutation(reverse if permutations is None else permutations[block]))
            sizes = sizes[::-1]
    return Flow(Chain(bijections), base)
