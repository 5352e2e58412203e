"""Parquet through pyarrow (extra ``parquet``): columns of numbers, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hepflows.errors import DataError, MissingExtraError
from hepflows.io.atomic import replacing
from hepflows.io.columns import Array

__all__ = ["Columns", "opened", "write"]


@contextmanager
def opened(path: Path) -> Iterator[Columns]:
    """Open a file.

    Raises:
        DataError: no Parquet file, or damaged.
        MissingExtraError: pyarrow is not installed.
    """
    arrow, parquet = _pyarrow()
    try:
        file = parquet.ParquetFile(path)
    except (arrow.ArrowException, OSError) as error:
        message = f"{path} is no readable Parquet file ({str(error).splitlines()[0]}): copy or make it again"
        raise DataError(message) from error
    with file:
        yield Columns(path, file, arrow)


class Columns:
    """An open Parquet file."""

    attributes: Mapping[str, str] = {}
    jagged: Collection[str] = ()

    def __init__(self, path: Path, file: Any, arrow: Any) -> None:
        self._path, self._file, self._arrow = path, file, arrow
        types = arrow.types
        fields = list(file.schema_arrow)
        numbers = [one for one in fields if types.is_integer(one.type) or types.is_floating(one.type)]
        self.names = tuple(one.name for one in numbers)
        self.unread = {one.name: f"has the type {one.type}" for one in fields if one not in numbers}
        self.rows = int(file.metadata.num_rows)
        if self.rows == 0:
            message = f"{path} has no rows: give a file with data"
            raise DataError(message)

    def iterate(self, names: Sequence[str], *, chunk: int) -> Iterator[dict[str, Array]]:
        """Yield {name: (rows,)} of at most ``chunk`` rows; what is missing is NaN.

        Raises:
            DataError: the file is damaged inside.
        """
        try:
            for batch in self._file.iter_batches(batch_size=chunk, columns=list(names)):
                yield {name: batch.column(name).to_numpy(zero_copy_only=False) for name in names}
        except (self._arrow.ArrowException, OSError) as error:
            message = f"{self._path} is damaged ({str(error).splitlines()[0]}): copy or make it again"
            raise DataError(message) from error


def write(path: Path, chunks: Iterator[dict[str, Array]]) -> int:
    """Write chunks of columns; returns the number of rows.

    Raises:
        DataError: the file cannot be written.
        MissingExtraError: pyarrow is not installed.
    """
    arrow, parquet = _pyarrow()
    rows, writer = 0, None
    with replacing(path) as temporary:
        try:
            for part in chunks:
                table = arrow.table(part)
                if writer is None:
                    writer = parquet.ParquetWriter(temporary, table.schema)
                writer.write_table(table)
                rows += table.num_rows
        finally:
            if writer is not None:
                writer.close()
    return rows


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        message = "Parquet files need pyarrow: pip install 'hepflows[parquet]'"
        raise MissingExtraError(message) from None
    return pa, parquet
