"""A calorimeter as a stack of layers, and its description in a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import yaml

from hepflows.applications.calorimeter.geometry.layers import Layer
from hepflows.errors import ConfigError, ShapeError

__all__ = ["Geometry", "read_yaml"]


@dataclass(frozen=True)
class Geometry:
    """A calorimeter: any number of layers.

    The flat index of a voxel is offset(layer) + its place in the layer: layers one after the other, each in the order of its cells.
    Two geometries are equal where their cells are, whatever their names.

    Args:
        name: how reports call it.
        layers: from the front to the back.

    Raises:
        ShapeError: no layer.

    >>> from hepflows.applications.calorimeter import CALOGAN
    >>> CALOGAN.n_voxels, CALOGAN.slices[1], CALOGAN.layers[1].shape
    (504, slice(288, 432, None), (12, 12))
    """

    name: str = field(compare=False)
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

    def describe(self) -> dict[str, Any]:
        """The geometry as plain numbers and texts, for a YAML file or the header of a model."""
        return {"name": self.name, "layers": [layer.describe() for layer in self.layers]}

    @classmethod
    def from_description(cls, values: Mapping[str, Any]) -> Geometry:
        """A geometry from ``name`` and ``layers``, each as `Layer.from_description` takes it; other keys are left alone.

        Raises:
            ShapeError: there are no layers, or one has no cells.
        """
        layers = values.get("layers")
        if not isinstance(layers, list) or not all(isinstance(layer, Mapping) for layer in layers):
            message = (
                "a geometry needs a name and a list called layers, one entry a layer: see docs/howto/own_detector.md"
            )
            raise ShapeError(message)
        return cls(str(values.get("name", "unnamed")), tuple(Layer.from_description(layer) for layer in layers))


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """
    try:
        with open(path, encoding="utf-8") as file:
            values = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        message = f"{os.fspath(path)}: cannot be read as YAML ({reason}): check its name and its content"
        raise ConfigError(message) from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        message = f"{os.fspath(path)}: holds no mapping of names to values: see docs/howto/own_detector.md"
        raise ConfigError(message)
    return values
