"""Separations of many observables of the same two samples, and their mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import vstack

from hepflows.metrics.separation_error import Entries, influences, spread
from hepflows.metrics.two_sample import Separation, entries, separation, separation_of_counts

Array = NDArray[np.float64]


class Separations(dict[str, Separation]):
    """Separations by observable, and :attr:`mean`.

    Observables of one event depend on each other, so that the error of their mean is not that of independent ones: it comes
    from what each event adds to all of them together, and the deviation of the mean floor from permutations of whole events
    between the samples.

    Args:
        n, m: events of the first and of the second sample.
        rng: where the permutations come from.
        permutations: how many.

    >>> rng = np.random.default_rng(0)
    >>> one, two = rng.normal(size=(2, 500))
    >>> found = Separations(500, 500, rng=rng)
    >>> found.add("x", one, two, edges=np.linspace(-2, 2, 11))
    >>> found.add("x again", one, two, edges=np.linspace(-2, 2, 11))
    >>> abs(found.mean.std / found["x"].std - 1) < 0.3, found.mean.value == found["x"].value
    (True, True)
    """

    def __init__(self, n: int, m: int, *, rng: np.random.Generator, permutations: int = 100) -> None:
        super().__init__()
        self._chosen = np.zeros((n + m, permutations))
        for column in self._chosen.T:
            column[rng.permutation(n + m)[:n]] = 1.0
        self._null = np.zeros(permutations)
        self._added = np.zeros(n), np.zeros(m)

    def add(
        self,
        name: str,
        first: ArrayLike,
        second: ArrayLike,
        *,
        edges: ArrayLike,
        weights: tuple[ArrayLike | None, ArrayLike | None] = (None, None),
    ) -> None:
        """One value an event, as :func:`hepflows.metrics.separation`."""
        self[name] = separation(first, second, edges=edges, weights=weights)
        self._join(entries(first, edges, weights[0]), entries(second, edges, weights[1]))

    def add_counts(self, name: str, first: Array, second: Array, *, rng: np.random.Generator) -> None:
        """Many entries an event, as :func:`hepflows.metrics.separation_of_counts`."""
        self[name] = separation_of_counts(first, second, rng=rng)
        self._join(first, second)

    def _join(self, first: Entries, second: Entries) -> None:
        for total, own in zip(self._added, influences(first, second), strict=True):
            total += own
        both = np.concatenate([first, second]) if isinstance(first, np.ndarray) else vstack([first, second]).tocsr()
        part = np.asarray(both.T @ self._chosen)
        self._null += _powers(part, np.asarray(both.sum(axis=0)).reshape(-1, 1) - part)

    @property
    def mean(self) -> Separation | None:
        """The mean over all observables, with its floor and errors; None where there are none."""
        if not self:
            return None
        value, floor = (float(np.mean([getattr(one, name) for one in self.values()])) for name in ("value", "floor"))
        # with weights the floors know the effective numbers of events, the permutations mix them: their relative spread is used
        relative = float(self._null.std(ddof=1) / self._null.mean()) if self._null.mean() > 0 else 0.0
        linear = sum(float(np.sum((one / len(self)) ** 2)) for one in self._added)
        return Separation(value, floor, relative * floor, spread(linear, relative * floor))


def _powers(first: Array, second: Array) -> Array:
    """Separation power of each pair of columns (B, P); 1 where only one of the two has any content, 0 where none has."""
    sums = first.sum(axis=0), second.sum(axis=0)
    p, q = (
        np.divide(one, total, out=np.zeros_like(one), where=total > 0)
        for one, total in zip((first, second), sums, strict=True)
    )
    both = p + q
    found = 0.5 * np.sum(np.divide((p - q) ** 2, both, out=np.zeros_like(both), where=both > 0), axis=0)
    return np.asarray(np.where((sums[0] > 0) & (sums[1] > 0), found, (sums[0] > 0) != (sums[1] > 0)), dtype=np.float64)
