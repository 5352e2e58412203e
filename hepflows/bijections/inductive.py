"""Blocks of features, each conditioned on those before it: an autoregressive model whose steps are bijections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hepflows.bijections.base import Bijection
from hepflows.errors import ContextError, ShapeError


class Inductive(Bijection):
    r"""Block ``k`` of the features is mapped by a bijection that sees the blocks just before it (arXiv:2305.11934).

    .. math:: z_k = f_k\big(x_k;\, c, x_{k-1}, \dots, x_{k-w}\big), \qquad \mathrm{ladj} = \sum_k \mathrm{ladj}_k

    The layers of a calorimeter, the steps of a time series: what is too wide for one network is learnt step by step. The density
    evaluates all blocks at once, the inverse one after the other. A bijection that stands at several places shares its weights and
    is told its place.

    Args:
        bijections: one a block; ``x`` is cut by their ``features``, and `context_width` says which context each must take.
        context_features: width ``C`` of the context of the whole.
        window: how many blocks before it a block sees, ``w``.

    Raises:
        ShapeError: no bijection, or a window below one.
        ContextError: a bijection that takes another context.

    Example:
        >>> from hepflows.zoo import maf
        >>> first, other = maf(3, 2).bijection, maf(3, 2 + 3 + 4).bijection  # 2 of context, 3 of the block before, 4 places
        >>> bijection = Inductive([first, other, other, other], context_features=2)
        >>> x, context = torch.randn(5, 12), torch.randn(5, 2)
        >>> z, ladj = bijection(x, context)
        >>> bool(torch.allclose(bijection.inverse(z, context)[0], x, atol=1e-4))
        True
    """

    def __init__(self, bijections: Sequence[Bijection], context_features: int = 0, *, window: int = 1) -> None:
        if not bijections or window < 1:
            message = (
                f"Inductive needs at least one bijection and window >= 1, got {len(bijections)} and window={window}"
            )
            raise ShapeError(message)
        super().__init__(sum(bijection.features for bijection in bijections), context_features)
        self.window = window
        self.bijections = nn.ModuleList(bijections)
        self.widths = [bijection.features for bijection in bijections]
        places = {id(one): sum(one is other for other in bijections) for one in bijections}
        self.shared = [places[id(one)] > 1 for one in bijections]
        for block, bijection in enumerate(bijections):
            expected = context_width(self.widths, block, context_features, window, shared=self.shared[block])
            if bijection.context_features != expected:
                message = (
                    f"block {block} of {len(bijections)} is conditioned on {expected} numbers but its bijection takes "
                    f"{bijection.context_features}: build it with context_features={expected}"
                )
                raise ContextError(message)

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        blocks = list(torch.split(x, self.widths, 1))
        mapped, total = [], torch.zeros_like(x[:, 0])
        for group in self._groups():
            given = [self._given(block, blocks, context, blocks[block]) for block in group]
            seen = torch.cat([one for one in given if one is not None]) if given[0] is not None else None
            bijection = cast("Bijection", self.bijections[group[0]])
            z, ladj = bijection._forward(torch.cat([blocks[block] for block in group]), seen)
            mapped += list(z.view(len(group), x.shape[0], -1))
            total = total + ladj.view(len(group), x.shape[0]).sum(0)
        return torch.cat(mapped, 1), total

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        blocks: list[Tensor] = []
        total = torch.zeros_like(z[:, 0])
        for block, latents in enumerate(torch.split(z, self.widths, 1)):
            bijection = cast("Bijection", self.bijections[block])
            x, ladj = bijection._inverse(latents, self._given(block, blocks, context, latents))
            blocks.append(x)
            total = total + ladj
        return torch.cat(blocks, 1), total

    def _groups(self) -> Iterator[list[int]]:
        """Neighbouring blocks of one bijection, which the density evaluates in one call."""
        for _, group in groupby(range(len(self.widths)), key=lambda block: id(self.bijections[block])):
            yield list(group)

    def _given(self, block: int, blocks: Sequence[Tensor], context: Tensor | None, rows: Tensor) -> Tensor | None:
        """What the bijection of ``rows`` is conditioned on: the context, the blocks before, the nearest first, and its place."""
        before = list(blocks[max(0, block - self.window) : block][::-1])
        if self.shared[block]:
            slot = max(self.widths)
            before = [one if one.shape[1] == slot else functional.pad(one, (0, slot - one.shape[1])) for one in before]
            place = rows.new_zeros(rows.shape[0], len(self.widths))
            place[:, block] = 1.0
            before += [rows.new_zeros(rows.shape[0], (self.window - len(before)) * slot), place]
        parts = [*([] if context is None else [context]), *before]
        return torch.cat(parts, 1) if parts else None


def context_width(widths: Sequence[int], block: int, context_features: int, window: int = 1, *, shared: bool) -> int:
    """How many numbers the bijection of a block of an `Inductive` is conditioned on.

    Args:
        widths: features of every block.
        block: which one.
        context_features: width of the context of the whole.
        window: how many blocks before it a block sees.
        shared: whether its bijection stands at several places: it always sees ``window`` blocks of the width of the widest, zeros
            where there is none or less, and one number a block that tells its place.

    Example:
        >>> context_width([3, 3, 3, 3], block=1, context_features=2, shared=True)
        9
    """
    if shared:
        return context_features + window * max(widths) + len(widths)
    return context_features + sum(widths[max(0, block - window) : block])
