"""Columns of an HDF5 file: a pandas frame in the fixed format, or datasets of equal length, read through h5py alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hepflows.errors import DataError, HepflowsError
from hepflows.io import hdf5_faults
from hepflows.io.columns import Array
from hepflows.io.columns.blosc import read_rows
from hepflows.io.hdf5_faults import damage_told, reason

__all__ = ["Columns", "opened"]

_OBJECTS = "holds objects (text or pickled data), which are never read"


@contextmanager
def opened(path: Path, key: str | None) -> Iterator[Columns]:
    """Open a frame or a group of datasets; the only frame, or the top of the file, where ``key`` is None.

    Raises:
        DataError: no HDF5 file, damaged, without the key, or with several frames and no key.
    """
    with hdf5_faults.opened(path) as file:
        with damage_told(path):
            columns = Columns(path, _group(path, file, key))
        yield columns


@dataclass(frozen=True)
class _Place:
    """Where a column lies: a dataset, and its second index or its field where it shares it with others."""

    dataset: Any
    index: int | str | None = None


class Columns:
    """The columns of a group; made by :func:`opened`."""

    jagged: Collection[str] = ()

    def __init__(self, path: Path, group: Any) -> None:
        self._path = path
        self.unread: dict[str, str] = {}
        self.attributes = (
            {name: _text(value) for name, value in group.attrs.items()} if "pandas_type" not in group.attrs else {}
        )
        self._places = self._frame(group) if "pandas_type" in group.attrs else self._datasets(group)
        self.names = tuple(self._places)
        lengths = {name: len(place.dataset) for name, place in self._places.items()}
        if not lengths:
            holds = ", ".join(group) or "nothing"
            message = (
                f"{path}: {group.name} has no column of plain numbers (it holds {holds}): give the --key of a table"
            )
            raise DataError(message)
        if len(set(lengths.values())) > 1:
            shortest, longest = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
            message = (
                f"{path}: {shortest!r} has {lengths[shortest]} rows and {longest!r} {lengths[longest]}: "
                "give the --key of a group whose datasets are equally long"
            )
            raise DataError(message)
        self.rows = next(iter(lengths.values()))
        if self.rows == 0:
            message = f"{path} has no rows: give a file with data"
            raise DataError(message)

    def iterate(self, names: Sequence[str], *, chunk: int) -> Iterator[dict[str, Array]]:
        """Yield {name: (rows,)} of at most ``chunk`` rows, each dataset read once a chunk.

        Raises:
            DataError: a dataset is damaged inside.
            MissingExtraError: it is Blosc-compressed and blosc2 is not installed.
        """
        places = {name: self._places[name] for name in names}
        for start in range(0, self.rows, chunk):
            stop, read = min(start + chunk, self.rows), {}
            for place in places.values():
                at = place.dataset.name
                try:
                    if at not in read:
                        read[at] = read_rows(place.dataset, start, stop)
                except HepflowsError:
                    raise
                except Exception as error:
                    message = f"{self._path}: {at} cannot be read from row {start} on ({reason(error)}): copy or download it again"
                    raise DataError(message) from error
            yield {name: _part(read[place.dataset.name], place.index) for name, place in places.items()}

    def _frame(self, group: Any) -> dict[str, _Place]:
        """Columns of a pandas frame: joined by the names of each block, in the order of ``axis0``."""
        kind = _text(group.attrs["pandas_type"])
        if kind != "frame":
            what = (
                "in the format 'table': save it with format='fixed'"
                if "table" in kind
                else f"a pandas {kind}: give the --key of a frame"
            )
            message = f"{self._path}: {group.name} is {what}"
            raise DataError(message)
        if "axis0" not in group or _text(group.attrs.get("axis0_variety", "regular")) != "regular":
            message = f"{self._path}: {group.name} has column names of several levels: give it one level"
            raise DataError(message)
        found: dict[str, _Place] = {}
        for block in range(int(group.attrs["nblocks"])):
            names, values = _names(group[f"block{block}_items"]), group[f"block{block}_values"]
            if values.dtype.hasobject or values.dtype.kind not in "fiub":
                self.unread.update(dict.fromkeys(names, _OBJECTS))
            elif values.shape[1:] != (len(names),):
                message = f"{self._path}: block {block} of {group.name} has the shape {values.shape} and {len(names)} names: write it again"
                raise DataError(message)
            else:
                found.update({name: _Place(values, i) for i, name in enumerate(names)})
        return {name: found[name] for name in _names(group["axis0"]) if name in found}

    def _datasets(self, group: Any) -> dict[str, _Place]:
        """Columns of datasets: one each, one a field of a compound type, one a second index (``name_0``, ``name_1``, ...)."""
        found: dict[str, _Place] = {}
        for name, dataset in group.items():
            if not isinstance(dataset, h5py.Dataset) or not dataset.shape:
                continue
            if dataset.dtype.names and len(dataset.shape) == 1:
                fields = {one: dataset.dtype[one] for one in dataset.dtype.names}
                found.update(
                    {
                        one: _Place(dataset, one)
                        for one, kind in fields.items()
                        if kind.kind in "fiub" and not kind.shape
                    }
                )
            elif dataset.dtype.hasobject or dataset.dtype.kind not in "fiub":
                self.unread[name] = _OBJECTS
            elif len(dataset.shape) == 1 or dataset.shape[1:] == (1,):
                found[name] = _Place(dataset, None if len(dataset.shape) == 1 else 0)
            elif len(dataset.shape) == 2:
                found.update({f"{name}_{i}": _Place(dataset, i) for i in range(dataset.shape[1])})
            else:
                self.unread[name] = f"has the shape {dataset.shape} instead of one number a row"
        return found


def _group(path: Path, file: Any, key: str | None) -> Any:
    frames = [name for name, item in file.items() if isinstance(item, h5py.Group) and "pandas_type" in item.attrs]
    if key is None:
        if len(frames) > 1:
            message = f"{path} holds several tables ({', '.join(frames)}): choose one with --key"
            raise DataError(message)
        return file[frames[0]] if frames else file
    found = file.get(key)
    if not isinstance(found, h5py.Group):
        holds = ", ".join(frames or file) or "nothing"
        message = f"{path} has no table {key!r} (it holds {holds}): give one of them as --key, or none for datasets at the top"
        raise DataError(message)
    return found


def _part(values: Array, index: int | str | None) -> Array:
    if index is None:
        return values
    return values[index] if isinstance(index, str) else values[:, index]


def _names(dataset: Any) -> list[str]:
    return [_text(name) for name in read_rows(dataset, 0, len(dataset))]


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes | np.bytes_) else str(value)
