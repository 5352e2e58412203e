"""Events: momenta with weights and particle codes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepflows.errors import DataError, ShapeError

__all__ = ["Events"]

Array = NDArray[np.float64]

_RESERVED = re.compile(r"momenta|weight|pdg|(E|px|py|pz|pdg)_\d+")


@dataclass(frozen=True)
class Events:
    """A number of events of equally many particles.

    Args:
        momenta: (n_events, n, 4) as (E, px, py, pz) in GeV.
        pdg: codes of the particles, (n,) or (n_events, n).
        weight: (n_events,); one each where None.
        columns: further numbers of each event, by name, (n_events,).

    Raises:
        ShapeError: the shapes do not fit together.
        DataError: a momentum or a weight is not finite, a column holds no numbers, or its name is taken.

    >>> events = Events(np.ones((3, 2, 4)), [11, -11])
    >>> len(events), events.weight.tolist(), len(events[:2])
    (3, [1.0, 1.0, 1.0], 2)
    """

    momenta: Array
    pdg: NDArray[np.int32]
    weight: Array
    columns: Mapping[str, Array] = field(default_factory=dict)

    def __init__(
        self,
        momenta: ArrayLike,
        pdg: Sequence[int] | NDArray[np.integer],
        weight: ArrayLike | None = None,
        columns: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        p = np.asarray(momenta, dtype=np.float64)
        if p.ndim != 3 or p.shape[2] != 4:
            message = f"the momenta must have the shape (events, particles, 4), but have {p.shape}: correct it"
            raise ShapeError(message)
        codes = np.asarray(pdg, dtype=np.int32)
        if codes.shape not in (p.shape[1:2], p.shape[:2]):
            message = f"pdg must hold one code for each of {p.shape[1]} particles, but has the shape {codes.shape}: correct it"
            raise ShapeError(message)
        further = {name: np.asarray(values) for name, values in (columns or {}).items()}
        one = np.ones(len(p)) if weight is None else np.asarray(weight, dtype=np.float64)
        for name, values in {"weight": one, **further}.items():
            if values.shape != (len(p),):
                message = (
                    f"{name!r} must hold one number for each of {len(p)} events, but has the shape {values.shape}: "
                    "correct it"
                )
                raise ShapeError(message)
            if values.dtype.kind not in "fiu":
                message = f"the column {name!r} must hold numbers, but holds {values.dtype}: convert it"
                raise DataError(message)
        taken = [name for name in further if _RESERVED.fullmatch(name)]
        if taken:
            message = f"the name {taken[0]!r} of a column belongs to the events themselves: choose another"
            raise DataError(message)
        if not (np.all(np.isfinite(p)) and np.all(np.isfinite(one))):
            message = "some momenta or weights are not finite: leave these events out"
            raise DataError(message)
        for name, value in (
            ("momenta", p),
            ("pdg", np.broadcast_to(codes, p.shape[:2])),
            ("weight", one),
            ("columns", further),
        ):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.momenta)

    def __getitem__(self, rows: slice | NDArray[np.integer] | NDArray[np.bool_]) -> Events:
        """The events of a slice, a mask or a list of rows."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Events(self.momenta[rows], self.pdg[rows], self.weight[rows], columns)
