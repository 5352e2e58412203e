"""ROOT: the branches of a tree of one number an entry, and single entries of those of several, through uproot."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from hepflows.errors import DataError, HepflowsError
from hepflows.io import Field, reader
from hepflows.io.columns import Array
from hepflows.io.columns.entries import Entry, parse
from hepflows.io.root import damaged, find_tree, is_scalar, metadata_of, open_file

__all__ = ["Columns", "opened"]


@contextmanager
def opened(path: Path, key: str | None) -> Iterator[Columns]:
    """Open a tree, the only one where ``key`` is None.

    Raises:
        DataError: no ROOT file, damaged, or several trees and no key.
    """
    yield Columns(path, key)


class Columns:
    """A tree whose branches are read as they are asked for."""

    def __init__(self, path: Path, key: str | None) -> None:
        self._path = path
        with open_file(path) as file:
            try:
                tree = find_tree(path, file, [], key)
                branches = {name: tree[name] for name in tree.keys(recursive=False)}
                self.names = tuple(
                    name for name, branch in branches.items() if is_scalar(branch.interpretation, "fiub")
                )
                self.jagged = tuple(name for name, branch in branches.items() if _jagged(branch.interpretation))
                self.unread = {
                    name: f"is of type {branch.typename!r} instead of one number an entry"
                    for name, branch in branches.items()
                    if name not in (*self.names, *self.jagged)
                }
                self._tree, self.rows, self.attributes = tree.name, int(tree.num_entries), metadata_of(file)
            except HepflowsError:
                raise
            except Exception as error:  # uproot meets damage with whatever its parser stumbles over
                raise DataError(damaged(path, error)) from error

    def iterate(self, names: Sequence[str], *, chunk: int) -> Iterator[dict[str, Array]]:
        """Yield {name: (rows,)} of at most ``chunk`` rows.

        Raises:
            DataError: the tree is damaged, or a row has too few entries for a column such as ``Jet_mass[1]``.
        """
        entries = {name: entry for name in names if name not in self.names and (entry := parse(name)) is not None}
        plain = [name for name in names if name not in entries]
        single = self._plain(plain, chunk) if plain else itertools.repeat({})
        several = self._entries(entries, chunk) if entries else itertools.repeat({})
        for one, other in zip(single, several, strict=False):
            yield {name: one[name] if name in one else other[name] for name in names}

    def _plain(self, names: Sequence[str], chunk: int) -> Iterator[dict[str, Array]]:
        with reader(self._path, [Field(name, dtype=np.bool_) for name in names], tree=self._tree) as table:
            yield from table.iterate(chunk=chunk)

    def _entries(self, entries: Mapping[str, Entry], chunk: int) -> Iterator[dict[str, Array]]:
        branches = list(dict.fromkeys(branch for entry in entries.values() for branch in entry.branches))
        first = 0
        with open_file(self._path) as file:
            tree = file[self._tree]
            while first < tree.num_entries:
                stop = min(first + chunk, tree.num_entries)
                try:
                    values = {name: tree[name].array(entry_start=first, entry_stop=stop) for name in branches}
                except Exception as error:
                    raise DataError(damaged(self._path, error)) from error
                yield {name: self._entry(name, entry, values, first) for name, entry in entries.items()}
                first = stop

    def _entry(self, name: str, entry: Entry, values: Mapping[str, Any], first: int) -> Array:
        counts = np.asarray(ak.num(values[entry.branch]))
        short = np.flatnonzero(counts < entry.fewest)
        if len(short):
            message = (
                f"{self._path}: {name!r} needs {entry.fewest} entries in every row, and row {first + short[0]} has {counts[short[0]]}: "
                "select events first"
            )
            raise DataError(message)
        return entry.of(values)


def _jagged(interpretation: Any) -> bool:
    """Whether a branch holds a list of plain numbers an entry."""
    inner = interpretation.content if isinstance(interpretation, uproot.AsJagged) else None
    return isinstance(inner, uproot.AsDtype) and not inner.to_dtype.shape and inner.to_dtype.kind in "fiub"
