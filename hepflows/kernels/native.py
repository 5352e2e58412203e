"""The compiled kernels: what they cover, and how they are called.

They are built with the package where there is a C++ compiler, know neither Python nor torch, and run in float32 on the CPU. Whatever they
do not cover is computed by the pure-torch reference beside them, which also is the oracle of their tests. ``HEPFLOWS_KERNELS`` set to
``reference`` (or ``baseline``, ``avx2``, ``avx512``) chooses by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hepflows.kernels import dispatch
from hepflows.kernels.activations import Activation, activation_number
from hepflows.kernels.compiled_head import Rows, head
from hepflows.kernels.compiled_spline import SplineShape, addresses, check, plain, spline, threads
from hepflows.kernels.dispatch import available, in_use, use, using
from hepflows.kernels.masked_inverse import Staircase
from hepflows.kernels.wiring import Wiring

__all__ = [
    "Rows", "SplineShape", "Wiring", "activation_number", "available", "covers", "head", "in_use", "layers_covered", "spline", "sweep",
    "sweep_covers", "use", "using",
]  # fmt: skip

_native: Any = dispatch.compiled


def covers(spline: SplineShape, *tensors: Tensor | None) -> bool:
    """Whether the compiled kernels take this spline and these tensors: float32, on the CPU, not under a compiler's tracing."""
    return in_use() != "reference" and 2 <= spline.bins <= _native.MAX_BINS and plain(*tensors)


def layers_covered(layers: int, activation: Activation) -> bool:
    """Whether `head` takes that many hidden layers with this activation, gradients included: SiLU's needs more than its value."""
    number = activation_number(activation)
    return number is not None and number != activation_number(functional.silu) and layers <= _native.MAX_LAYERS


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
