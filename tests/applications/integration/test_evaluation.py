"""The user's function in every form it may have."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hepflows.applications.integration import FlowIntegrator
from hepflows.applications.integration.domain import Domain
from hepflows.applications.integration.evaluation import Evaluation, load
from hepflows.errors import ConfigError, DomainError, IntegrandError

UNIT = Domain([(0.0, 1.0)] * 2)
FORMS = {
    "numpy": (lambda x: x[:, 0] + x[:, 1], "numpy"),
    "torch": (lambda x: torch.exp(x.log()).sum(-1), "torch"),
    "point": (lambda x: math.exp(math.log(x[0])) + x[1], "point"),
    "point, numpy inside": (lambda x: np.sum(x), "point"),
    "vector of a point": (lambda x: [x[0] + x[1], x[0]], "point"),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_are_recognised(form: str) -> None:
    function, style = FORMS[form]
    evaluation = Evaluation(function, UNIT)
    assert evaluation.style == style
    u = np.random.default_rng(0).random((7, 2))
    assert np.allclose(evaluation(u)[:, 0], u.sum(1))


def test_dictionaries_vectors_and_complex_numbers_come_back() -> None:
    def f(x: np.ndarray) -> dict[str, np.ndarray]:
        return {"a": np.exp(1j * x[:, 0]), "b": np.stack([x[:, 0], x[:, 1] ** 2], 1), "c": x[:, 0] < 0.5}

    result = FlowIntegrator([(0, 1), (0, 1)], seed=1)(f, 10_000)
    assert abs(result.mean["a"] - (np.sin(1) + 1j * (1 - np.cos(1)))) < 1e-3
    assert np.allclose(result.mean["b"], [1 / 2, 1 / 3], atol=1e-3)
    assert result.mean["c"] == pytest.approx(0.5, abs=1e-2)
    assert result.sdev["b"].shape == (2,)
    with pytest.raises(DomainError, match="complex"):
        result.gvar()


def test_numbers_for_gvar() -> None:
    result = FlowIntegrator([(0, 1)], seed=1)(lambda x: {"a": x[:, 0], "b": x**2}, 10_000)
    numbers = result.gvar()
    assert numbers["a"].mean == result.mean["a"]
    assert numbers["b"][0].sdev == result.sdev["b"][0]
    assert FlowIntegrator([(0, 1)], seed=1)(lambda x: x[:, 0], 10_000).gvar().mean == pytest.approx(0.5, abs=1e-3)


def test_bad_values_are_counted_and_told() -> None:
    result = FlowIntegrator([(0, 1)], seed=1)(lambda x: np.where(x[:, 0] < 0.25, np.nan, 1.0), 5_000)
    assert result.mean == pytest.approx(0.75, abs=5 * result.sdev + 1e-4)
    assert any("not finite at" in warning for warning in result.warnings)


def test_an_error_names_the_point() -> None:
    def f(x: np.ndarray) -> np.ndarray:
        if (x[:, 0] > 0.999).any():
            message = "no cross section there"
            raise ValueError(message)
        return x[:, 0]

    with pytest.raises(IntegrandError, match=r"ValueError at x = \(0\.999\d*, 0\.\d+\): no cross section there"):
        FlowIntegrator([(0, 1), (0, 1)], seed=1)(f, 20_000)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda x: "one", "numbers"),
        (lambda x: None, "numbers"),
        (lambda x: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_what_is_no_integrand(function: object, text: str) -> None:
    with pytest.raises(IntegrandError, match=text):
        Evaluation(function, UNIT)  # type: ignore[arg-type]


@pytest.mark.parametrize("bounds", [[], [(1, 0)], [(0, math.nan)], [0], ["ab"], [(0, 1, 2)]])
def test_bounds_that_are_none(bounds: list[object]) -> None:
    with pytest.raises(DomainError):
        Domain(bounds)  # type: ignore[arg-type]


def test_loading_by_name() -> None:
    assert load("math:sin") is math.sin
    for wrong in ("math", "math:nothing", "no_such_module:f", "math:pi"):
        with pytest.raises(ConfigError):
            load(wrong)
