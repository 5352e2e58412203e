"""Columns whose rows have different lengths, as the points of a shower."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hepflows.errors import ShapeError

__all__ = ["Ragged"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of different lengths.

    Args:
        values: (sum of the lengths,) numbers of all rows, one row after the other.
        lengths: (rows,) how many of them belong to each row.

    Raises:
        ShapeError: the lengths do not add up to the number of values.

    >>> rows = Ragged(np.array([1.0, 2.0, 3.0]), np.array([2, 0, 1]))
    >>> [row.tolist() for row in rows], rows.row_of(2)
    ([[1.0, 2.0], [], [3.0]], 2)
    """

    values: Array
    lengths: Array

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or self.lengths.ndim != 1 or int(self.lengths.sum()) != len(self.values):
            message = (
                f"ragged rows need flat values and one length a row that add up, but got {self.values.shape} values and "
                f"lengths that sum to {int(self.lengths.sum())}: pass the values one row after the other"
            )
            raise ShapeError(message)

    @classmethod
    def from_rows(cls, rows: Sequence[Array], dtype: npt.DTypeLike = np.float64) -> Ragged:
        """Put rows, each (length,), one after the other; ``dtype`` is that of no rows at all."""
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        return cls(np.concatenate(list(rows)) if len(rows) else np.empty(0, dtype), lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[Array]:
        yield from np.split(self.values, np.cumsum(self.lengths)[:-1]) if len(self) else ()

    def row_of(self, place: int) -> int:
        """The row to which the value at a place belongs."""
        return int(np.searchsorted(np.cumsum(self.lengths), place, side="right"))
