"""Events from files: which columns are the resonant variable and the features, and a check of every value."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.events import Array, Events, check_sample, check_values, concatenate
from hepflows.applications.anomaly.formats import lhco, raw
from hepflows.applications.anomaly.jets import JetRules
from hepflows.errors import ConfigError, DataError
from hepflows.io.columns import Columns, find, open_columns

Pathlike = str | os.PathLike[str]
CHUNK = 200_000


@dataclass(frozen=True)
class Selection:
    """What is read from a file.

    Args:
        resonance: column of the resonant variable; one entry of a jagged ROOT branch is ``Jet_mass[0]``,
            see `hepflows.io.columns.entries`.
        features: columns of the features.
        units: unit of the resonant variable, "TeV" or "GeV", or any text for another ("mas/yr"); never guessed. Columns are
            taken as they are, except those made from a features file or raw particles of the LHC Olympics, which are in GeV.
        label: column of the truth, 1 for signal; "auto" takes ``label`` where the file has it, "none" none.
        weight: column of event weights, or None.
        key: HDF5 frame or group, or ROOT tree; found out where there is only one.

    Raises:
        ConfigError: no features, or one named twice.
    """

    resonance: str
    features: tuple[str, ...]
    units: str = ""
    label: str = "auto"
    weight: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if not self.features:
            message = "a search needs at least one feature: name columns with --features a,b,c"
            raise ConfigError(message)
        twice = [one for one in self.features if self.features.count(one) > 1]
        if twice:
            message = f"--features names {twice[0]!r} twice: name each feature once"
            raise ConfigError(message)
        if self.resonance in self.features:
            message = f"{self.resonance!r} is the resonant variable and cannot be a feature as well: leave it out of --features"
            raise ConfigError(message)


def iterate_events(path: Pathlike, selection: Selection, *, chunk: int = CHUNK) -> Iterator[Events]:
    """Yield the events of a file in order, at most ``chunk`` at a time, each value checked.

    Raises:
        DataError: the file cannot be read, lacks a column, or has values that are not finite.
        ConfigError: units are needed and not stated.
    """
    for _, events in _chunks(path, selection, chunk, everything=False):
        yield events


def iterate_rows(
    path: Pathlike, selection: Selection, *, chunk: int = CHUNK
) -> Iterator[tuple[dict[str, NDArray[Any]], Events]]:
    """The same, with all columns of plain numbers that the file has: {name: (rows,)}."""
    yield from _chunks(path, selection, chunk, everything=True)


def _chunks(
    path: Pathlike, selection: Selection, chunk: int, *, everything: bool
) -> Iterator[tuple[dict[str, NDArray[Any]], Events]]:
    first = 0
    with open_columns(path, key=selection.key) as table:
        source = _Source(path, table, selection)
        names = list(dict.fromkeys([*(table.names if everything else ()), *source.stored]))
        for columns in table.iterate(names, chunk=min(chunk, source.most)):
            events = source.events(columns, first)
            check_values(events, str(path), first=first)
            first += len(events)
            yield {name: columns[name] for name in table.names if name in columns}, events


def read_events(path: Pathlike, selection: Selection, *, chunk: int = CHUNK) -> Events:
    """All events of a file; see `iterate_events`.

    Raises:
        DataError: see `iterate_events`; or a feature is constant, a copy of another, or holds marks for missing values.

    Example:
        >>> import tempfile
        >>> from hepflows.io.columns import write_columns
        >>> path = tempfile.mkdtemp() + "/events.hdf5"
        >>> n = write_columns(path, iter([{"mJJ": np.array([3.5, 2.8]), "x": np.array([0.1, 0.2])}]))
        >>> read_events(path, Selection("mJJ", ("x",), units="TeV")).resonance.tolist()
        [3.5, 2.8]
    """
    events = concatenate(list(iterate_events(path, selection, chunk=chunk)))
    check_sample(events, str(path))
    return events


def settled(path: Pathlike, selection: Selection) -> Selection:
    """The selection with the label column of this file filled in, so that a run says what it used."""
    with open_columns(path, key=selection.key) as table:
        return replace(selection, label=_Source(path, table, selection).label or "none")


class _Source:
    """How the columns of one file become events."""

    def __init__(self, path: Pathlike, table: Columns, selection: Selection) -> None:
        self._path, self._selection = path, selection
        wanted = [selection.resonance, *selection.features]
        # raw particles count only where no column of the file was meant
        self._raw = raw.is_raw(table.names) and not set(wanted) <= set(table.names)
        made = (
            (*lhco.DERIVED, *lhco.COLUMNS) if self._raw else tuple(lhco.DERIVED) if lhco.has_jets(table.names) else ()
        )
        self._made = [name for name in wanted if name in made and name not in table.names]
        if self._raw and len(self._made) < len(wanted):
            odd = next(name for name in wanted if name not in made)
            message = (
                f"{path} holds raw particles, from which jets are made, but not {odd!r}: choose among {', '.join(made)}"
            )
            raise DataError(message)
        if self._made and selection.units not in lhco.PER_GEV:
            message = (
                f"{path}: {self._made[0]} is made from momenta in GeV: state with --units TeV or --units GeV in which unit "
                "you want masses and give the signal region"
            )
            raise ConfigError(message)
        self.label = None if selection.label == "none" else selection.label
        if selection.label == "auto":
            name = raw.TRUTH if self._raw else "label"
            self.label = name if name in table.names and name not in wanted else None
        plain = [name for name in wanted if name not in self._made]
        extra = [name for name in (self.label, selection.weight) if name is not None]
        find(path, table, [*plain, *extra])
        jets = raw.COLUMNS if self._raw else lhco.COLUMNS if self._made else ()
        self.stored = list(dict.fromkeys([*plain, *extra, *jets]))
        self.most = raw.CHUNK if self._raw else CHUNK

    def events(self, columns: dict[str, NDArray[Any]], first: int) -> Events:
        """Rows of the file, from number ``first`` on."""
        selection, jets = self._selection, columns
        if self._raw:
            jets, passed = raw.jets(columns, JetRules(), str(self._path), first=first)
            if not passed.all():
                message = (
                    f"{self._path}: {int((~passed).sum())} events, the first is row {first + int(np.argmin(passed))}, have no pair of "
                    "jets: hepflows anomaly convert leaves such events out"
                )
                raise DataError(message)

        def column(name: str) -> Array:
            if name in self._made:
                return lhco.derive(name, jets, selection.units)
            return np.asarray(columns[name], dtype=np.float64)

        label = None
        if self.label is not None:
            values = np.asarray(columns[self.label], dtype=np.float64)
            # what is no whole number becomes -1, and is refused by name
            label = np.where(np.isfinite(values) & (values == np.round(values)), values, -1.0).astype(np.int64)
        return Events(
            resonance=column(selection.resonance),
            features=np.stack([column(name) for name in selection.features], axis=1),
            names=selection.features,
            resonance_name=selection.resonance,
            label=label,
            weight=None if selection.weight is None else np.asarray(columns[selection.weight], dtype=np.float64),
        )
