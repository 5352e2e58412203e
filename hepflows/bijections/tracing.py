"""A bijection run part by part: what stands between its blocks, and the raw parameters that their networks gave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hepflows.bijections.autoregressive import MaskedAutoregressive
from hepflows.bijections.base import Bijection, Chain, Inverse
from hepflows.bijections.conditioned import mapped_by
from hepflows.bijections.coupling import Coupling
from hepflows.bijections.jacobi import Autoregressive

BLOCKS = (MaskedAutoregressive, Autoregressive, Coupling)
"""Bijections whose network gives the parameters of a `Univariate`, event by event."""


@dataclass(frozen=True)
class Block:
    """One block of a bijection, as it was run.

    Attributes:
        data: ``(*sample, *batch, D)`` at its side towards the data.
        latents: ``(*sample, *batch, D)`` at its side towards the latents.
        parameters: ``(*sample, *batch, M P)`` raw parameters of its ``M`` mapped features, those of one feature next to one another.
    """

    data: Tensor
    latents: Tensor
    parameters: Tensor


@dataclass(frozen=True)
class Trace:
    """What `trace` returns: the value and ladj of the bijection, and its blocks from the data side to the latents."""

    value: Tensor
    ladj: Tensor
    blocks: tuple[Block, ...]


def trace(bijection: Bijection, x: Tensor, context: Tensor | None = None, *, inverse: bool = False) -> Trace:
    """Run a bijection and keep what stands between its blocks.

    Where a block takes one pass of its network (a MAF from data to latents, its `Inverse` the other way, a coupling both ways),
    nothing is computed twice; where it sweeps, its parameters take one pass more. The parameters must exist as a tensor, so that the last
    layer is not fused with the map as it is in `Bijection.forward`: values agree with it up to rounding.

    Args:
        bijection: a block, or blocks and others in a `Chain`, in any nesting.
        x: ``(*sample, *batch, D)`` data, or latents where ``inverse``.
        context: ``(*batch, C)`` or None.
        inverse: whether to run from latents to data.

    Raises:
        ShapeError, ContextError, DomainError: as `Bijection.forward`.

    Example:
        >>> from hepflows.zoo import maf
        >>> flow = maf(3, blocks=2, seed=0)
        >>> run = trace(flow.bijection, torch.zeros(5, 3))
        >>> [block.parameters.shape for block in run.blocks]
        [torch.Size([5, 69]), torch.Size([5, 69])]
        >>> bool(torch.equal(run.blocks[-1].latents, run.value))
        True
    """
    rows, context, leading = bijection._enter(x, context)
    order = list(parts(bijection))
    ladj, blocks = torch.zeros_like(rows[:, 0]), []
    for part, flipped in reversed(order) if inverse else order:
        given = context if part.context_features else None
        backwards = inverse != flipped
        before = rows
        if isinstance(part, BLOCKS):
            rows, change, raw = _run(part, rows, given, inverse=backwards)
            data, latents = (rows, before) if inverse else (before, rows)
            blocks.append(Block(*(one.reshape(*leading, one.shape[-1]) for one in (data, latents, raw))))
        else:
            rows, change = part._inverse(rows, given) if backwards else part._forward(rows, given)
        ladj = ladj + change
    return Trace(rows.reshape(x.shape), ladj.reshape(leading), tuple(reversed(blocks) if inverse else blocks))


def parts(bijection: Bijection, *, flipped: bool = False) -> Iterator[tuple[Bijection, bool]]:
    """The bijections that a nested one is made of, from the data side, each with whether it stands the other way round."""
    if isinstance(bijection, Inverse):
        yield from parts(bijection.bijection, flipped=not flipped)
    elif isinstance(bijection, Chain):
        for part in reversed(bijection._parts) if flipped else bijection._parts:
            yield from parts(part, flipped=flipped)
    else:
        yield bijection, flipped


def _run(
    block: MaskedAutoregressive | Autoregressive | Coupling, x: Tensor, context: Tensor | None, *, inverse: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The value, the ladj and the raw parameters of a block."""
    if isinstance(block, Coupling):
        raw = block.net(x.T[block.kept].T, context)
        changed, ladj = mapped_by(block.univariate, x.T[block.mapped], raw, inverse=inverse)
        return x.index_copy(1, block.mapped, changed.T), ladj.sum(0), raw
    net = block.made if isinstance(block, MaskedAutoregressive) else block.net
    if inverse:
        y, ladj = block._inverse(x, context)
        return y, ladj, net(y, context)
    raw = net(x, context)
    mapped, ladj = mapped_by(block.univariate, x.T, raw)
    return mapped.T, ladj.sum(0), raw
