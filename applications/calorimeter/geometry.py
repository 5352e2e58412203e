"""The cells of a sampling calorimeter: layers of n_x by n_y cells, flattened one layer after the other."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from hepflows.errors import ShapeError

__all__ = ["CALOGAN", "Geometry", "Layer"]


@dataclass(frozen=True)
class Layer:
    """A grid of cells centred on the beam axis.

    Args:
        shape: (n_x, n_y), the number of cells along each axis.
        cell_mm: size of a cell along x and y, in mm.

    Raises:
        ShapeError: a number of cells below one or a size that is not positive.

    >>> Layer((12, 6), (40.0, 80.0)).y_mm
    array([-200., -120.,  -40.,   40.,  120.,  200.])
    """

    shape: tuple[int, int]
    cell_mm: tuple[float, float]

    def __post_init__(self) -> None:
        if len(self.shape) != 2 or len(self.cell_mm) != 2 or min(self.shape) < 1 or min(self.cell_mm) <= 0:
            message = (
                f"a layer needs a shape (n_x, n_y) and cells (x, y) in mm, but got {self.shape} and {self.cell_mm}: "
                "give two positive numbers for each"
            )
            raise ShapeError(message)

    @property
    def n_voxels(self) -> int:
        """Number of cells, n_x * n_y."""
        return self.shape[0] * self.shape[1]

    @property
    def x_mm(self) -> npt.NDArray[np.float64]:
        """Centres of the cells along x, (n_x,) in mm: (i + 1/2 - n_x/2) times the size of a cell."""
        return _centres(self.shape[0], self.cell_mm[0])

    @property
    def y_mm(self) -> npt.NDArray[np.float64]:
        """Centres of the cells along y, (n_y,) in mm."""
        return _centres(self.shape[1], self.cell_mm[1])


@dataclass(frozen=True)
class Geometry:
    """A calorimeter: any number of layers.

    The flat index of a voxel is offset(layer) + i_x * n_y + i_y: layers one after the other, each in C order.

    Args:
        name: how reports call it.
        layers: from the front to the back.

    Raises:
        ShapeError: no layer.

    >>> CALOGAN.n_voxels, CALOGAN.slices[1], CALOGAN.layers[1].shape
    (504, slice(288, 432, None), (12, 12))
    """

    name: str
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if not self.layers:
            message = f"the geometry {self.name!r} has no layers: give at least one"
            raise ShapeError(message)

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @property
    def n_voxels(self) -> int:
        """Number of cells of all layers."""
        return sum(layer.n_voxels for layer in self.layers)

    @property
    def slices(self) -> tuple[slice, ...]:
        """The range of each layer in the flat array of voxels."""
        ends = list(accumulate(layer.n_voxels for layer in self.layers))
        return tuple(slice(end - layer.n_voxels, end) for layer, end in zip(self.layers, ends, strict=True))


def _centres(n: int, size: float) -> npt.NDArray[np.float64]:
    return np.asarray((np.arange(n) + 0.5 - n / 2) * size, dtype=np.float64)


# arXiv:1712.10321: 480 mm of 2 mm lead + 4 mm liquid argon, read out over +-240 mm on both axes
CALOGAN = Geometry(
    "CaloGAN", (Layer((3, 96), (160.0, 5.0)), Layer((12, 12), (40.0, 40.0)), Layer((12, 6), (40.0, 80.0)))
)
