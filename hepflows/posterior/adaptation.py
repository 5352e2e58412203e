"""From draws that are nearly right to weighted draws of an exact posterior, by importance sampling that adapts itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hepflows.errors import DataError

Density = Callable[[Tensor], Tensor]

_FREEDOM = 6.0  # of the Student kernels: tails that are heavier than those of a posterior
_WIDTH = 0.7  # of a kernel, in units of the spread of all points
_CENTRES = 1000
_SHARE = 0.1  # effective share that a tempered target must reach
_PAIRS = 1 << 22  # points times centres at once


@dataclass(frozen=True)
class Adapted:
    """Weighted draws.

    Args:
        points: (n, D) draws of the last proposal.
        log_weights: (n,) log of target over proposal.
        rounds: proposals that were made.
        temperature: power of the target that the last proposal was made for; 1 where the adaptation came to its end.
    """

    points: Tensor
    log_weights: Tensor
    rounds: int
    temperature: float

    @property
    def efficiency(self) -> float:
        """Effective share of the draws."""
        weights = torch.softmax(self.log_weights, 0)
        return float(1 / weights.square().sum()) / len(weights)


def population_monte_carlo(
    log_target: Density, points: Tensor, log_density: Tensor, n: int, *, seed: int, size: int = 4000, rounds: int = 15
) -> Adapted:
    r"""Draw from a density by population Monte Carlo (arXiv:0710.4242) with a temperature.

    Weighted points are taken as centres of Student kernels, whose mixture is the next proposal. The target is raised to the largest power
    :math:`\tau \le 1` at which a tenth of the points are effective, until that power is 1; then twice more, the last time with ``n`` points. The weights are
    exact for whatever proposal came out; the proposal finds what the first points reach: a mode that none of them comes near is missed.

    Args:
        log_target: log of the density, up to a constant, of points (N, D); minus infinity is allowed.
        points: (m, D) the first points, such as draws of a flow, in coordinates without bounds.
        log_density: (m,) log of the density that they were drawn from.
        n: points that are returned.
        seed: of all draws.
        size: points of a round.
        rounds: at most.

    Raises:
        DataError: the target is NaN, or minus infinity at all points.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> start = 3 + 3 * torch.randn(500, 1, generator=generator, dtype=torch.float64)
        >>> density = -0.5 * ((start[:, 0] - 3) / 3).square() - math.log(3)
        >>> found = population_monte_carlo(lambda x: -0.5 * (x[:, 0] / 0.05).square(), start, density, 1000, seed=1)
        >>> found.temperature, found.efficiency > 0.6
        (1.0, True)
    """
    rng = torch.Generator().manual_seed(seed)
    log_weights = _checked(log_target(points)) - log_density
    arrived = 0
    for count in range(1, rounds + 1):
        power = _temperature(log_weights)
        arrived += power == 1.0
        last = arrived == 3 or count == rounds
        proposal = _Kernels(points, power * log_weights, rng)
        points = proposal.draw(n if last else size, rng)
        log_weights = _checked(log_target(points)) - proposal.log_prob(points)
        if last:
            break
    return Adapted(points, log_weights, count, power)


def _checked(values: Tensor) -> Tensor:
    if bool(values.isnan().any()) or not bool((values > -torch.inf).any()):
        message = "the exact posterior is NaN at a point, or zero at all of them: check its likelihood and its prior"
        raise DataError(message)
    return values.double()


def _share(log_weights: Tensor) -> float:
    weights = torch.softmax(log_weights, 0)
    return float(1 / weights.square().sum()) / len(weights)


def _temperature(log_weights: Tensor) -> float:
    """The largest power at which enough points are effective."""
    if _share(log_weights) >= _SHARE:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _share(middle * log_weights) >= _SHARE else (low, middle)
    return max(low, 1e-6)


class _Kernels:
    """A mixture of Student kernels about weighted points."""

    def __init__(self, points: Tensor, log_weights: Tensor, rng: torch.Generator) -> None:
        weights = torch.softmax(log_weights, 0)
        mean = weights @ points
        centred = points - mean
        covariance = (weights[:, None] * centred).T @ centred
        covariance.diagonal().add_(1e-12 + 1e-9 * covariance.diagonal().mean())
        self.scale = _WIDTH * torch.linalg.cholesky(covariance)
        self.centres = points[torch.multinomial(weights, _CENTRES, replacement=True, generator=rng)]

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        features = self.centres.shape[1]
        chosen = self.centres[torch.randint(_CENTRES, (n,), generator=rng)]
        normal = torch.randn(n, features, generator=rng, dtype=torch.float64)
        # chi squared with an even number of degrees of freedom: a sum of exponentials
        half = torch.rand(n, int(_FREEDOM) // 2, generator=rng, dtype=torch.float64).clamp_min(1e-300).log().sum(1)
        return chosen + (normal @ self.scale.T) * (_FREEDOM / (-2 * half)).sqrt()[:, None]

    def log_prob(self, points: Tensor) -> Tensor:
        features = points.shape[1]
        inverse = torch.linalg.solve_triangular(self.scale, torch.eye(features, dtype=torch.float64), upper=False).T
        centres = self.centres @ inverse
        constant = math.lgamma((_FREEDOM + features) / 2) - math.lgamma(_FREEDOM / 2)
        constant -= 0.5 * features * math.log(_FREEDOM * math.pi) + float(self.scale.diagonal().log().sum())
        parts = []
        for rows in torch.split(points @ inverse, max(1, _PAIRS // _CENTRES)):
            distance = torch.cdist(rows, centres).square()
            kernels = -0.5 * (_FREEDOM + features) * torch.log1p(distance / _FREEDOM)
            parts.append(torch.logsumexp(kernels, 1))
        return torch.cat(parts) + constant - math.log(_CENTRES)
