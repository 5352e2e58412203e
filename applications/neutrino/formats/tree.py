"""ROOT trees with lists of jets and leptons, as in NanoAOD; which branch is what says a `ColumnMap`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepflows.applications.neutrino.events import Array, Events, from_jets
from hepflows.applications.neutrino.formats import column_map
from hepflows.applications.neutrino.formats.column_map import PER_UNIT, ColumnMap, Objects
from hepflows.errors import DataError
from hepflows.io import jagged
from hepflows.io.ragged import Ragged

_LEPTON, _JET, _NEUTRINO = (
    ("pt", "eta", "phi", "energy", "type", "charge"),
    ("pt", "eta", "phi", "energy", "btag"),
    ("pt", "eta", "phi"),
)


def chosen_map(path: Path, name: str | None) -> ColumnMap:
    """The map of that name, or the one that comes with the package whose branches the file has.

    Raises:
        DataError: the file fits none of them.
        ConfigError: there is none of that name.
    """
    if name is not None:
        return column_map.load(name)
    maps = {one: column_map.load(one) for one in column_map.names()}
    with jagged.reading(path, hint=maps["simulated"].required) as file:
        there = set(file.names)
    missing = {one: [branch for branch in candidate.required if branch not in there] for one, candidate in maps.items()}
    best = min(missing, key=lambda one: len(missing[one]))
    if missing[best]:
        message = (
            f"{path}: its branches are those of no known layout ({best} would need {missing[best][0]!r}): say with --columns map.yaml "
            "which branch is what"
        )
        raise DataError(message)
    return maps[best]


def iterate(path: Path, columns: ColumnMap, *, leptons: int, units: str | None, chunk: int) -> Iterator[Events]:
    """Yield the events of a tree in order.

    Args:
        path: the file.
        columns: which branch is what.
        leptons: how many of an event count, the hardest ones.
        units: instead of those of the map.
        chunk: at most so many events at a time.

    Raises:
        DataError: the file cannot be read, lacks a branch, or has lists of different lengths.
    """
    scale = PER_UNIT[units or columns.units]
    with jagged.reading(path, tree=columns.tree, hint=columns.required) as file:
        wanted = [*columns.required, *(name for name in columns.optional if name in file.names)]
        for part in file.iterate(wanted, chunk=chunk):
            yield _events(path, part, columns, leptons, scale)


def _events(path: Path, part: Mapping[str, Any], columns: ColumnMap, leptons: int, scale: float) -> Events:
    def table(name: str) -> Array:
        return padded(part[name])

    def scalar(name: str | None) -> Array | None:
        if name is None or name not in part:
            return None
        values = np.asarray(table(name), dtype=np.float64)
        return values[:, 0]

    def objects(one: Objects) -> Array:
        lengths = {name: _lengths(part[name]) for name in one.branches}
        for name, found in lengths.items():
            if not np.array_equal(found, lengths[one.pt]):
                message = f"{path}: the branches {one.pt!r} and {name!r} have lists of different lengths: they belong to different objects"
                raise DataError(message)
        pt, eta, phi = scale * table(one.pt), table(one.eta), table(one.phi)
        if one.energy is not None:
            energy = scale * table(one.energy)
        elif one.mass is not None:
            energy = np.sqrt((scale * table(one.mass)) ** 2 + (pt * np.cosh(eta)) ** 2)
        else:  # neutrinos
            energy = pt * np.cosh(eta)
        return np.stack([pt, eta, phi, energy], axis=-1)

    found, flavour = _leptons(columns.leptons, objects, table, leptons)
    tags = (table(columns.btag) > columns.working_point).astype(np.float64)
    jets = objects(columns.jets)
    if tags.shape != jets.shape[:2]:
        message = f"{path}: the branches {columns.jets.pt!r} and {columns.btag!r} have lists of different lengths"
        raise DataError(message)
    kept = from_jets(jets, tags, scalar(columns.n_jets), scalar(columns.n_bjets))
    size, phi = table(columns.missing.pt)[:, 0], table(columns.missing.phi)[:, 0]
    truth = None
    if columns.neutrinos is not None and columns.neutrinos.pt in part:
        neutrinos = objects(columns.neutrinos)[:, :leptons]
        if neutrinos.shape[1] < leptons:
            message = f"{path}: {columns.neutrinos.pt!r} has fewer neutrinos than there are leptons ({leptons})"
            raise DataError(message)
        pt, eta, angle, _ = np.moveaxis(neutrinos, -1, 0)
        truth = np.stack([pt * np.cos(angle), pt * np.sin(angle), eta], axis=-1)
    missing = scale * size[:, None] * np.stack([np.cos(phi), np.sin(phi)], axis=1)
    return Events(missing, found, flavour, *kept, neutrinos=truth, weights=scalar(columns.weight))


def _leptons(maps: Sequence[Objects], objects: Any, table: Any, wanted: int) -> tuple[Array, Array]:
    """The hardest leptons of all collections (n, L, 4), the positive one first where charges are known, and their flavours (n, L)."""
    every, flavours, charges = [], [], []
    for one in maps:
        found = objects(one)
        shape = found.shape[:2]
        every.append(found)
        if one.flavour in ("electron", "muon"):
            flavours.append(np.full(shape, float(one.flavour == "muon")))
        else:
            flavours.append((table(one.flavour) != 0).astype(np.float64))
        charges.append(np.zeros(shape) if one.charge is None else table(one.charge))
    leptons, flavour, charge = (np.concatenate(values, axis=1) for values in (every, flavours, charges))
    short = max(0, wanted - leptons.shape[1])
    leptons, flavour, charge = (
        np.pad(values, ((0, 0), (0, short), *([(0, 0)] * (values.ndim - 2)))) for values in (leptons, flavour, charge)
    )
    hardest = np.argsort(-leptons[..., 0], axis=1, kind="stable")[:, :wanted]
    order = np.take_along_axis(hardest, np.argsort(-np.take_along_axis(charge, hardest, 1), axis=1, kind="stable"), 1)
    return np.take_along_axis(leptons, order[..., None], axis=1), np.take_along_axis(flavour, order, axis=1)


def _lengths(column: Any) -> Array:
    return column.lengths if isinstance(column, Ragged) else np.ones(len(column), dtype=np.int64)


def padded(column: Any) -> Array:
    """Lists of different lengths as (rows, longest), zero where a list has ended; one number a row as (rows, 1)."""
    if not isinstance(column, Ragged):
        return np.asarray(column, dtype=np.float64)[:, None]
    width = max(1, int(column.lengths.max(initial=0)))
    result = np.zeros((len(column), width))
    result[np.arange(width) < column.lengths[:, None]] = column.values
    return result


def write(path: Path, chunks: Iterator[Events], *, attributes: Mapping[str, str]) -> int:
    """Write chunks of events in the layout of the map ``simulated``; returns the number of events."""
    first = next(chunks)
    scalars = {"met_pt": "f8", "met_phi": "f8", "event_njets": "i4", "event_nbjets": "i4"}
    if first.weights is not None:
        scalars["event_weight"] = "f8"
    names = {"lepton": _LEPTON, "jet": _JET, **({} if first.neutrinos is None else {"neutrino": _NEUTRINO})}
    fields = {name: dict.fromkeys(inner, np.float32) for name, inner in names.items()}
    rows = 0
    with jagged.writing(path, scalars, fields, attributes=attributes) as file:
        events: Events | None = first
        while events is not None:
            file.extend(_columns(events))
            rows += len(events)
            events = next(chunks, None)
    return rows


def _columns(events: Events) -> dict[str, Any]:
    def ragged(values: Array, present: Array, names: Sequence[str]) -> dict[str, Ragged]:
        lengths = present.sum(axis=1)
        return {name: Ragged(values[..., i][present], lengths) for i, name in enumerate(names)}

    every = np.ones(events.flavour.shape, dtype=bool)
    leptons = np.moveaxis(events.leptons, -1, 0)
    # of two leptons the first is the positive one; that of one is not known
    charge = np.tile([1.0, -1.0] if events.n_neutrinos == 2 else [0.0], (len(events), 1))
    columns: dict[str, Any] = {
        "met_pt": np.hypot(*events.missing.T),
        "met_phi": np.arctan2(events.missing[:, 1], events.missing[:, 0]),
        "event_njets": events.n_jets,
        "event_nbjets": events.n_bjets,
        "lepton": ragged(np.stack([*leptons, events.flavour, charge], axis=-1), every, _LEPTON),
        "jet": ragged(np.concatenate([events.jets, events.tags[..., None]], axis=-1), events.present, _JET),
    }
    if events.weights is not None:
        columns["event_weight"] = events.weights
    if events.neutrinos is not None:
        px, py, eta = np.moveaxis(events.neutrinos, -1, 0)
        truth = np.stack([np.hypot(px, py), eta, np.arctan2(py, px)], axis=-1)
        columns["neutrino"] = ragged(truth, every, _NEUTRINO)
    return columns
