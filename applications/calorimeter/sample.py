"""The sample of a run: all showers of its files, on disk where they are too many for the memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hepflows.applications.calorimeter.config import SplitConfig
from hepflows.applications.calorimeter.data import iterate_showers
from hepflows.applications.calorimeter.showers import Showers, joined, of_known_species, same_kind
from hepflows.errors import ConfigError, DataError
from hepflows.io.spill import Spill
from hepflows.training.seeding import numpy_generator

Paths = Path | str | Sequence[Path | str]

_LEAST = 20


def load_sample(
    inputs: Paths, *, folder: Path, memory_gb: float = 4.0, geometry: str | None = None, conditions: Sequence[str] = ()
) -> Showers:
    """All showers of some files, voxels in float32; more than ``memory_gb`` of them become a view of a nameless file.

    Args:
        inputs: shower files: one, several, a folder or a glob.
        folder: where such a file may be.
        memory_gb: voxels that may stay in memory, in GB.
        geometry: the cells of the files, as `load_geometry` takes them; found out where None.
        conditions: columns that are needed; of ``pdg`` an attribute ``particle`` may tell, as simulated files have it.

    Raises:
        DataError: a file is not what it should be, or the disk is full.
    """
    parts = iterate_showers(inputs, dtype=np.float32, geometry=geometry)
    if "pdg" in conditions:
        parts = map(of_known_species, parts)
    return gathered(parts, folder=folder, memory_gb=memory_gb)


def megabytes(memory_gb: float) -> int:
    """GB as a number of MB, as large as it may be asked for.

    Raises:
        ConfigError: no such amount.
    """
    if not memory_gb >= 0:
        message = f"--memory {memory_gb:g}: give GB, at least 0"
        raise ConfigError(message)
    return int(min(1e3 * memory_gb, 1e12))


def gathered(parts: Iterable[Showers], *, folder: Path, memory_gb: float) -> Showers:
    """Showers that come in parts, as one sample; see `load_sample`."""
    voxels: Spill | None = None
    energies, overflow, attributes, columns = [], [], [], []
    for part in parts:
        if voxels is None:
            voxels = Spill(part.geometry.n_voxels, limit=1_000_000 * megabytes(memory_gb), folder=folder)
            first = part[:0]
        same_kind([first, part])
        voxels.extend(part.voxels)
        energies.append(part.energies)
        overflow.append(part.overflow.astype(np.float32))
        attributes.append(part.attributes)
        columns.append(part.columns)
    if voxels is None:
        message = "there are no showers: give files with at least one"
        raise DataError(message)
    return Showers(
        np.concatenate(energies),
        voxels.array(),
        np.concatenate(overflow),
        first.geometry,
        joined(attributes),
        {name: np.concatenate([one[name] for one in columns]) for name in first.columns},
    )


@dataclass(frozen=True)
class Split:
    """Rows of a sample that train, that choose the model, and that judge it; drawn without overlap from the seed."""

    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @classmethod
    def of(cls, n: int, shares: SplitConfig, seed: int) -> Split:
        """Divide ``n`` showers.

        Raises:
            DataError: a part would be too small.
        """
        n_validation, n_test = round(n * shares.validation), round(n * shares.test)
        n_train = n - n_validation - n_test
        if min(n_train, n_validation, n_test) < _LEAST:
            message = (
                f"{n} showers are too few: the split gives {n_train} for training, {n_validation} for validation and "
                f"{n_test} for the test, and each needs at least {_LEAST}; give a larger file or set split.validation "
                "and split.test"
            )
            raise DataError(message)
        order = numpy_generator(seed, "split").permutation(n)
        # sorted, since a view of a file is read fastest in order
        parts = np.split(order, [n_train, n_train + n_validation])
        return cls(*(np.sort(part) for part in parts))
