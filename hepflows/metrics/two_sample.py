"""Separation of two histograms, and what two samples of one distribution would show at the same counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

from hepflows.errors import DataError, ShapeError
from hepflows.metrics.separation_error import Entries, influences, spread

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Separation:
    """Separation power of two samples.

    Args:
        value: S in [0, 1]: 0 for equal histograms, 1 for histograms without overlap.
        floor: expectation of S for two samples of one distribution, with these counts and bins.
        floor_std: standard deviation of the same.
        std: standard deviation of the value, what other samples of the same two distributions would change; for equal
            distributions it is about ``floor_std``.
    """

    value: float
    floor: float
    floor_std: float
    std: float


def power_of(first: ArrayLike, second: ArrayLike) -> float:
    r"""Separation power of two histograms, each normalised to sum one.

    .. math:: S = \frac{1}{2} \sum_b \frac{(p_b - q_b)^2}{p_b + q_b}

    the triangular discrimination (eq. 15 of arXiv:2009.03796); bins that are empty in both add nothing.

    Args:
        first, second: (B,) contents of the bins.

    Raises:
        ShapeError: the histograms have different bins.
        DataError: a histogram has no content.

    >>> power_of([1, 1], [2, 2]), power_of([1, 0], [0, 3]), power_of([1, 1], [1, 3])
    (0.0, 1.0, 0.06666666666666667)
    """
    p, q = (np.asarray(one, dtype=np.float64) for one in (first, second))
    if p.shape != q.shape or p.ndim != 1:
        message = f"two histograms of the same bins are needed, but they have the shapes {p.shape} and {q.shape}"
        raise ShapeError(message)
    if p.sum() <= 0 or q.sum() <= 0:
        message = "a histogram without content has no shape to compare: use bins that cover the samples"
        raise DataError(message)
    p, q = p / p.sum(), q / q.sum()
    total = p + q
    return float(0.5 * np.sum(np.divide((p - q) ** 2, total, out=np.zeros_like(total), where=total > 0)))


def histogram(values: ArrayLike, edges: ArrayLike, weights: ArrayLike | None = None) -> tuple[Array, float]:
    """Contents of the bins, with one bin below and one above, and the effective number of events.

    Values that are not a number are left out: they say that the quantity does not exist in that event. The effective
    number is (sum w)^2 / sum w^2, without weights the number of values that exist.

    >>> histogram([0.5, 1.5, 9.0, float("nan")], [0.0, 1.0, 2.0])
    (array([0., 1., 1., 1.]), 3.0)
    """
    places, weight, width = _places(values, edges, weights)
    kept = places < width
    places, weight = places[kept], weight[kept]
    contents = np.bincount(places, weights=weight, minlength=width).astype(np.float64)
    squares = float(np.sum(weight**2))
    return contents, float(weight.sum()) ** 2 / squares if squares > 0 else 0.0


def entries(values: ArrayLike, edges: ArrayLike, weights: ArrayLike | None = None) -> csr_matrix:
    """What each event adds to the bins of :func:`histogram`, (n, B + 2), sparse: its weight in one bin, or nothing.

    >>> entries([0.5, 9.0, float("nan")], [0.0, 1.0, 2.0]).toarray()
    array([[0., 1., 0., 0.],
           [0., 0., 0., 1.],
           [0., 0., 0., 0.]])
    """
    places, weight, width = _places(values, edges, weights)
    kept = places < width
    starts = np.concatenate([[0], np.cumsum(kept)])
    return csr_matrix((weight[kept], places[kept], starts), shape=(len(places), width))


def _places(values: ArrayLike, edges: ArrayLike, weights: ArrayLike | None) -> tuple[NDArray[np.int64], Array, int]:
    """The bin of each value, its weight, and the number of bins, which is the bin of what is not a number."""
    data, borders = np.asarray(values, dtype=np.float64).ravel(), np.asarray(edges, dtype=np.float64)
    if borders.ndim != 1 or len(borders) < 2 or not (np.diff(borders) > 0).all():
        message = "bins need at least two increasing edges: pass np.linspace(low, high, n + 1), for example"
        raise DataError(message)
    weight = np.ones(len(data)) if weights is None else np.asarray(weights, dtype=np.float64).ravel()
    if weight.shape != data.shape:
        message = f"{len(data)} values need one weight each, but there are {len(weight)} weights"
        raise ShapeError(message)
    places = np.searchsorted(borders, data, side="right")  # numpy sorts what is not a number behind all others
    places[data == borders[-1]] -= 1  # the last edge belongs to the last bin, as in numpy
    places[np.isnan(data)] = len(borders) + 1
    return places, weight, len(borders) + 1


def separation(
    first: ArrayLike,
    second: ArrayLike,
    *,
    edges: ArrayLike,
    weights: tuple[ArrayLike | None, ArrayLike | None] = (None, None),
) -> Separation:
    r"""Separation power of one observable of two samples, with the floor that statistics sets.

    What lies outside the edges counts in a bin below and a bin above; values that are not a number are left out. For
    two samples of one distribution, with n and m (effective) events in K bins that hold any,

    .. math:: E[S] = \frac{K - 1}{4} \left(\frac{1}{n} + \frac{1}{m}\right), \qquad
              \sigma[S] = \frac{1}{4} \left(\frac{1}{n} + \frac{1}{m}\right)
                          \sqrt{2 \textstyle\sum_b (1 - 1 / t_b) - 2}

    with t_b events of both samples in bin b. Where all t_b are large this is a chi-square of K - 1 degrees of freedom;
    for n = m the terms hold in rare bins too, since (a - b)^2 / t has the mean 1 and the variance 2 (1 - 1 / t) when
    t events fall on either side with equal chance. The error of S comes from what each event adds to it, see
    :mod:`hepflows.metrics.separation_error`.

    Args:
        first: values of the first sample, one a shower or event, any shape.
        second: values of the second.
        edges: (B + 1,) increasing.
        weights: event weights of the first and of the second sample, or None.

    Returns:
        The separation. Where the observable exists in neither sample it is 0, where it exists in one only it is 1.

    Raises:
        DataError: edges that do not increase.
        ShapeError: not one weight for each value.

    >>> rng = np.random.default_rng(0)
    >>> found = separation(rng.normal(size=2000), rng.normal(0.5, 1, size=2000), edges=np.linspace(-3, 3, 21))
    >>> found.value > 10 * found.floor
    True
    """
    (p, n), (q, m) = (histogram(*one) for one in ((first, edges, weights[0]), (second, edges, weights[1])))
    if n == 0 or m == 0:
        return Separation(0.0 if n == m else 1.0, 0.0, 0.0, 0.0)
    pair = entries(first, edges, weights[0]), entries(second, edges, weights[1])
    floor, floor_std = _floor(p, q, n, m)
    return Separation(power_of(p, q), floor, floor_std, _error(*pair, floor_std))


def _error(first: Entries, second: Entries, floor_std: float) -> float:
    return spread(sum(float(np.sum(one**2)) for one in influences(first, second)), floor_std)


def _floor(p: Array, q: Array, n: float, m: float) -> tuple[float, float]:
    """Expectation and deviation of S for one distribution, from the bins that both samples fill together."""
    together = p / p.sum() * n + q / q.sum() * m
    together = np.maximum(together[together > 0], 1.0)
    spread = (1.0 / n + 1.0 / m) / 4.0
    variance = 2.0 * float(np.sum(1.0 - 1.0 / together)) - 2.0
    # of one or two events worth the expansion is none: S is at most 1
    return min(spread * (len(together) - 1), 1.0), min(spread * float(np.sqrt(max(variance, 0.0))), 1.0)


def separation_of_counts(
    first: ArrayLike, second: ArrayLike, *, rng: np.random.Generator, permutations: int = 100
) -> Separation:
    """Separation power where each event fills many entries that belong together, such as the voxels of a shower.

    Entries of one event are not independent, so that the floor comes from permutations: events are dealt at random to
    two samples of the same sizes; and the error of S from what each event adds to it.

    Args:
        first: (n, B) entries of each event of the first sample in each bin.
        second: (m, B) of the second.
        rng: where the permutations come from.
        permutations: how many.

    Raises:
        ShapeError: the two have different bins.

    >>> rng = np.random.default_rng(0)
    >>> counts = rng.poisson([5.0, 3.0, 1.0], size=(400, 3))
    >>> found = separation_of_counts(counts[:200], counts[200:], rng=rng)
    >>> abs(found.value - found.floor) < 5 * found.floor_std
    True
    """
    p, q = (np.asarray(one, dtype=np.float64) for one in (first, second))
    if p.ndim != 2 or q.ndim != 2 or p.shape[1] != q.shape[1]:
        message = f"entries of the shape (events, bins) with equal bins are needed, not {p.shape} and {q.shape}"
        raise ShapeError(message)
    both = np.concatenate([p, q])
    total, chosen = both.sum(axis=0), np.zeros(len(both))
    chosen[: len(p)] = 1.0
    null = []
    for _ in range(permutations):
        part = rng.permutation(chosen) @ both
        null.append(power_of(part, total - part))
    floor_std = float(np.std(null, ddof=1))
    return Separation(power_of(p.sum(axis=0), q.sum(axis=0)), float(np.mean(null)), floor_std, _error(p, q, floor_std))


def quantile_edges(values: ArrayLike, bins: int, *, log: bool = False, tails: float = 1e-3) -> Array:
    """Equal bins, or equal in the logarithm, over all but the outermost ``tails`` of the values that exist.

    Args:
        values: of the reference; zero and negative ones are left out where ``log``.
        bins: how many.
        log: equal in log(x).
        tails: share of the values left outside on each side; they count in the bins below and above.

    Raises:
        DataError: there is no value to bin.

    >>> quantile_edges([0.0, 1.0, 2.0, 3.0, 4.0], 2, tails=0.0)
    array([0., 2., 4.])
    """
    data = np.asarray(values, dtype=np.float64).ravel()
    data = data[np.isfinite(data) & ((data > 0) | (not log))]
    if len(data) == 0:
        message = "there is no value to make bins from: use a reference in which the observable exists"
        raise DataError(message)
    low, high = np.quantile(data, [tails, 1.0 - tails])
    if not high - low > 1e-9 * max(abs(low), abs(high)):  # one value, up to round-off: bins around it
        middle = 0.5 * (low + high)
        low, high = (middle / 2, middle * 2) if log else (middle - 0.5, middle + 0.5)
    edges: NDArray[Any] = np.geomspace(low, high, bins + 1) if log else np.linspace(low, high, bins + 1)
    return edges
