"""Flat tables of named columns, whatever the file: pandas frames and datasets in HDF5, ROOT trees, CSV, Parquet.

Where :func:`hepflows.io.reader` asks a file for a declared layout, :func:`open_columns` asks it what it has. Columns come as they are
stored, a chunk of rows at a time; nothing that would run code (pickled objects) is ever read.

>>> import numpy as np, tempfile
>>> path = tempfile.mkdtemp() + "/events.csv"
>>> write_columns(path, iter([{"m": np.array([3.5, 2.0]), "x": np.array([0.1, 0.2])}]))
2
>>> with open_columns(path) as table:
...     table.names, [chunk["m"].tolist() for chunk in table.iterate(["m"], chunk=1)]
(('m', 'x'), [[3.5], [2.0]])
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hepflows.errors import DataError
from hepflows.io import Field, writer
from hepflows.io.columns.entries import parse

__all__ = ["SUFFIXES", "Columns", "find", "open_columns", "write_columns"]

Array = npt.NDArray[Any]

SUFFIXES: dict[str, str] = {
    ".hdf5": "HDF5", ".h5": "HDF5", ".hdf": "HDF5", ".root": "ROOT",
    ".csv": "CSV", ".txt": "CSV", ".dat": "CSV", ".parquet": "Parquet", ".pq": "Parquet",
}  # fmt: skip


class Columns(Protocol):
    """An open table."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its columns of plain numbers."""

    @property
    def unread(self) -> Mapping[str, str]:
        """Other columns and why they are not read, such as "holds objects"."""

    @property
    def rows(self) -> int | None:
        """How many rows it has, where that is known before they are read."""

    @property
    def jagged(self) -> Collection[str]:
        """Columns of several numbers a row, one entry of which can be asked for, see `hepflows.io.columns.entries`."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """What the file says about itself, as text."""

    def iterate(self, names: Sequence[str], *, chunk: int) -> Iterator[dict[str, Array]]:
        """Yield {name: (rows,)} of at most ``chunk`` rows."""


def format_of(path: str | os.PathLike[str]) -> str:
    """HDF5, ROOT, CSV or Parquet, by the suffix.

    Raises:
        DataError: the suffix is unknown.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        message = f"{os.fspath(path)}: {suffix or 'no suffix'} is no known format of tables: give a file that ends in {', '.join(SUFFIXES)}"
        raise DataError(message)
    return SUFFIXES[suffix]


def open_columns(path: str | os.PathLike[str], *, key: str | None = None) -> AbstractContextManager[Columns]:
    """Open a table.

    Args:
        path: the file; its suffix says what it is.
        key: HDF5: the pandas frame, or the group of datasets; ROOT: the tree. Found out where there is only one.

    Raises:
        DataError: the file cannot be read, is of another format, or does not have the key.
        MissingExtraError: Parquet without pyarrow, or a Blosc-compressed file without blosc2.
    """
    kind, file = format_of(path), Path(path).expanduser()
    if not file.is_file():
        message = f"the file {path} does not exist: check its name and the folder you are in ({Path.cwd()})"
        raise DataError(message)
    if kind == "ROOT":
        from hepflows.io.columns import tree

        return tree.opened(file, key)
    if kind == "CSV":
        from hepflows.io.columns import text

        return text.opened(file)
    if kind == "Parquet":
        from hepflows.io.columns import parquet

        return parquet.opened(file)
    from hepflows.io.columns import hdf5

    return hdf5.opened(file, key)


def find(path: str | os.PathLike[str], table: Columns, names: Sequence[str]) -> None:
    """Check that a table has these columns.

    Raises:
        DataError: one is missing, or is not read.
    """
    for name in names:
        entry = None if name in table.names else parse(name)
        if entry is not None and set(entry.branches) <= set(table.jagged):
            continue
        if entry is not None:
            odd = next(one for one in entry.branches if one not in table.jagged)
            shown = ", ".join(list(table.jagged)[:12]) or "none"
            message = f"{path} has no column {odd!r} with several numbers a row, as {name!r} asks for (of those it has: {shown})"
            raise DataError(message)
        if name in table.jagged:
            message = f"{path}: the column {name!r} has several numbers a row: say which one, for example {name}[0]"
            raise DataError(message)
        if name in table.unread:
            message = f"{path}: the column {name!r} {table.unread[name]}: store it as plain numbers"
            raise DataError(message)
        if name not in table.names:
            shown = ", ".join(table.names[:12]) + (", ..." if len(table.names) > 12 else "")
            message = f"{path} has no column {name!r} (it has {len(table.names)}: {shown or 'none'}): name one of these"
            raise DataError(message)


def write_columns(
    path: str | os.PathLike[str], chunks: Iterator[dict[str, Array]], *, attributes: Mapping[str, str] | None = None
) -> int:
    """Write chunks of columns to a new file, whose suffix says what it is; returns the number of rows.

    The file appears when it is complete. Attributes are kept in HDF5 and ROOT files.

    Raises:
        DataError: there is no chunk, or the file cannot be written.
    """
    kind = format_of(path)
    first = next(chunks, None)
    if first is None:
        message = f"{path}: there are no rows to write"
        raise DataError(message)
    parts = itertools.chain([first], chunks)
    if kind == "CSV":
        from hepflows.io.columns import text

        return text.write(Path(path), parts)
    if kind == "Parquet":
        from hepflows.io.columns import parquet

        return parquet.write(Path(path), parts)
    rows = 0
    fields = [Field(name, dtype=np.asarray(values).dtype) for name, values in first.items()]
    with writer(path, fields, attributes=attributes) as table:
        for part in parts:
            table.extend(part)
            rows += len(next(iter(part.values())))
    return rows
