"""The compiled last layer of a conditioner, fused with the spline that it parametrises, as a function that autograd knows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hepflows.kernels import dispatch
from hepflows.kernels.activations import activation_number
from hepflows.kernels.compiled_spline import SplineShape, addresses, check, plain, reference_gradients, threads
from hepflows.kernels.wiring import PLAIN, Wiring

_native: Any = dispatch.compiled

LARGE_PAGE = 1 << 21


def _saved(like: Tensor, *size: int) -> Tensor:
    """Uninitialised memory of that size; from a large page's size on it begins on such a page, see `prefer_large_pages` in kernels.h."""
    count, number = math.prod(size), like.element_size()
    if count * number < LARGE_PAGE:
        return like.new_empty(size)
    memory = like.new_empty(count + LARGE_PAGE // number)
    start = -memory.data_ptr() % LARGE_PAGE // number
    return memory[start : start + count].view(size)


Rows = tuple[Tensor, Tensor]
"""Of a coupling, int32: the rows of ``x`` that are mapped, and those that are kept."""


class _Head(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        seen: Tensor,
        rows: Rows | None,
        shape: SplineShape,
        wiring: Wiring,
        recorded: bool,
        *hidden: Tensor,
    ) -> tuple[Tensor, Tensor]:
        y, ladj = torch.empty_like(x), x.new_empty(x.shape[1])
        raw = last = None
        if recorded and any(ctx.needs_input_grad):  # the latter asks the tensors alone: true under no_grad, too
            blocks, width = -(-x.shape[1] // _native.RAW_TILE), _native.RAW_TILE
            raw = _saved(x, len(seen), blocks, shape.parameters, width)
            last = _saved(x, blocks, weight.shape[1], width) if hidden else None
        sizes = _sizes(x, h, weight, rows, wiring)
        layers = _layers(hidden), _rows(x, rows)
        _native.head(
            threads(), shape.fields(), *sizes, *layers, *addresses(x, h, weight, bias, seen, raw, last, y, ladj)
        )
        ctx.save_for_backward(x, h, weight, bias, seen, raw, last, *hidden)
        ctx.rows, ctx.shape, ctx.wiring = rows, shape, wiring
        return y, ladj

    @staticmethod
    def backward(ctx: Any, gy: Tensor, gladj: Tensor) -> tuple[Tensor | None, ...]:
        x, h, weight, bias, seen, raw, last, *hidden = ctx.saved_tensors
        shape: SplineShape = ctx.shape
        inputs = [tensor for tensor in (x, h, weight, bias, *hidden) if tensor is not None]
        reference = torch.is_grad_enabled() or not plain(gy, gladj)
        if reference:
            gradients = reference_gradients(
                _HeadReference(seen, ctx.rows, h is not None, shape, ctx.wiring), inputs, (gy, gladj)
            )
        else:
            gradients = tuple(torch.empty_like(tensor) for tensor in inputs)
        gx, gh, gweight, gbias, *ghidden = _placed(gradients, h)
        if not reference:
            sizes = _sizes(x, h, weight, ctx.rows, ctx.wiring)
            layers = _layers(hidden, ghidden), _rows(x, ctx.rows)
            tensors = (x, h, weight, seen, raw, last, gy.contiguous(), gladj.contiguous(), gx, gh, gweight, gbias)
            _native.head_backward(threads(), shape.fields(), *sizes, *layers, *addresses(*tensors))
        return gx, gh, gweight, gbias, None, None, None, None, None, *ghidden


def _placed(gradients: Sequence[Tensor], h: Tensor | None) -> list[Any]:
    """With None in the place of ``h`` where there is none."""
    return list(gradients) if h is not None else [gradients[0], None, *gradients[1:]]


def _counts(x: Tensor, h: Tensor | None, rows: Rows | None) -> tuple[int, int, int]:
    """Rows that are mapped, rows that are kept, rows of ``h``."""
    features, keeps = (len(x), 0) if rows is None else (len(rows[0]), len(rows[1]))
    return features, keeps, 0 if h is None else len(h)


def _sizes(x: Tensor, h: Tensor | None, weight: Tensor, rows: Rows | None, wiring: Wiring) -> tuple[int, ...]:
    features, keeps, given = _counts(x, h, rows)
    return features, keeps + given, weight.shape[1], x.shape[1], activation_number(wiring.activation) or 0, wiring.block


def _rows(x: Tensor, rows: Rows | None) -> tuple[int, ...]:
    return (len(x), 0, 0, 0) if rows is None else (len(x), len(rows[1]), *addresses(*rows))


def _layers(hidden: Sequence[Tensor], gradients: Sequence[Tensor] = ()) -> tuple[tuple[int, ...], ...]:
    """Weights and biases in turn, as the kernels take them: units, units below, addresses, addresses of the gradients."""
    filled: Sequence[Tensor | None] = gradients or [None] * len(hidden)
    return tuple(
        (*hidden[i].shape, *addresses(hidden[i], hidden[i + 1], filled[i], filled[i + 1]))
        for i in range(0, len(hidden), 2)
    )


@dataclass(frozen=True)
class _HeadReference:
    seen: Tensor
    rows: Rows | None
    given: bool
    shape: SplineShape
    wiring: Wiring

    def __call__(self, x: Tensor, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        if self.rows is None:
            return self._map(x, *tensors)
        mapped, kept = (rows.long() for rows in self.rows)
        inputs, tensors = (torch.cat([x[kept], tensors[0]]), tensors[1:]) if self.given else (x[kept], tensors)
        y, ladj = self._map(x[mapped], inputs, *tensors)
        return x.index_copy(0, mapped, y), ladj

    def _map(self, x: Tensor, h: Tensor, weight: Tensor, bias: Tensor, *hidden: Tensor) -> tuple[Tensor, Tensor]:
        h = self.wiring(h, *hidden)
        units, events = h.shape
        seen = torch.arange(units) < self.seen.repeat_interleave(self.shape.parameters).unsqueeze(1)
        raw = torch.addmm(bias.unsqueeze(1), torch.where(seen, weight, 0.0), h)
        y, ladj = self.shape.reference(x, raw.view(len(x), self.shape.parameters, events))
        return y, ladj.sum(0)


def head(
    x: Tensor,
    h: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    seen: Tensor,
    shape: SplineShape,
    hidden: Sequence[Tensor] = (),
    wiring: Wiring = PLAIN,
    rows: Rows | None = None,
) -> tuple[Tensor, Tensor]:
    """The last linear layer of a conditioner fused with the spline that it parametrises, and with the layers below it.

    Args:
        x: ``(D, N)`` what is mapped; of a coupling, all features.
        h: ``(H, N)`` last hidden activations, or what the first of the ``hidden`` layers takes; of a coupling, what it takes after
            the kept rows, or None.
        weight: ``(D P, H)``; of the rows of feature ``d`` the first ``seen[d]`` columns count, the others are not read.
        bias: ``(D P,)``.
        seen: ``(D,)`` integers.
        shape: the spline.
        hidden: weight and bias of every hidden layer that is computed here, in turn.
        wiring: how these hang together.
        rows: of a coupling, which rows of ``x`` are mapped, and which the network takes and leaves as they are.

    Returns:
        ``y``, of the shape of ``x``, and the log |det J| of all features together, (N,).
    """
    seen, events = seen.to(torch.int32), x.shape[1]
    if rows is not None:
        rows = (rows[0].to(torch.int32).contiguous(), rows[1].to(torch.int32).contiguous())
    features, keeps, given = _counts(x, h, rows)
    units = inputs = keeps + given
    for i, size in enumerate(wiring.sizes(inputs, [len(one) for one in hidden[::2]])):
        check(shape, weight=(hidden[2 * i], size), bias=(hidden[2 * i + 1], size[:1]))
        units = size[0]
    outputs = features * shape.parameters
    check(
        shape, x=(x, (features + keeps, events)), h=(h, (given, events)), weight=(weight, (outputs, units)), bias=(bias, (outputs,)),
        seen=(seen, (features,)),
    )  # fmt: skip
    x, weight, bias, seen = (tensor.contiguous() for tensor in (x, weight, bias, seen))
    h, layers = None if h is None else h.contiguous(), [tensor.contiguous() for tensor in hidden]
    recorded = torch.is_grad_enabled()
    outcome = _Head.apply(x, h, weight, bias, seen, rows, shape, wiring, recorded, *layers)  # type: ignore[no-untyped-call]
    return outcome  # type: ignore[no-any-return]
