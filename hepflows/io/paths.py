"""Which files a user means: one path, several, a folder or a glob, in natural order."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

from hepflows.errors import DataError

__all__ = ["FORMATS", "describe_content", "expand", "file_format", "natural_key"]

Pathlike = str | os.PathLike[str]

FORMATS: dict[str, str] = {".hdf5": "HDF5", ".h5": "HDF5", ".hdf": "HDF5", ".root": "ROOT"}

# the first bytes of what people have under a wrong name; the texts complete "the file is ..."
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"root", "a ROOT file"),
    (b"PK\x03\x04", "a zip archive (unpack it)"),
    (b"\x1f\x8b", "a gzip archive (unpack it)"),
    (b"version https://git-lfs", "a Git LFS pointer (run 'git lfs pull')"),
    (b"<!doctype html", "a web page (download the file itself)"),
    (b"<html", "a web page (download the file itself)"),
)


def natural_key(path: Pathlike) -> tuple[list[str | int], str]:
    """Sort key in which numbers count as numbers, so that ``_t10`` follows ``_t9``.

    >>> sorted(["s_t10.root", "s_t9.root", "s_t1.root"], key=natural_key)
    ['s_t1.root', 's_t9.root', 's_t10.root']
    """
    text = os.fspath(path)
    parts: list[str | int] = list(re.split(r"([0-9]+)", text))
    parts[1::2] = [int(number) for number in parts[1::2]]
    return parts, text


def file_format(path: Pathlike) -> str:
    """``"HDF5"`` or ``"ROOT"``, by the suffix.

    Raises:
        DataError: the suffix is unknown.

    >>> file_format("showers.h5")
    'HDF5'
    """
    suffix = Path(path).suffix
    if suffix.lower() not in FORMATS:
        message = (
            f"{os.fspath(path)} {f'ends in {suffix!r}' if suffix else 'has no suffix'}, which is no known data format: "
            f"give a file that ends in {', '.join(FORMATS)}"
        )
        raise DataError(message)
    return FORMATS[suffix.lower()]


def describe_content(path: Pathlike) -> str:
    """What the first bytes say the file is, as in "an HDF5 file"; empty when they say nothing.

    It serves error messages only: a ROOT file called ``.h5``, a web page saved by a failed download.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(32)
    except OSError:
        return ""
    if not head:
        return "empty (0 bytes)"
    return next((text for magic, text in _SIGNATURES if head.lower().startswith(magic.lower())), "")


def expand(paths: Pathlike | Iterable[Pathlike]) -> list[Path]:
    """The data files behind a path, several paths, a folder or a glob, each once, in natural order.

    Folders are not searched below their first level; folders and globs give their data files only, hidden files and
    other suffixes are passed over. A file that is named itself must have a known suffix.

    Args:
        paths: one path or several; ``~`` is the home folder, ``**`` in a glob matches any folders.

    Raises:
        DataError: nothing matches, a suffix is unknown, or ROOT and HDF5 files are mixed.

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("s_t10.root", "s_t9.root", "notes.txt"):
    ...     (folder / name).touch()
    >>> [path.name for path in expand(folder)]
    ['s_t9.root', 's_t10.root']
    """
    asked = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not asked:
        message = "no data file was given: name a ROOT or HDF5 file, several, a folder or a glob"
        raise DataError(message)
    unique = {path.resolve(): path for item in asked for path in _expand_one(item)}
    files = sorted(unique.values(), key=natural_key)
    formats = {file_format(path): path for path in files}
    if len(formats) > 1:
        examples = " and ".join(f"{path} ({name})" for name, path in sorted(formats.items()))
        message = (
            f"ROOT and HDF5 files are mixed, which may hold the same events twice, as in {examples}: "
            "give files of one format, for example with a glob '*.root'"
        )
        raise DataError(message)
    return files


def _expand_one(item: Pathlike) -> list[Path]:
    path = Path(item).expanduser()
    if path.is_dir():
        return _data_files(path.iterdir(), f"the folder {path} holds no data file")
    if path.exists():
        file_format(path)
        return [path]
    if any(character in str(path) for character in "*?["):
        return _data_files(map(Path, glob.glob(str(path), recursive=True)), f"the pattern {path} matches no data file")
    message = f"the file {path} does not exist: check its name and the folder you are in ({Path.cwd()})"
    raise DataError(message)


def _data_files(candidates: Iterable[Path], nothing: str) -> list[Path]:
    files = [
        path
        for path in candidates
        if path.suffix.lower() in FORMATS and not path.name.startswith(".") and not path.is_dir()
    ]
    if not files:
        message = f"{nothing}: give files that end in {', '.join(FORMATS)}"
        raise DataError(message)
    return files
