"""ROOT tables: one flat TTree of scalar branches, read with uproot in chunks and written basket by basket.

uproot reports damage by whatever its parser stumbles over, with no common base class; hence the broad ``except`` here.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import uproot

from hepflows.errors import ConfigError, DataError, HepflowsError
from hepflows.io import Array, Contents, Field, Refuse, checked_columns
from hepflows.io.atomic import replacing
from hepflows.io.paths import describe_content

__all__ = ["METADATA", "Reader", "Writer", "contents", "reading", "writing"]

METADATA = "metadata"  # the TObjString beside the tree: a JSON object of texts
_BASKET_ROWS = 4000  # of 8 bytes: 32 kB, ROOT's own basket size


@contextlib.contextmanager
def reading(
    path: Path, fields: Sequence[Field], *, tree: str | None = None, refuse: Refuse | None = None
) -> Iterator[Reader]:
    """Open a ROOT file and find its tree; see :func:`hepflows.io.reader`.

    Raises:
        DataError: not a ROOT file, truncated, or a branch is missing, not a column of numbers, of the wrong length.
    """
    file = open_file(path)
    with file:
        try:
            reader = Reader(path, file, fields, tree, refuse)
        except HepflowsError:
            raise
        except Exception as error:
            raise DataError(damaged(path, error)) from error
        yield reader


def contents(path: Path, hint: Collection[str]) -> Contents:
    """Names of the branches of the tree that has most of the hinted ones; see :func:`hepflows.io.contents`.

    Raises:
        DataError: not a ROOT file, truncated, or without a tree.
    """
    with open_file(path) as file:
        try:
            tree = find_tree(path, file, list(hint), None)
            rows = (int(tree.num_entries),)
            return Contents("branch", dict.fromkeys(tree.keys(recursive=False), rows), metadata_of(file))
        except HepflowsError:
            raise
        except Exception as error:
            raise DataError(damaged(path, error)) from error


@contextlib.contextmanager
def writing(path: Path, fields: Sequence[Field], *, attributes: Mapping[str, str], tree: str) -> Iterator[Writer]:
    """Create a ROOT file with one flat tree (zlib); see :func:`hepflows.io.writer`.

    Raises:
        DataError: the file cannot be created or the disk is full; nothing is left behind.
        ConfigError: a column is no scalar.
    """
    wide = [field.name for field in fields if field.shape or field.ragged]
    if wide:
        message = (
            f"{path}: column {wide[0]!r} is no scalar, as a flat ROOT tree needs: write HDF5, or one branch a value"
        )
        raise ConfigError(message)
    with replacing(path) as temporary, uproot.recreate(temporary, compression=uproot.ZLIB(4)) as file:
        writer = Writer(path, file.mktree(tree, {field.name: np.dtype(field.dtype) for field in fields}), fields)
        yield writer
        writer.flush()
        if attributes:
            file[METADATA] = json.dumps(dict(attributes))


class Reader:
    """An open ROOT table; made by :func:`reading`.

    ``rows`` is their number, ``attributes`` the texts kept beside the tree (none if hepflows did not write it).
    """

    def __init__(self, path: Path, file: Any, fields: Sequence[Field], tree: str | None, refuse: Refuse | None) -> None:
        self._path = path
        required = [field.name for field in fields if field.required]
        self._tree = find_tree(path, file, required, tree)
        names = set(self._tree.keys(recursive=False))
        refusal = refuse(names) if refuse else None
        if refusal:
            message = f"{path}: the tree {self._tree.name!r} {refusal}"
            raise DataError(message)
        for name in required:
            if name not in names:
                found = f"the tree {self._tree.name!r} has no branch {name!r} ({_some(names)})"
                message = f"{path}: {found}: give a file with this layout"
                raise DataError(message)
        self._branches = [field.name for field in fields if field.name in names]
        self._booleans = {field.name for field in fields if np.dtype(field.dtype) == np.bool_}
        self.rows = int(self._tree.num_entries)
        self._check_branches()
        self.attributes = metadata_of(file)

    def iterate(self, *, chunk: int, stop: int | None = None) -> Iterator[dict[str, Array]]:
        """Yield {branch: (rows,)} of at most ``chunk`` rows, up to row ``stop``.

        Raises:
            DataError: a basket is damaged or cut off.
        """
        if chunk < 1:
            message = f"the chunk size must be at least 1 row, but is {chunk}: give a positive number"
            raise ConfigError(message)
        last = self.rows if stop is None else min(stop, self.rows)
        chunks = self._tree.iterate(filter_name=self._branches, step_size=chunk, entry_stop=last, library="np")
        start = 0
        while start < last:
            try:
                columns = next(chunks)
            except Exception as error:
                message = (
                    f"{self._path}: the tree {self._tree.name!r} cannot be read from row {start} on: {_again(error)}"
                )
                raise DataError(message) from error
            start += len(columns[self._branches[0]])
            yield columns

    def whole(self, name: str) -> Array:
        """A tree holds rows only.

        Raises:
            DataError: always.
        """
        message = f"{self._path}: a ROOT tree has no numbers besides its rows, such as {name!r}: give an HDF5 file"
        raise DataError(message)

    def _check_branches(self) -> None:
        if self.rows == 0:
            message = f"{self._path} is empty, its tree {self._tree.name!r} has no entries: give a file with data"
            raise DataError(message)
        for name in self._branches:
            branch = self._tree[name]
            if not is_scalar(branch.interpretation, "fiub" if name in self._booleans else "fiu"):
                found = f"branch {name!r} is of type {branch.typename!r} instead of one number an entry"
                message = f"{self._path}: {found}: store it as double"
                raise DataError(message)
            if branch.num_entries != self.rows:
                message = (
                    f"{self._path}: branch {name!r} has {branch.num_entries} entries but the tree has {self.rows}: "
                    "the file is incomplete, make it or copy it again"
                )
                raise DataError(message)


class Writer:
    """A ROOT table being written; made by :func:`writing`."""

    def __init__(self, path: Path, tree: Any, fields: Sequence[Field]) -> None:
        self._path = path
        self._tree = tree
        self._fields = fields
        self._waiting: list[dict[str, Array]] = []
        self._waiting_rows = 0
        self.rows = 0

    def extend(self, columns: Mapping[str, Array]) -> None:
        """Append rows; ``columns`` is {branch: (rows,)}. They are gathered until a basket is full."""
        rows, arrays = checked_columns(self._path, self._fields, columns)
        arrays = {field.name: arrays.get(field.name, np.zeros(rows, field.dtype)) for field in self._fields}
        start = 0
        while start < rows:
            stop = min(rows, start + _BASKET_ROWS - self._waiting_rows)
            # copies, since the caller may use its arrays again before the basket is full
            self._waiting.append({name: array[start:stop].copy() for name, array in arrays.items()})
            self._waiting_rows += stop - start
            start = stop
            if self._waiting_rows == _BASKET_ROWS:
                self.flush()
        self.rows += rows

    def put(self, name: str, values: npt.ArrayLike) -> None:
        """A tree holds rows only.

        Raises:
            ConfigError: always.
        """
        message = f"{self._path}: a ROOT tree has no numbers besides its rows, such as {name!r}: write HDF5"
        raise ConfigError(message)

    def flush(self) -> None:
        """Write the rows that wait for their basket to fill."""
        if not self._waiting_rows:
            return
        names = [field.name for field in self._fields]
        self._tree.extend({name: np.concatenate([part[name] for part in self._waiting]) for name in names})
        self._waiting, self._waiting_rows = [], 0


def is_scalar(interpretation: Any, kinds: str = "fiu") -> bool:
    """Whether a branch holds one number an entry, of numpy's ``kinds``."""
    plain = isinstance(interpretation, uproot.AsDtype) and not interpretation.to_dtype.shape
    return plain and interpretation.to_dtype.kind in kinds


def open_file(path: Path) -> Any:
    """The file, complete and closed by whoever asked for it."""
    if not path.exists():
        message = f"the file {path} does not exist: check its name"
        raise DataError(message)
    try:
        # as a dictionary, or a colon in the name would start an object's name; without a cache of arrays: flat memory
        file = uproot.open({str(path): None}, array_cache=None)
        complete = path.stat().st_size >= file.file.fEND
    except PermissionError as error:
        message = f"{path} cannot be opened, permission denied: ask its owner for reading rights"
        raise DataError(message) from error
    except Exception as error:
        content = describe_content(path)
        if content and content != "a ROOT file":
            message = f"{path} is no ROOT file but {content}: give it its right name, or make or download it again"
        else:
            message = damaged(path, error)
        raise DataError(message) from error
    if not complete:
        file.close()
        message = (
            f"{path} is truncated, {path.stat().st_size} bytes instead of {file.file.fEND}: copy or download it again"
        )
        raise DataError(message)
    return file


def metadata_of(file: Any) -> dict[str, str]:
    """The texts kept beside the tree."""
    if file.classnames(recursive=False, cycle=False).get(METADATA) != "TObjString":
        return {}
    try:
        found = json.loads(str(file[METADATA]))
    except ValueError:
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def find_tree(path: Path, file: Any, required: Sequence[str], wanted: str | None) -> Any:
    """The tree called ``wanted``, or else the only one with all required branches, or else the nearest to it."""
    objects = file.classnames(cycle=False)
    names = [name for name, kind in objects.items() if kind in ("TTree", "TNtuple", "TNtupleD")]
    if wanted is not None:
        names = [name for name in names if name == wanted]
    if not names:
        holds = ", ".join(f"{name} ({kind})" for name, kind in objects.items()) or "nothing"
        name = f" {wanted!r}" if wanted else ""
        message = f"{path} has no tree{name} (it holds: {holds}): give a file that its generator closed properly"
        raise DataError(message)
    trees = {name: file[name] for name in names}
    missing = {name: len(set(required) - set(tree.keys(recursive=False))) for name, tree in trees.items()}
    best = min(missing.values())
    nearest = [name for name, count in missing.items() if count == best]
    if best == 0 and len(nearest) > 1:
        message = (
            f"{path} has several trees with the branches asked for ({', '.join(nearest)}): keep one of them in the file"
        )
        raise DataError(message)
    return trees[nearest[0]]


def _some(names: set[str]) -> str:
    shown = sorted(names)[:4]
    return (
        f"it has {len(names)}: {', '.join(shown)}{', ...' if len(names) > len(shown) else ''}"
        if names
        else "it has none"
    )


def damaged(path: Path, error: BaseException) -> str:
    """A sentence about a file that uproot stumbled over."""
    return f"{path} is no readable ROOT file: {_again(error)}"


def _again(error: BaseException) -> str:
    first_line = (str(error).strip().splitlines() or [""])[0]
    cause = f"{type(error).__name__}, {first_line}" if first_line else type(error).__name__
    return f"it is truncated or damaged ({cause}), copy or download it again"
