"""The splines against nflows, zuko, autograd and their own inverse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hepflows.errors import DomainError
from hepflows.kernels.splines import edge_derivative, linear_spline, quadratic_spline, rational_quadratic_spline

BOX = {"low": -3.0, "high": 3.0}


def raw(n: int, *widths: int, scale: float = 1.0, seed: int = 0) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    """(width, n) raw parameters, a column for each of n elements."""
    return [scale * torch.randn(width, n, generator=rng) for width in widths]


SPLINES: dict[str, tuple[Callable[..., tuple[torch.Tensor, torch.Tensor]], tuple[int, ...]]] = {
    "linear": (linear_spline, (7,)),
    "quadratic": (quadratic_spline, (7, 6)),
    "quadratic free": (quadratic_spline, (7, 8)),
    "rational": (rational_quadratic_spline, (7, 7, 6)),
    "rational free": (rational_quadratic_spline, (7, 7, 8)),
}


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_rational_quadratic_equals_nflows(inverse: bool, scale: float) -> None:
    from nflows.transforms.splines.rational_quadratic import unconstrained_rational_quadratic_spline

    x = torch.linspace(-4, 4, 3001)
    parameters = raw(3001, 8, 8, 7, scale=scale)
    ours = rational_quadratic_spline(x, *parameters, **BOX, inverse=inverse)
    theirs = unconstrained_rational_quadratic_spline(
        x, *(p.T for p in parameters), inverse=inverse, tails="linear", tail_bound=3.0
    )
    torch.testing.assert_close(ours[0], theirs[0], rtol=0, atol=1e-8)
    torch.testing.assert_close(ours[1], theirs[1], rtol=0, atol=1e-5 if scale > 1 else 1e-9)


def test_rational_quadratic_equals_zuko() -> None:
    from zuko.transforms import MonotonicRQSTransform

    x = torch.linspace(-2.9, 2.9, 500)
    widths, heights, derivatives = raw(500, 8, 8, 7)
    # zuko's own constraint on the parameters: sizes a softmax without floor, derivatives an exponential, both limited
    theirs = MonotonicRQSTransform(widths.T, heights.T, derivatives.T, bound=3.0)
    free = torch.log(torch.expm1(theirs.derivatives - 1e-12)).T
    limited = [torch.log(torch.diff(knots)).T for knots in (theirs.horizontal, theirs.vertical)]
    ours = rational_quadratic_spline(x, *limited, free, **BOX, min_width=1e-12, min_height=1e-12, min_derivative=1e-12)
    y, ladj = theirs.call_and_ladj(x)
    torch.testing.assert_close(ours[0], y, rtol=0, atol=1e-9)
    torch.testing.assert_close(ours[1], ladj, rtol=0, atol=1e-8)


@pytest.mark.parametrize("inverse", [False, True])
def test_linear_equals_nflows(inverse: bool) -> None:
    from nflows.transforms.splines.linear import linear_spline as theirs

    x = torch.linspace(0.001, 0.999, 800)
    (heights,) = raw(800, 6)
    ours = linear_spline(x, heights, low=0.0, high=1.0, min_height=0.0, inverse=inverse)
    want = theirs(x, heights.T, inverse=inverse)
    # nflows shifts its last knot by 1e-6 in place: a value beside a knot may take the other bin there
    same_bin = (ours[1] - want[1]).abs() < 1e-4
    assert same_bin.double().mean() > 0.99
    torch.testing.assert_close(ours[0][same_bin], want[0][same_bin], rtol=0, atol=1e-5)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("free_edges", [False, True])
def test_quadratic_equals_nflows(inverse: bool, free_edges: bool) -> None:
    from nflows.transforms.splines.quadratic import quadratic_spline as theirs

    x = torch.linspace(-3, 3, 2001)
    widths, slopes = raw(2001, 8, 9 if free_edges else 7)
    minima = {"min_width": 2e-3, "min_slope": 0.03}
    ours = quadratic_spline(x, widths, slopes, **BOX, **minima, edge_weight=0.25, inverse=inverse)
    box = {"left": -3.0, "right": 3.0, "bottom": -3.0, "top": 3.0, "min_bin_width": 2e-3, "min_bin_height": 0.03}
    want = theirs(x, widths.T, slopes.T, inverse=inverse, **box)
    torch.testing.assert_close(ours[0], want[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(ours[1], want[1], rtol=0, atol=1e-9)


def test_quadratic_without_parameters_is_the_identity() -> None:
    """With edges that count a half; with a quarter, as in nflows, it is not."""
    x = torch.linspace(-3, 3, 101)
    parameters = torch.zeros(8, 101), torch.zeros(7, 101)
    y, ladj = quadratic_spline(x, *parameters, **BOX)
    torch.testing.assert_close(y, x, rtol=0, atol=1e-12)
    torch.testing.assert_close(ladj, torch.zeros(101), rtol=0, atol=1e-12)
    assert (quadratic_spline(x, *parameters, **BOX, edge_weight=0.25)[1]).abs().max() > 0.1


@pytest.mark.parametrize("name", SPLINES)
def test_covers_the_box_monotonically(name: str) -> None:
    spline, widths = SPLINES[name]
    parameters = [p.expand(-1, 2001) for p in raw(1, *widths, scale=2.0)]
    x = torch.linspace(-3, 3, 2001)
    y, ladj = spline(x, *parameters, **BOX)
    torch.testing.assert_close(y[[0, -1]], torch.tensor([-3.0, 3.0]), rtol=0, atol=1e-12)
    assert (y.diff() > 0).all()
    # the integral of the derivative is the map: trapezoids of a function with kinks
    total = torch.trapezoid(ladj.exp(), x)
    torch.testing.assert_close(total, torch.tensor(6.0), rtol=2e-2, atol=0)


@pytest.mark.parametrize("name", ["quadratic", "rational"])
def test_joins_the_identity_smoothly(name: str) -> None:
    spline, widths = SPLINES[name]
    for edge in (-3.0, 3.0):
        x = torch.tensor([edge * (1 - 1e-9), edge * (1 + 1e-9)])
        y, ladj = spline(x, *raw(2, *widths, scale=1.5), **BOX)
        torch.testing.assert_close(y, x, rtol=1e-7, atol=0)
        torch.testing.assert_close(ladj, torch.zeros(2), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", SPLINES)
@pytest.mark.parametrize("inverse", [False, True])
def test_gradcheck(name: str, inverse: bool) -> None:
    spline, widths = SPLINES[name]
    x = torch.tensor([-5.0, -2.2, -0.31, 0.47, 1.9, 4.0], requires_grad=True)
    parameters = [p.requires_grad_() for p in raw(6, *widths)]
    assert torch.autograd.gradcheck(lambda *a: spline(*a, **BOX, inverse=inverse), (x, *parameters), atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SPLINES)), st.floats(0.1, 6.0), st.integers(0, 10_000))
def test_round_trip_whatever_the_parameters(name: str, scale: float, seed: int) -> None:
    spline, widths = SPLINES[name]
    parameters = raw(200, *widths, scale=scale, seed=seed)
    y = torch.linspace(-3.5, 3.5, 200)
    x, ladj = spline(y, *parameters, **BOX, inverse=True)
    back, back_ladj = spline(x, *parameters, **BOX)
    # an error of one ulp in x is magnified by the slope
    tolerance = 1e-13 * (1 + back_ladj.exp()) + 1e-11
    assert ((back - y).abs() <= 100 * tolerance).all()
    assert torch.isfinite(ladj).all()


@pytest.mark.parametrize("scale", [2.0, 4.0])
def test_single_precision_is_no_worse_than_nflows(scale: float) -> None:
    """Maxima over harsh parameters, against float64: the inverse root must not cancel."""
    from nflows.transforms.splines.rational_quadratic import unconstrained_rational_quadratic_spline as theirs

    ours_worst, theirs_worst = [], []
    for seed in range(8):
        z = 6 * torch.rand(4000, generator=torch.Generator().manual_seed(seed)) - 3
        parameters = raw(4000, 8, 8, 7, scale=scale, seed=seed)
        exact = rational_quadratic_spline(z, *parameters, **BOX, inverse=True)
        single = [t.float() for t in (z, *parameters)]
        ours = rational_quadratic_spline(*single, **BOX, inverse=True)
        other = theirs(single[0], *(p.T for p in single[1:]), inverse=True, tails="linear", tail_bound=3.0)
        for worst, got in ((ours_worst, ours), (theirs_worst, other)):
            worst.append([float((g - e).abs().quantile(0.999)) for g, e in zip(got, exact, strict=True)])
    ours_median, theirs_median = (torch.tensor(w).median(0).values for w in (ours_worst, theirs_worst))
    assert (ours_median <= 1.2 * theirs_median).all(), (ours_median, theirs_median)


def test_edge_derivative_is_one() -> None:
    for floor in (1e-3, 1e-6, 0.1):
        value = floor + torch.nn.functional.softplus(torch.tensor(edge_derivative(floor)))
        torch.testing.assert_close(value, torch.tensor(1.0), rtol=1e-14, atol=0)


def test_too_many_bins_for_the_minimum() -> None:
    with pytest.raises(DomainError, match=r"lower the minimum below 0\.125"):
        linear_spline(torch.zeros(1), torch.zeros(8, 1), **BOX, min_height=0.2)
