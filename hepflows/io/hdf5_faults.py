"""What can be wrong with an HDF5 file, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hepflows.errors import DataError, HepflowsError
from hepflows.io import Field
from hepflows.io.paths import describe_content

__all__ = ["damage_told", "damaged", "opened", "problem", "reason", "why_unreadable"]


@contextmanager
def opened(path: Path, **cache: int) -> Iterator[Any]:
    """Open a file to read, with settings of h5py's chunk cache.

    Raises:
        DataError: it cannot be opened.
    """
    try:
        file = h5py.File(path, "r", **cache)
    except OSError as error:
        raise DataError(why_unreadable(path, error)) from error
    with file:
        yield file


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Turn whatever h5py raises inside into one sentence: it meets damage with OSError, RuntimeError, KeyError, TypeError, ...

    Raises:
        DataError: the file is damaged.
    """
    try:
        yield
    except HepflowsError:
        raise
    except Exception as error:
        raise DataError(damaged(path, error)) from error


def problem(dataset: Any, field: Field) -> str | None:
    """What is wrong with a dataset, as the end of a sentence."""
    if not isinstance(dataset, h5py.Dataset):
        return "is a group and not a dataset: give a file with this layout"
    if field.ragged:
        inner = h5py.check_vlen_dtype(dataset.dtype)
        if inner is None or np.dtype(inner).kind not in "fiu" or len(dataset.shape or ()) != 1:
            return "is no list of numbers for each row (of variable length): give a file with this layout"
        return None
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


def why_unreadable(path: Path, error: OSError) -> str:
    """Why a file cannot be opened, with the remedy."""
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
    return damaged(path, error)


def damaged(path: Path, error: BaseException) -> str:
    """What to say of a file that HDF5 stumbles over."""
    return f"{path} is no readable HDF5 file ({reason(error)}): it is truncated or damaged, copy or download it again"


def reason(error: BaseException) -> str:
    """The heart of an h5py message, "Unable to open file (truncated file: eof = 96, ...)" -> "truncated file"."""
    match = re.search(r"\((.*)", str(error), re.DOTALL)
    text = match.group(1) if match else str(error)
    return re.split(r"[:,)\n]", text)[0].strip() or type(error).__name__
