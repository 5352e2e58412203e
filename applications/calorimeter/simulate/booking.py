"""From deposits at points to the energies of cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hepflows.applications.calorimeter.geometry import Geometry

__all__ = ["Booking"]

Array = npt.NDArray[Any]


class Booking:
    """Adds up deposits by shower and cell.

    A deposit beside the cells of its layer counts in the overflow of this layer; one between two layers, before the first or behind
    the last, in the overflow of the nearest. What is booked is thus all there was.

    Args:
        geometry: the cells; every layer has its depth.

    >>> from hepflows.applications.calorimeter import CALOGAN
    >>> voxels, overflow = Booking(CALOGAN).add(1, [0, 0], [5.0, 470.0], [0.0, 500.0], [0.0, 0.0], [2.0, 3.0])
    >>> float(voxels.sum()), overflow
    (2.0, array([[0., 0., 3.]]))
    """

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._begin, self._end = np.array([layer.depth_mm for layer in geometry.layers], dtype=np.float64).T
        self._borders = 0.5 * (self._end[:-1] + self._begin[1:])
        self._offsets = np.array([where.start for where in geometry.slices])
        # layers of the same cells are searched at once: 45 in CaloChallenge 2
        alike: dict[Any, list[int]] = {}
        for index, layer in enumerate(geometry.layers):
            alike.setdefault(layer, []).append(index)
        self._kinds = [
            (geometry.layers[group[0]], np.isin(np.arange(geometry.n_layers), group)) for group in alike.values()
        ]

    def add(
        self,
        n: int,
        shower: npt.ArrayLike,
        depth: npt.ArrayLike,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        mev: npt.ArrayLike,
    ) -> tuple[Array, Array]:
        """Energies of the cells, (n, n_voxels), and overflow, (n, n_layers), both in MeV.

        Args:
            n: number of showers.
            shower: of each deposit, from 0 to n - 1.
            depth, x, y: where it is, in mm; depth from the front face.
            mev: its energy.
        """
        shower, depth, x, y = (np.asarray(values) for values in (shower, depth, x, y))
        layer = np.searchsorted(self._borders, depth, side="right")
        cell = np.full(len(depth), -1)
        for cells, belongs in self._kinds:
            if len(self._kinds) == 1:
                cell = cells.locate(x, y)
            else:
                mine = np.flatnonzero(belongs[layer])
                cell[mine] = cells.locate(x[mine], y[mine])
        n_voxels, width = self._geometry.n_voxels, self._geometry.n_voxels + self._geometry.n_layers
        outside = (cell < 0) | (depth < self._begin[layer]) | (depth >= self._end[layer])
        place = np.where(outside, n_voxels + layer, self._offsets[layer] + cell)
        sums = np.bincount(shower * width + place, weights=mev, minlength=n * width).reshape(n, width)
        return sums[:, :n_voxels], sums[:, n_voxels:]
