"""Bijections that act on each feature by itself."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from hepflows.bijections.base import Bijection
from hepflows.bijections.univariate import Univariate
from hepflows.errors import DomainError
from hepflows.nets import MLP
from hepflows.shapes import readable


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
        self.raw = nn.Parameter(univariate.identity().repeat(features, 1))
        self.net: MLP | None = None
        if context_features:
            self.net = MLP(
                0, features * univariate.per_feature, hidden, context_features=context_features, generator=generator
            )

    def _conditioned(self, x: Tensor, context: Tensor | None) -> Tensor:
        parameters = self.raw.unsqueeze(-1).expand(-1, -1, x.shape[0])
        if self.net is not None:
            parameters = parameters + self.net(x[:, :0], context).T.reshape(parameters.shape)
        return parameters

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        z, ladj = self.univariate.forward(x.T, self._conditioned(x, context))
        return z.T, ladj.sum(0)

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        x, ladj = self.univariate.inverse(z.T, self._conditioned(z, context))
        return x.T, ladj.sum(0)


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
        if readable(x) and bool(((x < 0) | (x > 1)).any()):
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
        return logsigmoid(z) + logsigmoid(-z) - math.log1p(-2 * self.alpha)


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
        return (x - self.mean) / self.std, -self.std.log().sum().expand(x.shape[0])

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return z * self.std + self.mean, self.std.log().sum().expand(z.shape[0])
