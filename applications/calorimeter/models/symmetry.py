"""Symmetry of a sample: a beam that enters straight and centred makes showers whose mirror images are as likely.

Where the data agree with that, every shower can be trained on in all its orientations: reflections and turns of the plane
across the beam under which the cells of every layer fall onto one another. Where the data do not agree (an inclined or
displaced beam, a detector with a gap), that orientation is not used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hepflows.applications.calorimeter.geometry import Geometry, Layer, PolarLayer
from hepflows.applications.calorimeter.showers import Showers
from hepflows.training.batches import Transform

LIMIT = 4.5
"""Standard deviations by which no moment of a layer may differ between the showers and their images."""

ENOUGH = 20_000
"""Showers that decide."""


def movements(geometry: Geometry) -> list[np.ndarray]:
    """The (2, 2) reflections and turns under which the cells of all layers fall onto one another, the identity first."""
    folds = {layer.n_alpha for layer in geometry.layers if isinstance(layer, PolarLayer) and layer.n_alpha > 1}
    turns = int(np.gcd.reduce(list(folds))) if folds else 4
    found = []
    for mirror in (1.0, -1.0):
        for angle in 2 * np.pi * np.arange(turns) / turns:
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            matrix = turn @ np.diag([1.0, mirror])
            if moved(geometry, matrix) is not None:
                found.append(matrix)
    return found


def moved(geometry: Geometry, matrix: np.ndarray) -> np.ndarray | None:
    """``(n_voxels,)`` index of the cell onto which each falls, or None where it falls between cells."""
    orders = []
    for part, layer in zip(geometry.slices, geometry.layers, strict=True):
        order = _moved_layer(layer, matrix)
        if order is None:
            return None
        orders.append(part.start + order)
    return np.concatenate(orders)


def _moved_layer(layer: Layer, matrix: np.ndarray) -> np.ndarray | None:
    """A cell must fall onto one cell with all of its points, not with its centre alone."""
    if isinstance(layer, PolarLayer) and layer.n_alpha == 1:
        return np.arange(layer.n_voxels)
    x, y = layer.points(4)
    found = layer.locate(matrix[0, 0] * x + matrix[0, 1] * y, matrix[1, 0] * x + matrix[1, 1] * y)
    order = found[:, 0]
    whole = (found == order[:, None]).all() and np.array_equal(np.sort(order), np.arange(layer.n_voxels))
    return order if whole else None


def asymmetries(showers: Showers, order: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    r"""``(n_layers, 4)``: how far the moments of a sample are from those of its image, in standard errors.

    The moments of a shower are :math:`\sum v f / \sum v` in each layer, with f = x, y, x^2 - y^2 and x y; those that the
    movement leaves alone are zero.

    Args:
        showers: the sample.
        order: (n_voxels,) where each cell falls, from `moved`.
        rows: the showers that are meant, all where not given; of many the first `ENOUGH` are looked at.
    """
    geometry = showers.geometry
    voxels = showers.voxels[:ENOUGH] if rows is None else showers.voxels[rows[:ENOUGH]]
    result = np.zeros((geometry.n_layers, 4))
    for i, (part, layer) in enumerate(zip(geometry.slices, geometry.layers, strict=True)):
        where = layer.coordinates
        total = voxels[:, part].sum(1)
        filled = total > 0
        if "x" not in where or filled.sum() < 2:
            continue
        x, y = where["x"], where["y"]
        moments = np.stack([x, y, x**2 - y**2, x * y], 1)
        change = moments[order[part] - part.start] - moments
        change[np.abs(change) < 1e-9 * np.abs(moments).max()] = (
            0.0  # rounding of a movement that leaves the moment alone
        )
        values = (voxels[filled][:, part] @ change) / total[filled, None]
        error = values.std(0) / np.sqrt(len(values))
        result[i] = np.divide(values.mean(0), error, out=np.zeros(4), where=error > 0)
    return result


def orientations(showers: Showers, rows: np.ndarray | None = None, conditions: Sequence[str] = ()) -> Tensor | None:
    """``(k, n_voxels)`` voxel orders under which the sample looks the same: the identity first, then what the data allow.

    None where a model is conditioned on the direction or place of the particle: the image of a shower comes from an image of it.
    """
    if set(conditions) & {"theta", "phi", "x", "y"}:
        return None
    orders = [order for matrix in movements(showers.geometry) if (order := moved(showers.geometry, matrix)) is not None]
    allowed = [order for order in orders if (np.abs(asymmetries(showers, order, rows)) < LIMIT).all()]
    return torch.as_tensor(np.stack(allowed))


def turned(prepare: Transform, orders: Tensor | None) -> Transform:
    """Show each shower in one of the orientations, drawn anew in every epoch, before it is prepared."""
    if orders is None or len(orders) == 1:
        return prepare

    def turn(batch: tuple[Tensor, ...], rng: torch.Generator) -> tuple[Tensor, ...]:
        voxels, *others = batch
        drawn = orders[torch.randint(len(orders), (len(voxels),), generator=rng)]
        return prepare((voxels.gather(1, drawn), *others), rng)

    return turn
