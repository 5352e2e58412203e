"""All values of an integrand on disk, in the order in which they were computed: what was interrupted repeats them without calling it."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from hepflows.applications.integration.integrand import Array
from hepflows.errors import CheckpointError, DataError
from hepflows.io.atomic import no_room

_RECORD = struct.Struct("<qqdII")
"""Rows, columns, seconds, checksum of the points, checksum of the values."""


class Journal:
    """A file that grows by every call of the integrand.

    All that an integration does follows from its seed and the values it got. One that is started again with the journal of one that was
    killed gets these values from the file as long as there are any, and ends with the same result to the last bit. A record that was not
    written to its end is dropped.

    Args:
        path: the file, made where there is none.
        identity: what the integration depends on, JSON-able.

    Raises:
        CheckpointError: the file belongs to another integration, or is none.
    """

    def __init__(self, path: Path | str, identity: dict[str, Any]) -> None:
        self.path = Path(path)
        header = (json.dumps({"hepflows": "integration journal", **identity}, sort_keys=True) + "\n").encode()
        if not self.path.exists() or self.path.stat().st_size == 0:
            self.path.write_bytes(header)
        # unbuffered: what could not be written is told once, and never tried again when the file is closed
        self._file = open(self.path, "r+b", buffering=0)  # noqa: SIM115 - open as long as the integration runs
        if self._file.readline() != header:
            self.close()
            message = f"{self.path}: is no journal of this integration; remove it, or give another name"
            raise CheckpointError(message)
        self.replaying = True

    def next(self, points: Array) -> tuple[Array, float] | None:
        """The values (n, k) at ``points`` and the seconds they took, if they are the next in the file.

        Raises:
            CheckpointError: the next values in the file are those of other points.
        """
        if not self.replaying:
            return None
        start = self._file.tell()
        head = self._file.read(_RECORD.size)
        if len(head) == _RECORD.size:
            n, k, seconds, of_points, of_values = _RECORD.unpack(head)
            data = self._file.read(8 * n * k) if n > 0 and 0 < n * k < 1 << 40 else b""
            if data and len(data) == 8 * n * k and zlib.crc32(data) == of_values:
                if of_points != _checksum(points):
                    message = f"{self.path}: holds values at other points, the integrand or the program has changed; remove it"
                    raise CheckpointError(message)
                return np.frombuffer(data, np.float64).reshape(n, k).copy(), seconds
        self._file.seek(start)
        self._file.truncate()
        self.replaying = False
        return None

    def add(self, points: Array, values: Array, seconds: float) -> None:
        """Append what was computed.

        Raises:
            DataError: the file cannot be written.
        """
        data = np.ascontiguousarray(values, np.float64).tobytes()
        n, k = values.shape
        record = memoryview(_RECORD.pack(n, k, seconds, _checksum(points), zlib.crc32(data)) + data)
        try:
            while record:
                record = record[self._file.write(record) :]
        except OSError as error:
            message = f"{self.path}: cannot be written, {no_room(error) or error.strerror}; make room, then go on with the same journal"
            raise DataError(message) from error

    def close(self) -> None:
        """Close the file and leave it."""
        self._file.close()


def _checksum(points: Array) -> int:
    return zlib.crc32(np.ascontiguousarray(points, np.float64).tobytes())
