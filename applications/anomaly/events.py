"""A sample of events: a resonant variable, named features, and labels and weights where there are any."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepflows.errors import DataError, ShapeError

Array = NDArray[np.float64]
Rows = slice | NDArray[Any]

_SENTINEL = 1e6
"""A value so many interquartile ranges away from the median stands for a missing one."""


@dataclass(frozen=True)
class Events:
    """A table of n events.

    Args:
        resonance: (n,) the resonant variable, in the user's unit.
        features: (n, d) what may tell a signal from background.
        names: of the d features.
        resonance_name: name of the resonant variable.
        label: (n,) 1 for signal and 0 for background, or None where the truth is not known. No method but the references looks at it.
        weight: (n,) event weights, or None for one each.

    Raises:
        ShapeError: columns of different length, or not one name a feature.

    >>> events = Events(np.array([3.5, 2.8]), np.array([[0.1, 0.4], [0.2, 0.3]]), ("mJ1", "dmJ"), "mJJ")
    >>> len(events), events.column("dmJ").tolist()
    (2, [0.4, 0.3])
    """

    resonance: Array
    features: Array
    names: tuple[str, ...]
    resonance_name: str = "m"
    label: NDArray[np.int64] | None = None
    weight: Array | None = None

    def __post_init__(self) -> None:
        n = len(self.resonance)
        if self.resonance.ndim != 1 or self.features.shape != (n, len(self.names)):
            message = (
                f"{n} events with {len(self.names)} feature names need features of the shape ({n}, {len(self.names)}), "
                f"but they have {self.features.shape}"
            )
            raise ShapeError(message)
        for name in ("label", "weight"):
            values = getattr(self, name)
            if values is not None and values.shape != (n,):
                message = f"{n} events need one {name} each, but the {name} has the shape {values.shape}"
                raise ShapeError(message)

    def __len__(self) -> int:
        return len(self.resonance)

    def __getitem__(self, rows: Rows) -> Events:
        return replace(
            self,
            resonance=self.resonance[rows],
            features=self.features[rows],
            label=None if self.label is None else self.label[rows],
            weight=None if self.weight is None else self.weight[rows],
        )

    @property
    def weights(self) -> Array:
        """(n,) the weights, ones where there are none."""
        return np.ones(len(self)) if self.weight is None else self.weight

    def column(self, name: str) -> Array:
        """(n,) one feature, or the resonant variable."""
        return self.resonance if name == self.resonance_name else self.features[:, self.names.index(name)]

    def truth(self, why: str) -> NDArray[np.int64]:
        """(n,) the labels.

        Raises:
            DataError: there are none; ``why`` says who needs them.
        """
        if self.label is None:
            message = f"{why} needs labelled events, and these have no label: give the column with --label, or choose another method"
            raise DataError(message)
        return self.label


def concatenate(parts: list[Events]) -> Events:
    """One sample of several with the same columns; labels and weights are kept where all have them."""
    first = parts[0]
    if len(parts) == 1:
        return first

    def joined(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if any(one is None for one in values) else np.concatenate(values)

    return replace(first, **{name: joined(name) for name in ("resonance", "features", "label", "weight")})


def check_values(events: Events, where: str, *, first: int = 0) -> None:
    """Refuse values that no method can use.

    Args:
        events: the sample, or a chunk of it.
        where: the file, for the message.
        first: number of its first row in the file.

    Raises:
        DataError: a value is not finite, a label neither 0 nor 1, or a weight negative.
    """
    for name in (events.resonance_name, *events.names):
        bad = np.flatnonzero(~np.isfinite(events.column(name)))
        if len(bad):
            message = (
                f"{where}: {name} is not a finite number in {len(bad)} events, the first is row {first + bad[0]}: "
                "remove these events, or choose other features"
            )
            raise DataError(message)
    if events.label is not None and not np.isin(events.label, (0, 1)).all():
        odd = np.unique(events.label[~np.isin(events.label, (0, 1))])[:3].tolist()
        message = f"{where}: labels must be 1 (signal) or 0 (background), but there are {odd}: choose another --label, or 'none'"
        raise DataError(message)
    if events.weight is not None and not (np.isfinite(events.weight).all() and (events.weight >= 0).all()):
        message = f"{where}: event weights must be finite and not negative: repair them, or leave --weight out"
        raise DataError(message)


def check_sample(events: Events, where: str) -> None:
    """Refuse features that no method can learn from.

    Raises:
        DataError: a feature is constant, a copy of another (or of the resonant variable), or has a value that stands for a missing one.
    """
    columns = {name: events.column(name) for name in (events.resonance_name, *events.names)}
    for name, values in columns.items():
        low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
        if values.min() == values.max():
            message = f"{where}: {name} has the same value, {values[0]:g}, in all {len(values)} events: leave it out"
            raise DataError(message)
        far = np.abs(values - median) > _SENTINEL * (high - low)
        if high > low and far.any():
            message = (
                f"{where}: {name} is {values[far][0]:g} in {far.sum()} events and about {median:.3g} otherwise, which looks like "
                "a mark for missing values: remove these events"
            )
            raise DataError(message)
    seen: dict[bytes, str] = {}
    for name, values in columns.items():
        twin = seen.setdefault(values.tobytes(), name)
        if twin != name:
            message = f"{where}: {name} is a copy of {twin}: leave one of them out"
            raise DataError(message)
