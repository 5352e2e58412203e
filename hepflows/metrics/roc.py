"""Area under the ROC curve, the curve and the Jensen-Shannon divergence, with event weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepflows.errors import DataError

Array = NDArray[np.float64]


class RankedScores:
    """Scores sorted once, so that the area for many sets of weights (a bootstrap) costs one pass each.

    Args:
        scores: (n,) any monotonic function of the probability to be of class 1.
        labels: (n,) zeros and ones; both must occur.
    """

    def __init__(self, scores: ArrayLike, labels: ArrayLike) -> None:
        values, truth = np.asarray(scores, dtype=np.float64), np.asarray(labels)
        if values.ndim != 1 or values.shape != truth.shape or len(values) == 0 or not np.isfinite(values).all():
            message = (
                f"scores and labels must be finite arrays of one length, but have the shapes {values.shape} and "
                f"{truth.shape} and {np.count_nonzero(~np.isfinite(values))} scores that are not finite"
            )
            raise DataError(message)
        if set(np.unique(truth).tolist()) != {0, 1}:
            message = f"labels must be zeros and ones, and both must occur, but are {np.unique(truth)[:5].tolist()}"
            raise DataError(message)
        self._order = np.argsort(-values, kind="stable")
        ranked = values[self._order]
        self._starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])  # equal scores move together
        self._positive = truth[self._order].astype(bool)

    def rates(self, weights: Array | None = None) -> tuple[Array, Array]:
        """False and true positive rates, from (0, 0) to (1, 1), one point for each different score."""
        weight = np.ones(len(self._order)) if weights is None else np.asarray(weights, dtype=np.float64)[self._order]
        false = np.add.reduceat(np.where(self._positive, 0.0, weight), self._starts).cumsum()
        true = np.add.reduceat(np.where(self._positive, weight, 0.0), self._starts).cumsum()
        if false[-1] <= 0 or true[-1] <= 0:
            message = "each class needs a positive sum of weights for an area under the ROC curve"
            raise DataError(message)
        return np.r_[0.0, false / false[-1]], np.r_[0.0, true / true[-1]]

    def auc(self, weights: Array | None = None) -> float:
        """The area: the probability that class 1 scores higher than class 0, ties counting one half."""
        false, true = self.rates(weights)
        return float(np.sum(np.diff(false) * (true[1:] + true[:-1])) / 2)


def auc(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    r"""Area under the ROC curve of weighted events.

    .. math:: \mathrm{AUC} = \sum_{ij} w_i w_j [s_i > s_j] \Big/ \sum_{ij} w_i w_j

    over i of class 1 and j of class 0; equal scores count one half. With unit weights this is the Mann-Whitney
    statistic, the chance that an event of class 1 scores higher than one of class 0.

    Args:
        scores: (n,) higher means class 1.
        labels: (n,) zeros and ones.
        weights: (n,) event weights, not negative.

    Raises:
        DataError: shapes differ, a score is not finite, or a class is missing.

    >>> auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75
    """
    return RankedScores(scores, labels).auc(None if weights is None else np.asarray(weights, dtype=np.float64))


def roc_curve(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None, *, grid: ArrayLike) -> Array:
    """True positive rate at the false positive rates of ``grid``, straight lines between the points.

    >>> roc_curve([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], grid=[0.0, 0.25, 0.5, 1.0])
    array([0.5, 0.5, 1. , 1. ])
    """
    curve = RankedScores(scores, labels).rates(None if weights is None else np.asarray(weights, dtype=np.float64))
    return np.asarray(np.interp(np.asarray(grid, dtype=np.float64), *curve), dtype=np.float64)


def cross_entropies(probabilities: ArrayLike, labels: ArrayLike) -> Array:
    """-ln of the probability given to the true class, (n,) in nats; ``probabilities`` are those of class 1."""
    chance = np.asarray(probabilities, dtype=np.float64)
    return -np.log(np.where(np.asarray(labels).astype(bool), chance, 1.0 - chance))


def jensen_shannon(entropies: Array, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    r"""Estimate of the Jensen-Shannon divergence in bits, :math:`1 - \mathrm{BCE} / \ln 2`, classes weighing the same.

    0 means that the classifier sees no difference, 1 that it is never in doubt. It is a lower limit of the true
    divergence, up to fluctuations: an ill-calibrated classifier gives less, even less than zero.

    Args:
        entropies: (n,) cross entropies in nats, see :func:`cross_entropies`.
        labels: (n,) zeros and ones.
        weights: (n,) event weights.

    >>> jensen_shannon(cross_entropies([0.5, 0.5], [0, 1]), [0, 1])
    0.0
    """
    positive = np.asarray(labels).astype(bool)
    weight = np.ones(len(entropies)) if weights is None else np.asarray(weights, dtype=np.float64)
    means = [np.sum((weight * entropies)[side]) / np.sum(weight[side]) for side in (positive, ~positive)]
    return float(1.0 - sum(means) / (2 * np.log(2.0)))
