"""The compiled kernels: what they cover, and how they are called.

They are built with the package where there is a C++ compiler, know neither Python nor torch, and run in float32 on the CPU. Whatever they
do not cover is computed by the pure-torch reference beside them, which also is the oracle of their tests. ``HEPFLOWS_KERNELS`` set to
``reference`` (or ``baseline``, ``avx2``, ``avx512``) chooses by hand.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hepflows.kernels.masked_inverse import Staircase
from hepflows.kernels.splines import edge_derivative

Activation = Callable[[Tensor], Tensor]


def _load() -> ModuleType | None:
    try:
        from hepflows.kernels import _native
    except ImportError:
        return None
    return _native


_native: Any = _load()
_in_use = "reference"


def available() -> list[str]:
    """The kernels that this processor can run, fastest first; ``reference`` is pure torch."""
    return [*(_native.available() if _native is not None else []), "reference"]


def in_use() -> str:
    """The kernels that are used: ``avx512``, ``avx2``, ``baseline`` or ``reference``."""
    return _in_use


def use(name: str) -> None:
    """Choose the kernels by name.

    Raises:
        ValueError: there are none of that name, or not on this processor.
    """
    global _in_use  # noqa: PLW0603
    if name not in available():
        message = f"kernels {name!r} are not available here: choose from {', '.join(available())}"
        raise ValueError(message)
    if name != "reference":
        _native.use(name)
    _in_use = name


@contextmanager
def using(name: str) -> Iterator[None]:
    """Choose the kernels for a while.

    >>> with using("reference"):
    ...     in_use()
    'reference'
    """
    before = in_use()
    use(name)
    try:
        yield
    finally:
        use(before)


def _choose() -> None:
    wanted = os.environ.get("HEPFLOWS_KERNELS", available()[0])
    if wanted in available():
        use(wanted)
    else:
        message = f"HEPFLOWS_KERNELS={wanted} is not available here, {available()[0]} is used; choose from {', '.join(available())}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        use(available()[0])


_choose()


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

    def _fields(self) -> tuple[object, ...]:
        minima = (self.min_width, self.min_height, self.min_derivative)
        return (
            self.bins, int(self.free_edges), int(self.inverse), self.low, self.high, *minima,
            edge_derivative(self.min_derivative),
        )  # fmt: skip


def covers(spline: SplineShape, *tensors: Tensor | None) -> bool:
    """Whether the compiled kernels take this spline and these tensors: float32, on the CPU, not under a compiler's tracing."""
    return (
        _in_use != "reference"
        and 2 <= spline.bins <= _native.MAX_BINS
        and all(tensor is None or (tensor.dtype == torch.float32 and tensor.device.type == "cpu") for tensor in tensors)
        and not torch.compiler.is_compiling()
        and not torch._C._functorch.maybe_current_level()
    )


def _threads() -> int:
    return torch.get_num_threads()


def _addresses(*tensors: Tensor | None) -> list[int]:
    return [0 if tensor is None else tensor.data_ptr() for tensor in tensors]


class _Spline(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, raw: Tensor, shape: SplineShape) -> tuple[Tensor, Tensor]:
        x, raw = x.contiguous(), raw.contiguous()
        y, ladj = torch.empty_like(x), torch.empty_like(x)
        rows, columns = x.shape
        _native.spline(_threads(), shape._fields(), rows, columns, *_addresses(x, raw, y, ladj))
        ctx.save_for_backward(x, raw)
        ctx.shape = shape
        return y, ladj

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gy: Tensor, gladj: Tensor) -> tuple[Tensor, Tensor, None]:
        x, raw = ctx.saved_tensors
        gy, gladj = gy.contiguous(), gladj.contiguous()
        gx, graw = torch.empty_like(x), torch.empty_like(raw)
        rows, columns = x.shape
        _native.spline_backward(
            _threads(), ctx.shape._fields(), rows, columns, *_addresses(x, raw, gy, gladj, gx, graw)
        )
        return gx, graw, None


def spline(x: Tensor, raw: Tensor, shape: SplineShape) -> tuple[Tensor, Tensor]:
    """``x`` (A, E) and raw parameters (A, P, E) to ``y`` and ``log dy/dx``, both (A, E)."""
    return _Spline.apply(x, raw, shape)  # type: ignore[no-any-return,no-untyped-call]


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
        keep: bool,
        activation: int,
        *hidden: Tensor,
    ) -> tuple[Tensor, Tensor]:
        x, h, weight, bias = x.contiguous(), h.contiguous(), weight.contiguous(), bias.contiguous()
        hidden = tuple(tensor.contiguous() for tensor in hidden)
        features, events = x.shape
        y, ladj = torch.empty_like(x), x.new_empty(events)
        blocks = -(-events // _native.RAW_TILE)
        raw = x.new_empty(features, blocks, shape.parameters, _native.RAW_TILE) if keep else None
        sizes = (features, len(h), weight.shape[1], events, activation, _layers(hidden))
        _native.head(_threads(), shape._fields(), *sizes, *_addresses(x, h, weight, bias, seen, raw, y, ladj))
        if raw is not None:
            ctx.save_for_backward(x, h, weight, seen, raw, *hidden)
        ctx.shape, ctx.activation = shape, activation
        return y, ladj

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gy: Tensor, gladj: Tensor) -> tuple[Tensor | None, ...]:
        x, h, weight, seen, raw, *hidden = ctx.saved_tensors
        gy, gladj = gy.contiguous(), gladj.contiguous()
        gx, gh, gweight = torch.empty_like(x), torch.empty_like(h), torch.empty_like(weight)
        gbias, ghidden = weight.new_empty(len(weight)), [torch.empty_like(tensor) for tensor in hidden]
        sizes = (len(x), len(h), weight.shape[1], x.shape[1], ctx.activation, _layers(hidden, ghidden))
        tensors = (x, h, weight, seen, raw, gy, gladj, gx, gh, gweight, gbias)
        _native.head_backward(_threads(), ctx.shape._fields(), *sizes, *_addresses(*tensors))
        return gx, gh, gweight, gbias, None, None, None, None, *ghidden


def _layers(hidden: Sequence[Tensor], gradients: Sequence[Tensor] = ()) -> tuple[tuple[int, ...], ...]:
    """Weights and biases in turn, as the kernels take them: units, addresses, addresses of the gradients."""
    filled: Sequence[Tensor | None] = gradients or [None] * len(hidden)
    return tuple(
        (len(hidden[i]), *_addresses(hidden[i], hidden[i + 1], filled[i], filled[i + 1]))
        for i in range(0, len(hidden), 2)
    )


def head(
    x: Tensor,
    h: Tensor,
    weight: Tensor,
    bias: Tensor,
    seen: Tensor,
    shape: SplineShape,
    hidden: Sequence[Tensor] = (),
    activation: Activation = functional.relu,
) -> tuple[Tensor, Tensor]:
    """The last linear layer of a conditioner fused with the spline that it parametrises, and with plain layers below it.

    Args:
        x: ``(D, N)`` what is mapped.
        h: ``(H, N)`` last hidden activations, or what the first of the ``hidden`` layers takes.
        weight: ``(D P, H)``; of the rows of feature ``d`` the first ``seen[d]`` columns count, the others are not read.
        bias: ``(D P,)``.
        seen: ``(D,)`` int32.
        shape: the spline.
        hidden: weight and bias of every hidden layer that is computed here, in turn.
        activation: after every one of them.

    Returns:
        ``y`` (D, N) and the log |det J| of all features together, (N,).
    """
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, h, weight, bias, *hidden))
    number = activation_number(activation) or 0
    return _Head.apply(x, h, weight, bias, seen, shape, keep, number, *hidden)  # type: ignore[no-any-return,no-untyped-call]


_ACTIVATIONS: dict[object, int] = {
    functional.relu: 1, torch.relu: 1, nn.ReLU: 1,
    torch.tanh: 2, functional.tanh: 2, nn.Tanh: 2,
    torch.sigmoid: 3, functional.sigmoid: 3, nn.Sigmoid: 3,
    functional.elu: 4,
    functional.leaky_relu: 5,
    functional.silu: 6, nn.SiLU: 6,
    functional.softplus: 7,
}  # fmt: skip
"""Numbers of the activations in kernels.h; a module counts where its class has no options of its own."""


def activation_number(activation: Activation) -> int | None:
    """The kernels' number of an activation, or None where they do not have it."""
    try:
        return _ACTIVATIONS.get(type(activation) if isinstance(activation, nn.Module) else activation)
    except TypeError:  # not hashable
        return None


def layers_covered(layers: int, activation: Activation) -> bool:
    """Whether `head` takes that many hidden layers with this activation, gradients included."""
    number = activation_number(activation)
    return number is not None and number != _ACTIVATIONS[functional.silu] and layers <= _native.MAX_LAYERS


def sweep_covers(made: Staircase, spline: SplineShape, z: Tensor) -> bool:
    """Whether the compiled inverse takes this network."""
    return (
        covers(spline, z, *made.weights, made.output_weight)
        and activation_number(made.activation) is not None
        and len(made.weights) <= _native.MAX_LAYERS
    )


def sweep(
    z: Tensor, made: Staircase, spline: SplineShape, terms: Sequence[Tensor | None], units: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`hepflows.kernels.masked_inverse.masked_inverse` for the rational-quadratic spline, compiled; without gradients."""
    z = z.contiguous()
    features, events = z.shape
    x, ladj = torch.empty_like(z), z.new_empty(events)
    keep: list[Tensor | None] = []  # what the kernel reads must live until it returns

    def address(tensor: Tensor | None) -> int:
        keep.append(None if tensor is None else tensor.contiguous())
        return _addresses(keep[-1])[0]

    layers = tuple(
        (len(bias), address(weight), address(bias), address(term), address(torch.tensor(seen, dtype=torch.int32)))
        for weight, bias, term, seen in zip(made.weights, made.biases, terms, made.seen, strict=True)
    )
    _native.sweep(
        _threads(), spline._fields(), features, events, 0 if units is None else len(units),
        activation_number(made.activation), int(made.residual), layers,
        address(made.output_weight), address(made.output_bias), address(units), *_addresses(z, x, ladj),
    )  # fmt: skip
    return x, ladj
