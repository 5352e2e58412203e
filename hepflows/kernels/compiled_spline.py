"""The compiled rational-quadratic spline as a function that autograd knows, and what every call of a compiled kernel needs.

Backward passes are compiled too. A backward pass that must itself be differentiated, or that runs under a transformation of
`torch.func`, goes through the pure-torch reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hepflows.errors import ShapeError
from hepflows.kernels import dispatch
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


def reference_gradients(
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
            return *reference_gradients(shape.reference, [x, raw], (gy, gladj)), None
        gy, gladj = gy.contiguous(), gladj.contiguous()
        gx, graw = torch.empty_like(x), torch.empty_like(raw)
        _native.spline_backward(threads(), shape.fields(), *x.shape, *addresses(x, raw, gy, gladj, gx, graw))
        return gx, graw, None


def spline(x: Tensor, raw: Tensor, shape: SplineShape) -> tuple[Tensor, Tensor]:
    """``x`` (A, E) and raw parameters (A, P, E) to ``y`` and ``log dy/dx``, both (A, E)."""
    rows, columns = x.shape
    check(shape, x=(x, (rows, columns)), raw=(raw, (rows, shape.parameters, columns)))
    return _Spline.apply(x.contiguous(), raw.contiguous(), shape)  # type: ignore[no-any-return,no-untyped-call]
