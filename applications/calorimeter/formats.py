"""How a geometry's showers lie in HDF5 and ROOT files, in the layouts that CaloGAN set (arXiv:1712.10321).

======  =======================================================  =============================================
column  HDF5 dataset                                             ROOT branch (double)
======  =======================================================  =============================================
E_inc   ``energy`` (n, 1), GeV                                   ``TotalEnergy``, GeV
voxels  ``layer_0`` (n, n_x, n_y), ``layer_1``, ..., MeV         ``cell_0``, ``cell_1``, ... in flat order, MeV
rest    ``overflow`` (n, n_layers), MeV, absent means zero       the last n_layers cells, MeV
======  =======================================================  =============================================
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hepflows.applications.calorimeter.geometry import Geometry
from hepflows.io import Field
from hepflows.io.paths import file_format

__all__ = ["TREE", "Layout", "layout_for"]

Array = npt.NDArray[Any]

TREE = "fancy_tree"  # CaloGAN's own default; a reader finds any name, since the generator's user may have changed it

# other formats that people try; the names that give them away, and what they are
_OTHERS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"incident_energies", "showers"}), "a CaloChallenge file (both in MeV, flattened by radius and angle)"),
    (frozenset({"energies", "directions", "shower_ids"}), "a point cloud of the showerdata package"),
    (frozenset({"df"}), "a pandas table, as of the LHC Olympics"),
    (frozenset({"ECAL", "energy"}), "a file of cubic ECAL images, as of the CLIC detector"),
)


class Layout(Protocol):
    """One file format for one geometry: its columns, and the way from and to flat arrays."""

    kind: str
    energy: str
    fields: tuple[Field, ...]

    def pack(self, energies: Array, voxels: Array, overflow: Array) -> dict[str, Array]:
        """Columns of the file, from (n,), (n, n_voxels) and (n, n_layers)."""

    def unpack(self, columns: Mapping[str, Array], dtype: npt.DTypeLike) -> tuple[Array, Array, Array]:
        """The inverse of :meth:`pack`: energies (n,) in float64, voxels and overflow in ``dtype``."""

    def refuse(self, names: Collection[str]) -> str | None:
        """Why a file with these columns is another experiment's or another detector's, as the end of a sentence."""


def layout_for(path: str | os.PathLike[str], geometry: Geometry) -> Layout:
    """The layout of a file, by its suffix.

    Raises:
        DataError: the suffix is unknown.

    >>> from hepflows.applications.calorimeter.geometry import CALOGAN
    >>> [field.name for field in layout_for("showers.h5", CALOGAN).fields]
    ['energy', 'layer_0', 'layer_1', 'layer_2', 'overflow']
    >>> len(layout_for("showers.root", CALOGAN).fields)
    508
    """
    return _RootLayout(geometry) if file_format(path) == "ROOT" else _Hdf5Layout(geometry)


class _Hdf5Layout:
    kind = "dataset"
    energy = "energy"

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._layers = [f"layer_{index}" for index in range(geometry.n_layers)]
        images = (Field(name, layer.shape) for name, layer in zip(self._layers, geometry.layers, strict=True))
        self.fields = (Field("energy", (1,)), *images, Field("overflow", (geometry.n_layers,), required=False))

    def pack(self, energies: Array, voxels: Array, overflow: Array) -> dict[str, Array]:
        columns = {"energy": energies[:, None], "overflow": overflow}
        for name, layer, where in zip(self._layers, self._geometry.layers, self._geometry.slices, strict=True):
            columns[name] = voxels[:, where].reshape(-1, *layer.shape)
        return columns

    def unpack(self, columns: Mapping[str, Array], dtype: npt.DTypeLike) -> tuple[Array, Array, Array]:
        energies = columns["energy"][:, 0].astype(np.float64)
        voxels = np.empty((len(energies), self._geometry.n_voxels), dtype)
        for name, where in zip(self._layers, self._geometry.slices, strict=True):
            voxels[:, where] = columns[name].reshape(len(energies), -1)
        if "overflow" in columns:
            return energies, voxels, columns["overflow"].astype(dtype)
        return energies, voxels, np.zeros((len(energies), self._geometry.n_layers), dtype)

    def refuse(self, names: Collection[str]) -> str | None:
        extra = _numbered(names, "layer_", self._geometry.n_layers)
        return _another(names) or _too_many("dataset", extra, self._geometry)


class _RootLayout:
    kind = "branch"
    energy = "TotalEnergy"

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._cells = [f"cell_{index}" for index in range(geometry.n_voxels + geometry.n_layers)]
        self.fields = (*map(Field, self._cells), Field("TotalEnergy"))

    def pack(self, energies: Array, voxels: Array, overflow: Array) -> dict[str, Array]:
        n = self._geometry.n_voxels
        columns = {name: voxels[:, index] for index, name in enumerate(self._cells[:n])}
        columns |= {name: overflow[:, index] for index, name in enumerate(self._cells[n:])}
        return columns | {"TotalEnergy": energies}

    def unpack(self, columns: Mapping[str, Array], dtype: npt.DTypeLike) -> tuple[Array, Array, Array]:
        n, energies = self._geometry.n_voxels, columns["TotalEnergy"].astype(np.float64)
        cells = np.empty((len(energies), len(self._cells)), dtype)
        for index, name in enumerate(self._cells):
            cells[:, index] = columns[name]
        return energies, cells[:, :n].copy(), cells[:, n:].copy()

    def refuse(self, names: Collection[str]) -> str | None:
        extra = _numbered(names, "cell_", len(self._cells))
        return _another(names) or _too_many("branch", extra, self._geometry)


def _another(names: Collection[str]) -> str | None:
    for tell_tale, description in _OTHERS:
        if tell_tale <= set(names):
            return f"is {description}, not a file in the CaloGAN layout, the only one that is read so far: give a CaloGAN file"
    return None


def _numbered(names: Collection[str], prefix: str, limit: int) -> list[str]:
    """Names such as layer_3 that the geometry does not have: reading the others alone would be silently wrong."""
    numbers = {name: name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    return [name for name, number in numbers.items() if number.isdecimal() and int(number) >= limit]


def _too_many(kind: str, extra: list[str], geometry: Geometry) -> str | None:
    if not extra:
        return None
    return (
        f"has the {kind} {min(extra)!r}, which the geometry {geometry.name!r} with its {geometry.n_layers} layers and "
        f"{geometry.n_voxels} voxels does not have: it comes from another detector, give its geometry"
    )
