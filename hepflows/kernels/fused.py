"""The compiled rational-quadratic spline, and the linear layer before it fused with it, as functions that autograd knows.

Backward passes are compiled too. A backward pass that must itself be differentiated, or that runs under a transformation of
`torch.func`, goes through the pure-torch reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from hepflows.errors import ShapeError
from hepflows.kernels import dispatch
from hepflows.kernels.activations import Activation, activation_number
from hepflows.kernels.splines import edge_derivative, rational_quadratic_spline

_native: Any = dispatch.compiled


@dataclass(frozen=True)
class SplineShape:
    """A rational-quadratic spline without its parameters: bins, box and minima in units of the box."""

    bins: int
    low: float
    high: float
    min_width: float = 1e-3
    min_height: float = 1e-3
    min_derivative: float = 1e-3
    free_edges: bool = False
    inverse: bool = False

    @property
    def parameters(self) -> int:
        """Raw parameters of one element."""
        return 3 * self.bins + (1 if self.free_edges else -1)

    def inverted(self) -> SplineShape:
        """The same map the other way round."""
        return replace(self, inverse=not self.inverse)

    def reference(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The map in pure torch: ``x`` (A, E) and raw parameters (A, P, E) to ``y`` and ``log dy/dx``."""
        parameters = torch.split(raw, [self.bins, self.bins, self.parameters - 2 * self.bins], -2)
        minima = {name: getattr(self, name) for name in ("min_width", "min_height", "min_derivative")}
        return rational_quadratic_spline(x, *parameters, low=self.low, high=self.high, **minima, inverse=self.inverse)

    def fields(self) -> tuple[float, ...]:
        """What the compiled kernels take, see kernels.h."""
        minima = (self.min_width, self.min_height, self.min_derivative)
        flags = (int(self.free_edges), int(self.inverse))
        return (self.bins, *flags, self.low, self.high, *minima, edge_derivative(self.min_derivative))


def plain(*tensors: Tensor | None) -> bool:
    """Whether these are float32 numbers in the memory of the CPU, and no transformation is following them."""
    if torch.compiler.is_compiling():  # first: the rest cannot be traced
        return False
    return (
        not torch._C._get_tracing_state()  # of torch.jit
        and not torch._C._functorch.maybe_current_level()
        and not torch._C._len_torch_dispatch_stack()
        and torch.autograd.forward_ad._current_level < 0
        and all(tensor is None or _is_plain(tensor) for tensor in tensors)
    )


def _is_plain(tensor: Tensor) -> bool:
    return (
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.dtype == torch.float32
        and tensor.device.type == "cpu"
        and tensor.layout == torch.strided
        and not tensor.is_neg()
        and torch._C._has_storage(tensor)  # a batch of torch._vmap_internals has none
    )


def check(shape: SplineShape, **expected: tuple[Tensor | None, tuple[int, ...]]) -> None:
    """Refuse what the kernels, which see addresses only, could not tell from the right thing.

    Raises:
        ShapeError: a tensor is not of the shape that the kernel assumes, or not of float32 on the CPU (counts: of int32).
    """
    if not 2 <= shape.bins <= _native.MAX_BINS:
        message = f"the compiled spline takes 2 to {_native.MAX_BINS} bins, got {shape.bins}: use the reference"
        raise ShapeError(message)
    for name, (tensor, size) in expected.items():
        dtype = torch.int32 if name.startswith("seen") else torch.float32
        if tensor is None or (tuple(tensor.shape) == size and tensor.dtype == dtype and tensor.device.type == "cpu"):
            continue
        message = (
            f"the compiled kernels expect {name} of shape {size} and {dtype} on the CPU, "
            f"got {tuple(tensor.shape)} and {tensor.dtype} on {tensor.device}: use the reference"
        )
        raise ShapeError(message)


def addresses(*tensors: Tensor | None) -> list[int]:
    """Where the numbers of contiguous tensors are; 0 for none."""
    return [0 if tensor is None else tensor.data_ptr() for tensor in tensors]


def threads() -> int:
    """As many as torch uses."""
    return torch.get_num_threads()


def _gradients(
    function: Callable[..., tuple[Tensor, Tensor]], inputs: Sequence[Tensor], gradients: tuple[Tensor, Tensor]
) -> tuple[Tensor, ...]:
    """The backward pass in pure torch; differentiable where gradients are enabled in it."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        if not again:
            inputs = [tensor.detach() for tensor in inputs]
        # a view of each: its gradient is that of this use alone
        inputs = [tensor.view_as(tensor) if tensor.requires_grad else tensor.requires_grad_() for tensor in inputs]
        return torch.autograd.grad(function(*inputs), inputs, gradients, create_graph=again)


class _Spline(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, raw: Tensor, shape: SplineShape) -> tuple[Tensor, Tensor]:
        y, ladj = torch.empty_like(x), torch.empty_like(x)
        _native.spline(threads(), shape.fields(), *x.shape, *addresses(x, raw, y, ladj))
        ctx.save_for_backward(x, raw)
        ctx.shape = shape
        return y, ladj

    @staticmethod
    def backward(ctx: Any, gy: Tensor, gladj: Tensor) -> tuple[Tensor | None, ...]:
        x, raw = ctx.saved_tensors
        shape: SplineShape = ctx.shape
        if torch.is_grad_enabled() or not plain(gy, gladj):
            return *_gradients(shape.reference, [x, raw], (gy, gladj)), None
        gy, gladj = gy.contiguous(), gladj.contiguous()
        gx, graw = torch.empty_like(x), torch.empty_like(raw)
        _native.spline_backward(threads(), shape.fields(), *x.shape, *addresses(x, raw, gy, gladj, gx, graw))
        return gx, graw, None


def spline(x: Tensor, raw: Tensor, shape: SplineShape) -> tuple[Tensor, Tensor]:
    """``x`` (A, E) and raw parameters (A, P, E) to ``y`` and ``log dy/dx``, both (A, E)."""
    rows, columns = x.shape
    check(shape, x=(x, (rows, columns)), raw=(raw, (rows, shape.parameters, columns)))
    return _Spline.apply(x.contiguous(), raw.contiguous(), shape)  # type: ignore[no-any-return,no-untyped-call]


LARGE_PAGE = 1 << 21


def _saved(like: Tensor, *size: int) -> Tensor:
    """Uninitialised memory of that size; from a large page's size on it begins on such a page, see `prefer_large_pages` in kernels.h."""
    count, number = math.prod(size), like.element_size()
    if count * number < LARGE_PAGE:
        return like.new_empty(size)
    memory = like.new_empty(count + LARGE_PAGE // number)
    start = -memory.data_ptr() % LARGE_PAGE // number
    return memory[start : start + count].view(size)


class _Head(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h: Tensor,
        weight: Tensor,
        bias: Tensor,
        seen: Tensor,
        shape: SplineShape,
        activation: Activation,
        *hidden: Tensor,
    ) -> tuple[Tensor, Tensor]:
        features, events = x.shape
        y, ladj = torch.empty_like(x), x.new_empty(events)
        raw = last = None
        if any(ctx.needs_input_grad):
            blocks, width = -(-events // _native.RAW_TILE), _native.RAW_TILE
            raw = _saved(x, features, blocks, shape.parameters, width)
            last = _saved(x, blocks, weight.shape[1], width) if hidden else None
        sizes = (features, len(h), weight.shape[1], events, activation_number(activation) or 0, _layers(hidden))
        _native.head(threads(), shape.fields(), *sizes, *addresses(x, h, weight, bias, seen, raw, last, y, ladj))
        ctx.save_for_backward(x, h, weight, bias, seen, raw, last, *hidden)
        ctx.shape, ctx.activation = shape, activation
        return y, ladj

    @staticmethod
    def backward(ctx: Any, gy: Tensor, gladj: Tensor) -> tuple[Tensor | None, ...]:
        x, h, weight, bias, seen, raw, last, *hidden = ctx.saved_tensors
        shape: SplineShape = ctx.shape
        if torch.is_grad_enabled() or not plain(gy, gladj):
            function = _HeadReference(seen, shape, ctx.activation)
            first, rest = _parted(_gradients(function, [x, h, weight, bias, *hidden], (gy, gladj)))
            return *first, None, None, None, *rest
        gy, gladj = gy.contiguous(), gladj.contiguous()
        gradients = [torch.empty_like(tensor) for tensor in (x, h, weight, bias, *hidden)]
        first, rest = _parted(gradients)
        number = activation_number(ctx.activation) or 0
        sizes = (len(x), len(h), weight.shape[1], x.shape[1], number, _layers(hidden, rest))
        _native.head_backward(
            threads(), shape.fields(), *sizes, *addresses(x, h, weight, seen, raw, last, gy, gladj, *first)
        )
        return *first, None, None, None, *rest


def _parted(gradients: Sequence[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Those of x, h, weight and bias, and those of the hidden layers."""
    return gradients[:4], gradients[4:]


def _layers(hidden: Sequence[Tensor], gradients: Sequence[Tensor] = ()) -> tuple[tuple[int, ...], ...]:
    """Weights and biases in turn, as the kernels take them: units, addresses, addresses of the gradients."""
    filled: Sequence[Tensor | None] = gradients or [None] * len(hidden)
    return tuple(
        (len(hidden[i]), *addresses(hidden[i], hidden[i + 1], filled[i], filled[i + 1]))
        for i in range(0, len(hidden), 2)
    )


@dataclass(frozen=True)
class _HeadReference:
    seen: Tensor
    shape: SplineShape
    activation: Activation

    def __call__(self, x: Tensor, h: Tensor, weight: Tensor, bias: Tensor, *hidden: Tensor) -> tuple[Tensor, Tensor]:
        for i in range(0, len(hidden), 2):
            h = self.activation(torch.addmm(hidden[i + 1].unsqueeze(1), hidden[i], h))
        units, events = h.shape
        seen = torch.arange(units) < self.seen.repeat_interleave(self.shape.parameters).unsqueeze(1)
        raw = torch.addmm(bias.unsqueeze(1), torch.where(seen, weight, 0.0), h)
        y, ladj = self.shape.reference(x, raw.view(len(x), self.shape.parameters, events))
        return y, ladj.sum(0)


def head(
    x: Tensor,
    h: Tensor,
    weight: Tensor,
    bias: Tensor,
    seen: Tensor,
    shape: SplineShape,
    hidden: Sequence[Tensor] = (),
    activation: Activation = torch.relu,
) -> tuple[Tensor, Tensor]:
    """The last linear layer of a conditioner fused with the spline that it parametrises, and with plain layers below it.

    Args:
        x: ``(D, N)`` what is mapped.
        h: ``(H, N)`` last hidden activations, or what the first of the ``hidden`` layers takes.
        weight: ``(D P, H)``; of the rows of feature ``d`` the first ``seen[d]`` columns count, the others are not read.
        bias: ``(D P,)``.
        seen: ``(D,)`` integers.
        shape: the spline.
        hidden: weight and bias of every hidden layer that is computed here, in turn.
        activation: after every one of them.

    Returns:
        ``y`` (D, N) and the log |det J| of all features together, (N,).
    """
    (features, events), seen = x.shape, seen.to(torch.int32)
    inputs = units = len(h)
    for i in range(0, len(hidden), 2):
        below, units = units, len(hidden[i])
        check(shape, weight=(hidden[i], (units, below)), bias=(hidden[i + 1], (units,)))
    rows = features * shape.parameters
    check(
        shape, x=(x, (features, events)), h=(h, (inputs, events)), weight=(weight, (rows, units)), bias=(bias, (rows,)),
        seen=(seen, (features,)),
    )  # fmt: skip
    tensors = [tensor.contiguous() for tensor in (x, h, weight, bias, seen)]
    layers = [tensor.contiguous() for tensor in hidden]
    return _Head.apply(*tensors, shape, activation, *layers)  # type: ignore[no-any-return,no-untyped-call]
