"""Weights that turn draws from an approximate posterior into draws from the exact one, where the likelihood can be computed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hepflows.errors import DataError


@dataclass(frozen=True)
class Reweighted:
    r"""Posterior draws with importance weights :math:`w \propto p(x|\theta)\, p(\theta) / q(\theta|x)`.

    Args:
        theta: (n, *batch, P) draws from ``q``.
        weights: (n, *batch) weights, which add up to 1 over the draws.
        effective: (*batch) effective number of draws, 1 / sum of the squared weights.
        log_evidence: (*batch) log of the mean unnormalised weight: an estimate of log p(x), if likelihood and prior are normalised.
    """

    theta: Tensor
    weights: Tensor
    effective: Tensor
    log_evidence: Tensor

    @property
    def efficiency(self) -> Tensor:
        """(*batch) effective share of the draws."""
        return self.effective / len(self.weights)

    def resample(self, n: int, *, seed: int) -> Tensor:
        """Draw ``n`` of the points for each observation by their weights: ``(n, *batch, P)``, with repetitions.

        One stratified uniform number a draw, so that few points are lost to chance.
        """
        generator = torch.Generator().manual_seed(seed)
        flat = self.weights.reshape(len(self.weights), -1).T.contiguous()
        where = (torch.arange(n) + torch.rand(len(flat), n, generator=generator)) / n
        rows = torch.searchsorted(flat.cumsum(1), where.to(flat.dtype)).clamp_max(flat.shape[1] - 1)
        points = self.theta.reshape(len(self.theta), -1, self.theta.shape[-1]).transpose(0, 1)
        chosen = torch.take_along_dim(points, rows.unsqueeze(-1), 1).transpose(0, 1)
        order = torch.randperm(n, generator=generator)
        return chosen[order].reshape(n, *self.theta.shape[1:])


def reweight(theta: Tensor, log_posterior: Tensor, log_target: Tensor) -> Reweighted:
    """Importance weights of draws.

    Args:
        theta: (n, *batch, P) draws.
        log_posterior: (n, *batch) log density that they were drawn from.
        log_target: (n, *batch) log likelihood plus log prior; minus infinity where there is none.

    Raises:
        DataError: NaN, or an observation for which no draw has a positive weight.

    >>> theta = torch.tensor([[0.0], [1.0]])
    >>> reweight(theta, torch.tensor([0.0, 0.0]), torch.tensor([0.0, -torch.inf])).effective.item()
    1.0
    """
    log_weights = log_target.double() - log_posterior.double()
    if bool(log_weights.isnan().any()) or bool((log_weights == torch.inf).any()):
        message = (
            "the exact likelihood or prior of a draw is NaN or infinite: it must be finite, or -inf for what cannot be"
        )
        raise DataError(message)
    total = torch.logsumexp(log_weights, 0)
    if bool((total == -torch.inf).any()):
        message = "no draw has a likelihood above zero for at least one observation: the estimator does not reach its posterior"
        raise DataError(message)
    weights = (log_weights - total).exp()
    return Reweighted(theta, weights, 1 / weights.square().sum(0), total - math.log(len(weights)))
