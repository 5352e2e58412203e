"""Acceptance-rejection is right by itself, and the classifier finds events that are not."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from hepflows.applications.integration import FlowIntegrator, Integrand
from hepflows.applications.integration.integrands import camel
from hepflows.applications.integration.metrics import as_metrics, events_test, rejection
from hepflows.applications.integration.processes import ee3j_2d
from hepflows.errors import DataError
from hepflows.metrics import ClassifierProtocol

FAST = ClassifierProtocol("fast", hidden=(32, 32), inputs="standard", epochs=8, batch_size=128, learning_rate=5e-3)
LINE = Integrand("line", lambda x: 2 * x[:, 0], ((0.0, 1.0),), 1.0)


def test_rejection_has_the_moments_of_the_function() -> None:
    truth = rejection(LINE, 40_000, seed=1, bound=2.0)
    assert truth.exceeded == 0
    assert abs(truth.efficiency - 0.5) < 0.01
    assert abs(truth.x.mean() - 2 / 3) < 5 * math.sqrt(1 / 18 / 40_000)


def test_an_exceeded_bound_is_counted_and_stays_exact() -> None:
    truth = rejection(LINE, 40_000, seed=1, bound=1.0)  # above it for x > 1/2: half of all that are kept and more
    assert abs(truth.exceeded / 40_000 - 2 / 3) < 0.02
    assert 1.99 < truth.largest <= 2.0
    mean = np.average(truth.x[:, 0], weights=truth.weight)
    assert abs(mean - 2 / 3) < 5 * math.sqrt(1 / 18 / 40_000) * 1.2


def test_rejection_says_where_it_cannot_be_had() -> None:
    with pytest.raises(DataError, match="finite bounds"):
        rejection(Integrand("tail", lambda x: np.exp(-x[:, 0]), ((0.0, np.inf),)), 10, seed=1)
    with pytest.raises(DataError, match="nowhere negative"):
        rejection(Integrand("wave", lambda x: np.sin(7 * x[:, 0]), ((0.0, 1.0),)), 10, seed=1)
    with pytest.raises(DataError, match="no independent sample"):
        rejection(camel(16), 1000, seed=1, guess=np.full((1, 16), 1 / 3), most=10**6)
    with pytest.raises(DataError, match="positive largest value"):
        rejection(Integrand("zero", lambda x: 0 * x[:, 0], ((0.0, 1.0),)), 10, seed=1)


@pytest.mark.parametrize("integrand", [camel(2), ee3j_2d()], ids=lambda one: one.name)
def test_unweighted_events_cannot_be_told_from_acceptance_rejection(integrand: Integrand) -> None:
    integrator = FlowIntegrator(integrand.bounds, seed=2)
    integrator(integrand.function, 20_000)
    sample = integrator.sample(2000)
    result, truth = events_test(sample, integrand, seed=3, protocol=FAST, repeats=3)
    assert abs(result.auc - 0.5) < 4 * result.auc_std
    assert result.auc_std < 0.03
    assert result.power_ok
    assert abs(result.floor.auc - 0.5) < 4 * result.floor.auc_std
    metrics = as_metrics(result, truth)
    assert {"auc", "auc_std", "auc_floor", "truth_exceeded"} <= set(metrics)
    assert metrics["n_truth"] == 4000


def test_events_that_lack_a_hump_are_found_and_weights_count() -> None:
    integrand = camel(2)
    integrator = FlowIntegrator(integrand.bounds, seed=2)
    integrator(integrand.function, 20_000)
    sample = integrator.sample(2000)
    upper = sample.x.sum(1) > 1
    lame = dataclasses.replace(sample, weight=np.where(upper, 0.1, 1.0))
    wrong, _ = events_test(lame, integrand, seed=3, protocol=FAST, repeats=1)
    assert wrong.auc > 0.65  # 1/2 + (10/11 - 1/2) / 2 at best
    with pytest.raises(DataError, match="negative weight"):
        events_test(dataclasses.replace(sample, weight=-sample.weight), integrand, seed=3)
