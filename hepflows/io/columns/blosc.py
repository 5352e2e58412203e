"""Rows of an HDF5 dataset, also of one compressed with Blosc, a filter that h5py does not have."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from hepflows.errors import DataError, MissingExtraError
from hepflows.io.columns import Array

__all__ = ["read_rows"]

BLOSC = 32001
"""Number of the HDF5 filter; PyTables, and so pandas with ``complib="blosc"``, writes it."""


def read_rows(dataset: Any, start: int, stop: int) -> Array:
    """Rows ``start`` to ``stop`` of a dataset.

    Where its only filter is Blosc and h5py has no plugin for it, the chunks are read as they lie in the file and unpacked by blosc2.

    Raises:
        DataError: another filter that is not installed, or a damaged chunk.
        MissingExtraError: Blosc, and blosc2 is not installed.
    """
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    missing = [code for code in filters if not h5py.h5z.filter_avail(code)]
    if not missing:
        return np.asarray(dataset[start:stop])
    if filters != [BLOSC]:
        message = (
            f"{dataset.file.filename}: {dataset.name} needs the HDF5 filter {missing[0]}, which is not installed: "
            "repack the file with 'h5repack -f GZIP=6'"
        )
        raise DataError(message)
    return _unpacked(dataset, start, stop)


def _unpacked(dataset: Any, start: int, stop: int) -> Array:
    try:
        import blosc2
    except ImportError:
        message = f"{dataset.file.filename} is compressed with Blosc: pip install 'hepflows[lhco]'"
        raise MissingExtraError(message) from None
    shape, chunks = dataset.shape, dataset.chunks
    values = np.empty((stop - start, *shape[1:]), dtype=dataset.dtype)
    first = start // chunks[0] * chunks[0]
    corners = [range(first, stop, chunks[0]), *(range(0, n, c) for n, c in zip(shape[1:], chunks[1:], strict=True))]
    for place in np.array(np.meshgrid(*corners, indexing="ij")).reshape(len(shape), -1).T.tolist():
        try:
            mask, packed = dataset.id.read_direct_chunk(tuple(place))
            block = np.frombuffer(packed if mask else blosc2.decompress(packed), dtype=dataset.dtype).reshape(chunks)
        except (OSError, RuntimeError, ValueError) as error:
            message = f"{dataset.file.filename}: {dataset.name} is damaged near row {place[0]} ({error}): copy or download it again"
            raise DataError(message) from error
        # chunks at the edges are stored in full size, and the first one may begin before the rows
        low, high = max(place[0], start), min(place[0] + chunks[0], stop)
        inner = tuple(slice(at, min(at + c, n)) for at, c, n in zip(place[1:], chunks[1:], shape[1:], strict=True))
        kept = tuple(slice(0, one.stop - one.start) for one in inner)
        values[(slice(low - start, high - start), *inner)] = block[(slice(low - place[0], high - place[0]), *kept)]
    return values
