"""Two samples of the same features, checked once and scaled alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepflows.errors import DataError, ShapeError
from hepflows.metrics.samples import sample

Array = NDArray[np.float64]

_LARGEST = 1e60  # fourth powers, summed over all pairs, are still numbers


def checked_pair(generated: ArrayLike, reference: ArrayLike) -> tuple[Array, Array]:
    """Both samples in float64.

    Args:
        generated: (n, d).
        reference: (m, d).

    Raises:
        ShapeError: not (events, features), or different widths.
        DataError: no event, or a value that is not finite or beyond 1e60.
    """
    truth = sample("reference", reference, None)
    fake = sample("generated", generated, None, like=truth)
    return _bounded(np.asarray(fake.features, dtype=np.float64), np.asarray(truth.features, dtype=np.float64))


def largest_values(reference: ArrayLike) -> Array:
    """Largest absolute value (d,) of each feature of a reference (m, d), the scale of FPD and KPD (arXiv:2211.10295).

    >>> largest_values([[-2.0, 0.0], [1.0, 0.0]])
    array([2., 0.])
    """
    return np.asarray(np.abs(np.asarray(reference, dtype=np.float64)).max(axis=0))


def scaled_pair(generated: ArrayLike, reference: ArrayLike, scale: ArrayLike | None = None) -> tuple[Array, Array]:
    """Both samples, each feature divided by the largest absolute value that it has in the reference.

    This is the scale of FPD and KPD (arXiv:2211.10295). A feature that is zero in all of the reference stays as it is.

    Args:
        generated: (n, d).
        reference: (m, d).
        scale: (d,) to divide by instead, for parts of a reference that share its scale; a feature of scale zero stays as it is.

    Raises:
        ShapeError: not (events, features), or different widths.
        DataError: no event, or a value that is not finite or, scaled, beyond 1e60.

    >>> scaled_pair([[1.0, 3.0]], [[-2.0, 0.0], [1.0, 0.0]])[0]
    array([[0.5, 3. ]])
    """
    fake, truth = checked_pair(generated, reference)
    largest = np.abs(truth).max(axis=0) if scale is None else np.array(scale, dtype=np.float64)
    if largest.shape != (truth.shape[1],) or not np.isfinite(largest).all() or (largest < 0).any():
        message = f"{truth.shape[1]} features need one scale each, finite and not negative: pass largest_values of the reference"
        raise ShapeError(message)
    largest[largest == 0] = 1.0
    with np.errstate(over="ignore"):  # refused below
        return _bounded(fake / largest, truth / largest)


def _bounded(fake: Array, truth: Array) -> tuple[Array, Array]:
    for name, one in (("generated", fake), ("reference", truth)):
        if len(one) == 0:
            message = f"the {name} sample has no events: two samples of some are compared"
            raise DataError(message)
        column = int(np.abs(one).max(axis=0).argmax())
        if not np.abs(one[:, column]).max() <= _LARGEST:
            message = (
                f"feature {column} of the {name} sample reaches {np.abs(one[:, column]).max():.1g} in the units of this "
                f"metric, beyond {_LARGEST:.0e}: remove the events or the feature"
            )
            raise DataError(message)
    return fake, truth
