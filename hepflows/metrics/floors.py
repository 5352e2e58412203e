"""What a metric gives for two true samples: the floor, below which it cannot tell a good generator from a perfect one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from hepflows.metrics.pairs import largest_values
from hepflows.metrics.samples import drawn, sample, two_halves
from hepflows.training.seeding import derive


class _Result(Protocol):
    """What the metrics return."""

    def to_dict(self) -> dict[str, Any]: ...


R = TypeVar("R", bound=_Result)


@dataclass(frozen=True)
class WithFloor(Generic[R]):
    """A metric of a generated sample with its floor.

    Args:
        test: generated against reference.
        floor: true events in the place of the generated ones; its counts are those that were measured.
    """

    test: R
    floor: R

    def to_dict(self) -> dict[str, Any]:
        """All numbers, ready for ``metrics.json``; those of the floor under ``floor``."""
        return {**self.test.to_dict(), "floor": self.floor.to_dict()}

    def __str__(self) -> str:
        return f"{self.test}, floor {self.floor}"


def with_floor(
    metric: Callable[..., R],
    generated: ArrayLike,
    reference: ArrayLike,
    *,
    floor_reference: ArrayLike | None = None,
    most: int | None = None,
    seed: int,
    **options: Any,
) -> WithFloor[R]:
    """A metric with its floor, measured in the same way on two samples that are both true.

    A figure can be compared with its floor only at equal counts. Where the reference is not twice as long as the samples
    compared, the two halves of it that make the floor have fewer events. A result that knows how it depends on the counts
    is then carried to those of the test (its method ``at_counts_of``: FPD and KPD, whose distances of equal distributions
    go as the inverse of the counts). Others, as :func:`hepflows.metrics.prdc`, state the counts of the floor; for them
    ``most`` makes the counts of both samples equal, since their numbers depend on the ratio of the counts first of all.

    Args:
        metric: :func:`hepflows.metrics.fpd`, :func:`hepflows.metrics.kpd`, :func:`hepflows.metrics.prdc` or any function
            of ``(generated, reference, *, seed)`` whose result has a ``to_dict``. One that takes a ``scale`` gets that of the
            whole reference, for the floor too.
        generated: (n, d) features.
        reference: (m, d) features.
        floor_reference: (l, d) true events, independent of ``reference``, that take the place of the generated ones; at
            most n of them are used. Without it the two halves of the reference are compared.
        most: compare equally many events of both samples, the smaller number of them and at most this; None compares all. The
            events are drawn at random from the larger sample, and those of the floor from its samples.
        seed: repeats both; the floor has a seed of its own, derived from it.
        options: passed on to the metric.

    Raises:
        ShapeError, DataError, ConfigError: as the metric; the floor needs as many events as the metric does.

    >>> import numpy as np
    >>> from hepflows.metrics import prdc
    >>> rng = np.random.default_rng(0)
    >>> truth, others = rng.normal(size=(500, 3)), rng.normal(size=(500, 3))
    >>> found = with_floor(prdc, 0.5 * others, truth, floor_reference=others, seed=1)
    >>> found.test.recall < 0.8 < 0.9 < found.floor.recall
    True
    """
    test = metric_of_equal_counts(metric, generated, reference, most=most, seed=seed, **options)
    truth, fake = sample("reference", reference, None), sample("generated", generated, None)
    own = derive(seed, "floor")
    if floor_reference is None:
        first, second = two_halves(len(truth), own)
        pair = truth.features[first], truth.features[second]
    else:
        others = sample("floor", floor_reference, None, like=truth)
        pair = others.features[drawn(len(others), len(fake), own, "others")], truth.features
    if _scales(metric):
        options = {"scale": largest_values(truth.features), **options}
    equal = None if most is None else min(most, len(fake), len(truth))
    floor = metric_of_equal_counts(metric, *pair, most=equal, seed=own, **options)
    carried = getattr(floor, "at_counts_of", None)
    return WithFloor(test, floor if carried is None else carried(test))


def metric_of_equal_counts(
    metric: Callable[..., R], generated: ArrayLike, reference: ArrayLike, *, most: int | None, seed: int, **options: Any
) -> R:
    """The metric of equally many events of both samples, at most ``most``, drawn at random; of all where that is None.

    Args: as :func:`with_floor`.
    """
    if most is None:
        return metric(generated, reference, seed=seed, **options)
    pair = [np.asarray(one) for one in (generated, reference)]
    size = min(most, *map(len, pair))
    names = ("generated", "reference")  # each a draw of its own
    rows = [drawn(len(one), size, seed, name) for one, name in zip(pair, names, strict=True)]
    return metric(*(one[chosen] for one, chosen in zip(pair, rows, strict=True)), seed=seed, **options)


def _scales(metric: Callable[..., Any]) -> bool:
    try:
        return "scale" in signature(metric).parameters
    except ValueError:  # a builtin may not say
        return False
