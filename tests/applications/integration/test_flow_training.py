"""What a flow of the cube is made of and learns from, by option: the integral stays right, and the flow gains."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hepflows.applications.integration import FlowIntegrator, FlowTraining
from hepflows.applications.integration.annealed import annealed_points
from hepflows.applications.integration.domain import Domain
from hepflows.applications.integration.evaluation import Evaluation
from hepflows.applications.integration.flow_map import FlowMap
from hepflows.applications.integration.integrands import INTEGRANDS
from hepflows.applications.integration.maps import Composition
from hepflows.applications.integration.vegas import VegasMap
from hepflows.errors import ConfigError


@pytest.mark.parametrize("spline", ["quadratic", "linear"])
def test_every_spline(spline: str, tmp_path) -> None:
    case = INTEGRANDS["circles"]()
    integrator = FlowIntegrator(case.bounds, seed=1)
    result = integrator(case, 60_000, method="flow", training=FlowTraining(spline=spline, hidden=(32, 32)))
    assert abs(result.mean - case.truth) < 5 * result.sdev
    assert result.ess > 0.3  # of the maps alone: 0.17
    integrator.save(tmp_path / "flow.safetensors")
    x = np.random.default_rng(1).random((50, 2))
    assert np.array_equal(FlowIntegrator.load(tmp_path / "flow.safetensors").log_prob(x), integrator.log_prob(x))


def peak(x: torch.Tensor) -> torch.Tensor:
    """A narrow Gaussian in six dimensions, away from the middle: of integral one."""
    return torch.exp(-(((x - 0.7) / 0.15) ** 2).sum(1) - 6 * math.log(0.15 * math.sqrt(math.pi)))


def test_annealed_points_are_those_of_the_target() -> None:
    """From a flow that never saw it: moments of the peak and its integral, from the weights alone."""
    evaluation = Evaluation(peak, Domain([(0.0, 2.0)] * 6), style="torch")
    frame = Composition([VegasMap.flat(6, 16)])
    draw = annealed_points(evaluation, frame, seed=1)
    flow = FlowMap(6, seed=2)
    for i in range(4):  # the step is found on the way
        drawn = draw(flow, 40_000, i)
    u, ladj = frame.inverse(drawn.y)
    p = peak(torch.from_numpy(2 * u)).numpy() * 2**6 * np.exp(ladj)
    assert np.allclose(drawn.weights * np.exp(drawn.log_density), p, rtol=1e-3)
    share = drawn.weights / drawn.weights.sum()
    assert 1 / np.square(share).sum() > 100  # of as many uniform points, less than one
    assert np.allclose(share @ (2 * u), 0.7, atol=0.04)
    assert evaluation.calls == pytest.approx(4 * 40_000, rel=0.3)


def test_good_flows_are_not_annealed() -> None:
    evaluation = Evaluation(lambda x: 1 + x[:, 0], Domain([(0.0, 1.0)] * 2), style="torch")
    drawn = annealed_points(evaluation, VegasMap.flat(2, 16), seed=1)(FlowMap(2, seed=2), 1000, 0)
    assert len(drawn.y) == 1000


def test_annealed_training_needs_a_gradient() -> None:
    with pytest.raises(ConfigError, match="write it in torch"):
        FlowIntegrator([(0, 1)] * 4, seed=1)(
            lambda x: np.exp(-1e4 * ((x - 0.3) ** 2).sum(1)),
            20_000,
            method="flow",
            training=FlowTraining(points="annealed"),
        )


def test_a_continuous_flow_teaches(monkeypatch: pytest.MonkeyPatch) -> None:
    from hepflows.applications.integration import distilled, flow_training

    monkeypatch.setattr(distilled, "STEPS", 200)
    monkeypatch.setattr(distilled, "POINTS", 4096)
    monkeypatch.setattr(flow_training, "LESSONS", 60)
    case = INTEGRANDS["camel4"]()
    result = FlowIntegrator(case.bounds, seed=1)(case, 40_000, method="flow", training=FlowTraining(points="distilled"))
    assert abs(result.mean - case.truth) < 5 * result.sdev
    assert result.ess > 0.6


def test_what_cannot_be() -> None:
    integrator = FlowIntegrator([(0, 1)] * 2)
    with pytest.raises(ConfigError, match="rational_quadratic, quadratic, linear"):
        integrator(lambda x: x[:, 0], 2000, training=FlowTraining(spline="cubic"))
    with pytest.raises(ConfigError, match="own, annealed, distilled"):
        integrator(lambda x: x[:, 0], 2000, training=FlowTraining(points="magic"))
