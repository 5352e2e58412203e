"""Event files: HDF5, ROOT and Les Houches, written and read a chunk at a time.

=======  ===========================================================================================
format   layout
=======  ===========================================================================================
HDF5     ``momenta`` (n, particles, 4) in GeV, ``weight`` (n,), ``pdg`` (n, particles), further columns (n,)
ROOT     one tree ``events``: ``E_0``, ``px_0``, ``py_0``, ``pz_0``, ``pdg_0``, ``E_1``, ..., ``weight``, further columns
LHE      Les Houches events 3.0, also gzipped; see `hepflows.applications.integration.lhe`
=======  ===========================================================================================
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from hepflows import io
from hepflows.applications.integration import lhe
from hepflows.applications.integration.events import Events
from hepflows.errors import ConfigError, DataError
from hepflows.io.paths import file_format

__all__ = ["iterate_events", "read_events", "write_events"]

Pathlike = str | os.PathLike[str]

_COMPONENTS = ("E", "px", "py", "pz")


def write_events(
    path: Pathlike,
    events: Events | Iterable[Events],
    *,
    attributes: Mapping[str, str] | None = None,
    run: lhe.Run | None = None,
) -> int:
    """Write events; the file gets its name only when it is complete.

    Args:
        path: ends in .hdf5, .h5, .root, .lhe or .lhe.gz.
        events: all of them, or chunks, of which one at a time is in memory.
        attributes: where they come from, as text; a comment in LHE files.
        run: beams and cross section, for LHE files only.

    Returns:
        The number of events.

    Raises:
        DataError: there are no events, chunks differ in their layout, or the disk is full; nothing half-written is left.
        ConfigError: an LHE file without ``run``, or ``run`` or columns that the format does not keep.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/events.h5"
    >>> write_events(path, Events(np.ones((3, 2, 4)), [11, -11]), attributes={"process": "example"})
    3
    >>> read_events(path).pdg[0].tolist()
    [11, -11]
    """
    chunks = iter([events] if isinstance(events, Events) else events)
    first = next((chunk for chunk in chunks if len(chunk)), None)
    if first is None:
        message = f"{os.fspath(path)} was not written because there are no events: give at least one"
        raise DataError(message)
    alike = _alike(os.fspath(path), first, chunks)
    if lhe.is_lhe(path):
        if run is None:
            message = f"{os.fspath(path)}: an LHE file states its beams and cross section: give them as run"
            raise ConfigError(message)
        return lhe.write(path, alike, run, attributes or {})
    if run is not None:
        message = f"{os.fspath(path)}: beams and cross section belong to LHE files: give them as attributes"
        raise ConfigError(message)
    root = file_format(path) == "ROOT"
    rows = 0
    with io.writer(path, _fields(first, root=root), attributes=attributes) as table:
        for chunk in alike:
            table.extend(_columns(chunk, root=root))
            rows += len(chunk)
    return rows


def read_events(path: Pathlike) -> Events:
    """All events of an HDF5 or ROOT file; see `iterate_events`."""
    chunks = list(iterate_events(path))
    columns = {name: np.concatenate([chunk.columns[name] for chunk in chunks]) for name in chunks[0].columns}
    momenta, pdg, weight = (np.concatenate([getattr(c, name) for c in chunks]) for name in ("momenta", "pdg", "weight"))
    return Events(momenta, pdg, weight, columns)


def iterate_events(path: Pathlike, *, chunk: int = 20_000) -> Iterator[Events]:
    """The events of an HDF5 or ROOT file, at most ``chunk`` at a time.

    Args:
        path: ends in .hdf5, .h5 or .root.
        chunk: most events in memory.

    Raises:
        DataError: the file cannot be read, or holds no events.
    """
    root = file_format(path) == "ROOT"
    shapes = io.contents(path, hint=["weight", "E_0"]).shapes
    if root:
        particles = next(i for i in itertools.count() if f"E_{i}" not in shapes)
        known = {"weight", *(f"{part}_{i}" for i in range(particles) for part in (*_COMPONENTS, "pdg"))}
    else:
        shape = shapes.get("momenta") or ()
        particles = shape[1] if len(shape) == 3 and shape[2] == 4 else 0
        known = {"weight", "momenta", "pdg"}
    if not particles:
        message = (
            f"{os.fspath(path)} holds no events, but {', '.join(list(shapes)[:5]) or 'nothing'}: give a file of events"
        )
        raise DataError(message)
    further = [name for name, shape in shapes.items() if name not in known and shape is not None and len(shape) == 1]
    with io.reader(path, _layout(particles, further, root=root)) as table:
        for columns in table.iterate(chunk=chunk):
            extra = {name: columns[name] for name in further}
            if root:
                momenta = np.stack(
                    [np.stack([columns[f"{part}_{i}"] for part in _COMPONENTS], -1) for i in range(particles)], 1
                )
                pdg = np.stack([columns[f"pdg_{i}"] for i in range(particles)], 1)
            else:
                momenta, pdg = columns["momenta"], columns["pdg"]
            yield Events(momenta, pdg, columns["weight"], extra)


def _alike(path: str, first: Events, rest: Iterable[Events]) -> Iterator[Events]:
    """The chunks that are not empty, as long as they have the layout of the first."""
    yield first
    for chunk in rest:
        if chunk.momenta.shape[1] != first.momenta.shape[1] or set(chunk.columns) != set(first.columns):
            message = (
                f"{path}: all chunks of events must have the same particles and columns, but they differ: sort them"
            )
            raise DataError(message)
        if len(chunk):
            yield chunk


def _fields(events: Events, *, root: bool) -> list[io.Field]:
    dtypes = {name: values.dtype for name, values in events.columns.items()}
    layout = _layout(events.momenta.shape[1], list(dtypes), root=root)
    return [io.Field(one.name, one.shape, dtypes.get(one.name, one.dtype)) for one in layout]


def _layout(particles: int, further: list[str], *, root: bool) -> list[io.Field]:
    extra = [io.Field("weight"), *map(io.Field, further)]
    if not root:
        return [io.Field("momenta", (particles, 4)), io.Field("pdg", (particles,), np.int32), *extra]
    branches = [
        field
        for i in range(particles)
        for field in (*(io.Field(f"{part}_{i}") for part in _COMPONENTS), io.Field(f"pdg_{i}", (), np.int32))
    ]
    return [*branches, *extra]


def _columns(events: Events, *, root: bool) -> dict[str, Any]:
    extra = {"weight": events.weight, **events.columns}
    if not root:
        return {"momenta": events.momenta, "pdg": events.pdg, **extra}
    particles = range(events.momenta.shape[1])
    codes = {f"pdg_{i}": events.pdg[:, i] for i in particles}
    return (
        {f"{part}_{i}": events.momenta[:, i, k] for i in particles for k, part in enumerate(_COMPONENTS)}
        | codes
        | extra
    )
