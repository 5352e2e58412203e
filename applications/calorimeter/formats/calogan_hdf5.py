"""CaloGAN's HDF5 files (arXiv:1712.10321): one picture a layer.

======  ===================================================
column  dataset
======  ===================================================
E_inc   ``energy`` (n, 1), GeV
voxels  ``layer_0`` (n, n_x, n_y), ``layer_1``, ..., MeV
rest    ``overflow`` (n, n_layers), MeV, absent means zero
======  ===================================================
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

__all__ = ["CaloGanHdf5"]


class CaloGanHdf5(Layout):
    """The layout of ``eplus.hdf5``, for the layers of any geometry: rings as pictures of (n_alpha, n_r)."""

    name: ClassVar[str] = "calogan"
    energy: ClassVar[str] = "energy"
    official: ClassVar[Units] = Units("GeV", "MeV")

    def __init__(self, geometry: Geometry, energy_unit: str | None = None, voxel_unit: str | None = None) -> None:
        super().__init__(geometry, energy_unit, voxel_unit)
        self._layers = [f"layer_{index}" for index in range(geometry.n_layers)]
        pictures = (Field(name, layer.shape) for name, layer in zip(self._layers, geometry.layers, strict=True))
        self.fields = (Field("energy", (1,)), *pictures, Field("overflow", (geometry.n_layers,), required=False))

    def pack(self, showers: Showers) -> dict[str, Any]:
        columns = {name: self.units.deposits(showers.layer(index)) for index, name in enumerate(self._layers)}
        columns |= {"energy": self.units.energies(showers.energies)[:, None]}
        return columns | {"overflow": self.units.deposits(showers.overflow)} | showers.columns

    def unpack(self, columns: Mapping[str, Any], dtype: npt.DTypeLike) -> Showers:
        voxels = np.empty((len(columns["energy"]), self.geometry.n_voxels), dtype)
        for name, where in zip(self._layers, self.geometry.slices, strict=True):
            voxels[:, where] = columns[name].reshape(len(voxels), -1)
        overflow = columns["overflow"].astype(dtype) if "overflow" in columns else None
        return self.showers(columns["energy"][:, 0], voxels, overflow, columns)

    def misfit(self, contents: Contents) -> str | None:
        for number in numbered(contents.shapes, "layer_"):
            name, shape = f"layer_{number}", contents.shapes[f"layer_{number}"]
            if number >= self.geometry.n_layers:
                return f"has the dataset {name!r}, which {_in_words(self.geometry)} does not have"
            expected = self.geometry.layers[number].shape
            # one of another form is no picture at all, which the reader will say
            if shape is not None and len(shape) == 3 and shape[1:] != expected:
                return f"has {_times(shape[1:])} cells in {name!r}, where {_in_words(self.geometry)} has {_times(expected)}"
        return None

    def cells(self, contents: Contents) -> str:
        shapes = [contents.shapes[f"layer_{number}"] for number in numbered(contents.shapes, "layer_")]
        return f"has layers of {', '.join(_times(shape[1:]) for shape in shapes if shape) or 'no'} cells"


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "no"


def _in_words(geometry: Geometry) -> str:
    return f"the geometry {geometry.name!r} with its {geometry.n_layers} layers and {geometry.n_voxels} voxels"
