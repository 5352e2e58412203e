"""What event weights cost, and events of equal weight drawn by rejection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepflows.errors import DataError, DomainError
from hepflows.training.seeding import numpy_generator

Array = NDArray[np.float64]


def effective_size(weights: ArrayLike) -> float:
    r"""Number of events of equal weight that measure a mean as well, :math:`(\sum_i w_i)^2 / \sum_i w_i^2`.

    Args:
        weights: (n,) event weights, not negative.

    Raises:
        DataError: a weight is negative or not finite, or all are zero.

    >>> effective_size([1.0, 1.0, 1.0, 1.0]), effective_size([1.0, 0.0, 1.0, 0.0])
    (4.0, 2.0)
    """
    values = _checked(weights)
    return float(values.sum() ** 2 / np.square(values).sum())


@dataclass(frozen=True)
class Unweighted:
    """Events that were kept by rejection.

    Args:
        rows: (k,) their numbers, ascending.
        weights: (k,) what weight they still have: 1, or more for events above the largest weight that was allowed for.
        efficiency: share of the events that was kept.
    """

    rows: NDArray[np.int64]
    weights: Array
    efficiency: float


def unweight(weights: ArrayLike, *, seed: int, quantile: float = 1.0) -> Unweighted:
    r"""Keep event ``i`` with probability :math:`\min(1, w_i / w_\mathrm{max})`, and with the weight :math:`\max(1, w_i / w_\mathrm{max})`.

    Args:
        weights: (n,) event weights, not negative.
        seed: draws what is kept.
        quantile: where :math:`w_\mathrm{max}` lies among the weights. With 1 the events that are kept all have weight one, and they are
            :math:`\langle w \rangle / \max w` of all; a little less keeps many more, of which the few heaviest stay weighted.

    Raises:
        DataError: a weight is negative or not finite, or all are zero.
        DomainError: ``quantile`` does not lie above 0 and up to 1, or the weight there is zero.

    >>> kept = unweight([1.0, 3.0] * 500, seed=0)
    >>> bool((kept.weights == 1).all()), abs(kept.efficiency - 2 / 3) < 0.05
    (True, True)
    """
    values = _checked(weights)
    largest = float(np.quantile(values, quantile)) if 0 < quantile <= 1 else 0.0
    if not largest > 0:
        message = f"the quantile must lie above 0 and up to 1, at a positive weight, got {quantile}: 1 allows for the largest weight"
        raise DomainError(message)
    share = values / largest
    rows = np.flatnonzero(numpy_generator(seed, "unweight").random(len(values)) < share)
    return Unweighted(rows, np.maximum(share[rows], 1.0), len(rows) / len(values))


def _checked(weights: ArrayLike) -> Array:
    values = np.asarray(weights, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any() or not (values > 0).any():
        message = f"event weights must be one row of finite numbers, none negative and not all zero, got the shape {values.shape}"
        raise DataError(message)
    return values
