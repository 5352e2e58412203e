"""Bounds and simplex: the map, its inverse, and its Jacobian against autograd."""

from __future__ import annotations

import math

import pytest
import torch

from hepflows.errors import ConfigError, DomainError
from hepflows.posterior import Parameters


def space():
    return Parameters(7, [(-2, 3), (18, 20.5), None, None, None, None, None], simplex=[2, 3, 4, 5, 6])


def points(n, seed=0):
    rng = torch.Generator().manual_seed(seed)
    box = torch.rand(n, 2, generator=rng, dtype=torch.float64) * torch.tensor([5.0, 2.5]) + torch.tensor([-2.0, 18.0])
    sticks = torch.rand(n, 5, generator=rng, dtype=torch.float64).log()
    return torch.cat([box, sticks / sticks.sum(-1, keepdim=True)], -1)


def test_round_trip():
    theta = points(500)
    y, _ = space()(theta)
    assert y.shape == (500, 6)
    torch.testing.assert_close(space().inverse(y), theta, atol=1e-12, rtol=1e-9)


def test_uniform_parameters_become_normal():
    """Uniform in the box, Dirichlet(1) on the simplex: all six coordinates are standard normal and independent."""
    y, ladj = space()(points(20_000))
    assert float(y.mean(0).abs().max()) < 0.03
    assert float((y.T.cov() - torch.eye(6)).abs().max()) < 0.04
    normal = -0.5 * y.square().sum(-1) - 3 * math.log(2 * math.pi)
    flat = -math.log(5 * 2.5) + math.lgamma(5)  # the density of the prior
    torch.testing.assert_close(normal + ladj, torch.full_like(ladj, flat))


def test_jacobian_is_that_of_autograd():
    chosen = space()
    for theta in points(5, seed=3):
        free = torch.cat([theta[:2], theta[2:6]])

        def mapped(six):
            return chosen(torch.cat([six, 1 - six[2:].sum(-1, keepdim=True)]))[0]

        jacobian = torch.autograd.functional.jacobian(mapped, free)
        assert float(torch.linalg.slogdet(jacobian)[1]) == pytest.approx(float(chosen(theta)[1]), rel=1e-8)


def test_vanishing_fractions_stay_finite():
    theta = torch.tensor(
        [[0.0, 19.0, 0.0, 1.0, 0.0, 0.0, 0.0], [-2.0, 20.5, 1.0, 0.0, 0.0, 0.0, 0.0]], dtype=torch.float64
    )
    y, ladj = space()(theta)
    assert bool(y.isfinite().all())
    assert bool(ladj.isfinite().all())
    torch.testing.assert_close(space().inverse(y), theta, atol=1e-2, rtol=0)


def test_wrong_parameters_are_one_sentence():
    theta = points(2)
    theta[0, 2] += 0.1
    with pytest.raises(DomainError, match="add up to 1"):
        space()(theta)
    with pytest.raises(ConfigError, match="without bounds"):
        Parameters(2, [(0, 1), None], simplex=[0, 1])
    with pytest.raises(ConfigError, match="a pair of bounds"):
        Parameters(2, [(0, 1)])
