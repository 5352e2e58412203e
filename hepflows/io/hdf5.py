"""HDF5 tables: datasets of equal length, read and written in contiguous chunks through one handle."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hepflows.errors import ConfigError, DataError
from hepflows.io import Array, Column, Contents, Field, Ragged, Refuse, checked_columns
from hepflows.io.atomic import SteadyFile, replacing, uninterrupted
from hepflows.io.hdf5_faults import damage_told, opened, problem, reason

__all__ = ["Reader", "Writer", "contents", "reading", "writing"]

# per dataset: a slice that ends inside a compressed chunk does not unpack it a second time; 2**28 for those whose chunks
# are narrower than a row, as h5py makes them for long rows: then all chunks of a row must stay
_CACHE_BYTES, _WIDE_CACHE_BYTES, _CACHE_SLOTS = 2**23, 2**28, 10007
_CHUNK_BYTES = 2**19
_MAX_CHUNK_ROWS = 4096
_WHOLE = 1000


@contextlib.contextmanager
def reading(path: Path, fields: Sequence[Field], *, refuse: Refuse | None = None) -> Iterator[Reader]:
    """Open an HDF5 file whose datasets are as ``fields`` declare; see :func:`hepflows.io.reader`.

    Raises:
        DataError: not an HDF5 file, truncated, or a dataset is missing, of the wrong shape, type or length.
    """
    with opened(path, rdcc_nbytes=_CACHE_BYTES, rdcc_nslots=_CACHE_SLOTS) as file:
        with damage_told(path):
            reader = Reader(path, file, fields, refuse)
        yield reader


def contents(path: Path) -> Contents:
    """Names and shapes of the datasets of an HDF5 file; see :func:`hepflows.io.contents`.

    Raises:
        DataError: not an HDF5 file, or truncated.
    """
    with opened(path, rdcc_nbytes=_CACHE_BYTES, rdcc_nslots=_CACHE_SLOTS) as file, damage_told(path):
        return Contents("dataset", {name: _shape(file, name) for name in file}, _attributes(file))


@contextlib.contextmanager
def writing(path: Path, fields: Sequence[Field], *, attributes: Mapping[str, str]) -> Iterator[Writer]:
    """Create an HDF5 file of growing, compressed datasets (gzip, shuffle); see :func:`hepflows.io.writer`.

    Raises:
        DataError: the file cannot be created or the disk is full; nothing is left behind.
    """
    with replacing(path) as temporary, contextlib.closing(SteadyFile(temporary)) as steady:
        try:
            with h5py.File(steady, "w") as file:
                file.attrs.update(attributes)
                writer = Writer(path, file, fields, steady)
                yield writer
                writer.finish()
        except BaseException:
            steady.raise_error()  # the cause, when HDF5 stumbled over a write that had failed
            raise
        steady.raise_error()


class Reader:
    """An open HDF5 table; made by :func:`reading`.

    ``rows`` is their number, ``attributes`` the file's attributes as text.
    """

    def __init__(self, path: Path, file: Any, fields: Sequence[Field], refuse: Refuse | None) -> None:
        self._path = path
        self._file = file
        refusal = refuse(list(file)) if refuse else None
        if refusal:
            message = f"{path} {refusal}"
            raise DataError(message)
        found = {field: self._find(field) for field in fields}
        self._datasets = {field.name: dataset for field, dataset in found.items() if dataset is not None}
        self.rows = self._common_length()
        self.attributes = _attributes(file)

    def iterate(self, *, chunk: int, stop: int | None = None) -> Iterator[dict[str, Column]]:
        """Yield {name: (rows, *shape)} of at most ``chunk`` rows, up to row ``stop``.

        Raises:
            DataError: a dataset is damaged inside.
        """
        if chunk < 1:
            message = f"the chunk size must be at least 1 row, but is {chunk}: give a positive number"
            raise ConfigError(message)
        last = self.rows if stop is None else min(stop, self.rows)
        for start in range(0, last, chunk):
            yield {name: self._read(name, start, min(start + chunk, last)) for name in self._datasets}

    def whole(self, name: str) -> Array:
        """All of a small dataset.

        Raises:
            DataError: it is not there, holds no numbers or too many of them.
        """
        dataset = self._file.get(name)
        if (
            not isinstance(dataset, h5py.Dataset)
            or dataset.dtype.kind not in "fiu"
            or not dataset.size
            or dataset.size > _WHOLE
        ):
            message = f"{self._path} has no dataset {name!r} of a few numbers: give a file with this layout"
            raise DataError(message)
        return np.asarray(dataset[()])

    def _read(self, name: str, start: int, stop: int) -> Column:
        dataset = self._datasets[name]
        try:
            found = dataset[start:stop]
            return Ragged.from_rows(found) if dataset.dtype.hasobject else np.asarray(found)
        except Exception as error:
            message = (
                f"{self._path}: dataset {name!r} cannot be read in rows {start} to {stop - 1} ({reason(error)}): "
                "the file is damaged, copy or download it again"
            )
            raise DataError(message) from error

    def _find(self, field: Field) -> Any:
        """The dataset of a column, checked; ``None`` when it may be absent and is."""
        dataset = self._file.get(field.name)
        if dataset is None:
            if not field.required:
                return None
            holds = ", ".join(self._file) or "nothing"
            message = f"{self._path} has no dataset {field.name!r} (it holds: {holds}): give a file with this layout"
            raise DataError(message)
        fault = problem(dataset, field)
        if fault:
            message = f"{self._path}: {field.name!r} {fault}"
            raise DataError(message)
        cache, name = _wide_cache(dataset), dataset.name
        if cache is None:
            return dataset
        del dataset  # while it is open its own cache is the one that counts
        access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
        access.set_chunk_cache(_CACHE_SLOTS, cache, 0.75)
        return h5py.Dataset(h5py.h5d.open(self._file.id, name.encode(), access))

    def _common_length(self) -> int:
        lengths = {name: len(dataset) for name, dataset in self._datasets.items()}
        first, rows = next(iter(lengths.items()))
        for name, length in lengths.items():
            if length != rows:
                message = (
                    f"{self._path}: dataset {name!r} has {length} rows but {first!r} has {rows}: "
                    "the file is incomplete, make it or copy it again"
                )
                raise DataError(message)
        if rows == 0:
            message = f"{self._path} is empty, its datasets have no rows: give a file with data"
            raise DataError(message)
        return rows


class Writer:
    """An HDF5 table being written; made by :func:`writing`."""

    def __init__(self, path: Path, file: Any, fields: Sequence[Field], steady: SteadyFile) -> None:
        self._path = path
        self._fields = fields
        self._file = file
        self._steady = steady
        self._datasets = {field.name: _create(file, field) for field in fields if field.required}
        self.rows = 0

    def extend(self, columns: Mapping[str, Column]) -> None:
        """Append rows; ``columns`` is {name: (rows, *shape)}."""
        rows, arrays = checked_columns(self._path, self._fields, columns)
        for field in self._fields:
            if field.name in arrays:
                if field.name not in self._datasets:
                    self._datasets[field.name] = _create(self._file, field)
                dataset, values = self._datasets[field.name], arrays[field.name]
                dataset.resize(self.rows + rows, axis=0)
                if field.ragged:
                    _write_ragged(dataset, values, self.rows)
                else:
                    dataset[self.rows :] = values
                self._steady.raise_error()
        self.rows += rows

    def put(self, name: str, values: npt.ArrayLike) -> None:
        """Write a dataset that belongs to no row."""
        self._file.create_dataset(name, data=values)
        self._steady.raise_error()

    def finish(self) -> None:
        """Fill up the columns that the last rows did not bring."""
        for dataset in self._datasets.values():
            dataset.resize(self.rows, axis=0)


def _create(file: Any, field: Field) -> Any:
    if field.ragged:  # the rows lie in a heap, which HDF5 does not compress
        dtype = h5py.vlen_dtype(np.dtype(field.dtype))
        return file.create_dataset(field.name, shape=(0,), maxshape=(None,), dtype=dtype, chunks=(_MAX_CHUNK_ROWS,))
    row_bytes = np.dtype(field.dtype).itemsize * int(np.prod(field.shape))
    chunk_rows = max(1, min(_MAX_CHUNK_ROWS, _CHUNK_BYTES // max(1, row_bytes)))
    return file.create_dataset(
        field.name,
        shape=(0, *field.shape),
        maxshape=(None, *field.shape),
        dtype=field.dtype,
        chunks=(chunk_rows, *field.shape),
        compression="gzip",
        compression_opts=4,
        shuffle=True,
    )


def _write_ragged(dataset: Any, rows: Ragged, start: int) -> None:
    """Rows handed to HDF5 itself: h5py's indexing takes rows of equal length for a matrix."""
    objects = np.empty(len(rows), dtype=dataset.dtype)
    for place, row in enumerate(rows):
        objects[place] = row
    if len(rows):
        space = dataset.id.get_space()
        space.select_hyperslab((start,), (len(rows),))
        with uninterrupted():
            dataset.id.write(h5py.h5s.create_simple((len(rows),)), space, objects)


def _wide_cache(dataset: Any) -> int | None:
    """Bytes of the chunks that hold the same rows, where a row lies in several of them."""
    if not dataset.chunks or dataset.chunks[1:] == dataset.shape[1:]:
        return None
    band = dataset.chunks[0] * int(np.prod(dataset.shape[1:])) * dataset.dtype.itemsize
    return min(max(_CACHE_BYTES, int(1.1 * band)), _WIDE_CACHE_BYTES)


def _shape(file: Any, name: str) -> tuple[int, ...] | None:
    try:
        found = file.get(name)
        return found.shape if isinstance(found, h5py.Dataset) else None
    except (OSError, RuntimeError, KeyError, TypeError):  # a link to nowhere, an unknown type
        return None


def _attributes(file: Any) -> dict[str, str]:
    return {name: _text(file.attrs, name) for name in file.attrs}


def _text(attributes: Any, name: str) -> str:
    try:
        value = attributes[name]
    except TypeError:
        return "(of a type that is not read)"
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value.tolist() if isinstance(value, np.ndarray | np.generic) else value)
