"""One flow for all parameters: every integral right within its error, at values that were never seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import erf

from hepflows.applications.integration import PROCESSES, FamilyIntegrator, FlowIntegrator, FlowTraining
from hepflows.errors import CheckpointError, ConfigError, DomainError

BOUNDS, PARAMETERS = [(0.0, 1.0)] * 3, [(0.1, 0.9), (0.1, 0.4)]


def bump(x: np.ndarray, c: np.ndarray) -> np.ndarray:
    """A Gaussian at the first parameter, as wide as the second: no two members have a point of theirs in common, nearly."""
    return np.exp(-(((x - c[:, :1]) / c[:, 1:]) ** 2).sum(1))


def integral(m: float, s: float) -> float:
    return float((s * np.sqrt(np.pi) / 2 * (erf((1 - m) / s) + erf(m / s))) ** 3)


@pytest.fixture(scope="module")
def family() -> FamilyIntegrator:
    return FamilyIntegrator(BOUNDS, PARAMETERS, seed=1).fit(bump, 50_000)


def test_every_member_is_right_within_its_error(family: FamilyIntegrator) -> None:
    rng = np.random.default_rng(5)
    pulls, shares = [], []
    for _ in range(20):
        c = [rng.uniform(low, high) for low, high in PARAMETERS]
        result = family(c, 4000)
        pulls.append((result.mean - integral(*c)) / result.sdev)
        shares.append(result.ess)
    assert np.sqrt(np.mean(np.square(pulls))) < 1.5
    assert abs(np.mean(pulls)) < 0.8
    assert np.median(shares) > 0.7  # of 0.01 for flat points


def test_a_cut_as_parameter() -> None:
    """The rate of three jets for every resolution at once, where it is known in closed form."""

    def rate(x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        a, b = 1 - x[:, 0], 1 - x[:, 1]
        inside = torch.minimum(torch.minimum(a, b), 1 - a - b) > c[:, 0]
        return torch.where(inside, ((1 - a) ** 2 + (1 - b) ** 2) / (a * b).clamp(min=1e-12), torch.zeros(()))

    family = FamilyIntegrator([(0, 1)] * 2, [(0.01, 0.1)], seed=3).fit(rate, 30_000, style="torch")
    for y in (0.012, 0.05, 0.09):
        result = family([y], 10_000)
        truth = PROCESSES["ee3j_2d"](y=y).truth
        assert abs(result.mean - truth) < 5 * result.sdev
        assert result.sdev < 0.01 * truth


def test_a_member_draws_events(family: FamilyIntegrator) -> None:
    sample = family.sample([0.3, 0.1], 2000)
    assert sample.efficiency > 0.1
    assert abs(sample.x.mean() - 0.3) < 5 * 0.1 / np.sqrt(2 * 3 * 2000)
    assert sample.x.std(0).mean() == pytest.approx(0.1 / np.sqrt(2), rel=0.1)


def test_it_repeats_and_is_kept(family: FamilyIntegrator, tmp_path: Path) -> None:
    first, again = (FamilyIntegrator(BOUNDS, PARAMETERS, seed=2).fit(bump, 5000)([0.5, 0.2], 4000) for _ in range(2))
    assert again.mean == first.mean
    family.save(tmp_path / "family.safetensors")
    loaded = FamilyIntegrator.load(tmp_path / "family.safetensors")
    result = loaded.at([0.5, 0.2])(family.member([0.5, 0.2]), 4000, reuse=True)
    assert result.mean == family([0.5, 0.2], 4000).mean
    with pytest.raises(ConfigError, match="knows no function"):
        loaded([0.5, 0.2])
    FlowIntegrator([(0, 1)], seed=1)(lambda x: x[:, 0], 2000)
    with pytest.raises(CheckpointError, match="no integration sampler"):
        FlowIntegrator.load(tmp_path / "family.safetensors")


def test_what_cannot_be(family: FamilyIntegrator) -> None:
    with pytest.raises(ConfigError, match="fit the family"):
        FamilyIntegrator(BOUNDS, PARAMETERS)([0.5, 0.2])
    with pytest.raises(DomainError, match="outside the bounds"):
        family([0.5, 0.7])
    with pytest.raises(DomainError, match="2 parameters"):
        family([0.5])
    with pytest.raises(ConfigError, match="at least 5000"):
        FamilyIntegrator(BOUNDS, PARAMETERS).fit(bump, 100)
    with pytest.raises(ConfigError, match="two coordinates"):
        FamilyIntegrator([(0, 1)], PARAMETERS).fit(bump)
    with pytest.raises(ConfigError, match="of its own"):
        FamilyIntegrator(BOUNDS, PARAMETERS).fit(bump, training=FlowTraining(points="annealed"))
