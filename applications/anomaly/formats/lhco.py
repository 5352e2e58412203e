"""Features of the LHC Olympics R&D files: two jets a row, in GeV, from which the usual variables are made.

The columns ``pxj1 pyj1 pzj1 mj1 tau1j1 tau2j1 tau3j1``, and the same for the second jet, are those of
``events_anomalydetection_v2.features.h5`` (Zenodo 6466204). Which jet comes first differs between files: here they are
ordered by mass, J1 the lighter one, as in arXiv:2109.00546.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Jets = Mapping[str, Array]
"""``px py pz m tau1 tau2 tau3`` of both jets, (2, n) each, the lighter jet first, masses and momenta in the user's unit."""

COLUMNS = tuple(f"{one}j{jet}" for jet in (1, 2) for one in ("px", "py", "pz", "m", "tau1", "tau2", "tau3"))
PER_GEV = {"GeV": 1.0, "TeV": 1e-3}


def _pair_mass(jets: Jets) -> Array:
    energy = np.sqrt(jets["px"] ** 2 + jets["py"] ** 2 + jets["pz"] ** 2 + jets["m"] ** 2).sum(axis=0)
    momentum = sum(jets[axis].sum(axis=0) ** 2 for axis in ("px", "py", "pz"))
    return np.asarray(np.sqrt(np.maximum(energy**2 - momentum, 0.0)), dtype=np.float64)


def _distance(jets: Jets) -> Array:
    eta = np.arcsinh(jets["pz"] / np.maximum(np.hypot(jets["px"], jets["py"]), 1e-12))
    phi = np.arctan2(jets["py"], jets["px"])
    turn = np.mod(phi[0] - phi[1] + np.pi, 2 * np.pi) - np.pi
    return np.asarray(np.hypot(eta[0] - eta[1], turn), dtype=np.float64)


def _ratio(jets: Jets, upper: int, lower: int, jet: int) -> Array:
    # a jet of too few constituents has tau = 0: the ratio is then 0
    return np.asarray(jets[f"tau{upper}"][jet] / (1e-5 + jets[f"tau{lower}"][jet]), dtype=np.float64)


DERIVED: dict[str, Callable[[Jets], Array]] = {
    "mJJ": _pair_mass,
    "mJ1": lambda jets: jets["m"][0],
    "mJ2": lambda jets: jets["m"][1],
    "dmJ": lambda jets: jets["m"][1] - jets["m"][0],
    "tau21_1": lambda jets: _ratio(jets, 2, 1, 0),
    "tau21_2": lambda jets: _ratio(jets, 2, 1, 1),
    "tau32_1": lambda jets: _ratio(jets, 3, 2, 0),
    "tau32_2": lambda jets: _ratio(jets, 3, 2, 1),
    "dR": _distance,
}
"""Variables that can be made from the columns of a features file, by name."""


def has_jets(names: Collection[str]) -> bool:
    """Whether a table is a features file."""
    return set(COLUMNS) <= set(names)


def derive(name: str, columns: Mapping[str, NDArray[Any]], units: str) -> Array:
    """One variable of each event.

    Args:
        name: a key of `DERIVED`, or one of `COLUMNS`.
        columns: {name: (n,)} those of `COLUMNS`, in GeV.
        units: "TeV" or "GeV", of the masses in return.

    >>> one = {column: np.zeros(1) for column in COLUMNS}
    >>> one |= {"pxj1": np.array([3e3]), "pxj2": np.array([-3e3]), "mj1": np.array([4e3]), "mj2": np.array([4e3])}
    >>> derive("mJJ", one, "TeV").tolist()
    [10.0]
    """
    scale = PER_GEV[units]
    if name in COLUMNS:
        return np.asarray(columns[name], dtype=np.float64) * (1.0 if name.startswith("tau") else scale)
    jets = {
        kind: np.stack([np.asarray(columns[f"{kind}j{jet}"], dtype=np.float64) for jet in (1, 2)])
        * (1.0 if kind.startswith("tau") else scale)
        for kind in ("px", "py", "pz", "m", "tau1", "tau2", "tau3")
    }
    order = np.argsort(jets["m"], axis=0, kind="stable")
    return DERIVED[name]({kind: np.take_along_axis(values, order, axis=0) for kind, values in jets.items()})
