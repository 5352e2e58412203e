"""ROOT trees with branches of one number an entry and of a list of numbers an entry, such as the jets of an event.

>>> import numpy as np, tempfile
>>> path = Path(tempfile.mkdtemp() + "/events.root")
>>> with writing(path, {"met": np.float64}, {"jet": {"pt": np.float32}}) as file:
...     file.extend({"met": np.array([30.0, 40.0]), "jet": {"pt": Ragged(np.array([50.0, 20.0, 25.0]), np.array([2, 1]))}})
>>> with reading(path) as file:
...     part = next(file.iterate(["met", "jet_pt"], chunk=10))
...     file.rows, part["met"].tolist(), [row.tolist() for row in part["jet_pt"]]
(2, [30.0, 40.0], [[50.0, 20.0], [25.0]])
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
import uproot

from hepflows.errors import DataError, HepflowsError
from hepflows.io.atomic import replacing
from hepflows.io.ragged import Ragged
from hepflows.io.root import METADATA, damaged, find_tree, is_scalar, open_file

__all__ = ["reading", "writing"]

Array = npt.NDArray[Any]
Column = Array | Ragged


@contextlib.contextmanager
def reading(path: Path, *, tree: str | None = None, hint: Sequence[str] = ()) -> Iterator[Reader]:
    """Open a tree.

    Args:
        path: the file.
        tree: its name; the one that has most of the hinted branches where None.
        hint: branches that are wanted.

    Raises:
        DataError: not a ROOT file, truncated, or without a tree.
    """
    with open_file(path) as file:
        try:
            reader = Reader(path, find_tree(path, file, list(hint), tree))
        except HepflowsError:
            raise
        except Exception as error:  # uproot reports damage by whatever its parser stumbles over
            raise DataError(damaged(path, error)) from error
        yield reader


class Reader:
    """An open tree: its ``rows`` and the ``names`` of its branches."""

    def __init__(self, path: Path, tree: Any) -> None:
        self._path, self._tree = path, tree
        self.rows = int(tree.num_entries)
        self.names = tuple(tree.keys(recursive=False))
        if not self.rows:
            message = f"{path} is empty, its tree {tree.name!r} has no entries: give a file with data"
            raise DataError(message)

    def check(self, names: Sequence[str]) -> None:
        """Check that branches are there and hold numbers, or lists of them.

        Raises:
            DataError: one does not.
        """
        for name in names:
            if name not in self.names:
                near = ", ".join(self.names[:8]) + (", ..." if len(self.names) > 8 else "")
                message = f"{self._path}: the tree {self._tree.name!r} has no branch {name!r} (it has {len(self.names)}: {near})"
                raise DataError(message)
            branch = self._tree[name]
            kind = branch.interpretation
            inner = getattr(kind, "content", kind) if isinstance(kind, uproot.AsJagged) else kind
            if not is_scalar(inner, "fiub"):
                message = f"{self._path}: branch {name!r} is of type {branch.typename!r} instead of numbers or lists of numbers"
                raise DataError(message)

    def iterate(self, names: Sequence[str], *, chunk: int) -> Iterator[dict[str, Column]]:
        """Yield {branch: (rows,) or `Ragged`} of at most ``chunk`` rows.

        Raises:
            DataError: a branch is missing or no numbers, or the file is damaged inside.
        """
        self.check(names)
        parts = self._tree.iterate(list(dict.fromkeys(names)), step_size=chunk, library="ak")
        done = 0
        while done < self.rows:
            try:
                part = next(parts)
            except Exception as error:
                raise DataError(damaged(self._path, error)) from error
            done += len(part)
            yield {name: _column(part[name]) for name in ak.fields(part)}


def _column(values: Any) -> Column:
    if values.ndim == 1:
        return np.asarray(ak.to_numpy(values))
    return Ragged(np.asarray(ak.to_numpy(ak.flatten(values))), np.asarray(ak.to_numpy(ak.num(values))))


@contextlib.contextmanager
def writing(
    path: Path,
    scalars: Mapping[str, npt.DTypeLike],
    collections: Mapping[str, Mapping[str, npt.DTypeLike]],
    *,
    attributes: Mapping[str, str] | None = None,
    tree: str = "events",
) -> Iterator[Writer]:
    """Create a file with one tree (zlib); it gets its name when it is complete.

    Args:
        path: the file.
        scalars: type of each branch of one number an entry.
        collections: types of the fields of each collection; ``jet`` with ``pt`` becomes ``jet_pt``, with the counter ``njet``.
        attributes: where the data come from, kept as JSON in a TObjString beside the tree.
        tree: its name.

    Raises:
        DataError: the file cannot be created or the disk is full; nothing is left behind.
    """
    types: dict[str, Any] = {name: np.dtype(kind) for name, kind in scalars.items()}
    for name, fields in collections.items():
        inner = ", ".join(f"{field}: {np.dtype(kind).name}" for field, kind in fields.items())
        types[name] = f"var * {{{inner}}}"
    with replacing(path) as temporary, uproot.recreate(temporary, compression=uproot.ZLIB(4)) as file:
        yield Writer(file.mktree(tree, types), scalars, collections)
        if attributes:
            file[METADATA] = json.dumps(dict(attributes))


class Writer:
    """A tree being written."""

    def __init__(
        self,
        tree: Any,
        scalars: Mapping[str, npt.DTypeLike],
        collections: Mapping[str, Mapping[str, npt.DTypeLike]],
    ) -> None:
        self._tree, self._scalars, self._collections = tree, scalars, collections

    def extend(self, columns: Mapping[str, Any]) -> None:
        """Append entries: (rows,) for a scalar, {field: `Ragged`} for a collection."""
        ready: dict[str, Any] = {name: np.asarray(columns[name], dtype=kind) for name, kind in self._scalars.items()}
        for name, fields in self._collections.items():
            lengths = columns[name][next(iter(fields))].lengths
            content = {field: np.asarray(columns[name][field].values, dtype=kind) for field, kind in fields.items()}
            ready[name] = ak.unflatten(ak.zip(content), lengths)
        self._tree.extend(ready)
