"""Point clouds in the HDF5 layout of the showerdata package (version 0.7): as many points a shower as hold energy.

=============  ===============================================================================
dataset        content
=============  ===============================================================================
``energies``   (n, 1), incident energy in GeV
``showers``    n rows of variable length: points of (x mm, y mm, layer, energy GeV[, time])
``num_points`` (n,) points of each shower; ``shape`` (3,): n, most points, 4 or 5
``directions`` (n, 3) unit vectors; ``pdg`` (n,), 0 where unknown; ``shower_ids`` (n,)
``overflow``   (n, n_layers) in GeV: ours, and there only if any is not zero
=============  ===============================================================================

Written in float64, which showerdata rounds to float32 when it reads. A point of ours stands in the middle of its cell
(where a ring is not divided, at angle zero), so that the cells come back.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hepflows.applications.calorimeter.formats.layout import OWN, Layout, Units
from hepflows.applications.calorimeter.geometry import Geometry
from hepflows.applications.calorimeter.showers import COLUMNS, Showers
from hepflows.errors import DataError
from hepflows.io import Contents, Field, Ragged, Reader

__all__ = ["PointCloud"]

Array = npt.NDArray[Any]

_COLUMNS_KEY = f"{OWN}columns"
_KNOWN = {"shape", "shower_ids"}
_OFF_CENTRE = 1e-6  # of the largest coordinate: the rounding of float32


class PointCloud(Layout):
    """The layout of showerdata.

    Args:
        geometry: the cells.
        energy_unit: as for every layout.
        voxel_unit: as for every layout.
        project: take points anywhere in their cells; otherwise they must stand in the middle.
    """

    name: ClassVar[str] = "pointcloud"
    energy: ClassVar[str] = "energies"
    official: ClassVar[Units] = Units("GeV", "GeV")
    signed: ClassVar[frozenset[str]] = frozenset({*COLUMNS, "directions", "showers"})

    def __init__(
        self,
        geometry: Geometry,
        energy_unit: str | None = None,
        voxel_unit: str | None = None,
        *,
        project: bool = False,
    ) -> None:
        super().__init__(geometry, energy_unit, voxel_unit)
        self._project = project
        self._rows, self._most, self._width = 0, 0, 4
        self._columns: list[str] | None = None
        self._centres = [_centres(layer.coordinates) for layer in geometry.layers]
        self.fields = (
            Field("energies", (1,)),
            Field("showers", ragged=True),
            Field("num_points", dtype=np.int32, required=False),
            Field("directions", (3,)),
            Field("pdg", dtype=np.int32),
            Field("shower_ids", dtype=np.int32, required=False),
            Field("overflow", (geometry.n_layers,), required=False),
        )

    @property
    def row_bytes(self) -> int:
        """That of the cells, or of the points where these are more."""
        return max(super().row_bytes, 8 * self._width * self._most)

    def pack(self, showers: Showers) -> dict[str, Any]:
        rows, cells = np.nonzero(showers.voxels)
        x, y = np.concatenate(self._centres, axis=1)
        layers = np.repeat(np.arange(self.geometry.n_layers), [layer.n_voxels for layer in self.geometry.layers])
        energies = self.units.deposits(showers.voxels[rows, cells])
        points = np.stack([x[cells], y[cells], layers[cells], energies], axis=1)
        counts = np.bincount(rows, minlength=len(showers))
        numbers = np.arange(self._rows, self._rows + len(showers))
        self._rows, self._most = self._rows + len(showers), max(self._most, int(counts.max(initial=0)))
        theta, phi = (showers.columns.get(name, np.zeros(len(showers))) for name in ("theta", "phi"))
        directions = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)
        columns = {
            "energies": self.units.energies(showers.energies)[:, None],
            "showers": Ragged(points.ravel(), 4 * counts),
            "num_points": counts,
            "directions": directions,
            "shower_ids": numbers,
        }
        rest = {"overflow": self.units.deposits(showers.overflow)} if showers.overflow.any() else {}
        return columns | rest | {"pdg": np.zeros(len(showers))} | showers.columns

    def unpack(self, columns: Mapping[str, Any], dtype: npt.DTypeLike) -> Showers:
        counts = columns["showers"].lengths // self._width
        points = columns["showers"].values.reshape(-1, self._width)
        voxels = np.zeros((len(counts), self.geometry.n_voxels), dtype)
        outside = np.zeros((len(counts), self.geometry.n_layers), dtype)
        rows, layers = np.repeat(np.arange(len(counts)), counts), _layers(points)
        for index, where in enumerate(self.geometry.slices):
            here = layers == index
            cells = self.geometry.layers[index].locate(points[here, 0], points[here, 1])
            row, energy, inside = rows[here], points[here, 3], cells >= 0
            np.add.at(voxels, (row[inside], where.start + cells[inside]), energy[inside])
            np.add.at(outside, (row[~inside], index), energy[~inside])
        if "overflow" in columns:
            outside += columns["overflow"].astype(dtype)
        return self.showers(columns["energies"][:, 0], voxels, outside, self._known_columns(columns))

    def _known_columns(self, columns: Mapping[str, Any]) -> dict[str, Array]:
        """Particle and direction belong to the format; in our own files they mean something only where we say so."""
        x, y, z = columns["directions"].astype(np.float64).T
        derived = {"pdg": columns["pdg"], "theta": np.arctan2(np.hypot(x, y), z), "phi": np.arctan2(y, x)}
        found = derived | {name: columns[name] for name in COLUMNS if name in columns}
        return found if self._columns is None else {name: found[name] for name in self._columns if name in found}

    def check(self, path: str | os.PathLike[str], columns: Mapping[str, Any], first_row: int) -> None:
        """Check the numbers, and that every point lies in a layer, and unless it is projected in the middle of a cell."""
        super().check(path, columns, first_row)
        pdg = np.asarray(columns.get("pdg", 0))
        wrong = (pdg != np.round(pdg)) | (np.abs(pdg) >= 2.0**31)
        if wrong.any():
            number = pdg[wrong][0]
            message = f"{os.fspath(path)}: a PDG number of a point cloud is an integer of 32 bits, not {number:g}: mend the column 'pdg'"
            raise DataError(message)
        clouds = columns["showers"]
        counts = columns.get("num_points", clouds.lengths // self._width)
        wrong = clouds.lengths != self._width * counts
        if wrong.any():
            row = int(np.argmax(wrong))
            message = (
                f"{os.fspath(path)}: the shower in row {first_row + row} (counted from 0) has {int(clouds.lengths[row])} numbers, "
                f"which are not {int(counts[row])} points of {self._width}: make the file again"
            )
            raise DataError(message)
        points = clouds.values.reshape(-1, self._width)
        problem = self._problem(points)
        if problem is not None:
            place, text = problem
            row = first_row + clouds.row_of(place * self._width)
            message = f"{os.fspath(path)}: a point of the shower in row {row} (counted from 0) {text}"
            raise DataError(message)

    def _problem(self, points: Array) -> tuple[int, str] | None:
        """The first point that is wrong, and what is wrong with it."""
        layers, n_layers = _layers(points), self.geometry.n_layers
        for wrong, text in (
            (points[:, 3] < 0, "has a negative energy: remove these showers or make the file again"),
            (
                np.abs(layers - points[:, 2]) > 0.1,
                "has a third coordinate that is no number of a layer: replace depths by the numbers of the layers",
            ),
            (
                (layers < 0) | (layers >= n_layers),
                f"lies in a layer that the geometry {self.geometry.name!r} with its {n_layers} layers does not have: give its own",
            ),
        ):
            if wrong.any():
                return int(np.argmax(wrong)), text
        for index, layer in enumerate(self.geometry.layers if not self._project else ()):
            here = np.flatnonzero(layers == index)
            off = self._off_centre(index, layer.locate(points[here, 0], points[here, 1]), points[here])
            if off.any():
                name = self.geometry.name
                text = f"is not in the middle of a cell of {name!r}: project the points onto cells with --resample (project=)"
                return int(here[np.argmax(off)]), text
        return None

    def _off_centre(self, index: int, cells: Array, points: Array) -> Array:
        x, y = self._centres[index]
        near = _OFF_CENTRE * max(float(np.abs(x).max()), float(np.abs(y).max()), 1e-3)
        off: Array = np.maximum(np.abs(x[cells] - points[:, 0]), np.abs(y[cells] - points[:, 1])) > near
        return off | (cells < 0)

    def misfit(self, contents: Contents) -> str | None:
        """The points will tell."""
        return None

    def cells(self, contents: Contents) -> str:
        return "is a point cloud without a description of its cells"

    def unknown(self, names: Collection[str]) -> list[str]:
        return sorted(set(super().unknown(names)) - _KNOWN)

    def attributes(self, showers: Showers) -> dict[str, str]:
        """The columns that mean something."""
        return {_COLUMNS_KEY: " ".join(sorted(showers.columns))}

    def opened(self, path: str | os.PathLike[str], file: Reader) -> None:
        shape = file.whole("shape").ravel()
        if shape.shape != (3,) or shape[2] not in (4, 5) or shape[1] < 0:
            message = (
                f"{os.fspath(path)}: the dataset 'shape' of a point cloud holds the numbers of showers and of points, and 4 or 5, "
                f"but here {shape.tolist()}: make the file again"
            )
            raise DataError(message)
        self._most, self._width = int(shape[1]), int(shape[2])
        told = file.attributes.get(_COLUMNS_KEY)
        self._columns = None if told is None else told.split()

    def whole(self) -> dict[str, Array]:
        """The shape that the clouds would have if all had as many points as the largest."""
        return {"shape": np.array([self._rows, self._most, 4], dtype=np.int32)}


def _layers(points: Array) -> Array:
    # clipped before it becomes an integer: a number far away would overflow
    layers: Array = np.rint(np.clip(points[:, 2], -1, 2**31)).astype(np.int64)
    return layers


def _centres(coordinates: Mapping[str, Array]) -> Array:
    """(2, n_voxels): x and y of the middle of each cell."""
    x = coordinates["x"] if "x" in coordinates else coordinates["r"]
    return np.stack([x, coordinates.get("y", np.zeros(len(x)))])
