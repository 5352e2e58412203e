"""Maps of one feature by themselves: where they start, which scales they have, what they refuse."""

from __future__ import annotations

import pytest
import torch
from bijection_table import UNIVARIATES

from hepflows.bijections import Affine, Elementwise, LinearSpline, QuadraticSpline, RationalQuadraticSpline
from hepflows.errors import DomainError


@pytest.mark.parametrize("name", UNIVARIATES)
def test_identity_is_the_identity(name: str) -> None:
    univariate = UNIVARIATES[name]
    x = torch.linspace(-2.9, 2.9, 57)
    raw = univariate.identity().to(x)[:, None].expand(-1, 57)
    for function in (univariate.forward, univariate.inverse):
        y, ladj = function(x, raw)
        torch.testing.assert_close(y, x, rtol=0, atol=1e-6)  # the raw numbers are those of single precision
        torch.testing.assert_close(ladj, torch.zeros(57), rtol=0, atol=1e-6)


def test_scales() -> None:
    raw = torch.linspace(-30, 30, 61)
    parameters = torch.stack([torch.full_like(raw, 0.5), raw])
    want = {
        "exp": torch.exp(3 * torch.tanh(raw / 3)),
        "softplus": torch.nn.functional.softplus(raw) + 0.01,
        "sigmoid": torch.sigmoid(raw + 2) + 0.01,
    }
    for scale, s in want.items():
        affine = Affine(3.0, scale=scale, min_scale=0.01)
        z, ladj = affine.forward(torch.full_like(raw, 2.0), parameters)
        torch.testing.assert_close(z, 2 * s + 0.5)
        torch.testing.assert_close(ladj, s.log())


@pytest.mark.parametrize("options", [{"scale": "square"}, {"min_scale": 0.0}, {"max_log_scale": -1.0}])
def test_no_such_affine_map(options: dict[str, object]) -> None:
    with pytest.raises(DomainError, match=next(iter(options))):
        Affine(**options)


SPLINES = {
    "linear": LinearSpline(5, box=(0.0, 1.0), outside="error"),
    "quadratic": QuadraticSpline(5, box=(0.0, 1.0), free_edges=True, outside="error"),
    "rational": RationalQuadraticSpline(5, box=(0.0, 1.0), free_edges=True, outside="error"),
}


@pytest.mark.parametrize("name", SPLINES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_a_box_refuses_and_what_it_takes(name: str, dtype: torch.dtype) -> None:
    rng = torch.Generator().manual_seed(0)
    bijection = Elementwise(SPLINES[name], 1).to(dtype)
    with torch.no_grad():
        bijection.raw.copy_(torch.randn(bijection.raw.shape, generator=rng))
    x = torch.linspace(0, 1, 20_001, dtype=dtype)[:, None]
    for function in (bijection.forward, bijection.inverse):
        for value in (-1e-6, 1.001):
            with pytest.raises(DomainError, match=r"takes values in \[0, 1\] only"):
                function(torch.tensor([[0.5], [value]], dtype=dtype))
        # rounding does not lift a value out of the box
        y, _ = function(x)
        assert y.min() >= 0
        assert y.max() <= 1
        assert function(x[:0])[0].shape == (0, 1)
    for inner in (bijection._forward, bijection._inverse):  # behind the border a NaN is nobody's value outside the box
        y, ladj = inner(torch.tensor([[0.5], [torch.nan]], dtype=dtype), None)
        assert torch.isfinite(y[0])
        assert torch.isnan(y[1])
    leaf = x[-3:].clone().requires_grad_()
    z, ladj = bijection(leaf)
    (slope,) = torch.autograd.grad(z.sum(), leaf)
    torch.testing.assert_close(slope[:, 0], ladj.exp().detach(), rtol=1e-4, atol=0)
