"""Mirror symmetry of a sample: a beam that enters straight and centred makes showers whose mirror images are as likely.

Where the data agree with that, every shower can be trained on in up to four orientations. Where they do not (an
inclined or displaced beam, a detector with a gap), no mirror image is used.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hepflows.applications.calorimeter.data import Showers
from hepflows.applications.calorimeter.geometry import Geometry
from hepflows.training.batches import Transform

LIMIT = 4.5
"""Standard deviations by which no layer's asymmetry may differ from zero."""


def mirrored(geometry: Geometry, *, x: bool, y: bool) -> np.ndarray:
    """``(n_voxels,)`` index of the voxel that each voxel is mapped to by the reflections."""
    orders = []
    for part, layer in zip(geometry.slices, geometry.layers, strict=True):
        image = np.arange(part.start, part.stop).reshape(layer.shape)
        image = image[::-1] if x else image
        image = image[:, ::-1] if y else image
        orders.append(image.ravel())
    return np.concatenate(orders)


def asymmetries(showers: Showers) -> np.ndarray:
    """``(2, n_layers)``: (upper half - lower half) / layer energy along x and y, in units of its standard error."""
    result = np.zeros((2, showers.geometry.n_layers))
    for i in range(showers.geometry.n_layers):
        image = showers.layer(i)
        total = image.sum((1, 2))
        filled = total > 0
        if filled.sum() < 2:
            continue
        for axis in (0, 1):
            profile = image[filled].sum(2 - axis)
            half = profile.shape[1] // 2
            values = (profile[:, -half:].sum(1) - profile[:, :half].sum(1)) / total[filled] if half else np.zeros(1)
            error = values.std() / np.sqrt(len(values))
            result[axis, i] = values.mean() / error if error > 0 else 0.0
    return result


def orientations(showers: Showers) -> Tensor:
    """``(k, n_voxels)`` voxel orders that the sample is symmetric under: the identity first, k = 1, 2 or 4."""
    allowed = (np.abs(asymmetries(showers)) < LIMIT).all(1)
    flips = [(x, y) for x in (False, True)[: 1 + allowed[0]] for y in (False, True)[: 1 + allowed[1]]]
    return torch.as_tensor(np.stack([mirrored(showers.geometry, x=x, y=y) for x, y in flips]))


def turned(prepare: Transform, orders: Tensor | None) -> Transform:
    """Show each shower in one of the orientations, drawn anew in every epoch, before it is prepared."""
    if orders is None or len(orders) == 1:
        return prepare

    def turn(batch: tuple[Tensor, ...], rng: torch.Generator) -> tuple[Tensor, ...]:
        voxels, incident = batch
        drawn = orders[torch.randint(len(orders), (len(voxels),), generator=rng)]
        return prepare((voxels.gather(1, drawn), incident), rng)

    return turn
