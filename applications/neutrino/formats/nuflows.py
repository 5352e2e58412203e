"""The HDF5 layout of nu-Flows (arXiv:2207.00664, Zenodo 6782987): compound tables in the group ``delphes``, in GeV.

====================  ========================================================================================================
dataset               content
====================  ========================================================================================================
``MET``               (n,) of ``MET``, ``phi``
``leptons``           (n,) of ``pt``, ``eta``, ``phi``, ``energy``, ``type`` (0 an electron, else a muon); (n, 2) with two leptons
``jets``              (n, J) of ``pt``, ``eta``, ``phi``, ``energy``, ``is_tagged``; ``pt`` 0 where there is none
``njets``             (n,) number of jets
``nbjets``            (n,) number of jets with a b tag
``truth_neutrinos``   (n,) of ``pt``, ``eta``, ``phi``; (n, 2) with two leptons; may be absent
``weights``           (n,): ours, and only where there are any
====================  ========================================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hepflows.applications.neutrino.events import Array, Events, from_jets
from hepflows.errors import DataError
from hepflows.io import records

GROUP = "delphes"
TABLES: dict[str, tuple[str, ...]] = {
    "MET": ("MET", "phi"),
    "leptons": ("pt", "eta", "phi", "energy", "type"),
    "jets": ("pt", "eta", "phi", "energy", "is_tagged"),
    "njets": (),
    "nbjets": (),
    "truth_neutrinos": ("pt", "eta", "phi"),
    "weights": (),
}
_OPTIONAL = ("truth_neutrinos", "weights")
_KINEMATICS = ("pt", "eta", "phi", "energy")


def iterate(path: Path, *, scale: float, chunk: int) -> Iterator[Events]:
    """Yield the events of a file in order.

    Args:
        path: the file.
        scale: GeV in a unit of its energies.
        chunk: at most so many events at a time.

    Raises:
        DataError: the file cannot be read or has another layout.
    """
    with records.reading(path, GROUP, TABLES, optional=_OPTIONAL) as file:
        for part in file.iterate(chunk=chunk):
            yield _events(path, {name: np.asarray(values, dtype=np.float64) for name, values in part.items()}, scale)


def _events(path: Path, part: Mapping[str, Array], scale: float) -> Events:
    n = len(part["njets"])

    def objects(name: str, fields: tuple[str, ...]) -> Array:
        values = np.stack([part[f"{name}.{one}"] for one in fields], axis=-1)
        if values.ndim > 3:
            message = f"{path}: {GROUP}/{name} has the shape {values.shape[:-1]}: one row an event and one column an object are expected"
            raise DataError(message)
        return values.reshape(n, -1, len(fields))

    def scaled(values: Array) -> Array:
        values[..., 0] *= scale
        values[..., 3:4] *= scale
        return values

    jets, tags = scaled(objects("jets", _KINEMATICS)), objects("jets", ("is_tagged",))[..., 0]
    kept = from_jets(jets, tags, part["njets"], part["nbjets"])
    size = part["MET.MET"] * scale
    truth = None
    if "truth_neutrinos.pt" in part:
        pt, eta, phi = np.moveaxis(objects("truth_neutrinos", ("pt", "eta", "phi")), -1, 0)
        truth = np.stack([scale * pt * np.cos(phi), scale * pt * np.sin(phi), eta], axis=-1)
    return Events(
        missing=np.stack([size * np.cos(part["MET.phi"]), size * np.sin(part["MET.phi"])], axis=1),
        leptons=scaled(objects("leptons", _KINEMATICS)),
        flavour=(objects("leptons", ("type",))[..., 0] != 0).astype(np.float64),
        jets=kept[0],
        tags=kept[1],
        n_jets=kept[2],
        n_bjets=kept[3],
        neutrinos=truth,
        weights=part.get("weights"),
    )


def write(path: Path, chunks: Iterator[Events], *, attributes: Mapping[str, str]) -> int:
    """Write chunks of events, jets as float32; returns the number of events."""
    with records.writing(path, GROUP, attributes=attributes) as file:
        for events in chunks:
            file.extend(_tables(events))
        return file.rows


def _tables(events: Events) -> dict[str, Any]:
    def table(values: Array, names: tuple[str, ...]) -> dict[str, Any]:
        # one object an event is a table of one dimension, as in the original
        flat = values[:, 0] if values.shape[1] == 1 else values
        return {name: flat[..., i].astype(np.float32) for i, name in enumerate(names)}

    leptons = np.concatenate([events.leptons, events.flavour[..., None]], axis=-1)
    jets = {name: events.jets[..., i].astype(np.float32) for i, name in enumerate(_KINEMATICS)}
    found: dict[str, Any] = {
        "MET": {
            "MET": np.hypot(*events.missing.T).astype(np.float32),
            "phi": np.arctan2(events.missing[:, 1], events.missing[:, 0]).astype(np.float32),
        },
        "leptons": table(leptons, TABLES["leptons"]),
        "jets": {**jets, "is_tagged": events.tags.astype(np.int8)},
        "njets": events.n_jets.astype(np.int32),
        "nbjets": events.n_bjets.astype(np.int32),
    }
    if events.neutrinos is not None:
        px, py, eta = np.moveaxis(events.neutrinos, -1, 0)
        found["truth_neutrinos"] = table(
            np.stack([np.hypot(px, py), eta, np.arctan2(py, px)], axis=-1), ("pt", "eta", "phi")
        )
    if events.weights is not None:
        found["weights"] = events.weights
    return found
