"""What every bijection must pass."""

from __future__ import annotations

import copy

import pytest
import torch
from bijection_table import CONTEXT, FEATURES, TABLE, build, contexts, points

from hepflows.errors import ContextError, DomainError, ShapeError

NAMES = list(TABLE)


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(name: str) -> None:
    bijection, x = build(name), points(name)
    context = contexts(bijection)
    with torch.no_grad():
        z, ladj = bijection(x, context)
        back, back_ladj = bijection.inverse(z, context)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-7)  # the steepest slope times round-off
    torch.testing.assert_close(back_ladj, -ladj, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_ladj_is_that_of_autograd(name: str, direction: str) -> None:
    bijection, x = build(name), points(name, 6)
    context = contexts(bijection, 6)
    if direction == "inverse":
        x = bijection(x, context)[0].detach()
    function = getattr(bijection, direction)
    ladj = function(x, context)[1]
    for i in range(len(x)):
        row = None if context is None else context[i]
        jacobian = torch.autograd.functional.jacobian(lambda y, row=row: function(y, row)[0], x[i])
        torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], ladj[i], rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_gradients_are_finite_at_and_beyond_every_edge(name: str, direction: str) -> None:
    bijection = build(name)
    edges = torch.tensor([0.0, 1.0, 0.5] if name == "logit" else [-3.0, 3.0, -0.5, 2.5, 0.0, -50.0, 50.0, 1e4])
    x = edges[:, None].expand(-1, FEATURES).clone().requires_grad_()
    context = contexts(bijection, len(x))
    z, ladj = getattr(bijection, direction)(x, context)
    assert torch.isfinite(z).all()
    assert torch.isfinite(ladj).all()
    (z.sum() + ladj.sum()).backward()
    assert torch.isfinite(x.grad).all()
    for parameter in bijection.parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    bijection, x = build(name), points(name)
    z, ladj = bijection(x.requires_grad_(), contexts(bijection))
    ((z * z).sum() - ladj.sum()).backward()
    missing = [key for key, parameter in bijection.named_parameters() if parameter.grad is None]
    assert not missing


@pytest.mark.parametrize("name", NAMES)
def test_events_do_not_see_each_other(name: str) -> None:
    bijection, x = build(name), points(name)
    context = contexts(bijection)
    z, ladj = bijection(x, context)
    one, one_ladj = bijection(x[7:8], None if context is None else context[7:8])
    torch.testing.assert_close(one[0], z[7], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(one_ladj[0], ladj[7], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_is_close(name: str) -> None:
    bijection, x = build(name), points(name)
    context = contexts(bijection)
    z, ladj = bijection(x, context)
    single = copy.deepcopy(bijection).float()
    z32, ladj32 = single(x.float(), None if context is None else context.float())
    assert z32.dtype == ladj32.dtype == torch.float32
    # a point within rounding of a knot may take the other bin: quantiles, not maxima
    assert (z32 - z).abs().quantile(0.95) < 1e-3
    assert (ladj32 - ladj).abs().median() < 1e-3


@pytest.mark.parametrize("name", [name for name in NAMES if name != "logit"])
def test_a_nan_stays_in_its_row(name: str) -> None:
    """Behind the border, where one may still come up."""
    bijection, x = build(name), points(name)
    x[3, 1] = torch.nan
    with torch.no_grad():
        z, ladj = bijection._forward(x, contexts(bijection))
    good = torch.arange(len(x)) != 3
    assert torch.isfinite(z[good]).all()
    assert torch.isfinite(ladj[good]).all()
    assert torch.isnan(z[3]).any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_refused(name: str, direction: str, value: float) -> None:
    bijection, x = build(name), points(name)
    context = contexts(bijection)
    function = getattr(bijection, direction)
    bad = x.clone()
    bad[3, 1], bad[7, 0] = value, -value
    with pytest.raises(DomainError, match=r"the input holds 2 values that are not finite, the first at index \(3, 1\)"):
        function(bad, context)
    if context is not None:
        context[4, 1] = value
        with pytest.raises(
            DomainError, match=r"the context holds 1 value that is not finite, the first at index \(4, 1\)"
        ):
            function(x, context)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_arguments(name: str) -> None:
    bijection, x = build(name), points(name, 12)
    context = contexts(bijection, 4)
    z, ladj = bijection(x.view(3, 4, FEATURES), context)
    assert z.shape == (3, 4, FEATURES)
    assert ladj.shape == (3, 4)
    with pytest.raises(ShapeError, match=rf"\(\.\.\., {FEATURES}\)"):
        bijection(x[:, :-1], context)
    if list(bijection.parameters()):
        with pytest.raises(ShapeError, match=r"the input is torch\.float32 and the model torch\.float64"):
            bijection(x.float(), context)
    if context is None:
        with pytest.raises(ContextError, match="unconditional"):
            bijection(x, torch.zeros(12, CONTEXT))
    else:
        with pytest.raises(ContextError, match="pass context="):
            bijection(x)
        with pytest.raises(ContextError, match=rf"\(\.\.\., {CONTEXT}\)"):
            bijection(x, torch.zeros(12, CONTEXT + 1))
        with pytest.raises(ContextError, match="leading axes"):
            bijection(x, torch.zeros(5, CONTEXT))
