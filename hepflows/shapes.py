"""The only place that checks and broadcasts (sample, batch, features) and context.

A point set has shape ``(*sample, *batch, features)`` and its context ``(*batch, context_features)``: a context has
one row an event, and any number of points may be evaluated or drawn for each row. ``docs/conventions.md`` states it once
for the whole library.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hepflows.errors import ContextError, ShapeError


def check_features(x: Tensor, features: int, what: str = "input") -> None:
    """Raise `ShapeError` unless ``x`` is a floating tensor of shape ``(..., features)``."""
    if not isinstance(x, Tensor):
        message = f"the {what} must be a torch tensor, got {type(x).__name__}: convert it with torch.as_tensor"
        raise ShapeError(message)
    if not x.is_floating_point():
        message = f"the {what} must hold floating-point numbers, got {x.dtype}: convert it with .float() or .double()"
        raise ShapeError(message)
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
    if context.ndim == 0 or context.shape[-1] != context_features:
        message = f"the context must have shape (..., {context_features}), got {tuple(context.shape)}"
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


def flatten(x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor | None, torch.Size]:
    """Lay points and context out as matrices of one row a point.

    ``x`` of shape ``(*sample, *batch, D)`` becomes ``(N, D)``; ``context`` of shape ``(*batch, C)`` is repeated over the
    sample axes and becomes ``(N, C)``. The leading shape ``(*sample, *batch)`` is returned to undo it.
    """
    leading = x.shape[:-1]
    if context is not None:
        batch = context.shape[:-1]
        matches = len(batch) <= len(leading) and all(
            size in (1, wanted) for size, wanted in zip(reversed(batch), reversed(leading), strict=False)
        )
        if not matches:
            message = (
                f"points of shape {tuple(x.shape)} do not go with a context of shape {tuple(context.shape)}: "
                "the leading axes of the points must end with those of the context"
            )
            raise ContextError(message)
        context = context.expand(*leading, context.shape[-1]).reshape(-1, context.shape[-1])
    return x.reshape(-1, x.shape[-1]), context, leading


def sample_shape(n: int | tuple[int, ...]) -> tuple[int, ...]:
    """``n`` as a tuple: an integer means one sample axis, ``()`` means one draw without a sample axis."""
    shape = (n,) if isinstance(n, int) else tuple(n)
    if any(not isinstance(size, int) or size < 0 for size in shape):
        message = f"the number of samples must be a non-negative integer or a tuple of them, got {n!r}"
        raise ShapeError(message)
    return shape
