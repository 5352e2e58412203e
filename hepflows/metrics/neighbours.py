"""Distances between the events of two samples, exact and in bounded memory, and how far the nearest events are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_BLOCK = 2**23  # distances a block: 64 MB
_PAIRS = 2**22  # numbers in the differences of a few pairs: 32 MB
_CANCELS = 1e-6  # of |x|^2 + |y|^2: below it the product of matrices has lost all but 9 digits of |x - y|^2


def squared_distances(first: Array, second: Array) -> Iterator[tuple[slice, Array]]:
    r"""Squared Euclidean distances, a block of rows at a time.

    .. math:: |x_i - y_j|^2 = |x_i|^2 + |y_j|^2 - 2\, x_i \cdot y_j

    by a product of matrices. Where that difference cancels, the pair is computed again from x_i - y_j, so that every
    distance has a relative error below 1e-8, those of near copies too, and equal events have the distance zero.

    Args:
        first: (n, d).
        second: (m, d).

    Yields:
        The rows of ``first`` and their distances (rows, m), which the caller may overwrite.

    >>> rows, block = next(squared_distances(np.zeros((1, 2)), np.array([[3.0, 4.0], [0.0, 0.0]])))
    >>> block
    array([[25.,  0.]])
    """
    centre = first.mean(axis=0)  # what lies far from the origin cancels more
    one, other = first - centre, second - centre
    norm, norms = (np.einsum("ij,ij->i", events, events) for events in (one, other))
    step = max(1, _BLOCK // len(second))
    for start in range(0, len(first), step):
        rows = slice(start, min(start + step, len(first)))
        block = one[rows] @ other.T
        block *= -2.0
        block += norm[rows, None]
        block += norms
        for row in np.flatnonzero(block.min(axis=1) < _CANCELS * (norm[rows] + norms.max())):
            near = np.flatnonzero(block[row] < _CANCELS * (norm[rows][row] + norms))
            block[row, near] = _differences(first[rows][row], second, near)
        yield rows, block


def _differences(event: Array, events: Array, near: Index) -> Array:
    """Squared distances of an event from those in ``near``, from differences."""
    found, step = np.empty(len(near)), max(1, _PAIRS // len(event))
    for start in range(0, len(near), step):
        part = slice(start, start + step)
        differences = events[near[part]] - event
        found[part] = np.einsum("ij,ij->i", differences, differences)
    return found


def nearest(sample: Array, count: int) -> tuple[Index, Array]:
    """The nearest other events of each event, the nearest first.

    Args:
        sample: (n, d).
        count: how many, below n.

    Returns:
        Their rows and squared distances, both (n, count).

    >>> nearest(np.array([[0.0], [1.0], [3.0]]), 1)[0].ravel().tolist()
    [1, 0, 1]
    """
    places, distances = np.empty((len(sample), count), dtype=np.int64), np.empty((len(sample), count))
    for rows, block in squared_distances(sample, sample):
        numbers = np.arange(rows.start, rows.stop)
        block[numbers - rows.start, numbers] = np.inf  # an event is not its own neighbour
        found = np.argpartition(block, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(block, found, axis=1)
        order = np.argsort(values, axis=1)
        places[rows] = np.take_along_axis(found, order, axis=1)
        distances[rows] = np.take_along_axis(values, order, axis=1)
    return places, distances
