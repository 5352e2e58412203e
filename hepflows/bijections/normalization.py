"""Normalisation by the moments of the data that pass through."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from hepflows.bijections.base import Bijection
from hepflows.errors import DomainError


class BatchNorm(Bijection):
    r"""Batch normalisation between bijections (arXiv:1605.08803, section 3.7; arXiv:1705.07057).

    .. math:: z = w\, \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + b, \qquad
              \mathrm{ladj} = \sum_i \log w_i - \tfrac12 \log (\sigma_i^2 + \epsilon), \qquad
              w = \epsilon + \mathrm{softplus}(r)

    In training ``mu`` and ``sigma^2`` are the mean and the unbiased variance of the batch, through which gradients flow, and running
    averages follow them; in ``eval()`` mode they are the running averages, and only then is there an inverse. With the averages
    at their start, zero and one, and the weights at theirs, the map is the identity up to ``epsilon``.

    Args:
        features: number of features.
        epsilon: added to variances and weights.
        momentum: weight of a batch in the running averages.

    Raises:
        DomainError: an inverse in training, or a batch of one event in training.

    Example:
        >>> norm = BatchNorm(2)
        >>> z, _ = norm(torch.tensor([[0.0, 10.0], [2.0, 30.0]]))
        >>> [round(value, 3) for value in z.flatten().tolist()]
        [-0.707, -0.707, 0.707, 0.707]
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, features: int, epsilon: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(features)
        if not 0 < epsilon < 1 or not 0 <= momentum <= 1:
            message = f"a BatchNorm needs epsilon in (0, 1) and momentum in [0, 1], got {epsilon} and {momentum}"
            raise DomainError(message)
        self.epsilon, self.momentum = epsilon, momentum
        self.raw_weight = nn.Parameter(torch.full((features,), math.log(math.expm1(1 - epsilon))))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    @property
    def weight(self) -> Tensor:
        """The positive scale ``w``, (D,)."""
        return softplus(self.raw_weight) + self.epsilon

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training:
            return self.running_mean, self.running_var
        if len(x) < 2:
            message = (
                "a BatchNorm in training needs at least 2 events for a variance, got 1: "
                "use larger batches or call .eval()"
            )
            raise DomainError(message)
        mean, variance = x.mean(0), x.var(0)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        return mean, variance

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        mean, variance = self._moments(x)
        variance = variance + self.epsilon
        z = self.weight * ((x - mean) / variance.sqrt()) + self.bias
        return z, (self.weight.log() - 0.5 * variance.log()).sum().expand(x.shape[0])

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.training:
            message = (
                "a BatchNorm has no inverse in training, where its moments are those of a batch: call .eval() first"
            )
            raise DomainError(message)
        variance = self.running_var + self.epsilon
        x = variance.sqrt() * ((z - self.bias) / self.weight) + self.running_mean
        return x, (0.5 * variance.log() - self.weight.log()).sum().expand(z.shape[0])
