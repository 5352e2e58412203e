"""HDF5 groups whose datasets are tables of named fields (compound types), beside plain ones, all of one length.

>>> import numpy as np, tempfile
>>> path = tempfile.mkdtemp() + "/events.h5"
>>> with writing(Path(path), "delphes") as file:
...     file.extend({"MET": {"MET": np.ones(3), "phi": np.zeros(3)}, "njets": np.arange(3)})
>>> with reading(Path(path), "delphes", {"MET": ("MET",), "njets": ()}) as file:
...     [{name: values.tolist() for name, values in part.items()} for part in file.iterate(chunk=2)]
[{'MET.MET': [1.0, 1.0], 'njets': [0, 1]}, {'MET.MET': [1.0], 'njets': [2]}]
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hepflows.errors import DataError, ShapeError
from hepflows.io.atomic import SteadyFile, replacing
from hepflows.io.hdf5_faults import damage_told, opened

__all__ = ["reading", "writing"]

Array = npt.NDArray[Any]
Table = Array | Mapping[str, Array]


@contextlib.contextmanager
def reading(
    path: Path, group: str, tables: Mapping[str, Sequence[str]], *, optional: Sequence[str] = ()
) -> Iterator[Reader]:
    """Open a group.

    Args:
        path: the file.
        group: its name.
        tables: the fields wanted of each dataset, none for a plain one.
        optional: datasets that need not be there.

    Raises:
        DataError: not an HDF5 file, no such group, or a dataset or field is missing, holds no numbers or has another length.
    """
    with opened(path) as file:
        with damage_told(path):
            reader = Reader(path, file, group, tables, optional)
        yield reader


class Reader:
    """An open group; ``rows`` is the common length, ``names`` the datasets that are there of those wanted."""

    def __init__(
        self, path: Path, file: Any, group: str, tables: Mapping[str, Sequence[str]], optional: Sequence[str]
    ) -> None:
        self._path = path
        found = file.get(group)
        if not isinstance(found, h5py.Group):
            message = f"{path} has no group {group!r} (it holds: {', '.join(file) or 'nothing'}): give a file with this layout"
            raise DataError(message)
        self._tables: dict[str, tuple[Any, Sequence[str]]] = {}
        for name, fields in tables.items():
            dataset = found.get(name)
            if dataset is None and name in optional:
                continue
            where = f"{path}: {group}/{name}"
            if not isinstance(dataset, h5py.Dataset):
                message = f"{where} is missing (the group holds: {', '.join(found) or 'nothing'}): give a file with this layout"
                raise DataError(message)
            self._check(where, dataset, fields)
            self._tables[name] = (dataset, fields)
        lengths = {name: len(dataset) for name, (dataset, _) in self._tables.items()}
        if len(set(lengths.values())) != 1:
            message = f"{path}: the datasets of {group!r} have different lengths {lengths}: make or copy the file again"
            raise DataError(message)
        self.rows = next(iter(lengths.values()))
        self.names = tuple(self._tables)
        if not self.rows:
            message = f"{path}: the group {group!r} holds no events: give a file with data"
            raise DataError(message)

    @staticmethod
    def _check(where: str, dataset: Any, fields: Sequence[str]) -> None:
        known = dataset.dtype.names or ()
        missing = [one for one in fields if one not in known]
        if missing or (not fields and known):
            held = f"the fields {', '.join(known)}" if known else f"plain numbers ({dataset.dtype})"
            message = f"{where} holds {held} where {', '.join(fields) or 'plain numbers'} are expected: give a file with this layout"
            raise DataError(message)
        types = [dataset.dtype[one] for one in fields] or [dataset.dtype]
        if any(one.kind not in "fiub" for one in types):
            message = f"{where} holds no plain numbers: store them as float32"
            raise DataError(message)

    def iterate(self, *, chunk: int) -> Iterator[dict[str, Array]]:
        """Yield {"dataset.field": (rows, ...)} (plain ones by their name) of at most ``chunk`` rows.

        Raises:
            DataError: the file is damaged inside.
        """
        for start in range(0, self.rows, chunk):
            rows = slice(start, min(start + chunk, self.rows))
            part: dict[str, Array] = {}
            for name, (dataset, fields) in self._tables.items():
                with damage_told(self._path):
                    values = dataset[rows]
                part |= {f"{name}.{one}": values[one] for one in fields} if fields else {name: values}
            yield part


@contextlib.contextmanager
def writing(path: Path, group: str, *, attributes: Mapping[str, str] | None = None) -> Iterator[Writer]:
    """Create a file with one group of tables; it gets its name when it is complete.

    Raises:
        DataError: the file cannot be created or the disk is full; nothing is left behind.
    """
    with replacing(path) as temporary, contextlib.closing(SteadyFile(temporary)) as steady:
        try:
            with h5py.File(steady, "w") as file:
                file.attrs.update(attributes or {})
                yield Writer(file.create_group(group), steady)
        except BaseException:
            steady.raise_error()
            raise
        steady.raise_error()


class Writer:
    """A group being written; ``rows`` are there so far."""

    def __init__(self, group: Any, steady: SteadyFile) -> None:
        self._group, self._steady = group, steady
        self.rows = 0

    def extend(self, tables: Mapping[str, Table]) -> None:
        """Append rows to every dataset: arrays of one length, or the fields of a table by name."""
        arrays = {name: values if isinstance(values, np.ndarray) else _table(values) for name, values in tables.items()}
        lengths = {len(values) for values in arrays.values()}
        if len(lengths) != 1 or (self.rows and set(arrays) != set(self._group)):
            message = f"rows to append need the same datasets of one length every time, got {sorted(arrays)} of {sorted(lengths)}"
            raise ShapeError(message)
        n = lengths.pop()
        for name, values in arrays.items():
            if name not in self._group:
                self._group.create_dataset(
                    name, shape=(0, *values.shape[1:]), maxshape=(None, *values.shape[1:]), dtype=values.dtype,
                    chunks=(4096, *values.shape[1:]), compression="gzip", compression_opts=4, shuffle=True,
                )  # fmt: skip
            dataset = self._group[name]
            dataset.resize(self.rows + n, axis=0)
            dataset[self.rows :] = values
            self._steady.raise_error()
        self.rows += n


def _table(fields: Mapping[str, Array]) -> Array:
    first = next(iter(fields.values()))
    table = np.empty(first.shape, dtype=[(name, values.dtype) for name, values in fields.items()])
    for name, values in fields.items():
        table[name] = values
    return table
