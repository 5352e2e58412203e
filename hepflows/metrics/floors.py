"""What a metric gives for two true samples: the floor, below which it cannot tell a good generator from a perfect one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import ArrayLike

from hepflows.metrics.samples import sample, two_halves
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
        floor: true events in the place of the generated ones, with their own counts.
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
    seed: int,
    **options: Any,
) -> WithFloor[R]:
    """A metric with its floor, measured in the same way on two samples that are both true.

    Args:
        metric: :func:`hepflows.metrics.fpd`, :func:`hepflows.metrics.kpd`, :func:`hepflows.metrics.prdc` or any function
            of ``(generated, reference, *, seed)`` whose result has a ``to_dict``.
        generated: (n, d) features.
        reference: (m, d) features.
        floor_reference: (l, d) true events, independent of ``reference``, that take the place of the generated ones; at
            most n of them are used. Without it the two halves of the reference are compared, with half the events: bias and
            errors are then larger, as the counts in the result say.
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
    truth = sample("reference", reference, None)
    if floor_reference is None:
        first, second = two_halves(len(truth), derive(seed, "floor"))
        pair = truth.features[first], truth.features[second]
    else:
        others = sample("floor", floor_reference, None, like=truth)
        pair = others.features[: len(sample("generated", generated, None, like=truth))], truth.features
    test = metric(generated, reference, seed=seed, **options)
    return WithFloor(test, metric(*pair, seed=derive(seed, "floor"), **options))
