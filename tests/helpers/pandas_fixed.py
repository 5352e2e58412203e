"""Write what ``DataFrame.to_hdf`` writes in the fixed format, with h5py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np


def write_frame(path: Path, key: str, columns: dict[Any, np.ndarray], blocks: list[list[Any]], **options: Any) -> None:
    """One frame whose columns lie in the given blocks, in the given order."""
    names = list(columns)
    number = all(isinstance(name, int) for name in names)

    def labels(values: list[Any]) -> np.ndarray:
        return np.array(values, dtype=np.int64) if number else np.array([name.encode() for name in values])

    with h5py.File(path, "a") as file:
        group = file.create_group(key)
        group.attrs.update(
            {
                "CLASS": np.bytes_("GROUP"),
                "pandas_type": "frame",
                "pandas_version": "0.15.2",
                "nblocks": len(blocks),
                "ndim": 2,
            }
        )
        group["axis0"] = labels(names)
        group["axis1"] = np.arange(len(next(iter(columns.values()))))
        for i, block in enumerate(blocks):
            group[f"block{i}_items"] = labels(block)
            group.create_dataset(
                f"block{i}_values", data=np.stack([columns[name] for name in block], axis=1), **options
            )
