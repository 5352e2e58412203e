"""CSV: a line of names, then rows of numbers, separated by commas, semicolons, tabs or blanks."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from hepflows.errors import DataError
from hepflows.io.atomic import replacing
from hepflows.io.columns import Array

__all__ = ["Columns", "opened", "write"]


@contextmanager
def opened(path: Path) -> Iterator[Columns]:
    """Open a file and read its line of names.

    Raises:
        DataError: no text, or no names.
    """
    with open(path, encoding="utf-8-sig") as file:
        try:
            yield Columns(path, file)
        except UnicodeDecodeError:
            message = f"{path} is no text file: give it its right name, or save it as CSV"
            raise DataError(message) from None


class Columns:
    """An open CSV file; every column is float64."""

    unread: Mapping[str, str] = {}
    jagged: Collection[str] = ()
    rows: int | None = None
    attributes: Mapping[str, str] = {}

    def __init__(self, path: Path, file: IO[str]) -> None:
        self._path, self._file = path, file
        head = file.readline().lstrip("#").strip()
        self._separator = next((one for one in (",", ";", "\t") if one in head), None)
        names = [name.strip().strip("\"'") for name in head.split(self._separator)]
        if not head or all(_is_number(name) for name in names):
            message = (
                f"{path}: the first line must name the columns, such as 'mJJ,mJ1,dmJ', but is {head[:60]!r}: add it"
            )
            raise DataError(message)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            message = f"{path}: the first line names the column {twice!r} twice: rename one"
            raise DataError(message)
        self.names = tuple(names)

    def iterate(self, names: Sequence[str], *, chunk: int) -> Iterator[dict[str, Array]]:
        """Yield {name: (rows,)} of at most ``chunk`` rows.

        Raises:
            DataError: a line has too few numbers, or none.
        """
        places, row = [self.names.index(name) for name in names], 0
        while True:
            lines = list(itertools.islice((line for line in self._file if line.strip()), chunk))
            if not lines:
                break
            try:
                values = np.loadtxt(lines, delimiter=self._separator, usecols=places, ndmin=2, comments=None)
            except ValueError as error:
                line = next((i for i, text in enumerate(lines) if not self._readable(text, places)), 0)
                message = (
                    f"{self._path}: row {row + line + 1} is {lines[line].strip()[:60]!r}, which has no number in "
                    "one of the columns asked for: repair or remove it"
                )
                raise DataError(message) from error
            yield {name: values[:, i] for i, name in enumerate(names)}
            row += len(lines)
        if row == 0:
            message = f"{self._path} has a line of names and no rows: give a file with data"
            raise DataError(message)

    def _readable(self, line: str, places: Sequence[int]) -> bool:
        parts = line.split(self._separator)
        return all(place < len(parts) and _is_number(parts[place].strip()) for place in places)


def write(path: Path, chunks: Iterator[dict[str, Array]]) -> int:
    """Write chunks of columns, integers exactly and other numbers so that float64 is restored exactly; returns the rows.

    Raises:
        DataError: the file cannot be written.
    """
    rows = 0
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for part in chunks:
            if not rows:
                file.write(",".join(part) + "\n")
            columns = [_numbers(values).tolist() for values in part.values()]
            file.writelines(",".join(map(repr, row)) + "\n" for row in zip(*columns, strict=True))
            rows += len(columns[0])
    return rows


def _numbers(values: Array) -> Array:
    array = np.asarray(values)
    return array.astype(np.int64) if array.dtype.kind == "b" else array


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
