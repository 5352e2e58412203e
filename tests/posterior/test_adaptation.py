"""Importance sampling that adapts itself, on densities whose moments and norm are known."""

from __future__ import annotations

import math

import pytest
import torch

from hepflows.errors import DataError
from hepflows.posterior.adaptation import _Kernels, population_monte_carlo


def start(n, features, seed=0, scale=3.0):
    points = scale * torch.randn(n, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    density = -0.5 * (points / scale).square().sum(1) - features * (math.log(scale) + 0.5 * math.log(2 * math.pi))
    return points, density


def test_narrow_correlated_gaussian_far_from_the_first_points():
    """Seven dimensions, a thousandth of the volume and two spreads away: mean, covariance and norm."""
    mean = torch.full((7,), 3.0, dtype=torch.float64)
    factor = torch.eye(7, dtype=torch.float64) * 0.2 + torch.tril(torch.full((7, 7), 0.1, dtype=torch.float64), -1)
    target = torch.distributions.MultivariateNormal(mean, scale_tril=factor)
    found = population_monte_carlo(target.log_prob, *start(2000, 7), 8000, seed=1)
    assert found.temperature == 1.0
    assert found.efficiency > 0.3
    assert abs(float(found.log_weights.exp().mean()) - 1) < 5 * float(found.log_weights.exp().std()) / 8000**0.5
    weights = torch.softmax(found.log_weights, 0)
    average = weights @ found.points
    spread = target.variance.sqrt()
    assert float(((average - mean) / spread).abs().max()) < 5 / (0.3 * 8000) ** 0.5
    covariance = (weights[:, None] * (found.points - average)).T @ (found.points - average)
    assert float(((covariance - target.covariance_matrix) / torch.outer(spread, spread)).abs().max()) < 0.12


def test_two_modes_keep_their_shares():
    def log_target(x):
        first = -0.5 * ((x - 2) / 0.3).square().sum(1) + math.log(0.3)
        second = -0.5 * ((x + 2) / 0.3).square().sum(1) + math.log(0.7)
        return torch.logaddexp(first, second)

    found = population_monte_carlo(log_target, *start(4000, 2), 8000, seed=2)
    weights = torch.softmax(found.log_weights, 0)
    assert abs(float(weights[found.points[:, 0] > 0].sum()) - 0.3) < 0.03


def test_density_of_the_kernels_is_normalised():
    points, _ = start(50, 2, scale=1.0)
    kernels = _Kernels(points, torch.zeros(50, dtype=torch.float64), torch.Generator().manual_seed(1))
    axis = torch.linspace(-14, 14, 281, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    assert float(kernels.log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** 2) == pytest.approx(1.0, abs=1e-3)
    draws = kernels.draw(40_000, torch.Generator().manual_seed(2))
    inside = (draws.abs() < 1.05).all(1).double().mean()  # where the cells of the nodes up to 1.0 end
    cell = kernels.log_prob(grid[(grid.abs() < 1.05).all(1)]).exp().sum() * (axis[1] - axis[0]) ** 2
    assert abs(float(inside - cell)) < 0.01


def test_nothing_to_find_is_one_sentence():
    with pytest.raises(DataError, match="zero at all of them"):
        population_monte_carlo(lambda x: torch.full((len(x),), -torch.inf), *start(100, 2), 100, seed=1)
