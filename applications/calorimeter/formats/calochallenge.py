"""The HDF5 files of the CaloChallenge (arXiv:2410.21611): flat voxels, everything in MeV.

======  =======================================================================================
column  dataset
======  =======================================================================================
E_inc   ``incident_energies`` (n, 1), MeV
voxels  ``showers`` (n, n_voxels), MeV: layers one after the other, in each the radius fastest
rest    ``overflow`` (n, n_layers), MeV: ours, and there only if any is not zero
======  =======================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy.typing as npt

from hepflows.applications.calorimeter.formats.layout import Layout, Units
from hepflows.applications.calorimeter.geometry import Geometry
from hepflows.applications.calorimeter.showers import Showers
from hepflows.io import Contents, Field

__all__ = ["CaloChallenge"]


class CaloChallenge(Layout):
    """The layout of ``dataset_1_photons_1.hdf5`` and the others, for any geometry."""

    name: ClassVar[str] = "calochallenge"
    energy: ClassVar[str] = "incident_energies"
    official: ClassVar[Units] = Units("MeV", "MeV")

    def __init__(self, geometry: Geometry, energy_unit: str | None = None, voxel_unit: str | None = None) -> None:
        super().__init__(geometry, energy_unit, voxel_unit)
        self.fields = (
            Field("incident_energies", (1,)),
            Field("showers", (geometry.n_voxels,)),
            Field("overflow", (geometry.n_layers,), required=False),
        )

    def pack(self, showers: Showers) -> dict[str, Any]:
        columns = {
            "incident_energies": self.units.energies(showers.energies)[:, None],
            "showers": self.units.deposits(showers.voxels),
        }
        rest = {"overflow": self.units.deposits(showers.overflow)} if showers.overflow.any() else {}
        return columns | rest | showers.columns

    def unpack(self, columns: Mapping[str, Any], dtype: npt.DTypeLike) -> Showers:
        overflow = columns["overflow"].astype(dtype) if "overflow" in columns else None
        voxels = columns["showers"].astype(dtype, copy=False)
        return self.showers(columns["incident_energies"][:, 0], voxels, overflow, columns)

    def misfit(self, contents: Contents) -> str | None:
        found, wanted = _voxels(contents), self.geometry.n_voxels
        if found in (None, wanted):
            return None
        return f"has {found} voxels a shower, where the geometry {self.geometry.name!r} has {wanted}"

    def cells(self, contents: Contents) -> str:
        return f"has {_voxels(contents) or 'no'} voxels a shower"


def _voxels(contents: Contents) -> int | None:
    """Numbers of a shower, in one row as it should be or in pictures; None where there are no showers."""
    shape = contents.shapes.get("showers") or ()
    return math.prod(shape[1:]) if len(shape) > 1 else None
