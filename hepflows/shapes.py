"""The only place that checks and broadcasts (sample, batch, features) and context.

A point set has shape ``(*sample, *batch, features)`` and its context ``(*batch, context_features)``: a context has
one row an event, and any number of points may be evaluated or drawn for each row. ``docs/conventions.md`` states it once
for the whole library.
"""

from __future__ import annotations

import operator
from itertools import chain

import torch
from torch import Tensor, nn

from hepflows.errors import ContextError, DomainError, ShapeError


def check_features(x: Tensor, features: int, what: str = "input") -> None:
    """Raise `ShapeError` unless ``x`` is a floating tensor of shape ``(..., features)``."""
    _check_floats(x, what)
    if x.ndim == 0 or x.shape[-1] != features:
        message = (
            f"the {what} must have shape (..., {features}), got {tuple(x.shape)}: the last axis holds the features"
        )
        raise ShapeError(message)


def check_context(context: Tensor | None, context_features: int) -> None:
    """Raise `ContextError` unless ``context`` is there exactly when it is wanted, with the right width."""
    if context_features == 0:
        if context is not None:
            message = "this flow is unconditional (context_features=0) but a context was given: leave it out"
            raise ContextError(message)
        return
    if context is None:
        message = f"this flow is conditional: pass context= of shape (..., {context_features})"
        raise ContextError(message)
    _check_floats(context, "context")
    if context.ndim == 0 or context.shape[-1] != context_features:
        message = (
            f"the context must have shape (..., {context_features}), got {tuple(context.shape)}: "
            "give one row of that width for each event, or one for all"
        )
        raise ContextError(message)


def check_like(x: Tensor, parameter: Tensor, what: str = "input") -> None:
    """Raise `ShapeError` unless ``x`` has the dtype and the device of the model's ``parameter``."""
    if x.dtype != parameter.dtype:
        message = f"the {what} is {x.dtype} and the model {parameter.dtype}: convert one of them, for example with .to({parameter.dtype})"
        raise ShapeError(message)
    if x.device != parameter.device:
        message = (
            f"the {what} lives on {x.device} and the model on {parameter.device}: move one of them with .to(device)"
        )
        raise ShapeError(message)


def check_finite(x: Tensor, what: str = "input") -> None:
    """Raise `DomainError` where ``x`` holds NaN or infinity; skipped where values cannot be looked at, see `readable`.

    One sum tells in nearly every case. Only where it is not finite, which a sum of finite numbers can be, too, are the numbers
    looked at one by one.
    """
    if not readable(x) or bool(x.detach().sum().isfinite()):
        return
    bad = ~x.detach().isfinite()
    count = int(bad.sum())
    if count:
        values = "1 value that is" if count == 1 else f"{count} values that are"
        message = (
            f"the {what} holds {values} not finite, the first at index {tuple(bad.nonzero()[0].tolist())}: "
            "remove or repair these events before they go into a flow"
        )
        raise DomainError(message)


def readable(x: Tensor) -> bool:
    """Whether Python may decide by the values of ``x``: not where they are traced, compiled, exported, batched by vmap or abstract."""
    return not (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
        or x.is_meta
        or transformed(x)
        or (x.is_cuda and torch.cuda.is_current_stream_capturing())
    )


def transformed(*tensors: Tensor | None) -> bool:
    """Whether a transform of `torch.func` (vmap, grad, jvp, ...) is at work on one of ``tensors``."""
    if torch.compiler.is_compiling():  # a compiler follows such transforms by itself
        return False
    return any(x is not None and torch._C._functorch.is_functorch_wrapped_tensor(x) for x in tensors)


def anchor(module: nn.Module) -> Tensor | None:
    """A tensor that has the dtype and the device of the module, or None where it holds no floating-point numbers."""
    tensors = chain(module.parameters(), module.buffers())
    return next((tensor for tensor in tensors if tensor.is_floating_point()), None)


def check_all(
    module: nn.Module, x: Tensor | None, context: Tensor | None, features: int, context_features: int
) -> None:
    """Everything that can be said about a call before any arithmetic.

    Args:
        module: the model.
        x: points or latents; None where they are still to be drawn.
        context: what they are conditioned on.
        features: width of ``x``.
        context_features: width of ``context``.
    """
    if x is not None:
        check_features(x, features)
    check_context(context, context_features)
    like = anchor(module)
    if x is not None:
        if like is not None:
            check_like(x, like)
        check_finite(x)
    if context is not None:
        like = x if like is None else like
        if like is not None:
            check_like(context, like, "context")
        check_finite(context, "context")


def spread(x: Tensor, context: Tensor | None) -> Tensor | None:
    """The context with the leading axes of ``x``, ``(*sample, *batch, C)``: a view, no memory.

    Raises:
        ContextError: the leading axes of ``x`` do not end with those of the context.
    """
    if context is None:
        return None
    leading, batch = x.shape[:-1], context.shape[:-1]
    matches = len(batch) <= len(leading) and all(
        size in (1, wanted) for size, wanted in zip(reversed(batch), reversed(leading), strict=False)
    )
    if not matches:
        message = (
            f"points of shape {tuple(x.shape)} do not go with a context of shape {tuple(context.shape)}: "
            "the leading axes of the points must end with those of the context"
        )
        raise ContextError(message)
    return context.expand(*leading, context.shape[-1])


def flatten(x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor | None, torch.Size]:
    """Lay points and context out as matrices of one row a point.

    ``x`` of shape ``(*sample, *batch, D)`` becomes ``(N, D)``; ``context`` of shape ``(*batch, C)`` is repeated over the
    sample axes and becomes ``(N, C)``. The leading shape ``(*sample, *batch)`` is returned to undo it.
    """
    context = spread(x, context)
    if context is not None:
        context = context.reshape(-1, context.shape[-1])
    return x.reshape(-1, x.shape[-1]), context, x.shape[:-1]


def rows(x: Tensor, start: int, stop: int) -> Tensor:
    """Rows ``start`` to ``stop`` of what ``x.reshape(-1, x.shape[-1])`` would be; an expanded ``x`` is not copied as a whole.

    >>> rows(torch.tensor([[1.0], [2.0], [3.0]]).expand(100, 3, 1), 4, 8).flatten().tolist()
    [2.0, 3.0, 1.0, 2.0]
    """
    leading = x.shape[:-1]
    if x.ndim == 2:
        return x[start:stop]
    if x.is_contiguous():
        return x.view(-1, x.shape[-1])[start:stop]
    index = torch.arange(start, min(stop, leading.numel()), device=x.device)
    return x[torch.unravel_index(index, leading)] if leading else x[None]


def by_columns(context: Tensor | None) -> Tensor | None:
    """The context ``(N, C)`` in memory as conditioners take it, events last: turned once for all bijections of a chain."""
    return None if context is None else context.T.contiguous().T


def sample_shape(n: int | tuple[int, ...]) -> tuple[int, ...]:
    """``n`` as a tuple: an integer means one sample axis, ``()`` means one draw without a sample axis."""
    try:
        shape = tuple(operator.index(size) for size in n) if isinstance(n, tuple | list) else (operator.index(n),)
    except TypeError:
        shape = (-1,)
    if any(size < 0 for size in shape):
        message = f"the number of samples must be a non-negative integer or a tuple of them, got {n!r}"
        raise ShapeError(message)
    return shape


def _check_floats(x: Tensor, what: str) -> None:
    if not isinstance(x, Tensor):
        message = f"the {what} must be a torch tensor, got {type(x).__name__}: convert it with torch.as_tensor"
        raise ShapeError(message)
    if not x.is_floating_point():
        message = f"the {what} must hold floating-point numbers, got {x.dtype}: convert it with .float() or .double()"
        raise ShapeError(message)
