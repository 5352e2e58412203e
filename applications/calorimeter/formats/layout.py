"""What every file format of showers has to say of itself."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hepflows.applications.calorimeter.checks import check_columns, converted
from hepflows.applications.calorimeter.geometry import Geometry
from hepflows.applications.calorimeter.showers import COLUMNS, Showers
from hepflows.io import Contents, Field, Reader

__all__ = ["GEOMETRY_KEY", "OWN", "TREE", "Layout", "Units", "numbered"]

Array = npt.NDArray[Any]

TREE = "fancy_tree"  # CaloGAN's own default; a reader finds any name, since the generator's user may have changed it
OWN = "hepflows_"  # attributes that describe the file and not the showers begin so
GEOMETRY_KEY = f"{OWN}geometry"


@dataclass(frozen=True)
class Units:
    """Units of a file: of the incident energies, GeV in memory, and of the deposits, MeV in memory."""

    energy: str
    voxel: str

    def gev(self, energies: Array) -> Array:
        """Incident energies of the file in GeV."""
        return converted(energies, self.energy, "GeV")

    def mev(self, deposits: Array) -> Array:
        """Deposits of the file in MeV."""
        return converted(deposits, self.voxel, "MeV")

    def energies(self, gev: Array) -> Array:
        """Incident energies in the file's unit."""
        return converted(gev, "GeV", self.energy)

    def deposits(self, mev: Array) -> Array:
        """Deposits in the file's unit."""
        return converted(mev, "MeV", self.voxel)


class Layout(ABC):
    """One file format for the showers of one geometry: its columns, and the way from and to `Showers`.

    Args:
        geometry: the cells.
        energy_unit: unit of the incident energies, where it is not that of the format.
        voxel_unit: unit of the deposits, where it is not that of the format.

    Attributes:
        name: as ``--layout`` takes it.
        kind: what the file calls a column, "dataset" or "branch".
        energy: the column of incident energies.
        official: the units of the format.
        signed: columns that may be negative.
        fields: the columns of the format itself.
    """

    name: ClassVar[str]
    kind: ClassVar[str] = "dataset"
    energy: ClassVar[str]
    official: ClassVar[Units]
    signed: ClassVar[frozenset[str]] = frozenset(COLUMNS)
    fields: tuple[Field, ...]

    def __init__(self, geometry: Geometry, energy_unit: str | None = None, voxel_unit: str | None = None) -> None:
        self.geometry = geometry
        self.units = Units(energy_unit or self.official.energy, voxel_unit or self.official.voxel)

    @property
    def row_bytes(self) -> int:
        """Memory that one shower takes, in bytes."""
        return 8 * (self.geometry.n_voxels + self.geometry.n_layers)

    @abstractmethod
    def pack(self, showers: Showers) -> dict[str, Any]:
        """The columns of the file."""

    @abstractmethod
    def unpack(self, columns: Mapping[str, Any], dtype: npt.DTypeLike) -> Showers:
        """The inverse of `pack`: incident energies in float64, voxels and overflow in ``dtype``."""

    @abstractmethod
    def misfit(self, contents: Contents) -> str | None:
        """How the cells in a file contradict the geometry, as in "has 368 voxels ..."; None where they do not."""

    @abstractmethod
    def cells(self, contents: Contents) -> str:
        """What cells a file has, as in "has 368 voxels a shower"."""

    def fits(self, contents: Contents) -> bool:
        """Whether a file has all columns, and those of this geometry."""
        shapes = ((contents.shapes.get(field.name), field.shape) for field in self.fields if field.required)
        return (
            all(found is not None and found[1:] == shape for found, shape in shapes) and self.misfit(contents) is None
        )

    def reads(self) -> tuple[Field, ...]:
        """The columns that a reader takes: those of the format, and those of `Showers.columns` that are there."""
        own = {field.name for field in self.fields}
        return (*self.fields, *(Field(name, required=False) for name in COLUMNS if name not in own))

    def writes(self, showers: Showers) -> tuple[Field, ...]:
        """The columns of a file of such showers."""
        own = {field.name for field in self.fields}
        return (*self.fields, *(Field(name) for name in showers.columns if name not in own))

    def unknown(self, names: Collection[str]) -> list[str]:
        """Columns of a file that mean nothing here."""
        return sorted(set(names) - {field.name for field in self.reads()})

    def attributes(self, showers: Showers) -> dict[str, str]:
        """What a file of such showers has to say, besides its geometry."""
        return {}

    def opened(self, path: str | os.PathLike[str], file: Reader) -> None:
        """Learn what must be known before the rows of a file are read."""
        return

    def whole(self) -> dict[str, Array]:
        """Numbers of a file that belong to no row, once all rows are packed."""
        return {}

    def check(self, path: str | os.PathLike[str], columns: Mapping[str, Any], first_row: int) -> None:
        """Check the numbers of a file before they are unpacked.

        Raises:
            DataError: names the column, the row and the value.
        """
        check_columns(path, columns, kind=self.kind, energy=self.energy, signed=self.signed, first_row=first_row)

    def showers(self, energies: Array, voxels: Array, overflow: Array | None, columns: Mapping[str, Array]) -> Showers:
        """Showers from numbers in the file's units; of ``columns`` those that `Showers` knows."""
        return Showers(
            self.units.gev(np.asarray(energies, np.float64)),
            self.units.mev(voxels),
            np.zeros((len(voxels), self.geometry.n_layers), voxels.dtype)
            if overflow is None
            else self.units.mev(overflow),
            self.geometry,
            columns={name: columns[name] for name in COLUMNS if name in columns},
        )


def numbered(names: Collection[str], prefix: str) -> list[int]:
    """The numbers behind a prefix, sorted.

    >>> numbered(["layer_2", "layer_10", "energy", "layer_x"], "layer_")
    [2, 10]
    """
    numbers = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return sorted(int(number) for number in numbers if number.isdecimal())
