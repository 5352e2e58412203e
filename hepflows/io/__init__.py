"""Chunked readers and writers of tables in HDF5 and ROOT files; no other package opens a data file.

A table is a set of named columns (:class:`Field`): datasets of equal length in HDF5, branches of one flat tree in ROOT.
:func:`reader` and :func:`writer` choose the format by the suffix; memory is bounded by a chunk, however large the file.
:func:`contents` says what a file holds before its columns are known.

>>> import numpy as np, tempfile
>>> path = tempfile.mkdtemp() + "/table.hdf5"
>>> fields = [Field("energy", (1,)), Field("image", (2, 3))]
>>> with writer(path, fields, attributes={"source": "example"}) as table:
...     table.extend({"energy": np.ones((5, 1)), "image": np.zeros((5, 2, 3))})
>>> with reader(path, fields) as table:
...     table.rows, table.attributes, [len(chunk["image"]) for chunk in table.iterate(chunk=2)]
(5, {'source': 'example'}, [2, 2, 1])
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hepflows.io.paths import file_format
from hepflows.io.ragged import Ragged

__all__ = ["Contents", "Field", "Ragged", "Reader", "Writer", "contents", "reader", "writer"]

Array = npt.NDArray[Any]
Column = Any
"""(rows, *shape), or :class:`Ragged` where the field says so."""
Refuse = Callable[[Collection[str]], str | None]


@dataclass(frozen=True)
class Field:
    """One column of a table.

    Args:
        name: dataset (HDF5) or branch (ROOT).
        shape: shape of one row; ``()`` for a scalar. ROOT branches are always scalars.
        dtype: what a writer stores. A reader takes any real number and yields it as it is stored; from ROOT also
            true and false where this is bool.
        required: a reader leaves out a column that is not required and not there. A writer may be given it late or never:
            its rows are zero until then, and without any it is not in the file (ROOT: all its rows are zero).
        ragged: rows are flat and of any length, a :class:`Ragged` (HDF5 only).
    """

    name: str
    shape: tuple[int, ...] = ()
    dtype: npt.DTypeLike = np.float64
    required: bool = True
    ragged: bool = False


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Args:
        kind: what the file calls a column, "dataset" or "branch".
        shapes: of all columns by name, the number of rows first; None for what is no array of numbers.
        attributes: as text.
    """

    kind: str
    shapes: dict[str, tuple[int, ...] | None]
    attributes: dict[str, str]


class Reader(Protocol):
    """An open file: its number of rows, its attributes and its columns, a chunk at a time."""

    rows: int
    attributes: dict[str, str]

    def iterate(self, *, chunk: int, stop: int | None = None) -> Iterator[dict[str, Column]]:
        """Yield {name: (rows, *shape)} of at most ``chunk`` rows, up to row ``stop``."""

    def whole(self, name: str) -> Array:
        """A few numbers that belong to no row (HDF5: a small dataset)."""


class Writer(Protocol):
    """A file being written: rows are appended, and the file appears under its name when all went well."""

    def extend(self, columns: Mapping[str, Column]) -> None:
        """Append rows; ``columns`` is {name: (rows, *shape)}."""

    def put(self, name: str, values: npt.ArrayLike) -> None:
        """Write a few numbers that belong to no row (HDF5: a dataset)."""


def contents(path: str | os.PathLike[str], *, hint: Collection[str] = ()) -> Contents:
    """Names and shapes of the columns of an HDF5 or ROOT file, and its attributes; no data are read.

    Args:
        path: a file that ends in .hdf5, .h5, .hdf or .root.
        hint: ROOT only: of several trees the one that has most of these branches.

    Raises:
        DataError: the file cannot be read.
    """
    if file_format(path) == "ROOT":
        from hepflows.io import root

        return root.contents(Path(path), hint)
    from hepflows.io import hdf5

    return hdf5.contents(Path(path))


def reader(
    path: str | os.PathLike[str], fields: Sequence[Field], *, tree: str | None = None, refuse: Refuse | None = None
) -> AbstractContextManager[Reader]:
    """Open an HDF5 or ROOT file and check its layout: columns, shapes, types, lengths.

    Args:
        path: a file that ends in .hdf5, .h5, .hdf or .root.
        fields: the columns to read; others are ignored.
        tree: ROOT only: the tree's name; when ``None``, the tree that has the required branches.
        refuse: called with the names found in the file; a text in return ("is a ...: do ...") refuses the file.

    Raises:
        DataError: the file cannot be read, or is not what ``fields`` declare.
    """
    if file_format(path) == "ROOT":
        from hepflows.io import root

        return root.reading(Path(path), fields, tree=tree, refuse=refuse)
    from hepflows.io import hdf5

    return hdf5.reading(Path(path), fields, refuse=refuse)


def writer(
    path: str | os.PathLike[str],
    fields: Sequence[Field],
    *,
    attributes: Mapping[str, str] | None = None,
    tree: str = "events",
) -> AbstractContextManager[Writer]:
    """Create a compressed HDF5 or ROOT file; it gets its name only when it is complete.

    Args:
        path: a file that ends in .hdf5, .h5, .hdf or .root.
        fields: the columns, all of which every ``extend`` must bring.
        attributes: where the data come from; kept as HDF5 attributes, or as JSON in a TObjString beside the tree.
        tree: ROOT only: the tree's name.

    Raises:
        DataError: the file cannot be created, or the disk is full; nothing is left behind.
        ShapeError: the columns are not those that ``fields`` declare.
    """
    if file_format(path) == "ROOT":
        from hepflows.io import root

        return root.writing(Path(path), fields, attributes=attributes or {}, tree=tree)
    from hepflows.io import hdf5

    return hdf5.writing(Path(path), fields, attributes=attributes or {})


def checked_columns(
    path: Path, fields: Sequence[Field], columns: Mapping[str, Column]
) -> tuple[int, dict[str, Column]]:
    """The number of rows and the columns as arrays of the declared types, for writers.

    Raises:
        ShapeError: a column is missing, unknown, of the wrong shape or length.
    """
    from hepflows.errors import ShapeError

    wanted = {field.name for field in fields if field.required}
    difference = sorted((wanted - set(columns)) | (set(columns) - {field.name for field in fields}))
    if difference:
        message = f"{path}: the columns to write differ from the declared ones in {difference[:5]}: pass exactly those"
        raise ShapeError(message)
    here = [field for field in fields if field.name in columns]
    arrays = {field.name: _as_declared(columns[field.name], field) for field in here}
    first = arrays[here[0].name]
    rows = len(first) if isinstance(first, Ragged) or first.ndim else 0
    for field in here:
        found = arrays[field.name]
        expected, shape = (rows, *field.shape), (len(found),) if isinstance(found, Ragged) else found.shape
        if shape != expected:
            message = (
                f"{path}: column {field.name!r} must have the shape {expected}, but has {shape}: "
                "pass columns of equal length"
            )
            raise ShapeError(message)
    return rows, arrays


def _as_declared(column: Column, field: Field) -> Column:
    if field.ragged:
        return Ragged(np.asarray(column.values, dtype=field.dtype), column.lengths)
    return np.asarray(column, dtype=field.dtype)
