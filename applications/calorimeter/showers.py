"""Calorimeter showers in memory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hepflows.applications.calorimeter.geometry import CALOGAN, Geometry
from hepflows.errors import DataError, ShapeError

__all__ = ["COLUMNS", "Showers"]

Array = npt.NDArray[Any]

COLUMNS: dict[str, str] = {
    "weight": "",
    "pdg": "",
    "theta": "rad",
    "phi": "rad",
    "x": "mm",
    "y": "mm",
}
"""What a shower may carry besides its energies, with the unit: its weight in a sample, the particle's PDG number, the
particle's direction (theta from the beam axis) and its place on the front face."""


@dataclass(frozen=True, eq=False)
class Showers:
    """n showers in one calorimeter.

    Args:
        energies: (n,) incident energies in GeV; kept in float64.
        voxels: (n, n_voxels) deposits in MeV, layers one after the other, each in the order of its cells.
        overflow: (n, n_layers) deposits outside the cells, in MeV; zero where not given.
        geometry: the cells.
        attributes: where the sample comes from.
        columns: further numbers of each shower, (n,) each in float64, by the names in `COLUMNS`.

    Raises:
        ShapeError: the shapes do not fit together, the numbers are no real numbers, or a column has no known name.

    >>> showers = Showers(np.array([50.0, 10.0]), np.ones((2, 504)))
    >>> showers.layer_energies
    array([[288., 144.,  72.],
           [288., 144.,  72.]])
    >>> len(showers[showers.energies > 20.0])
    1
    """

    energies: Array
    voxels: Array
    overflow: Array = None  # type: ignore[assignment]  # zeros, made below
    geometry: Geometry = CALOGAN
    attributes: dict[str, str] = field(default_factory=dict)
    columns: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "energies", np.asarray(self.energies, dtype=np.float64))
        n = len(self.energies) if self.energies.ndim else 0
        if self.overflow is None:
            object.__setattr__(self, "overflow", np.zeros((n, self.geometry.n_layers)))
        for name, width in (("voxels", self.geometry.n_voxels), ("overflow", self.geometry.n_layers)):
            values = np.asarray(getattr(self, name))
            object.__setattr__(self, name, values)
            if values.shape != (n, width) or values.dtype.kind not in "fiu":
                message = (
                    f"the {name} of {n} {self.geometry.name} showers must be real numbers of the shape ({n}, {width}), "
                    f"but are {values.dtype} of the shape {values.shape}: pass one row a shower"
                )
                raise ShapeError(message)
        if self.energies.ndim != 1:
            message = f"the incident energies must have the shape (n,), but have {self.energies.shape}: flatten them"
            raise ShapeError(message)
        columns = {name: np.asarray(values, dtype=np.float64) for name, values in self.columns.items()}
        object.__setattr__(self, "columns", columns)
        for name, values in columns.items():
            if name not in COLUMNS or values.shape != (n,):
                message = (
                    f"{n} showers may have the columns {', '.join(COLUMNS)}, of the shape ({n},), but got {name!r} of the "
                    f"shape {values.shape}: rename or reshape it"
                )
                raise ShapeError(message)

    def __len__(self) -> int:
        return len(self.energies)

    def __getitem__(self, index: slice | Array | Sequence[int] | Sequence[bool]) -> Showers:
        """The showers of a slice, of indices or of a mask."""
        try:
            energies = self.energies[index]
            if np.ndim(energies) != 1:
                raise IndexError
            voxels, overflow = self.voxels[index], self.overflow[index]
            columns = {name: values[index] for name, values in self.columns.items()}
        except IndexError:
            message = f"{len(self)} showers cannot be indexed by {index!r}: pass a slice, indices or a mask that fit"
            raise ShapeError(message) from None
        return Showers(energies, voxels, overflow, self.geometry, dict(self.attributes), columns)

    def layer(self, index: int) -> Array:
        """The images of one layer in MeV, (n, ...) with the shape of the layer behind."""
        if not -self.geometry.n_layers <= index < self.geometry.n_layers:
            name, last = self.geometry.name, self.geometry.n_layers - 1
            message = f"the geometry {name!r} has no layer {index}: choose one from 0 to {last}"
            raise ShapeError(message)
        return self.voxels[:, self.geometry.slices[index]].reshape(-1, *self.geometry.layers[index].shape)

    @property
    def layer_energies(self) -> Array:
        """Deposits in the cells of each layer, (n, n_layers) in MeV, without the overflow."""
        return np.stack([self.voxels[:, where].sum(axis=1) for where in self.geometry.slices], axis=1)

    @property
    def weights(self) -> Array:
        """Weight of each shower in sums over the sample, (n,): the column ``weight``, or one."""
        return self.columns.get("weight", np.ones(len(self)))

    @classmethod
    def concatenate(cls, parts: Sequence[Showers]) -> Showers:
        """Showers one after the other; attributes that differ are joined with " | ".

        Raises:
            ShapeError: no parts, different geometries, or columns that only some of the parts have.
        """
        if not parts:
            message = "no showers to concatenate: pass at least one set"
            raise ShapeError(message)
        same_kind(parts)
        return cls(
            np.concatenate([part.energies for part in parts]),
            np.concatenate([part.voxels for part in parts]),
            np.concatenate([part.overflow for part in parts]),
            parts[0].geometry,
            joined([part.attributes for part in parts]),
            {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns},
        )


def weights_of(showers: Showers) -> Array | None:
    """The weights of the sample, scaled to the mean one, or None where it has none.

    Raises:
        DataError: their sum is not positive.
    """
    if "weight" not in showers.columns:
        return None
    if not showers.weights.sum() > 0:
        message = f"the weights of {len(showers)} showers sum to {showers.weights.sum():.3g}: a sample needs a positive sum of weights"
        raise DataError(message)
    return np.asarray(showers.weights / showers.weights.mean())


def of_known_species(showers: Showers) -> Showers:
    """The showers with the column ``pdg``, where they have none and their attribute ``particle`` names one species."""
    numbers = re.findall(r"PDG (-?\d+)", showers.attributes.get("particle", ""))
    if "pdg" in showers.columns or len(numbers) != 1:
        return showers
    return replace(showers, columns={**showers.columns, "pdg": np.full(len(showers), float(numbers[0]))})


def same_kind(parts: Sequence[Showers]) -> None:
    """Make sure that showers can be put together.

    Raises:
        ShapeError: their geometries or their columns differ.
    """
    first = parts[0]
    for part in parts:
        if part.geometry != first.geometry:
            names = f"{first.geometry.name!r} and {part.geometry.name!r}"
            message = f"showers of different geometries, {names}, cannot be joined: keep them apart"
            raise ShapeError(message)
        if set(part.columns) != set(first.columns):
            names = " and ".join(", ".join(sorted(one.columns)) or "none" for one in (first, part))
            message = f"showers with different columns ({names}) cannot be joined: give all of them the same"
            raise ShapeError(message)


def joined(attributes: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """One set of attributes; values that differ are joined in the order of their appearance."""
    values: dict[str, dict[str, None]] = {}
    for one in attributes:
        for key, value in one.items():
            values.setdefault(key, {})[value] = None
    return {key: " | ".join(distinct) for key, distinct in values.items()}
