"""Divergences: values by quadrature, gradients against those of the quadrature."""

from __future__ import annotations

import pytest
import torch

from hepflows.errors import DomainError
from hepflows.training.divergences import DIVERGENCES, DivergenceLoss, alpha_divergence

GRID = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000 * 16 - 8
ALL = {**DIVERGENCES, "alpha 0.5": alpha_divergence(0.5), "alpha 3": alpha_divergence(3.0)}


def _log_normal(x: torch.Tensor, mean: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    return -0.5 * ((x - mean) / sigma) ** 2 - sigma.log() - 0.5 * torch.log(torch.tensor(2 * torch.pi))


def _log_p() -> torch.Tensor:
    return _log_normal(GRID, torch.tensor(0.2), torch.tensor(1.0, dtype=torch.float64))


@pytest.mark.parametrize("name", ALL)
def test_gradient_is_that_of_the_divergence(name: str) -> None:
    """The loss on a grid, whose points come from a flat proposal, against autograd through the integral itself."""
    parameters = torch.tensor([0.0, 1.1], dtype=torch.float64, requires_grad=True)
    log_q = _log_normal(GRID, parameters[0], parameters[1])
    q, w = log_q.exp(), (_log_p() - log_q).exp()
    exact = torch.autograd.grad((q * ALL[name].value(w)).mean() * 16, parameters)[0]
    log_q = _log_normal(GRID, parameters[0], parameters[1])
    flat = torch.full_like(GRID, 1 / 16).log()
    loss = DivergenceLoss(ALL[name])(log_q, _log_p(), flat)
    assert torch.allclose(torch.autograd.grad(loss, parameters)[0], exact, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_zero_for_equal_densities_and_positive_elsewhere(name: str) -> None:
    assert abs(ALL[name].value(torch.ones(1)).item()) < 1e-6
    log_q = _log_normal(GRID, torch.tensor(0.0), torch.tensor(1.1, dtype=torch.float64))
    assert (log_q.exp() * ALL[name].value((_log_p() - log_q).exp())).mean() * 16 > 1e-4


def test_relations_of_the_alpha_family() -> None:
    w = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)
    assert torch.allclose(2 * alpha_divergence(2.0).value(w), w**2 - 1)
    near = alpha_divergence(1 + 1e-6).value(w) + (1 - w) / (1e-6 * (1 + 1e-6)) * 0
    assert torch.isfinite(near).all()
    assert torch.allclose(alpha_divergence(0.5).score(w), 4 * DIVERGENCES["hellinger"].score(w))


def test_clipped_score_goes_on_like_kl() -> None:
    log_q = torch.zeros(2, requires_grad=True)
    DivergenceLoss("alpha", alpha=3.0, clip=2.0)(log_q, torch.tensor([2.0, 20.0]).log()).backward()
    assert log_q.grad is not None
    assert torch.allclose(log_q.grad * 2, -torch.tensor([8 / 3, 8 / 3 * 10]))


def test_unknown_names() -> None:
    for arguments in ({"divergence": "wasserstein"}, {"divergence": "alpha"}):
        with pytest.raises(DomainError):
            DivergenceLoss(**arguments)  # type: ignore[arg-type]
    with pytest.raises(DomainError):
        alpha_divergence(1)
