"""A growing array that moves from memory to disk when it gets too large."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hepflows.errors import DataError
from hepflows.io.atomic import no_room

__all__ = ["Spill"]

Array = npt.NDArray[Any]


class Spill:
    """Rows that are gathered one part after the other: in memory up to a limit, beyond it in a nameless file.

    The system removes the file when the process ends, however it ends; the array is then a view of it, read as it is needed.

    Args:
        width: numbers a row.
        limit: bytes that may stay in memory.
        folder: where the file may be; the nearest folder above it that exists is taken.
        dtype: of the numbers.

    Raises:
        DataError: the disk is full.

    >>> rows = Spill(3, limit=50, folder=Path("."))
    >>> for part in range(4):
    ...     rows.extend(np.full((2, 3), part))
    >>> type(rows.array()).__name__, rows.array()[:, 0].tolist()
    ('memmap', [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0])
    """

    def __init__(self, width: int, *, limit: int, folder: Path, dtype: npt.DTypeLike = np.float32) -> None:
        self._width, self._limit, self._dtype = width, limit, np.dtype(dtype)
        self._folder = next(place for place in (folder, *folder.resolve().parents) if place.is_dir())
        self._parts: list[Array] = []
        self._bytes = 0
        self._file: Any = None
        self._whole: Array | None = None

    def extend(self, rows: Array) -> None:
        """Append ``(n, width)`` rows."""
        part = np.ascontiguousarray(rows, dtype=self._dtype).reshape(-1, self._width)
        self._bytes += part.nbytes
        self._parts.append(part)
        if self._file is None and self._bytes > self._limit:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - lives as long as the array
        if self._file is not None:
            try:
                for part in self._parts:
                    part.tofile(self._file)
                self._file.flush()
            except OSError as error:
                reason = no_room(error) or "it cannot be written to"
                message = (
                    f"{self._folder} has no room for a sample of more than {self._bytes / 1e9:.3g} GB because {reason}: "
                    "make room, choose another folder, or allow more memory"
                )
                raise DataError(message) from error
            self._parts.clear()

    def array(self) -> Array:
        """All rows, ``(n, width)``; no more can be added."""
        if self._whole is None:
            self._whole = self._mapped() if self._file is not None else self._joined()
        return self._whole

    def _mapped(self) -> Array:
        with self._file:  # the mapping stays when the file is closed
            return np.memmap(self._file, self._dtype, mode="r", shape=self._shape)

    def _joined(self) -> Array:
        whole = np.empty(self._shape, self._dtype)
        end = len(whole)
        while self._parts:  # from the end, giving each part back, so that the peak is little more than one copy
            part = self._parts.pop()
            whole[end - len(part) : end] = part
            end -= len(part)
        return whole

    @property
    def _shape(self) -> tuple[int, int]:
        return self._bytes // (self._width * self._dtype.itemsize), self._width
