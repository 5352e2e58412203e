"""Errors of numbers that are averaged over several classifiers scored on events that may be shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepflows.metrics.roc import RankedScores, jensen_shannon

Array = NDArray[np.float64]
Index = NDArray[np.int64]

REPLICAS = 400  # the error of an error is then 1 / sqrt(2 * 400) = 3.5 %


@dataclass(frozen=True)
class Scored:
    """The score set of one training.

    Args:
        events: (n,) number of each event in its sample, to recognise it in the score set of another training.
        labels: (n,) zeros and ones.
        weights: (n,) event weights.
        logits: (n,) what the classifier says.
        entropies: (n,) cross entropies of the calibrated classifier, in nats.
    """

    events: Index
    labels: Array
    weights: Array
    logits: Array
    entropies: Array


def bootstrap(scored: Sequence[Scored], rng: np.random.Generator, replicas: int = REPLICAS) -> tuple[Array, Array]:
    """AUC and Jensen-Shannon divergence of every training in bootstrap replicas of the events.

    Each event of each class gets a random weight of mean and variance one, the same in all score sets that contain
    it: the replicas carry the correlation between trainings that share score events. The weights are exponential (the
    Bayesian bootstrap, D. B. Rubin, Ann. Statist. 9 (1981) 130), so that no class can vanish from a small score set.

    Returns:
        Two arrays (replicas, trainings).
    """
    ranked = [RankedScores(one.logits, one.labels) for one in scored]
    sizes = [1 + max(int(one.events[one.labels == label].max()) for one in scored) for label in (0, 1)]
    areas, divergences = np.empty((replicas, len(scored))), np.empty((replicas, len(scored)))
    for replica in range(replicas):
        counts = [rng.standard_exponential(size) for size in sizes]
        for column, one in enumerate(scored):
            positive = one.labels > 0.5
            weights = one.weights.copy()
            weights[positive] *= counts[1][one.events[positive]]
            weights[~positive] *= counts[0][one.events[~positive]]
            areas[replica, column] = ranked[column].auc(weights)
            divergences[replica, column] = jensen_shannon(one.entropies, one.labels, weights)
    return areas, divergences


def exchange(scored: Sequence[Scored], train: int, select: int) -> Array:
    r"""Correlation of trainings that have different score sets, because the one learns from what the other scores.

    For samples of one distribution, the area of a classifier that memorises fluctuates as a sum over pairs (event
    learned i, event scored j) of a symmetric kernel k(i, j). A pair that two trainings hold with exchanged roles enters
    both areas: with t, s and n events that train, select and are scored, this makes the correlation

    .. math:: \rho = \frac{n t}{(t + s)^2}

    times the share of the score set that the two do not have in common. (Simulation: 0.18 for an over-trained network
    with 0.6 / 0.2 / 0.2, where the formula gives 0.19; a smooth classifier has less, and its error is then too large.)

    Args:
        scored: score sets of the trainings.
        train: events per class that train.
        select: events per class that select.

    Returns:
        (R, R) correlations, zero on the diagonal.
    """
    sets = [set(one.events[one.labels > 0.5].tolist()) for one in scored]
    size = len(sets[0])
    shared = np.array([[len(a & b) for b in sets] for a in sets]) / size
    return np.asarray(size * train / (train + select) ** 2 * (1.0 - shared), dtype=np.float64)


def joint_error(values: Array, replicas: Array, correlation: Array | float = 0.0) -> float:
    r"""Error of the mean over trainings, score statistics and seeds joined.

    With R trainings of values :math:`a_r` and the covariance :math:`C_{rs} = B_{rs} + \rho_{rs} \sqrt{B_{rr} B_{ss}}` of
    their score sets, from the bootstrap covariance B and the correlation :math:`\rho` of :func:`exchange`,

    .. math::

        \sigma^2 = \frac{1}{R^2} \sum_{rs} C_{rs}
                 + \frac{1}{R} \max\left(0,\; s^2 - \bar{C}_{rr} + \bar{C}_{r \ne s}\right)

    where s^2 is the sample variance of the :math:`a_r`. The first term is the statistical error of the mean. The second
    is what the trainings differ by beyond the fluctuation of their score sets, that is by their seeds and training
    sets. With a single training the second term is unknown and left out.

    Args:
        values: (R,) of the trainings.
        replicas: (B, R) of the same in bootstrap replicas.
        correlation: (R, R) with a zero diagonal.

    >>> rng = np.random.default_rng(0)
    >>> noise = 0.01 * rng.standard_normal((4000, 2))
    >>> round(joint_error(np.array([0.5, 0.5]), noise), 3)  # 0.01 / sqrt(2)
    0.007
    """
    trainings = len(values)
    covariance = np.atleast_2d(np.cov(replicas, rowvar=False))
    deviations = np.sqrt(np.diag(covariance))
    covariance = covariance + correlation * np.outer(deviations, deviations)
    statistics = float(covariance.sum()) / trainings**2
    if trainings == 1:
        return float(np.sqrt(statistics))
    trace = float(np.trace(covariance))
    between = trace / trainings - (float(covariance.sum()) - trace) / (trainings * (trainings - 1))
    seeds = max(0.0, float(np.var(values, ddof=1)) - between) / trainings
    return float(np.sqrt(statistics + seeds))
