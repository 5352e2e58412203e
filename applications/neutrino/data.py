"""Events from files, in their order and each value checked; and into files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from hepflows.applications.neutrino.events import Events, check, concatenate
from hepflows.applications.neutrino.formats import nuflows, tree
from hepflows.applications.neutrino.formats.column_map import PER_UNIT
from hepflows.errors import ConfigError, DataError
from hepflows.io.paths import file_format

Pathlike = str | os.PathLike[str]
CHUNK = 100_000


def iterate_events(
    path: Pathlike, *, columns: str | None = None, leptons: int = 1, units: str | None = None, chunk: int = CHUNK
) -> Iterator[Events]:
    """Yield the events of a file in order, at most ``chunk`` at a time.

    Args:
        path: HDF5 in the layout of nu-Flows, or ROOT.
        columns: ROOT: a column map, see `hepflows.applications.neutrino.formats.column_map`; found out among those that are known
            where None.
        leptons: one, or two for dilepton events.
        units: GeV, MeV or TeV, of the energies in the file; GeV, or what the column map says, where None.
        chunk: events at a time.

    Raises:
        DataError: the file cannot be read, lacks a column, or holds a value that no method can use.
        ConfigError: unknown units or column map.
    """
    file = Path(path).expanduser()
    if units is not None and units not in PER_UNIT:
        message = f"there is no unit {units!r} of energies: choose one of {', '.join(PER_UNIT)}"
        raise ConfigError(message)
    if file_format(file) == "ROOT":
        parts = tree.iterate(file, tree.chosen_map(file, columns), leptons=leptons, units=units, chunk=chunk)
    else:
        parts = nuflows.iterate(file, scale=PER_UNIT[units or "GeV"], chunk=chunk)
    first = 0
    for events in parts:
        if events.n_neutrinos != leptons:
            message = (
                f"{path} has {events.n_neutrinos} leptons an event where {leptons} are expected: train with another --channel, "
                "or give events of the channel that the model was trained on"
            )
            raise DataError(message)
        check(events, str(path), first=first, sample=first == 0)
        first += len(events)
        yield events


def read_events(
    path: Pathlike, *, columns: str | None = None, leptons: int = 1, units: str | None = None, chunk: int = CHUNK
) -> Events:
    """All events of a file; see `iterate_events`.

    >>> import tempfile
    >>> from hepflows.applications.neutrino.simulate.fast import top_pairs
    >>> path = tempfile.mkdtemp() + "/events.root"
    >>> write_events(path, iter([top_pairs(100, seed=1)]))
    100
    >>> len(read_events(path))
    100
    """
    return concatenate(list(iterate_events(path, columns=columns, leptons=leptons, units=units, chunk=chunk)))


def write_events(path: Pathlike, chunks: Iterator[Events], *, attributes: Mapping[str, str] | None = None) -> int:
    """Write chunks of events to HDF5 in the layout of nu-Flows or to ROOT, by the suffix; returns their number.

    Raises:
        DataError: an unknown suffix, or the file cannot be written.
    """
    file = Path(path).expanduser()
    write = tree.write if file_format(file) == "ROOT" else nuflows.write
    return write(file, chunks, attributes=attributes or {})
