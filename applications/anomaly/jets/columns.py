"""Pairs of jets as the columns of a features file of the LHC Olympics, in GeV."""

from __future__ import annotations

import numpy as np

from hepflows.applications.anomaly.events import Array
from hepflows.applications.anomaly.jets.dijets import AXES, Dijets


def jet_columns(jets: Dijets) -> dict[str, Array]:
    """{name: (k,)} ``pxj1 pyj1 pzj1 mj1 tau1j1 tau2j1 tau3j1``, and the same for the second, softer jet."""
    columns: dict[str, Array] = {}
    for place in (0, 1):
        px, py, pz, energy = jets.momenta[:, place].T
        mass = np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0.0))
        values = {"px": px, "py": py, "pz": pz, "m": mass}
        values |= {f"tau{count}": jets.taus[:, place, i] for i, count in enumerate(AXES)}
        columns |= {f"{name}j{place + 1}": one for name, one in values.items()}
    return columns
