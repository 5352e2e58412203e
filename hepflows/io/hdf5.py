"""HDF5 tables: datasets of equal length, read and written in contiguous chunks through one handle."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hepflows.errors import ConfigError, DataError, HepflowsError
from hepflows.io import Array, Field, Refuse, checked_columns
from hepflows.io.atomic import SteadyFile, replacing
from hepflows.io.paths import describe_content

__all__ = ["Reader", "Writer", "reading", "writing"]

_CACHE_BYTES = 2**23  # per dataset: a slice that ends inside a compressed chunk does not unpack it a second time
_CHUNK_BYTES = 2**19
_MAX_CHUNK_ROWS = 4096


@contextlib.contextmanager
def reading(path: Path, fields: Sequence[Field], *, refuse: Refuse | None = None) -> Iterator[Reader]:
    """Open an HDF5 file whose datasets are as ``fields`` declare; see :func:`hepflows.io.reader`.

    Raises:
        DataError: not an HDF5 file, truncated, or a dataset is missing, of the wrong shape, type or length.
    """
    try:
        file = h5py.File(path, "r", rdcc_nbytes=_CACHE_BYTES)
    except OSError as error:
        raise DataError(_why_unreadable(path, error)) from error
    with file:
        try:
            reader = Reader(path, file, fields, refuse)
        except HepflowsError:
            raise
        except Exception as error:  # h5py meets damage with OSError, RuntimeError, KeyError, TypeError, ...
            raise DataError(_damaged(path, error)) from error
        yield reader


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
                yield Writer(path, file, fields, steady)
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
        self.attributes = {name: _text(file.attrs, name) for name in file.attrs}

    def iterate(self, *, chunk: int, stop: int | None = None) -> Iterator[dict[str, Array]]:
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

    def _read(self, name: str, start: int, stop: int) -> Array:
        try:
            return np.asarray(self._datasets[name][start:stop])
        except Exception as error:
            message = (
                f"{self._path}: dataset {name!r} cannot be read in rows {start} to {stop - 1} ({_reason(error)}): "
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
        problem = _problem(dataset, field)
        if problem:
            message = f"{self._path}: {field.name!r} {problem}"
            raise DataError(message)
        return dataset

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
        self._steady = steady
        self._datasets = {field.name: _create(file, field) for field in fields}
        self.rows = 0

    def extend(self, columns: Mapping[str, Array]) -> None:
        """Append rows; ``columns`` is {name: (rows, *shape)}."""
        rows, arrays = checked_columns(self._path, self._fields, columns)
        for name, dataset in self._datasets.items():
            dataset.resize(self.rows + rows, axis=0)
            dataset[self.rows :] = arrays[name]
            self._steady.raise_error()
        self.rows += rows


def _create(file: Any, field: Field) -> Any:
    row_bytes = np.dtype(field.dtype).itemsize * int(np.prod(field.shape))
    chunk_rows = max(1, min(_MAX_CHUNK_ROWS, _CHUNK_BYTES // max(1, row_bytes)))
    return file.create_dataset(
        field.name,
        shape=(0, *field.shape),
        maxshape=(None, *field.shape),
        dtype=field.dtype,
        chunks=(chunk_rows, *field.shape),
        compression="gzip",
        compression_opts=6,
        shuffle=True,
    )


def _problem(dataset: Any, field: Field) -> str | None:
    """What is wrong with a dataset, as the end of a sentence."""
    if not isinstance(dataset, h5py.Dataset):
        return "is a group and not a dataset: give a file with this layout"
    if dataset.dtype.hasobject:
        return "holds objects (variable-length or pickled data), which are never read: store it as plain numbers"
    if dataset.dtype.kind not in "fiu":
        return f"has the type {dataset.dtype} instead of a real number: store it as float64 or float32"
    if dataset.shape is None or dataset.shape[1:] != field.shape or not dataset.shape:
        expected = ", ".join(map(str, ("n", *field.shape)))
        return f"has the shape {dataset.shape} instead of ({expected}): reshape it or give a file with this layout"
    missing = [code for code in _filters(dataset) if not h5py.h5z.filter_avail(code)]
    if missing:
        return f"needs HDF5 filter {missing[0]}, which is not installed: repack the file with 'h5repack -f GZIP=6'"
    return None


def _filters(dataset: Any) -> list[int]:
    properties = dataset.id.get_create_plist()
    return [properties.get_filter(index)[0] for index in range(properties.get_nfilters())]


def _why_unreadable(path: Path, error: OSError) -> str:
    if not path.exists():
        return f"the file {path} does not exist: check its name"
    if isinstance(error, PermissionError):
        return f"{path} cannot be opened, permission denied: ask its owner for reading rights"
    if isinstance(error, BlockingIOError) or "unable to lock file" in str(error):
        return (
            f"{path} is locked by another process: wait until that one has finished, or set HDF5_USE_FILE_LOCKING=FALSE"
        )
    content = describe_content(path)
    if content and content != "an HDF5 file":
        return f"{path} is no HDF5 file but {content}: give it its right name, or make or download it again"
    return _damaged(path, error)


def _damaged(path: Path, error: BaseException) -> str:
    return f"{path} is no readable HDF5 file ({_reason(error)}): it is truncated or damaged, copy or download it again"


def _reason(error: BaseException) -> str:
    """The heart of an h5py message, "Unable to open file (truncated file: eof = 96, ...)" -> "truncated file"."""
    match = re.search(r"\((.*)", str(error), re.DOTALL)
    text = match.group(1) if match else str(error)
    return re.split(r"[:,)\n]", text)[0].strip() or type(error).__name__


def _text(attributes: Any, name: str) -> str:
    try:
        value = attributes[name]
    except TypeError:
        return "(of a type that is not read)"
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value.tolist() if isinstance(value, np.ndarray | np.generic) else value)
