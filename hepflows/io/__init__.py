"""Chunked readers and writers of tables in HDF5 and ROOT files; no other package opens a data file.

A table is a set of named columns (:class:`Field`): datasets of equal length in HDF5, branches of one flat tree in ROOT.
:func:`reader` and :func:`writer` choose the format by the suffix; memory is bounded by a chunk, however large the file.

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

__all__ = ["Field", "Reader", "Writer", "reader", "writer"]

Array = npt.NDArray[Any]
Refuse = Callable[[Collection[str]], str | None]


@dataclass(frozen=True)
class Field:
    """One column of a table.

    Args:
        name: dataset (HDF5) or branch (ROOT).
        shape: shape of one row; ``()`` for a scalar. ROOT branches are always scalars.
        dtype: what a writer stores. A reader takes any real number and yields it as it is stored.
        required: a reader may leave out a column that is not required and not there.
    """

    name: str
    shape: tuple[int, ...] = ()
    dtype: npt.DTypeLike = np.float64
    required: bool = True


class Reader(Protocol):
    """An open file: its number of rows, its attributes and its columns, a chunk at a time."""

    rows: int
    attributes: dict[str, str]

    def iterate(self, *, chunk: int, stop: int | None = None) -> Iterator[dict[str, Array]]:
        """Yield {name: (rows, *shape)} of at most ``chunk`` rows, up to row ``stop``."""


class Writer(Protocol):
    """A file being written: rows are appended, and the file appears under its name when all went well."""

    def extend(self, columns: Mapping[str, Array]) -> None:
        """Append rows; ``columns`` is {name: (rows, *shape)}."""


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


def checked_columns(path: Path, fields: Sequence[Field], columns: Mapping[str, Array]) -> tuple[int, dict[str, Array]]:
    """The number of rows and the columns as arrays of the declared types, for writers.

    Raises:
        ShapeError: a column is missing, unknown, of the wrong shape or length.
    """
    from hepflows.errors import ShapeError

    wanted = [field.name for field in fields]
    if set(wanted) != set(columns):
        difference = sorted(set(wanted) ^ set(columns))
        message = f"{path}: the columns to write differ from the declared ones in {difference[:5]}: pass exactly those"
        raise ShapeError(message)
    arrays = {field.name: np.asarray(columns[field.name], dtype=field.dtype) for field in fields}
    rows = len(arrays[wanted[0]]) if arrays[wanted[0]].ndim else 0
    for field in fields:
        expected = (rows, *field.shape)
        if arrays[field.name].shape != expected:
            message = (
                f"{path}: column {field.name!r} must have the shape {expected}, but has {arrays[field.name].shape}: "
                "pass columns of equal length"
            )
            raise ShapeError(message)
    return rows, arrays
