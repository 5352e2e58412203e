"""The layers of a calorimeter: how one is divided into cells, and where they lie."""

from __future__ import annotations

import reprlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hepflows.errors import ShapeError

__all__ = ["GridLayer", "Layer", "PolarLayer"]

Array = npt.NDArray[np.float64]

_SMOOTH = 64
"""A ring is drawn with at least so many corners."""


class Layer(ABC):
    """One layer: cells in a plane across the beam, which passes through (0, 0).

    Attributes:
        shape: of the layer's picture; its C order is the order of the voxels.
        depth_mm: where the layer begins and ends along the beam, from the front of the calorimeter; None if unknown.
    """

    kind: ClassVar[str]
    shape: tuple[int, int]
    depth_mm: tuple[float, float] | None

    @property
    def n_voxels(self) -> int:
        """Number of cells."""
        return self.shape[0] * self.shape[1]

    @property
    @abstractmethod
    def coordinates(self) -> dict[str, Array]:
        """Centres of the cells, (n_voxels,) in mm, by the name of the coordinate."""

    @abstractmethod
    def locate(self, x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Which cell holds each point (mm); -1 outside all. A lower border belongs to a cell, an upper one does not."""

    @abstractmethod
    def mesh(self, picture: Array) -> tuple[Array, Array, Array]:
        """Corners x and y (mm) and values of a picture (``shape``), as ``pcolormesh`` draws them."""

    @abstractmethod
    def points(self, along: int) -> tuple[Array, Array]:
        """``along ** 2`` points, evenly by area, in every cell: x and y, each (n_voxels, along ** 2) in mm."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The layer as plain numbers; `from_description` makes it again."""

    @staticmethod
    def from_description(values: Mapping[str, Any]) -> Layer:
        """A layer from the keys that `describe` gives.

        Args:
            values: ``cells`` (n_x, n_y) and ``cell_mm`` (x, y), or ``r_edges_mm`` and ``n_alpha``; and ``depth_mm`` (begin, end).

        Raises:
            ShapeError: keys are missing or unknown, or their values are no cells.

        >>> Layer.from_description({"cells": [12, 6], "cell_mm": [40, 80]}).n_voxels
        72
        """
        keys = set(values) - {"depth_mm"}
        if any(isinstance(value, str) for value in values.values()):  # its characters would be taken for numbers
            keys = set()
        if keys in ({"cells", "cell_mm"}, {"r_edges_mm", "n_alpha"}):
            try:
                depth = tuple(map(float, values["depth_mm"])) if "depth_mm" in values else None
                if "cells" in keys:
                    arguments: Any = tuple(map(_whole, values["cells"])), tuple(map(float, values["cell_mm"])), depth
                else:
                    arguments = tuple(map(float, values["r_edges_mm"])), _whole(values["n_alpha"]), depth
            except (TypeError, ValueError, OverflowError):
                pass
            else:
                return (GridLayer if "cells" in keys else PolarLayer)(*arguments)
        message = (
            f"a layer is described by the numbers cells and cell_mm (a grid) or r_edges_mm and n_alpha (rings), and depth_mm "
            f"where it is known, but got {reprlib.repr(dict(values))}: see docs/howto/own_detector.md"
        )
        raise ShapeError(message)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or int(value) != value:
        raise ValueError
    return int(value)


@dataclass(frozen=True)
class GridLayer(Layer):
    """A grid of equal cells centred on the beam axis.

    The voxels lie in C order of (n_x, n_y), y fastest.

    Args:
        shape: (n_x, n_y), the number of cells along each axis.
        cell_mm: size of a cell along x and y, in mm.
        depth_mm: begin and end along the beam, in mm; two layers are the same cells whatever their depth.

    Raises:
        ShapeError: a number of cells below one, a size that is not positive, or a depth that does not increase.

    >>> GridLayer((12, 6), (40.0, 80.0)).y_mm
    array([-200., -120.,  -40.,   40.,  120.,  200.])
    >>> GridLayer((12, 6), (40.0, 80.0)).locate([-239.0, 0.0, 240.0], [-239.0, 0.0, 0.0])
    array([ 0, 39, -1])
    """

    kind: ClassVar[str] = "grid"
    shape: tuple[int, int]
    cell_mm: tuple[float, float]
    depth_mm: tuple[float, float] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if len(self.shape) != 2 or len(self.cell_mm) != 2 or min(self.shape) < 1 or not _positive(self.cell_mm):
            message = (
                f"a layer needs a shape (n_x, n_y) and cells (x, y) in mm, but got {self.shape} and {self.cell_mm}: "
                "give two positive numbers for each"
            )
            raise ShapeError(message)
        _check_depth(self.depth_mm)

    @property
    def x_mm(self) -> Array:
        """Centres of the cells along x, (n_x,) in mm: (i + 1/2 - n_x/2) times the size of a cell."""
        return _centres(self.shape[0], self.cell_mm[0])

    @property
    def y_mm(self) -> Array:
        """Centres of the cells along y, (n_y,) in mm."""
        return _centres(self.shape[1], self.cell_mm[1])

    @property
    def coordinates(self) -> dict[str, Array]:
        """``x`` and ``y``."""
        return {"x": np.repeat(self.x_mm, self.shape[1]), "y": np.tile(self.y_mm, self.shape[0])}

    def locate(self, x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Cell of each point, -1 outside."""
        places = []
        for values, n, size in zip((x, y), self.shape, self.cell_mm, strict=True):
            # clipped before it becomes an integer: a point far away would overflow
            places.append(np.clip(np.floor(np.asarray(values) / size + 0.5 * n), -1, n).astype(np.int64))
        (i, j), (n_x, n_y) = places, self.shape
        return np.where((i >= 0) & (i < n_x) & (j >= 0) & (j < n_y), i * n_y + j, -1)

    def mesh(self, picture: Array) -> tuple[Array, Array, Array]:
        """The corners of the grid."""
        corners = [(np.arange(n + 1) - n / 2) * size for n, size in zip(self.shape, self.cell_mm, strict=True)]
        x, y = np.meshgrid(*corners, indexing="ij")
        return x, y, picture

    def points(self, along: int) -> tuple[Array, Array]:
        """The centres of a finer grid in every cell."""
        inside = (np.arange(along) + 0.5) / along - 0.5
        dx, dy = np.meshgrid(inside * self.cell_mm[0], inside * self.cell_mm[1], indexing="ij")
        centres = self.coordinates
        return centres["x"][:, None] + dx.ravel(), centres["y"][:, None] + dy.ravel()

    def describe(self) -> dict[str, Any]:
        """``cells`` and ``cell_mm``."""
        return {"cells": list(self.shape), "cell_mm": list(self.cell_mm), **_depth(self.depth_mm)}


@dataclass(frozen=True)
class PolarLayer(Layer):
    r"""Rings around the beam axis, each divided into equal angles, as in the CaloChallenge (arXiv:2410.21611).

    The voxels lie in C order of (n_alpha, n_r), the radius fastest; the angle runs from :math:`-\pi` to :math:`\pi`.

    Args:
        r_edges_mm: edges of the rings, increasing, in mm.
        n_alpha: number of angles.
        depth_mm: begin and end along the beam, in mm; two layers are the same cells whatever their depth.

    Raises:
        ShapeError: fewer than two edges, edges that do not increase, or no angle.

    >>> layer = PolarLayer((0.0, 10.0, 30.0), 4)
    >>> layer.shape, layer.coordinates["r"][:2]
    ((4, 2), array([ 5., 20.]))
    >>> layer.locate([-1.0, 20.0, 0.0, 31.0], [-1.0, 0.1, 5.0, 0.0])
    array([ 0,  5,  6, -1])
    """

    kind: ClassVar[str] = "polar"
    r_edges_mm: tuple[float, ...]
    n_alpha: int
    depth_mm: tuple[float, float] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        edges = np.asarray(self.r_edges_mm, dtype=np.float64)
        if len(edges) < 2 or not (np.isfinite(edges).all() and (np.diff(edges) > 0).all()) or edges[0] < 0:
            message = f"the rings of a layer need two or more radii in mm that increase from 0, but got {self.r_edges_mm}: sort them"
            raise ShapeError(message)
        if self.n_alpha < 1:
            message = f"a layer has at least one angle, but got n_alpha={self.n_alpha}: give a positive number"
            raise ShapeError(message)
        _check_depth(self.depth_mm)

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        """(n_alpha, n_r)."""
        return self.n_alpha, len(self.r_edges_mm) - 1

    @property
    def coordinates(self) -> dict[str, Array]:
        """``r`` and, where the rings are divided, ``x`` = r cos(alpha) and ``y`` = r sin(alpha), from the middle of each cell."""
        edges = np.asarray(self.r_edges_mm)
        r = np.tile(0.5 * (edges[1:] + edges[:-1]), self.n_alpha)
        if self.n_alpha == 1:
            return {"r": r}
        alpha = np.repeat(self._alpha(0.5), self.shape[1])
        return {"x": r * np.cos(alpha), "y": r * np.sin(alpha), "r": r}

    def _alpha(self, place: float) -> Array:
        return -np.pi + 2 * np.pi * (np.arange(self.n_alpha) + place) / self.n_alpha

    def locate(self, x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Cell of each point, -1 outside."""
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        ring = np.searchsorted(self.r_edges_mm, np.hypot(x, y), side="right") - 1
        turn = (np.arctan2(y, x) / (2 * np.pi) + 0.5) * self.n_alpha
        angle = np.floor(turn).astype(np.int64) % self.n_alpha  # pi and -pi are one direction
        return np.where((ring >= 0) & (ring < self.shape[1]), angle * self.shape[1] + ring, -1)

    def mesh(self, picture: Array) -> tuple[Array, Array, Array]:
        """The corners of the rings, more of them than cells where these are wide."""
        fold = -(-_SMOOTH // self.n_alpha)
        alpha = np.linspace(-np.pi, np.pi, fold * self.n_alpha + 1)
        edges = np.asarray(self.r_edges_mm)
        return np.cos(alpha)[:, None] * edges, np.sin(alpha)[:, None] * edges, np.repeat(picture, fold, axis=0)

    def points(self, along: int) -> tuple[Array, Array]:
        """Points evenly in the angle and in the square of the radius."""
        inside = (np.arange(along) + 0.5) / along
        squares = np.asarray(self.r_edges_mm) ** 2
        r = np.sqrt(squares[:-1, None] + np.diff(squares)[:, None] * inside)  # (n_r, along)
        alpha = self._alpha(0.0)[:, None] + 2 * np.pi / self.n_alpha * inside  # (n_alpha, along)
        shape = (*self.shape, along, along)
        r, alpha = np.broadcast_to(r[None, :, None, :], shape), np.broadcast_to(alpha[:, None, :, None], shape)
        flat = (self.n_voxels, along**2)
        return (r * np.cos(alpha)).reshape(flat), (r * np.sin(alpha)).reshape(flat)

    def describe(self) -> dict[str, Any]:
        """``r_edges_mm`` and ``n_alpha``."""
        return {"r_edges_mm": list(self.r_edges_mm), "n_alpha": self.n_alpha, **_depth(self.depth_mm)}


def _centres(n: int, size: float) -> Array:
    return np.asarray((np.arange(n) + 0.5 - n / 2) * size, dtype=np.float64)


def _positive(values: tuple[float, ...]) -> bool:
    return bool(np.isfinite(values).all()) and min(values) > 0


def _depth(depth_mm: tuple[float, float] | None) -> dict[str, Any]:
    return {} if depth_mm is None else {"depth_mm": list(depth_mm)}


def _check_depth(depth_mm: tuple[float, float] | None) -> None:
    if depth_mm is not None and not (len(depth_mm) == 2 and 0 <= depth_mm[0] < depth_mm[1] < np.inf):
        message = f"the depth of a layer is its begin and end in mm, 0 <= begin < end, but got {depth_mm}: give two such numbers"
        raise ShapeError(message)
