"""Files that appear complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hepflows.errors import DataError, HepflowsError

__all__ = ["SteadyFile", "check_target", "no_room", "replacing", "uninterrupted"]

_NO_ROOM: dict[int, str] = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "it passes the size allowed for a file",
}


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it is renamed to ``path``, on any failure removed.

    The temporary name is hidden, so that no folder or glob of data files picks it up. A link is followed: the file
    it points to is replaced. Only a process that is killed outright leaves the temporary file.

    Args:
        path: the file to create or to replace.

    Raises:
        DataError: the folder is missing or closed to writing, ``path`` is no ordinary file, or the disk is full
            (also as h5py and uproot report it).

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "result.txt"
    >>> with replacing(target) as temporary:
    ...     _ = temporary.write_text("complete")
    ...     target.exists()
    False
    >>> target.read_text()
    'complete'
    """
    target = Path(path).expanduser().resolve()
    temporary = _create_temporary(target, os.fspath(path))
    try:
        yield temporary
        _flush_to_disk(temporary)
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        reason = None if isinstance(error, HepflowsError) else no_room(error)
        if reason is None:
            raise
        message = (
            f"{os.fspath(path)} could not be written because {reason}: make room or choose another folder, "
            "then run again (nothing half-written was left)"
        )
        raise DataError(message) from error


def check_target(path: str | os.PathLike[str]) -> None:
    """Whether `replacing` could begin to write there, known before the work.

    Raises:
        DataError: the folder is missing or closed to writing, or ``path`` is no ordinary file.
    """
    _create_temporary(Path(path).expanduser().resolve(), os.fspath(path)).unlink()


def _create_temporary(target: Path, shown: str) -> Path:
    """Create the empty temporary file now, so that a closed folder is known before the work and not after it."""
    if target.exists() and not target.is_file():
        message = f"{shown} exists and is no ordinary file: choose another name"
        raise DataError(message)
    if not target.parent.is_dir():
        message = f"{shown} cannot be written because the folder {target.parent} does not exist: create it first"
        raise DataError(message)
    temporary = target.with_name(f".{target.name[:80]}.{secrets.token_hex(4)}.part")
    try:
        # the ordinary mode and not mkstemp's 0600: the rename would keep it, and colleagues could not read the file
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        reason = no_room(error) or (error.strerror or str(error)).lower()
        message = f"{shown} cannot be written because {reason}: choose another folder or make this one writable"
        raise DataError(message) from error
    return temporary


def _flush_to_disk(path: Path) -> None:
    """Network file systems report a full disk only now; a rename before would hide it."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def no_room(error: BaseException | None) -> str | None:
    """Why there was no room, anywhere in the chain of exceptions; HDF5 often gives the number in its text only."""
    while error is not None:
        number = getattr(error, "errno", None)
        if number not in _NO_ROOM:
            match = re.search(r"errno = (\d+)", str(error))
            number = int(match.group(1)) if match else None
        if number in _NO_ROOM:
            return _NO_ROOM[number]
        error = error.__cause__ or error.__context__
    return None


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Inside, an interrupt waits until the end: HDF5 crashes where one comes while it converts rows of unequal length."""
    if threading.current_thread() is not threading.main_thread():  # others get no signals
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if callable(handler):
            signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


class SteadyFile:
    """A binary file whose failing writes are kept in ``error`` instead of being raised.

    HDF5 cannot close a file that it cannot write: the handle leaks, and the process dies at its end with a segmentation
    fault. This object, given to ``h5py.File`` in place of a path, lets HDF5 finish in peace; :meth:`raise_error`
    then tells what happened. The file is lost either way, and :func:`replacing` removes it.
    """

    def __init__(self, path: Path) -> None:
        self.error: BaseException | None = None
        self._file: BinaryIO = open(path, "w+b", buffering=0)  # noqa: SIM115 - closed by close()

    def write(self, data: bytes | memoryview) -> int:
        """Write all of ``data``, or keep the error; the size in return is that of ``data`` in both cases."""
        size = len(data)
        rest = memoryview(data)
        try:
            while self.error is None and len(rest):
                rest = rest[self._file.write(rest) :]
        except BaseException as error:  # an interrupt as well: it is raised again by raise_error
            self.error = error
        return size

    def read(self, size: int = -1) -> bytes:
        """Read bytes; h5py knows a file object by this method."""
        return self._file.read(size)

    def readinto(self, buffer: memoryview) -> int:
        """Fill ``buffer``; HDF5 reads back what it wrote."""
        return self._file.readinto(buffer)  # type: ignore[attr-defined, no-any-return]

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position."""
        return self._file.tell()

    def truncate(self, size: int | None = None) -> None:
        """Set the length, or keep the error."""
        try:
            if self.error is None:
                self._file.truncate(size)
        except BaseException as error:
            self.error = error

    def flush(self) -> None:
        """Nothing is buffered here."""

    def raise_error(self) -> None:
        """Raise what went wrong, if anything did."""
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Close the file."""
        self._file.close()
