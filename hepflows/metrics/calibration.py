"""Whether a posterior is calibrated: numbers that are uniform between 0 and 1 where it is, and how far they are from that.

Three tests on ``N`` simulated pairs (truth, observation) and ``L`` posterior draws for each:

- `sbc_ranks`: rank of the truth among the draws, parameter by parameter (arXiv:1804.06788): bias and width of the marginals.
- `hpd_ranks`: share of the draws of higher density than the truth: expected coverage of the highest-density regions (arXiv:2110.06581).
- `tarp_ranks`: share of the draws nearer to a reference point than the truth (arXiv:2302.03026): needs no density.

Each gives numbers for `uniformity`. A posterior that ignores the observation and returns the prior passes the first two, and the third
with references that ignore it, too: look at `information_gain` beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepflows.errors import DataError, ShapeError
from hepflows.metrics.bands import simultaneous_band
from hepflows.training.seeding import numpy_generator

Array = NDArray[np.float64]

FEWEST = 20
"""Pairs that a test of calibration needs."""


@dataclass(frozen=True)
class Uniformity:
    """Numbers against the uniform distribution on (0, 1).

    Args:
        values: (N,) the numbers.
        p_value: of the Kolmogorov-Smirnov test.
        levels: (K,) nominal levels.
        reached: (K,) share of the numbers below each level: for HPD ranks the coverage of the region of that probability.
        low, high: (K,) simultaneous 95 % band of ``reached`` for uniform numbers.
        error_max: largest |reached - level|.
    """

    values: Array
    p_value: float
    levels: Array
    reached: Array
    low: Array
    high: Array
    error_max: float

    @property
    def inside(self) -> bool:
        """Whether the whole curve lies inside the 95 % band."""
        return bool(np.all((self.reached >= self.low) & (self.reached <= self.high)))

    def at(self, level: float) -> tuple[float, float]:
        """Share of the numbers below a level, and its binomial standard deviation."""
        share = float(np.mean(self.values <= level))
        return share, float(np.sqrt(level * (1 - level) / len(self.values)))

    def to_dict(self) -> dict[str, Any]:
        """The numbers of ``metrics.json``."""
        (at68, std68), (at95, std95) = self.at(0.68), self.at(0.95)
        return {
            "p_value": self.p_value, "error_max": self.error_max, "inside_band": self.inside, "n": len(self.values),
            "at_68": at68, "at_68_std": std68, "at_95": at95, "at_95_std": std95,
        }  # fmt: skip


def uniformity(values: ArrayLike, *, points: int = 100, seed: int = 0) -> Uniformity:
    """Judge numbers that should be uniform.

    Args:
        values: (N,) numbers between 0 and 1.
        points: levels at which the distribution is looked at.
        seed: of the simulation behind the band.

    Raises:
        DataError: fewer than 20 numbers, or some outside of 0 to 1.

    >>> rng = np.random.default_rng(0)
    >>> good, narrow = rng.random(500), rng.beta(0.6, 0.6, 500)
    >>> uniformity(good).inside, uniformity(narrow).inside, uniformity(narrow).p_value < 1e-3
    (True, False, True)
    """
    from scipy.stats import kstest

    u = np.asarray(values, dtype=np.float64)
    if u.ndim != 1 or len(u) < FEWEST or not np.all((u >= 0) & (u <= 1)):
        message = (
            f"a test of calibration needs at least {FEWEST} numbers between 0 and 1 in one row, got the shape {u.shape}"
        )
        raise DataError(message)
    levels = np.arange(1, points) / points
    reached = np.searchsorted(np.sort(u), levels, side="right") / len(u)
    low, high = simultaneous_band(len(u), levels, seed=seed)
    return Uniformity(
        u, float(kstest(u, "uniform").pvalue), levels, reached, low, high, float(np.abs(reached - levels).max())
    )


def sbc_ranks(draws: ArrayLike, truth: ArrayLike, *, seed: int) -> Array:
    """Ranks of the truth among posterior draws, as numbers between 0 and 1: (N, P).

    ``(rank + u) / (L + 1)`` with a uniform ``u``, so that they are exactly uniform for an exact posterior, whatever ``L``; ties are
    broken at random.

    Args:
        draws: (L, N, P) independent draws for each observation; thin a chain before.
        truth: (N, P) what the observations were simulated with.
        seed: of the random part.

    >>> rng = np.random.default_rng(0)
    >>> ranks = sbc_ranks(rng.normal(size=(99, 400, 1)), rng.normal(size=(400, 1)), seed=1)
    >>> ranks.shape, uniformity(ranks[:, 0]).inside
    ((400, 1), True)
    """
    theta, true = _draws(draws, truth)
    return _ranks(theta, true, seed)


def hpd_ranks(log_prob_draws: ArrayLike, log_prob_truth: ArrayLike, *, seed: int) -> Array:
    r"""Level of the highest-density region on whose edge the truth lies: (N,).

    The share of draws with :math:`q(\theta|x) > q(\theta^*|x)`; the truth lies in the region of probability :math:`\alpha` where it is
    below :math:`\alpha`. A posterior that is too narrow gives too many large numbers: `Uniformity.reached` then lies below its levels.

    Args:
        log_prob_draws: (L, N) log densities of the draws.
        log_prob_truth: (N,) log density of the truth; minus infinity where the posterior excludes it.
        seed: of the random part.
    """
    density = np.asarray(log_prob_draws, dtype=np.float64)
    true = np.asarray(log_prob_truth, dtype=np.float64)
    if density.ndim != 2 or density.shape[1:] != true.shape:
        message = f"expected log densities of draws (L, N) and of the truth (N,), got {density.shape} and {true.shape}"
        raise ShapeError(message)
    if np.isnan(density).any() or np.isnan(true).any():
        message = "a log density is NaN: there is no rank for it"
        raise DataError(message)
    return _ranks(-density[..., None], -true[..., None], seed)[:, 0]


def tarp_ranks(draws: ArrayLike, truth: ArrayLike, *, observations: ArrayLike | None = None, seed: int) -> Array:
    r"""Tests of accuracy with random points (arXiv:2302.03026): share of the draws nearer to a reference point than the truth, (N,).

    Distances are Euclidean after division by the standard deviations of the truths. The reference points are uniform in the range of the
    truths; these do not see that a posterior equals its prior. With ``observations`` they depend on them: a linear prediction of the
    parameters, made by the other half of the pairs, plus noise of the width of its errors; these do.

    Args:
        draws: (L, N, P) draws.
        truth: (N, P) truths.
        observations: (N, D) observables.
        seed: of references and ties.
    """
    theta, true = _draws(draws, truth)
    rng = numpy_generator(seed, "references")
    scale = true.std(axis=0)
    if not np.all(scale > 0):
        message = "a parameter has the same true value in all pairs: leave it out of the test"
        raise DataError(message)
    if observations is None:
        points = rng.uniform(true.min(axis=0), true.max(axis=0), true.shape)
    else:
        points = _predicted(np.asarray(observations, dtype=np.float64).reshape(len(true), -1), true, rng)
    near = np.linalg.norm((theta - points) / scale, axis=-1)
    return _ranks(near[..., None], np.linalg.norm((true - points) / scale, axis=-1)[:, None], seed)[:, 0]


def information_gain(log_prob_truth: ArrayLike, log_prior_truth: ArrayLike = 0.0) -> tuple[float, float]:
    """Mean of log q(truth | x) - log p(truth) in nats, and its standard deviation; with no prior it is minus the held-out NLL.

    >>> information_gain([1.0, 3.0], [0.0, 0.0])
    (2.0, 1.0)
    """
    gain = np.asarray(log_prob_truth, dtype=np.float64) - np.asarray(log_prior_truth, dtype=np.float64)
    return float(gain.mean()), float(gain.std(ddof=1) / np.sqrt(len(gain)))


def _draws(draws: ArrayLike, truth: ArrayLike) -> tuple[Array, Array]:
    theta, true = np.asarray(draws, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if theta.ndim != 3 or true.shape != theta.shape[1:]:
        message = f"expected draws (L, N, P) and truths (N, P), got {theta.shape} and {true.shape}"
        raise ShapeError(message)
    if not (np.isfinite(theta).all() and np.isfinite(true).all()):
        message = "draws or truths hold values that are not finite: there is no rank for them"
        raise DataError(message)
    return theta, true


def _ranks(values: Array, reference: Array, seed: int) -> Array:
    """Randomised ranks (N, P) of ``reference`` (N, P) among ``values`` (L, N, P)."""
    rng = numpy_generator(seed, "ranks")
    below, equal = (values < reference).sum(axis=0), (values == reference).sum(axis=0)
    return np.asarray((below + (equal + 1) * rng.random(reference.shape)) / (len(values) + 1))


def _predicted(x: Array, truth: Array, rng: np.random.Generator) -> Array:
    """Ridge predictions of each half of the pairs by the other one, with noise of the size of their errors."""
    spread = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    x = np.column_stack([x, np.ones(len(x))])
    halves = np.array_split(rng.permutation(len(x)), 2)
    points = np.empty_like(truth)
    for mine, other in (halves, halves[::-1]):
        gram = x[other].T @ x[other] + 0.01 * len(other) * np.eye(x.shape[1])
        points[mine] = x[mine] @ np.linalg.solve(gram, x[other].T @ truth[other])
    return np.asarray(points + rng.normal(size=points.shape) * (points - truth).std(axis=0))
