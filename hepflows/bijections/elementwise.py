r"""Maps of one number, and bijections that act on each feature by itself.

A `Univariate` is the map of a single feature, its raw parameters handed in: by a masked network in an autoregressive
bijection, by a network of the other features in a coupling, or learnt directly in `Elementwise`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from hepflows.bijections.base import Bijection
from hepflows.errors import DomainError
from hepflows.nets import MLP


class Univariate(ABC):
    """An increasing map of one number with ``per_feature`` raw parameters."""

    per_feature: int

    @abstractmethod
    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """``x`` (..., D) and ``parameters`` (..., P, D) to ``z`` (..., D) and ``log dz/dx`` (..., D)."""

    @abstractmethod
    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """``z`` (..., D) and ``parameters`` (..., P, D) to ``x`` (..., D) and ``log dx/dz`` (..., D)."""

    @abstractmethod
    def identity(self) -> Tensor:
        """The raw parameters (P,) that make the map the identity."""


class Shift(Univariate):
    """z = x + t: the map of NICE (arXiv:1410.8516), of unit Jacobian."""

    per_feature = 1

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return x + parameters[..., 0, :], torch.zeros_like(x)

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return z - parameters[..., 0, :], torch.zeros_like(z)

    def identity(self) -> Tensor:
        return torch.zeros(1)


class Affine(Univariate):
    r"""z = x e^s + t with :math:`s = S \tanh(r / S)` (arXiv:1605.08803).

    Args:
        max_log_scale: ``S``; the scale stays within :math:`e^{\pm S}`, so that no step of the training can overflow.
    """

    per_feature = 2

    def __init__(self, max_log_scale: float = 5.0) -> None:
        self.max_log_scale = max_log_scale

    def _log_scale(self, raw: Tensor) -> Tensor:
        return self.max_log_scale * torch.tanh(raw / self.max_log_scale)

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale = self._log_scale(parameters[..., 1, :])
        return x * log_scale.exp() + parameters[..., 0, :], log_scale

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale = self._log_scale(parameters[..., 1, :])
        return (z - parameters[..., 0, :]) * (-log_scale).exp(), -log_scale

    def identity(self) -> Tensor:
        return torch.zeros(2)


class Elementwise(Bijection):
    """One `Univariate` a feature, its parameters learnt, or computed from the context alone.

    Args:
        univariate: the map of one feature.
        features: number of features.
        context_features: width of the context; with one, a network of it gives the parameters.
        hidden: widths of that network.
        generator: draws its initial weights.
    """

    def __init__(
        self,
        univariate: Univariate,
        features: int,
        context_features: int = 0,
        *,
        hidden: tuple[int, ...] = (64, 64),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(features, context_features)
        self.univariate = univariate
        self.raw = nn.Parameter(univariate.identity()[:, None].repeat(1, features))
        self.net: MLP | None = None
        if context_features:
            self.net = MLP(
                0, features * univariate.per_feature, hidden, context_features=context_features, generator=generator
            )

    def _conditioned(self, x: Tensor, context: Tensor | None) -> Tensor:
        parameters = self.raw.expand(len(x), -1, -1)
        if self.net is not None:
            parameters = parameters + self.net(x[:, :0], context).view(parameters.shape)
        return parameters

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        z, ladj = self.univariate.forward(x, self._conditioned(x, context))
        return z, ladj.sum(-1)

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        x, ladj = self.univariate.inverse(z, self._conditioned(z, context))
        return x, ladj.sum(-1)


class Logit(Bijection):
    r"""The unit interval to the line, away from its ends: z = logit(a + (1 - 2 a) x), with x in [0, 1].

    Args:
        features: number of features.
        alpha: the margin ``a``; with 1e-6 the ends go to about -+13.8 and stay finite.

    Raises:
        DomainError: an input lies outside [0, 1].
    """

    def __init__(self, features: int, alpha: float = 1e-6) -> None:
        super().__init__(features)
        self.alpha = alpha

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        if bool(((x < 0) | (x > 1)).any()):
            message = f"a Logit takes values in [0, 1], got {x.min():.6g} to {x.max():.6g}: rescale the data first"
            raise DomainError(message)
        y = self.alpha + (1 - 2 * self.alpha) * x
        z = torch.log(y) - torch.log1p(-y)
        return z, -self._log_slope(z).sum(-1)

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        x = (torch.sigmoid(z) - self.alpha) / (1 - 2 * self.alpha)
        return x, self._log_slope(z).sum(-1)

    def _log_slope(self, z: Tensor) -> Tensor:
        """The logarithm of dx/dz."""
        return logsigmoid(z) + logsigmoid(-z) - torch.log1p(torch.full_like(z, -2 * self.alpha))


class Standardize(Bijection):
    """z = (x - mean) / std with fixed numbers, those of the training set.

    Args:
        mean: (D,) means.
        std: (D,) standard deviations, all positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__(len(mean))
        if not bool((std > 0).all()):
            message = (
                f"every standard deviation must be positive, the smallest is {std.min():.3g}: drop constant features"
            )
            raise DomainError(message)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return (x - self.mean) / self.std, -self.std.log().sum().expand(len(x))

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return z * self.std + self.mean, self.std.log().sum().expand(len(z))
