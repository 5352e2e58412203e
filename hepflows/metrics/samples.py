"""Samples for a classifier test: checked once, dealt into train, selection and score sets, and permuted on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepflows.errors import DataError, ShapeError
from hepflows.metrics.network import Events
from hepflows.training.seeding import numpy_generator

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Features (n, d) in float32 or float64, and weights (n,) of mean one."""

    features: NDArray[Any]
    weights: Array

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: slice | Index) -> Sample:
        return Sample(self.features[rows], self.weights[rows])

    @property
    def width(self) -> int:
        """Number of features d."""
        return int(self.features.shape[1])


def sample(name: str, features: ArrayLike, weights: ArrayLike | None, *, like: Sample | None = None) -> Sample:
    """A sample from what a user passed.

    Args:
        name: how messages call it.
        features: (n, d).
        weights: (n,) event weights, or None.
        like: a sample of the same width.

    Raises:
        ShapeError: no (n, d) array, another width than ``like``, or weights that do not fit.
        DataError: a value is not finite, or a weight negative.
    """
    values = np.asarray(features)
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    if values.ndim != 2 or values.shape[1] == 0:
        message = f"the {name} sample must have the shape (events, features), but has {values.shape}: reshape it"
        raise ShapeError(message)
    if like is not None and values.shape[1] != like.width:
        message = (
            f"the {name} sample has {values.shape[1]} features, but the reference has {like.width}: compute the same "
            "features of both"
        )
        raise ShapeError(message)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        message = (
            f"the {name} sample has {len(bad)} events with values that are not finite, the first is event {bad[0]}: "
            "remove or repair them"
        )
        raise DataError(message)
    return Sample(values, _weights(name, weights, len(values)))


def _weights(name: str, weights: ArrayLike | None, n: int) -> Array:
    if weights is None:
        return np.ones(n)
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (n,):
        message = f"the {name} sample has {n} events, but its weights have the shape {values.shape}: give one each"
        raise ShapeError(message)
    if not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
        message = (
            f"the weights of the {name} sample must be finite, not negative and not all zero: a classifier cannot "
            "learn from others"
        )
        raise DataError(message)
    return np.asarray(values / values.mean(), dtype=np.float64)


def permute_within(features: ArrayLike, groups: ArrayLike | None, rng: np.random.Generator) -> NDArray[Any]:
    """Permute each feature by itself across the events of each group.

    The distribution of each feature given the group stays as it is; all relations between features are lost.

    Args:
        features: (n, d).
        groups: (n,) labels, or None for one group.
        rng: where the permutations come from.

    Raises:
        ShapeError: not one label for each event.

    >>> rng = np.random.default_rng(0)
    >>> permute_within([[1, 10], [2, 20], [3, 30], [4, 40]], [0, 0, 1, 1], rng)[:2].sum(axis=0)
    array([ 3, 30])
    """
    values = np.array(features)
    labels = np.zeros(len(values), dtype=np.int64) if groups is None else np.asarray(groups)
    if labels.shape != (len(values),):
        message = f"{len(values)} events need one group label each, but the labels have the shape {labels.shape}"
        raise ShapeError(message)
    order = np.argsort(labels, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        values[rows] = rng.permuted(values[rows], axis=0)
    return values


def permuted(events: Sample, groups: NDArray[Any] | None, rng: np.random.Generator) -> Sample:
    """The events with permuted features, see :func:`permute_within`; weights stay with their places."""
    return Sample(permute_within(events.features, groups, rng), events.weights)


def two_halves(n: int, seed: int) -> tuple[Index, Index]:
    """Rows of two halves of ``n`` events, in random order."""
    order = numpy_generator(seed, "halves").permutation(n)
    return order[: len(order) // 2], order[len(order) // 2 :]


def drawn(total: int, size: int, seed: int, name: str) -> Index | slice:
    """Rows of ``size`` of ``total`` events, drawn at random; all of them, as they stand, where there are no more."""
    if total <= size:
        return slice(None)
    return numpy_generator(seed, "drawn", name).permutation(total)[:size]


@dataclass(frozen=True)
class Deal:
    """How the events of one class go to the sets of one training: row numbers."""

    train: Index
    select: Index
    score: Index


def deal(total: int, size: int, fractions: tuple[float, float, float], repeat: int, seed: int, name: str) -> Deal:
    """Deal ``size`` of ``total`` events of one class, drawn at random.

    The events stand in one seeded order. The score set is a window on it that moves by its own length with every
    repeat, so that the windows do not overlap until every event was scored once; the rest is shuffled anew by every
    repeat and cut into a training and a selection set.
    """
    order = numpy_generator(seed, "events", name).permutation(total)[:size]
    n_select, n_score = (max(1, round(fraction * size)) for fraction in fractions[1:])
    places = np.arange(size)
    window = (places - repeat * n_score) % size < n_score
    rest = numpy_generator(seed, "deal", name, repeat).permutation(order[~window])
    return Deal(rest[n_select:], rest[:n_select], order[window])


def join(fake: Sample, truth: Sample, fake_rows: Index, true_rows: Index) -> Events:
    """Events of both classes, 0 generated and 1 reference; the weights of each class average to one."""
    weights = [one / one.mean() for one in (fake.weights[fake_rows], truth.weights[true_rows])]
    labels = np.r_[np.zeros(len(fake_rows)), np.ones(len(true_rows))]
    return Events(
        np.concatenate([fake.features[fake_rows], truth.features[true_rows]]), labels, np.concatenate(weights)
    )
