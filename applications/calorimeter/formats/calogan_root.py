"""CaloGAN's ROOT files (arXiv:1712.10321): one tree, one branch of type double for each cell.

======  ==================================================
column  branch
======  ==================================================
E_inc   ``TotalEnergy``, GeV
voxels  ``cell_0``, ``cell_1``, ... in flat order, MeV
rest    the last n_layers cells, MeV
======  ==================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hepflows.applications.calorimeter.formats.layout import Layout, Units, numbered
from hepflows.applications.calorimeter.geometry import Geometry
from hepflows.applications.calorimeter.showers import Showers
from hepflows.io import Contents, Field

__all__ = ["MOST_CELLS", "CaloGanRoot"]

MOST_CELLS = 2000
"""So many branches are written at most: the time that they take grows with the square of their number (6,525 take minutes)."""


class CaloGanRoot(Layout):
    """The layout of the CaloGAN generator's own output, for any geometry."""

    name: ClassVar[str] = "calogan"
    kind: ClassVar[str] = "branch"
    energy: ClassVar[str] = "TotalEnergy"
    official: ClassVar[Units] = Units("GeV", "MeV")

    def __init__(self, geometry: Geometry, energy_unit: str | None = None, voxel_unit: str | None = None) -> None:
        super().__init__(geometry, energy_unit, voxel_unit)
        self._cells = [f"cell_{index}" for index in range(geometry.n_voxels + geometry.n_layers)]
        self.fields = (*map(Field, self._cells), Field("TotalEnergy"))

    def pack(self, showers: Showers) -> dict[str, Any]:
        cells = np.concatenate([showers.voxels, showers.overflow], axis=1)
        columns = dict(zip(self._cells, self.units.deposits(cells).T, strict=True))
        return columns | {"TotalEnergy": self.units.energies(showers.energies)} | showers.columns

    def unpack(self, columns: Mapping[str, Any], dtype: npt.DTypeLike) -> Showers:
        n, energies = self.geometry.n_voxels, columns["TotalEnergy"]
        cells = np.empty((len(energies), len(self._cells)), dtype)
        for index, name in enumerate(self._cells):
            cells[:, index] = columns[name]
        return self.showers(energies, cells[:, :n].copy(), cells[:, n:].copy(), columns)

    def misfit(self, contents: Contents) -> str | None:
        numbers = numbered(contents.shapes, "cell_")
        wanted, last = len(self._cells), numbers[-1] if numbers else -1
        name, n_voxels, n_layers = self.geometry.name, self.geometry.n_voxels, self.geometry.n_layers
        if last >= wanted:
            return (
                f"has the branch 'cell_{last}', which the geometry {name!r} with its {n_layers} layers and {n_voxels} voxels "
                "does not have"
            )
        # with a gap one is missing, which the reader will say
        if 0 < len(numbers) == last + 1 < wanted:
            return (
                f"has {len(numbers)} cells, where the geometry {name!r} has {n_voxels} and {n_layers} for the overflow"
            )
        return None

    def cells(self, contents: Contents) -> str:
        return f"has {len(numbered(contents.shapes, 'cell_'))} cells, those of the overflow included"
