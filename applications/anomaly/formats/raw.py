"""Raw events of the LHC Olympics: 700 massless particles a row, (pT, eta, phi) each and zero where there is none.

The columns are numbers: 0 to 2099, and 2100 with the truth where the file has it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.events import Array
from hepflows.applications.anomaly.jets import JetRules, Particles, find_dijets, jet_columns
from hepflows.errors import DataError

PARTICLES = 700
COLUMNS = tuple(str(i) for i in range(3 * PARTICLES))
TRUTH = str(3 * PARTICLES)
CHUNK = 2000
"""Rows at a time: 34 MB in double precision."""


def is_raw(names: Collection[str]) -> bool:
    """Whether a table holds raw particles."""
    return len(names) >= len(COLUMNS) and COLUMNS[0] in names and COLUMNS[-1] in names


def particles(columns: Mapping[str, NDArray[Any]]) -> Particles:
    """The particles of the rows of a table.

    >>> row = {name: np.zeros(1) for name in COLUMNS} | {"0": np.array([5.0]), "2": np.array([np.pi / 2])}
    >>> particles(row).momenta.round(6).tolist()
    [[0.0, 5.0, 0.0, 5.0]]
    """
    values = np.stack([np.asarray(columns[name], dtype=np.float64) for name in COLUMNS], axis=1)
    values = values.reshape(-1, PARTICLES, 3)
    there = values[:, :, 0] > 0
    pt, eta, phi = values[there].T
    return Particles.massless(pt, eta, phi, there.sum(axis=1))


def jets(
    columns: Mapping[str, NDArray[Any]], rules: JetRules, where: str, *, first: int
) -> tuple[dict[str, Array], NDArray[np.bool_]]:
    """The columns of a features file made from raw rows, and which of them have a pair of jets.

    Args:
        columns: {name: (n,)} of the raw file.
        rules: which events have a pair of jets.
        where: the file, for the message.
        first: number of the first row in the file.

    Raises:
        DataError: a value is not finite.
    """
    for name in COLUMNS:
        bad = np.flatnonzero(~np.isfinite(columns[name]))
        if len(bad):
            message = (
                f"{where}: row {first + bad[0]} has a particle that is not finite (column {name}): remove this event"
            )
            raise DataError(message)
    found = find_dijets(particles(columns), rules)
    return jet_columns(found), found.passed
