"""The fluctuation of the Fréchet distance of two samples about its mean, from the samples themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Moments = tuple[Array, Array]

_CHUNK = 2**14  # events at a time
_SMALLEST = 1e-12  # of the largest variance: directions in which a sample does not vary


def influence_variance(events: Array, own: Moments, other: Moments) -> float:
    r"""Variance, over the events of a sample, of what one of them adds to its Fréchet distance from another.

    An event x changes mean and covariance of its sample of n by :math:`y/n` and :math:`(y y^T - C_1)/n`, with
    :math:`y = x - \mu_1`, and so the distance by

    .. math:: \frac1n \left( 2 (\mu_1 - \mu_2) \cdot y + y^T (1 - T) y - \mathrm{Tr}\,(1 - T) C_1 \right), \qquad
              T = C_1^{-1/2} (C_1^{1/2} C_2 C_1^{1/2})^{1/2} C_1^{-1/2}

    to first order, T being the matrix that carries the one Gaussian to the other.

    Args:
        events: (n, d).
        own, other: mean (d,) and covariance (d, d) of this sample and of the other.

    >>> events = np.array([[-1.0], [1.0], [-1.0], [1.0]])  # y^2 is constant: the mean alone fluctuates, by the square of 2 * 3 * 1
    >>> influence_variance(events, (np.zeros(1), np.eye(1)), (np.full(1, 3.0), np.eye(1)))
    36.0
    """
    values, vectors = np.linalg.eigh(own[1])
    kept = values > _SMALLEST * max(values[-1], 0.0)
    roots, vectors = np.sqrt(values[kept]), vectors[:, kept]
    inner, turned = np.linalg.eigh(roots[:, None] * (vectors.T @ other[1] @ vectors) * roots)
    # y^T T y is the square of these coordinates, without a division by more than a root
    carried = (vectors / roots) @ (turned * np.maximum(inner, 0.0) ** 0.25)
    shift, found = 2.0 * (own[0] - other[0]), np.empty(len(events))
    for start in range(0, len(events), _CHUNK):
        part = slice(start, start + _CHUNK)
        offset = events[part] - own[0]
        found[part] = offset @ shift + np.sum(offset**2, axis=1) - np.sum((offset @ carried) ** 2, axis=1)
    return float(found.var())


def fluctuation(linear: Array, inverse: Array, draws: Sequence[Array]) -> float:
    r"""Variance of the distance of two samples about its mean.

    To second order the distance is a square, :math:`|D + \delta|^2`, of the true difference D and a fluctuation
    :math:`\delta` of covariance S: its variance is :math:`4 D S D + 2\,\mathrm{Tr}\,S^2`. The first term is known to first
    order by :func:`influence_variance`, but at :math:`D + \delta`, where it is larger by :math:`4\,\mathrm{Tr}\,S^2` on average;
    the second is by what samples drawn from the two fluctuate more than to first order.

    Args:
        linear: (P,) the first term at the sizes of the draws; the last ones have the sizes of the samples.
        inverse: (P,) inverse sizes 1/N, the mean over both samples.
        draws: P times (R,) distances of pairs of samples drawn with replacement.
    """
    variances = np.array([one.var(ddof=1) for one in draws])
    if not variances.min() > 0:
        return 0.0
    shape, model, square = (inverse / inverse[-1]) ** 2, variances, 0.0
    for _ in range(10):  # variances have equal relative errors: weights by the model, which converges fast
        square = max(float(np.sum(shape * (variances - linear) / model**2) / np.sum((shape / model) ** 2)), 0.0)
        model = np.maximum(linear + square * shape, 1e-3 * variances)
    return max(float(linear[-1]) - 2.0 * square, 0.0) + square
