"""Two ways to spend points on a map of the cube: randomised nets, and adaptive strata. Both give rounds whose errors are their own."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from hepflows.applications.integration.evaluation import Evaluation
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.maps import CubeMap
from hepflows.applications.integration.mixture import Mixture
from hepflows.applications.integration.points import sobol
from hepflows.applications.integration.sampler import Boxes, Grid, Sampler
from hepflows.metrics.weights import WeightTally
from hepflows.training.seeding import numpy_generator

REPLICATES = 16
"""Nets of one estimate at least: their scatter is its error, with as many degrees of freedom less one."""


@dataclass(frozen=True)
class Round:
    """An unbiased estimate with its error.

    Attributes:
        mean: ``(k,)`` estimates of the outputs.
        variance: ``(k,)`` variances of these means.
        dof: degrees of freedom of the variances.
        n: points.
        covariance: ``(k, k)`` covariance of the means, where it was asked for.
    """

    mean: Array
    variance: Array
    dof: float
    n: int
    covariance: Array | None = None


class Estimator(Protocol):
    """Spends points on a map."""

    @property
    def sampler(self) -> Sampler:
        """What the last round was drawn from, with the weights so far."""
        ...

    def round(self, n: int) -> Round:
        """An independent estimate from about ``n`` points, at most."""
        ...


@dataclass
class Nets:
    r"""Independent randomised Sobol nets: the error is their scatter, :math:`s / \sqrt{R}`.

    Args:
        evaluation: the integrand.
        map: how latents become points.
        seed: of the randomisation.
        name: another name makes independent nets of the same seed.
        size: points of a net, a power of two.
        correlate: whether rounds have the covariance of all outputs.
    """

    evaluation: Evaluation
    map: CubeMap | Mixture
    seed: int
    name: str
    size: int
    correlate: bool = False
    tally: WeightTally = field(default_factory=WeightTally)
    drawn: int = 0

    def round(self, n: int) -> Round:
        means = np.stack([self._net() for _ in range(max(2, n // self.size))])
        nets = len(means)
        covariance = np.atleast_2d(np.cov(means.T)) / nets if self.correlate else None
        return Round(means.mean(0), means.var(0, ddof=1) / nets, nets - 1, nets * self.size, covariance)

    @property
    def sampler(self) -> Sampler:
        return Sampler(self.map, None, self.tally)

    def _net(self) -> Array:
        z = sobol(self.size, self.map.features, self.seed, self.name, self.drawn)
        self.drawn += 1
        values = self.evaluation.weights(*self.map.inverse(z))
        self.tally.add(self.evaluation.leading(values))
        return np.asarray(values.mean(0))


def net_size(n: int) -> int:
    """The power of two that fits at least `REPLICATES` nets into ``n`` points."""
    return 1 << max(3, int(math.log2(max(1, n // REPLICATES))))


class Strata:
    r"""A grid of :math:`k^d` boxes; each gets points in proportion to how much the weights scatter in it (VEGAS+, arXiv:2009.05112).

    .. math:: \hat I = \frac1{k^d} \sum_h \bar w_h, \qquad \widehat{\mathrm{Var}} = \frac1{k^{2d}} \sum_h \frac{s_h^2}{n_h}, \qquad
              n_h \propto \tilde s_h^{3/4}

    with :math:`\tilde s_h` from the rounds before, so that every round is unbiased, and :math:`n_h \ge 2`.

    Args:
        evaluation: the integrand.
        map: how latents become points.
        seed: of the points.
        name: another name makes independent points of the same seed.
        n: points of the rounds to come: four for each box on average.
        correlate: whether rounds have the covariance of all outputs.
    """

    def __init__(
        self, evaluation: Evaluation, map_: CubeMap, seed: int, name: str, n: int, correlate: bool = False
    ) -> None:
        self.evaluation, self.map, self.correlate = evaluation, map_, correlate
        self.rng = numpy_generator(seed, "strata", name)
        k, d = boxes(n, map_.features), map_.features
        self.total = k**d
        self.grid = Grid(k, d, np.ones(self.total))
        self.squares, self.counts = np.zeros(self.total), np.zeros(self.total)
        self.tally = WeightTally()

    @property
    def sampler(self) -> Sampler:
        return Sampler(self.map, self.grid, self.tally)

    def round(self, n: int) -> Round:
        per_box = self._allocate(n)
        box = np.repeat(np.arange(self.total), per_box)
        values = self.evaluation.weights(*self.map.inverse(self.grid.inside(box, self.rng)))
        leading = self.evaluation.leading(values)
        # the density that all boxes together are drawn from
        self.grid = Grid(self.grid.k, self.grid.features, per_box * (self.total / len(box)))
        self.tally.add(leading / self.grid.share[box])
        self.squares += self._squared_deviations(leading, box, per_box)[1]
        self.counts += per_box - 1
        mean, variance = np.empty(values.shape[1]), np.empty(values.shape[1])
        for i, column in enumerate(values.T):
            means, squares = self._squared_deviations(column, box, per_box)
            mean[i] = means.sum() / self.total
            variance[i] = (squares / (per_box - 1) / per_box).sum() / self.total**2
        return Round(
            mean, variance, math.inf, len(box), self._covariance(values, box, per_box) if self.correlate else None
        )

    def _covariance(self, values: Array, box: Boxes, per_box: Boxes) -> Array:
        means = np.stack([np.bincount(box, column, self.total) for column in values.T], 1) / per_box[:, None]
        rest = values - means[box]
        share = 1 / ((per_box - 1) * per_box * self.total**2)
        return np.asarray((rest * share[box][:, None]).T @ rest)

    def _squared_deviations(self, column: Array, box: Boxes, per_box: Boxes) -> tuple[Array, Array]:
        means = np.bincount(box, column, self.total) / per_box
        squares = np.bincount(box, np.square(column - means[box]), self.total)
        return np.asarray(means), np.asarray(squares)

    def _allocate(self, n: int) -> Boxes:
        """Points of each box: two, and the rest by the scatter, a tenth of it evenly."""
        rest = max(0, n - 2 * self.total)
        wanted = (self.squares / np.maximum(self.counts, 1)) ** 0.375
        if not wanted.sum() > 0:
            wanted = np.ones(self.total)
        share = 0.9 * wanted / wanted.sum() + 0.1 / self.total
        return np.asarray(2 + np.floor(rest * share).astype(np.int64))


def boxes(n: int, dimension: int) -> int:
    """Boxes along each axis for rounds of ``n`` points."""
    return max(1, int((n / 4) ** (1 / dimension)))


def combine(rounds: list[Round]) -> tuple[Array, Array, float, int]:
    r"""Rounds weighted by their size, never by an error that was estimated from the same points.

    .. math:: \hat I = \sum_k \frac{n_k}{N} \hat I_k, \qquad \mathrm{Var} = \sum_k \Big(\frac{n_k}{N}\Big)^2 \mathrm{Var}_k, \qquad
              \chi^2 = \sum_k n_k \frac{(\hat I_k - \hat I)^2}{N\, \mathrm{Var}}

    Returns:
        Means (k,), variances (k,), chi2 of the first output and its degrees of freedom.
    """
    total = sum(part.n for part in rounds)
    mean = np.asarray(sum(part.n / total * part.mean for part in rounds))
    variance = np.asarray(sum((part.n / total) ** 2 * part.variance for part in rounds))
    deviations = sum(part.n * float(part.mean[0] - mean[0]) ** 2 for part in rounds)
    chi2 = deviations / (total * variance[0]) if variance[0] > 0 else 0.0
    return mean, variance, float(chi2), len(rounds) - 1


def covariance(rounds: list[Round]) -> Array | None:
    """The covariance (k, k) of what `combine` gives, where the rounds have theirs."""
    total = sum(part.n for part in rounds)
    matrices = [(part.n / total) ** 2 * part.covariance for part in rounds if part.covariance is not None]
    return np.asarray(sum(matrices)) if len(matrices) == len(rounds) else None
