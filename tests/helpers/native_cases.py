"""What the tests of the compiled kernels share: the kernels to test, harsh inputs, comparison with the float64 reference."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from hepflows.kernels import native
from hepflows.kernels.compiled_spline import SplineShape

NAMES = native.available()[:-1]
every_kernel = pytest.mark.parametrize(
    "kernels",
    NAMES
    or [pytest.param("none", marks=pytest.mark.skip(reason="installed without a C++ compiler: no compiled kernels"))],
)


def compiler() -> str | None:
    """A C++ compiler of this machine, or what CI is expected to have."""
    return shutil.which(os.environ.get("CXX", "c++")) or ("CI" if os.environ.get("CI") else None)


def harsh(
    shape: SplineShape, rows: int, columns: int, sd: float, seed: int = 0, *, beyond: float = 1.1
) -> tuple[Tensor, Tensor]:
    """float32 inputs (rows, columns) all over the box and a little beyond it, and raw parameters of that deviation."""
    rng = torch.Generator().manual_seed(seed)
    middle, half = (shape.low + shape.high) / 2, (shape.high - shape.low) / 2
    x = middle + beyond * half * (2 * torch.rand(rows, columns, generator=rng, dtype=torch.float32) - 1)
    return x, sd * torch.randn(rows, shape.parameters, columns, generator=rng, dtype=torch.float32)


def with_gradients(function, inputs: Sequence[Tensor], upstream: Sequence[Tensor]) -> list[Tensor]:
    """The two outputs and the gradients of all inputs."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    outputs = function(*leaves)
    gradients = torch.autograd.grad(outputs, leaves, [g.to(outputs[0].dtype) for g in upstream])
    return [*(output.detach() for output in outputs), *gradients]


def stable(shape: SplineShape, x: Tensor, raw: Tensor, upstream: Sequence[Tensor], got: Sequence[Tensor]) -> None:
    """Whether float32 results are those of the float64 reference for an input a few roundings away.

    No float32 code does better: where a spline bends sharply, and at its knots, where gradients jump, that is all one can ask. On top
    come a few roundings of the result itself. The gradients of an element's raw parameters are differences of what moves its knots, which
    is as large as the gradient of the input.
    """
    want = with_gradients(shape.reference, (x.double(), raw.double()), upstream)
    step = 2e-7 * (shape.high - shape.low)
    steps = (-2, -1, -0.1, -0.01, 0.01, 0.1, 1, 2)
    beside = [with_gradients(shape.reference, (x.double() + s * step, raw.double()), upstream) for s in steps]
    for index, name in enumerate(("value", "log slope", "gradient of x", "gradient of raw")):
        moved = torch.stack([other[index] - want[index] for other in beside]).abs().amax(0)
        largest = want[index].abs()
        if name == "gradient of raw":
            largest = largest.amax(1, keepdim=True) + 0.1 * (shape.high - shape.low) * want[2].abs().unsqueeze(1)
        floor = {"value": 4e-7 * (shape.high - shape.low), "log slope": 4e-6}.get(name, 1e-5)
        excess = (got[index].double() - want[index]).abs() - (2 * moved + 4e-5 * largest + floor)
        assert excess.max() <= 0, (name, float(excess.max()))


def close(got: Tensor, want: Tensor, *, rtol: float, atol: float) -> None:
    """Equal within tolerances, whatever the precision."""
    torch.testing.assert_close(got.double(), want.double(), rtol=rtol, atol=atol)
