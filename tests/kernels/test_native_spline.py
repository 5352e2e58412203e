"""The compiled spline against the float64 reference."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import pytest
import torch
from native_cases import compiler, every_kernel, harsh, stable, with_gradients
from torch import Tensor

from hepflows.errors import ShapeError
from hepflows.kernels import dispatch, native
from hepflows.kernels.compiled_spline import SplineShape, addresses

SHAPE = SplineShape(8, -3.0, 3.0)
SHAPES = {
    "two bins": replace(SHAPE, bins=2),
    "three bins, free": replace(SHAPE, bins=3, free_edges=True),
    "eight bins": SHAPE,
    "eight bins, free": replace(SHAPE, free_edges=True),
    "ten bins, unit box": replace(SHAPE, bins=10, low=0.0, high=1.0),
    "lopsided": replace(SHAPE, bins=17, low=-0.7, high=14.0, min_width=1e-4, min_height=1e-4, min_derivative=1e-2),
    "tiny minima": replace(SHAPE, low=-14.0, high=14.0, min_width=1e-6, min_height=1e-6, min_derivative=1e-6),
    "most bins, free": replace(SHAPE, bins=64, free_edges=True),
}
SIZES = [(1, 1), (1, 3), (5, 4), (3, 15), (2, 16), (2, 17), (1, 33), (7, 49), (40, 1)]
both_ways = pytest.mark.parametrize("inverse", [False, True])


def compare(shape: SplineShape, x: Tensor, raw: Tensor, seed: int = 1) -> None:
    """Values, log slopes and gradients against float64."""
    rng = torch.Generator().manual_seed(seed)
    upstream = [torch.randn(x.shape, generator=rng, dtype=torch.float32) for _ in range(2)]
    stable(shape, x, raw, upstream, with_gradients(lambda *a: native.spline(*a, shape), (x, raw), upstream))


@every_kernel
@both_ways
@pytest.mark.parametrize("name", SHAPES)
def test_equals_the_reference(kernels: str, name: str, inverse: bool) -> None:
    shape = replace(SHAPES[name], inverse=inverse)
    with native.using(kernels):
        compare(shape, *harsh(shape, 30, 67, sd=0.7))


@every_kernel
@both_ways
@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_any_number_of_elements(kernels: str, rows: int, columns: int, inverse: bool) -> None:
    for shape in (replace(SHAPE, inverse=inverse), replace(SHAPE, bins=5, free_edges=True, inverse=inverse)):
        with native.using(kernels):
            compare(shape, *harsh(shape, rows, columns, sd=0.5))


@every_kernel
def test_no_elements(kernels: str) -> None:
    with native.using(kernels):
        for rows, columns in ((0, 5), (3, 0)):
            x, raw = torch.zeros(rows, columns).float().requires_grad_(), torch.zeros(rows, 23, columns).float()
            native.spline(x, raw, SHAPE)[0].sum().backward()
            assert x.grad is not None
            assert x.grad.shape == (rows, columns)


@every_kernel
@both_ways
@pytest.mark.parametrize("sd", [2.0, 4.0, 10.0])
@pytest.mark.parametrize("name", ["eight bins", "tiny minima", "lopsided"])
def test_finite_and_monotonic_whatever_the_parameters(kernels: str, name: str, sd: float, inverse: bool) -> None:
    shape = replace(SHAPES[name], inverse=inverse)
    x, raw = harsh(shape, 20, 501, sd)
    with native.using(kernels):
        out = with_gradients(lambda *a: native.spline(*a, shape), (x, raw), [torch.ones_like(x)] * 2)
        # one spline a row, its inputs in order
        ordered, same = x.sort(1).values, raw[:, :, :1].expand_as(raw)
        y, _ = native.spline(ordered, same, shape)
    assert all(torch.isfinite(tensor).all() for tensor in out)
    assert (y.diff(dim=1) >= -4e-7 * (shape.high - shape.low)).all()


@every_kernel
@both_ways
def test_edges_and_beyond(kernels: str, inverse: bool) -> None:
    inf, nan = float("inf"), float("nan")
    for shape in (replace(SHAPE, inverse=inverse), replace(SHAPES["lopsided"], inverse=inverse)):
        low, high = torch.tensor([shape.low, shape.high], dtype=torch.float32)
        special = [-inf, low - 1, low.nextafter(low - 1), low, high, high.nextafter(high + 1), high + 1, inf, nan, 1e38]
        x = torch.tensor([special], dtype=torch.float32)
        raw = harsh(shape, 1, len(special), sd=2.0)[1]
        with native.using(kernels):
            y, ladj, gx, graw = with_gradients(lambda *a: native.spline(*a, shape), (x, raw), [torch.ones_like(x)] * 2)  # noqa: B023
        outside = torch.tensor([[0, 1, 2, 5, 6, 7, 8, 9]])
        same = [tensor[0, outside] for tensor in (y, ladj, gx)]
        torch.testing.assert_close(same[0], x[0, outside], rtol=0, atol=0, equal_nan=True)
        assert (same[1] == 0).all()
        assert (same[2] == 1).all()
        assert (graw[0][:, outside] == 0).all()
        torch.testing.assert_close(y[0, 3:5], x[0, 3:5], rtol=2.4e-7, atol=0)  # an edge goes to itself
        assert torch.isfinite(gx).all()
        assert torch.isfinite(graw).all()
        with native.using(kernels):
            compare(shape, torch.stack([low, high]).repeat(100)[None], harsh(shape, 1, 200, sd=2.0)[1])


@every_kernel
@both_ways
def test_at_the_knots(kernels: str, inverse: bool) -> None:
    """Value and log slope are continuous there; the gradients are those on one of the sides."""
    shape = replace(SHAPE, inverse=inverse)
    raw = harsh(shape, 1, 300, sd=1.5)[1]
    axis = raw.double()[:, 8:16] if inverse else raw.double()[:, :8]
    inner = (1e-3 + (1 - 8e-3) * axis.softmax(1)).cumsum(1)[0, :-1]
    with native.using(kernels):
        compare(shape, (-3 + 6 * inner).flatten().float()[None], raw.repeat(1, 1, 7))


@every_kernel
def test_nan_stays_in_its_element(kernels: str) -> None:
    for which in range(23):
        x, raw = harsh(SHAPE, 2, 40, sd=1.0, beyond=0.9)
        spoilt = raw.clone()
        spoilt[1, which, 5] = float("nan")
        with native.using(kernels):
            good, bad = (
                with_gradients(lambda *a: native.spline(*a, SHAPE), (x, r), [torch.ones_like(x)] * 2)
                for r in (raw, spoilt)
            )
        for a, b in zip(good, bad, strict=True):
            others = torch.ones_like(a, dtype=torch.bool)
            others[1, ..., 5] = False
            assert torch.equal(a[others], b[others])
        if which < 16:  # a derivative counts at its own knot only
            assert torch.isnan(bad[0][1, 5])
            assert torch.isnan(bad[1][1, 5])
            assert torch.isnan(bad[3][1, :16, 5]).any()


@every_kernel
def test_each_element_by_itself(kernels: str) -> None:
    """Not a bit depends on what else is in the batch, nor on the number of threads."""
    for shape in (SHAPE, replace(SHAPES["lopsided"], inverse=True)):
        x, raw = harsh(shape, 3, 150, sd=1.0)
        with native.using(kernels):
            together = native.spline(x, raw, shape)
            for columns in (slice(0, 1), slice(7, 100), slice(149, 150)):
                alone = native.spline(x[:, columns], raw[:, :, columns], shape)
                assert all(torch.equal(a, b[:, columns]) for a, b in zip(alone, together, strict=True))
            torch.set_num_threads(2)
            try:
                assert all(torch.equal(a, b) for a, b in zip(native.spline(x, raw, shape), together, strict=True))
            finally:
                torch.set_num_threads(1)


@every_kernel
def test_refuses_what_it_would_read_out_of_bounds(kernels: str) -> None:
    x, raw = harsh(SHAPE, 2, 5, sd=1.0)
    for wrong in (raw[:, :-1], raw[:1], raw[:, :, :4], raw.double()):
        with native.using(kernels), pytest.raises(ShapeError, match=r"raw of shape \(2, 23, 5\)"):
            native.spline(x, wrong, SHAPE)


@every_kernel
def test_writes_nothing_but_its_outputs(kernels: str) -> None:
    """The kernels fill what they are given and nothing before or behind it."""
    for rows, columns in ((1, 1), (2, 7), (3, 33)):
        x, raw = harsh(SHAPE, rows, columns, sd=1.0)
        want = native.spline(x, raw, SHAPE)
        fence = torch.full((4, 64 + 23 * x.numel() + 64), 7.25, dtype=torch.float32)
        inside = [fence[i, 64 : 64 + n] for i, n in enumerate((x.numel(), x.numel(), x.numel(), raw.numel()))]
        fields, one = SHAPE.fields(), torch.ones_like(x)
        with native.using(kernels):
            dispatch.compiled.spline(2, fields, rows, columns, *addresses(x, raw, *inside[:2]))
            dispatch.compiled.spline_backward(2, fields, rows, columns, *addresses(x, raw, one, one, *inside[2:]))
        torch.testing.assert_close(inside[0].view_as(x), want[0])
        for part in inside:
            assert (part != 7.25).all()
            part.fill_(7.25)
        assert (fence == 7.25).all()


def test_instruction_sets_share_no_functions() -> None:
    """A function that all sets share comes from one of them, perhaps the one that this processor cannot run."""
    if dispatch.compiled is None or shutil.which("nm") is None:
        pytest.skip("needs the compiled kernels and nm")
    symbols = subprocess.run(
        ["nm", "-C", str(dispatch.compiled.__file__)], capture_output=True, text=True, check=True
    ).stdout
    text = [line.split(" ", 2)[2] for line in symbols.splitlines() if " t " in line.lower()]
    shared = [name for name in text if re.match(r"(\w+ )*(std::|HeadTask|Spline|Layer|within)", name)]
    assert not shared


def test_kernels_are_there_where_a_compiler_is() -> None:
    """Without this a build that fails would make every other test of the kernels skip."""
    if compiler() is None:
        pytest.skip("no C++ compiler here: the reference is all there is")
    assert native.available()[:-1], (
        f"{compiler()} is here, but hepflows was installed without compiled kernels: reinstall"
    )
