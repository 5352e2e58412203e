"""What the weights of an importance sample say of its error: effective size, tail, largest share, efficiency of unweighting."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def pareto_shape(tail: ArrayLike) -> float:
    r"""Shape :math:`\hat k` of the generalised Pareto density that fits excesses over a threshold (Zhang & Stephens 2009).

    The mean of ``k`` over a grid posterior, without the shrinkage prior of arXiv:1507.02646. Weights with :math:`k > 1/2` have no variance,
    with :math:`k > 1` no mean: an error that is computed from them is not to be believed.

    Args:
        tail: ``(m,)`` positive excesses ``w - threshold``.

    Returns:
        ``k``, or minus infinity where there are fewer than five or all are alike: no tail.

    >>> u = (np.arange(2000) + 0.5) / 2000
    >>> round(pareto_shape((u**-0.7 - 1) / 0.7), 1)  # a Pareto tail of shape 0.7
    0.7
    """
    x = np.sort(np.asarray(tail, dtype=np.float64))
    x = x[x > 0]
    if len(x) < 5 or x[-1] <= x[0] * (1 + 1e-12):
        return -math.inf
    grid = 30 + int(math.sqrt(len(x)))
    quarter = x[int(len(x) / 4 + 0.5) - 1]
    b = 1 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))
    b = b / (3 * quarter) + 1 / x[-1]
    k = np.log1p(-b[:, None] * x).mean(1)
    log_likelihood = len(x) * (np.log(-b / k) - k - 1)
    weight = np.exp(log_likelihood - log_likelihood.max())
    best = float((b * weight).sum() / weight.sum())
    return float(np.log1p(-best * x).mean())


class WeightTally:
    r"""Sums over the weights of a sample of any size, and its largest weights.

    Args:
        keep: how many of the largest absolute weights are kept: the tail beyond the 99.9 % quantile is exact up to ``1000 keep`` events.

    Attributes:
        n: events.
        sum: of the absolute weights.
        squares: sum of their squares.
        top: the largest absolute weights, ascending.

    >>> tally = WeightTally()
    >>> tally.add(np.ones(5000))
    >>> tally.effective_share, tally.largest_share, tally.khat
    (1.0, 0.0002, -inf)
    """

    def __init__(self, keep: int = 20_000) -> None:
        self.keep = keep
        self.n, self.sum, self.squares = 0, 0.0, 0.0
        self.top: Array = np.zeros(0)

    @classmethod
    def of(cls, weights: Array) -> WeightTally:
        """That of one sample of ``(n,)`` weights."""
        tally = cls()
        tally.add(weights)
        return tally

    def add(self, weights: Array) -> None:
        """Take in ``(n,)`` weights; only their absolute values count."""
        weights = np.abs(weights)
        self.n += len(weights)
        self.sum += float(weights.sum())
        self.squares += float(np.square(weights).sum())
        if len(self.top) == self.keep:
            weights = weights[weights > self.top[0]]
        top = np.concatenate([self.top, weights])
        self.top = np.sort(top)[-self.keep :]

    @property
    def mean(self) -> float:
        """Mean absolute weight."""
        return self.sum / self.n if self.n else 0.0

    @property
    def effective_share(self) -> float:
        r"""Effective sample size over the size, :math:`(\sum |w|)^2 / (n \sum w^2)`."""
        return self.sum**2 / (self.n * self.squares) if self.squares > 0 else 0.0

    @property
    def largest_share(self) -> float:
        """What the largest weight is of the sum."""
        return float(self.top[-1] / self.sum) if self.sum > 0 else 0.0

    @property
    def khat(self) -> float:
        r"""Shape of the tail beyond the largest :math:`M = \min(0.2\,n,\ 3\sqrt n)` weights, see `pareto_shape`."""
        m = min(int(0.2 * self.n), int(3 * math.sqrt(self.n)), len(self.top) - 1)
        return pareto_shape(self.top[-m:] - self.top[-m - 1]) if m >= 5 else -math.inf

    def quantile(self, q: float = 0.999) -> float:
        """Weight below which a share ``q`` of the sample lies; the smallest one kept where that is not known."""
        beyond = max(1, round((1 - q) * self.n))
        return float(self.top[-min(beyond, len(self.top))]) if len(self.top) else 0.0

    def efficiency(self, q: float = 0.999) -> float:
        r"""Share of the events that rejection against the ``q`` quantile keeps, :math:`\langle \min(w, Q) \rangle / Q`."""
        largest = self.quantile(q)
        beyond = self.top[self.top > largest]
        return (self.sum - float((beyond - largest).sum())) / (self.n * largest) if largest > 0 else 0.0

    def cap(self, overweight: float) -> float:
        r"""The weight ``Q`` beyond which a share :math:`\sum_{w > Q} (w - Q) / \sum w` of ``overweight`` lies."""
        if not len(self.top):
            return 0.0
        descending = self.top[::-1]
        beyond = np.cumsum(descending) - np.arange(1, len(descending) + 1) * descending
        # the share falls as Q rises: the last kept weight that still respects it, then linear between two weights
        allowed = overweight * self.sum
        i = int(np.searchsorted(beyond, allowed, side="right")) - 1
        if i < 0 or allowed <= 0:
            return float(descending[0])
        return float(max((np.cumsum(descending)[i] - allowed) / (i + 1), 0.0))
