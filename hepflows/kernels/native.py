"""The compiled kernels: what they cover, and how they are called.

They are built with the package where there is a C++ compiler, know neither Python nor torch, and run in float32 on the CPU. Whatever they
do not cover is computed by the pure-torch reference beside them, which also is the oracle of their tests. ``HEPFLOWS_KERNELS`` set to
``reference`` (or ``baseline``, ``avx2``, ``avx512``) chooses by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hepflows.kernels import dispatch
from hepflows.kernels.dispatch import available, in_use, use, using
from hepflows.kernels.fused import SplineShape, addresses, check, head, plain, spline, threads
from hepflows.kernels.masked_inverse import Staircase

__all__ = [
    "SplineShape", "activation_number", "available", "covers", "head", "in_use", "spline", "sweep", "sweep_covers", "use",
    "using",
]  # fmt: skip

Activation = Callable[[Tensor], Tensor]

_native: Any = dispatch.compiled


def covers(spline: SplineShape, *tensors: Tensor | None) -> bool:
    """Whether the compiled kernels take this spline and these tensors: float32, on the CPU, not under a compiler's tracing."""
    return in_use() != "reference" and 2 <= spline.bins <= _native.MAX_BINS and plain(*tensors)


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
    features, events = z.shape
    widths, given = [len(bias) for bias in made.biases], 0 if units is None else len(units)
    rows = features * spline.parameters
    z, units = z.contiguous(), None if units is None else units.contiguous()
    weight, bias = made.output_weight.contiguous(), made.output_bias.contiguous()
    check(
        spline, z=(z, (features, events)), weight=(weight, (rows, given + widths[-1])), bias=(bias, (rows,)),
        units=(units, (given, events)),
    )  # fmt: skip
    layers = []
    for below, width, *given_tensors, counts in zip(
        [features, *widths], widths, made.weights, made.biases, terms, made.seen, strict=False
    ):
        seen = torch.tensor(counts, dtype=torch.int32)
        tensors = [None if tensor is None else tensor.contiguous() for tensor in (*given_tensors, seen)]
        sizes = ((width, below), (width,), (width, events), (features,))
        check(spline, **dict(zip(("weight", "bias", "term", "seen"), zip(tensors, sizes, strict=True), strict=True)))
        layers.append((width, tensors))  # what the kernel reads must live until it returns
    x, ladj = torch.empty_like(z), z.new_empty(events)
    _native.sweep(
        threads(), spline.fields(), features, events, given, activation_number(made.activation), int(made.residual),
        tuple((width, *addresses(*tensors)) for width, tensors in layers), *addresses(weight, bias, units, z, x, ladj),
    )  # fmt: skip
    return x, ladj
