"""ROOT: the branches of one number an entry of a tree, through uproot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hepflows.errors import DataError, HepflowsError
from hepflows.io import Field, reader
from hepflows.io.columns import Array
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
                self.unread = {
                    name: f"is of type {branch.typename!r} instead of one number an entry"
                    for name, branch in branches.items()
                    if name not in self.names
                }
                self._tree, self.attributes = tree.name, metadata_of(file)
            except HepflowsError:
                raise
            except Exception as error:  # uproot meets damage with whatever its parser stumbles over
                raise DataError(damaged(path, error)) from error

    def iterate(self, names: Sequence[str], *, chunk: int) -> Iterator[dict[str, Array]]:
        """Yield {name: (rows,)} of at most ``chunk`` rows."""
        with reader(self._path, [Field(name, dtype=np.bool_) for name in names], tree=self._tree) as table:
            yield from table.iterate(chunk=chunk)
