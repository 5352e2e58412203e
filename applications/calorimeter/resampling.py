r"""Showers of one calorimeter in the cells of another: deposits are spread evenly over their cells and gathered anew.

.. math:: v'_j = \sum_i R_{ij} v_i, \qquad R_{ij} = \frac{|C_i \cap C'_j|}{|C_i|}

The overlap of the cells :math:`C_i` and :math:`C'_j` is exact between grids and between rings, and counted on points that
fill :math:`C_i` evenly where one of them is a grid and the other has rings. What lies in no new cell goes to the overflow of
the layer, so that every row of :math:`R` sums to one and no energy is lost.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from hepflows.applications.calorimeter.geometry import Geometry, GridLayer, Layer, PolarLayer
from hepflows.applications.calorimeter.showers import Showers
from hepflows.errors import ConfigError

__all__ = ["resample"]

Array = npt.NDArray[np.float64]

_POINTS, _MOST_ALONG = 2**22, 128  # of a layer, and along each side of a cell
_NOTHING = 1e-12  # a share below is rounding


def resample(showers: Showers, geometry: Geometry) -> Showers:
    """Put showers into other cells; what their energy in each layer was, it is again, overflow included.

    Calorimeters with as many layers are taken layer by layer. Otherwise the deposits of a layer are shared out by the overlap
    in depth, evenly along it, and what lies in front of, between or behind the new layers goes to the overflow of the nearest.
    It is a projection: cells that are finer hold the energy of coarse ones evenly, and nothing comes back exactly.

    Args:
        showers: n showers.
        geometry: the new cells; where they are the same, the showers are returned as they are.

    Raises:
        ConfigError: the numbers of layers differ, and the depth of some layer is not known.

    >>> from hepflows.applications.calorimeter import CALOGAN, GridLayer
    >>> coarse = Geometry("coarse", tuple(GridLayer((6, 6), (80.0, 80.0)) for _ in range(3)))
    >>> found = resample(Showers(np.array([50.0]), np.full((1, 504), 90.0)), coarse)
    >>> found.layer_energies
    array([[25920., 12960.,  6480.]])
    >>> found.layer(1)[0, 0]
    array([360., 360., 360., 360., 360., 360.])
    """
    source = showers.geometry
    if source.describe() == geometry.describe():
        return showers
    dtype = np.result_type(showers.voxels.dtype, np.float32)  # of integers float64
    voxels = np.zeros((len(showers), geometry.n_voxels), dtype)
    overflow = np.zeros((len(showers), geometry.n_layers), dtype)
    for i, j, share in _shares(source, geometry):
        inside, outside = _overlaps(source.layers[i], geometry.layers[j])
        deposits = share * showers.voxels[:, source.slices[i]]
        voxels[:, geometry.slices[j]] += deposits @ inside
        overflow[:, j] += deposits @ outside + share * showers.overflow[:, i]
    for i, j, share in _lost(source, geometry):
        overflow[:, j] += share * (showers.voxels[:, source.slices[i]].sum(axis=1) + showers.overflow[:, i])
    attributes = showers.attributes | {"resampled": f"from {source.name} to {geometry.name}"}
    return Showers(showers.energies, voxels, overflow, geometry, attributes, dict(showers.columns))


def _shares(source: Geometry, target: Geometry) -> list[tuple[int, int, float]]:
    """Old layer, new layer, and the share of the one that falls to the other."""
    if source.n_layers == target.n_layers:
        return [(index, index, 1.0) for index in range(source.n_layers)]
    old, new = _depths(source, target)
    shares = []
    for i, (begin, end) in enumerate(old):
        for j, (first, last) in enumerate(new):
            common = min(end, last) - max(begin, first)
            if common > 0:
                shares.append((i, j, common / (end - begin)))
    return shares


def _lost(source: Geometry, target: Geometry) -> list[tuple[int, int, float]]:
    """Old layer, the nearest new layer, and the share of the old one that lies nearest to it but in none."""
    if source.n_layers == target.n_layers:
        return []
    old, new = _depths(source, target)
    borders = [-np.inf, *((end + begin) / 2 for (_, end), (begin, _) in pairwise(new)), np.inf]
    lost = []
    for i, (begin, end) in enumerate(old):
        for j, (first, last) in enumerate(new):
            near = max(0.0, min(end, borders[j + 1]) - max(begin, borders[j]))
            inside = max(0.0, min(end, last) - max(begin, first))
            if near - inside > _NOTHING * (end - begin):
                lost.append((i, j, (near - inside) / (end - begin)))
    return lost


def _depths(source: Geometry, target: Geometry) -> tuple[list[tuple[float, float]], ...]:
    found = []
    for geometry in (source, target):
        depths = [layer.depth_mm for layer in geometry.layers if layer.depth_mm is not None]
        if len(depths) < geometry.n_layers:
            message = (
                f"the {source.n_layers} layers of {source.name!r} cannot become the {target.n_layers} of {target.name!r}, since the depth "
                f"of the layers of {geometry.name!r} is not known: give it as depth_mm in a YAML file, or choose cells in as many layers"
            )
            raise ConfigError(message)
        found.append(depths)
    return tuple(found)


@lru_cache(maxsize=256)
def _overlaps(source: Layer, target: Layer) -> tuple[Any, Array]:
    """(n_old, n_new) sparse shares of the old cells in the new ones, and (n_old,) those in none."""
    edges, new_edges = _edges(source), _edges(target)
    if type(source) is type(target) and edges and new_edges:
        inside = sparse.kron(*map(_along, edges, new_edges), format="csr")
    else:
        inside = _counted(source, target)
    outside = 1 - np.asarray(inside.sum(axis=1)).ravel()
    return inside, np.where(outside > _NOTHING, outside, 0.0)


def _edges(layer: Layer) -> list[Array]:
    """The edges of the cells along two coordinates in which areas are even: x and y; the angle and the square of the radius."""
    if isinstance(layer, GridLayer):
        (n_x, n_y), (x, y) = layer.shape, layer.cell_mm
        edges = [(np.arange(n_x + 1) - n_x / 2) * x, (np.arange(n_y + 1) - n_y / 2) * y]
    elif isinstance(layer, PolarLayer):
        edges = [np.linspace(-np.pi, np.pi, layer.n_alpha + 1), np.square(layer.r_edges_mm)]
    else:
        edges = []
    return [np.asarray(one, dtype=np.float64) for one in edges]


def _along(old: Array, new: Array) -> Any:
    """(n_old, n_new) shares of intervals in others."""
    common = np.minimum(old[1:, None], new[1:]) - np.maximum(old[:-1, None], new[:-1])
    share = common / np.diff(old)[:, None]
    return sparse.csr_array(np.where(share > _NOTHING, share, 0.0))


def _counted(source: Layer, target: Layer) -> Any:
    along = min(_MOST_ALONG, max(4, int(np.sqrt(_POINTS / source.n_voxels))))
    cells = target.locate(*source.points(along)).ravel()
    rows = np.repeat(np.arange(source.n_voxels), along**2)
    hit = cells >= 0
    share = np.full(int(hit.sum()), 1 / along**2)
    return sparse.coo_array((share, (rows[hit], cells[hit])), shape=(source.n_voxels, target.n_voxels)).tocsr()
