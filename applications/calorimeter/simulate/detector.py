"""A calorimeter to shoot at: slabs of material, and the cells in which their deposits are read out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from importlib import resources
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from hepflows.applications.calorimeter.geometry import Geometry, geometry_from
from hepflows.applications.calorimeter.geometry.geometry import read_yaml
from hepflows.applications.calorimeter.simulate.materials import Material, atomic_number, resolve
from hepflows.errors import ConfigError, HepflowsError

__all__ = ["Detector", "Slab", "detectors", "load_detector"]

_HELP = "see docs/howto/own_detector.md"
_MOST_CELLS = 2**24
_ROUNDING_MM = 1e-6

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, ignored_types=(cached_property,)
    )


class Slab(_Section):
    """A plate of one material across the beam.

    Attributes:
        material: ``G4_`` and its NIST name, or a name of your own.
        mm: thickness.
    """

    material: str
    mm: Positive


class _Mixture(_Section):
    density: Positive
    elements: dict[str, Positive]
    gas: bool = False


class Detector(_Section):
    """A calorimeter of flat slabs, which begins at depth 0 and is read out in the cells of a `Geometry`.

    A deposit counts in the layer at its depth; one that lies between, before or behind the layers, or beside the cells of its layer, counts
    in the overflow of the nearest layer.

    Attributes:
        geometry: the cells; every layer has its ``depth_mm``.
        stack: the slabs of one period, front to back.
        repeat: number of periods.
        width_mm: width and height of the slabs, which are centred on the beam axis.
        world: the material around.
        read_out: ``all``, or the materials whose deposits count.
        scale: a factor for every deposit, for example one over the sampling fraction.
        threshold_mev: a cell that holds less, after scaling, reads zero.
        cut_mm: Geant4's range cut.
        materials: materials of your own: their ``density`` in g/cm3 and ``elements`` as mass fractions.

    >>> detector = load_detector("calogan")
    >>> detector.geometry.n_voxels, detector.depth_mm, detector.reads("G4_Pb")
    (504, 480.0, True)
    """

    geometry: Geometry
    stack: Annotated[tuple[Slab, ...], Field(min_length=1)]
    repeat: Annotated[int, Field(ge=1, le=2000)] = 1
    width_mm: Positive
    world: str = "G4_Galactic"
    read_out: Literal["all"] | tuple[str, ...] = "all"
    scale: Positive = 1.0
    threshold_mev: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    cut_mm: Positive = 0.7
    materials: dict[str, _Mixture] = {}

    @field_validator("read_out", mode="before")
    @classmethod
    def _listed(cls, materials: Any) -> Any:
        if isinstance(materials, str) and materials != "all":
            message = f"must be 'all' or a list of materials, for example [{materials}]"
            raise ValueError(message)
        return materials

    @field_validator("materials")
    @classmethod
    def _own_names(cls, materials: dict[str, _Mixture]) -> dict[str, _Mixture]:
        for name, mixture in materials.items():
            if name.startswith("G4_"):
                message = f"{name!r} is a name of Geant4's own, call yours something else"
                raise ValueError(message)
            if abs(sum(mixture.elements.values()) - 1) > 1e-3:
                message = f"the mass fractions of {name!r} add up to {sum(mixture.elements.values()):g} instead of 1"
                raise ValueError(message)
        return materials

    @model_validator(mode="after")
    def _consistent(self) -> Detector:
        if self.geometry.n_voxels > _MOST_CELLS:
            message = f"the layers have {self.geometry.n_voxels} cells in all, and {_MOST_CELLS} are the most that a file can hold"
            raise ValueError(message)
        depths = [layer.depth_mm for layer in self.geometry.layers]
        if None in depths:
            message = f"layer {depths.index(None)} has no depth_mm: give the begin and end of every layer in mm"
            raise ValueError(message)
        edges = [edge for depth in depths if depth for edge in depth]
        if any(later < earlier - _ROUNDING_MM for earlier, later in pairwise(edges)):
            message = "the layers overlap or are not sorted by depth: list them from the front to the back"
            raise ValueError(message)
        if edges[-1] > self.depth_mm + _ROUNDING_MM:
            message = f"the layers end at {edges[-1]:g} mm, behind the stack, which is {self.depth_mm:g} mm deep"
            raise ValueError(message)
        used = {slab.material for slab in self.stack}
        unread = set() if self.read_out == "all" else set(self.read_out) - used
        if unread or not self.read_out:
            message = f"read_out must be 'all' or materials of the stack ({', '.join(sorted(used))}), but is {self.read_out!r}"
            raise ValueError(message)
        return self

    @property
    def name(self) -> str:
        """Name of the geometry."""
        return self.geometry.name

    @property
    def depth_mm(self) -> float:
        """Thickness of the whole stack."""
        return float(sum(slab.mm for slab in self.stack) * self.repeat)

    @property
    def slabs(self) -> tuple[Slab, ...]:
        """All slabs, front to back."""
        return self.stack * self.repeat

    @property
    def edges_mm(self) -> np.ndarray:
        """Depths of the faces of all slabs, from 0."""
        return np.concatenate([[0.0], np.cumsum([slab.mm for slab in self.slabs])])

    def reads(self, material: str) -> bool:
        """Whether deposits in a material count."""
        return self.read_out == "all" or material in self.read_out

    def check_entry(self, x_mm: np.ndarray, y_mm: np.ndarray) -> None:
        """Make sure that particles enter through the front face.

        Raises:
            ConfigError: one misses it.
        """
        reach = float(np.maximum(np.abs(x_mm), np.abs(y_mm)).max(initial=0.0))
        if reach >= self.width_mm / 2:
            message = (
                f"a particle at {reach:g} mm misses the front face of {self.name!r}, which ends at {self.width_mm / 2:g} mm: "
                "make --x and --y smaller"
            )
            raise ConfigError(message)

    def signals(self, voxels: np.ndarray, overflow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What cells and overflow read of deposits in MeV: scaled, and of the cells zero what is below the threshold."""
        scaled = self.scale * voxels
        return np.where(scaled < self.threshold_mev, 0.0, scaled), self.scale * overflow

    @cached_property
    def resolved(self) -> dict[str, Material]:
        """The materials of the stack and of the world, by name.

        Raises:
            ConfigError: a material is unknown.
        """
        own = {
            name: Material(
                name, one.density, {atomic_number(symbol): part for symbol, part in one.elements.items()}, one.gas
            )
            for name, one in self.materials.items()
        }
        return {name: resolve(name, own) for name in {self.world: 0} | {slab.material: 0 for slab in self.stack}}

    def describe(self) -> dict[str, Any]:
        """The detector as plain numbers and texts; `from_description` makes it again."""
        return {**self.geometry.describe(), **self.model_dump(mode="json", exclude={"geometry"})}

    @classmethod
    def from_description(cls, values: Mapping[str, Any]) -> Detector:
        """A detector from the keys of its attributes; the cells as ``name`` and ``layers``, or ``geometry``, a name in `GEOMETRIES`.

        Raises:
            ConfigError: the values describe no detector.
        """
        rest = {key: value for key, value in values.items() if key not in ("name", "layers", "geometry")}
        try:
            detector = cls(geometry=geometry_from(values), **rest)
            _ = detector.resolved
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            reason = first["msg"].removeprefix("Value error, ")
            got = "" if first["type"] == "missing" else f" (got {first['input']!r})"
            message = f"{place}: {reason}{got}; {_HELP}" if place else f"{reason}; {_HELP}"
            raise ConfigError(message) from None
        return detector


def detectors() -> list[str]:
    """Names of the detectors that come with the package.

    >>> detectors()
    ['calogan', 'calogan-active', 'siw']
    """
    return sorted(entry.name.removesuffix(".yaml") for entry in _folder().iterdir() if entry.name.endswith(".yaml"))


def load_detector(source: str | os.PathLike[str]) -> Detector:
    """A detector by its name in `detectors`, or from a YAML file.

    Raises:
        ConfigError: no such name, or the file cannot be read or describes no detector.

    >>> load_detector("siw").depth_mm
    153.0
    """
    name = os.fspath(source)
    if name in detectors():
        return Detector.from_description(yaml.safe_load((_folder() / f"{name}.yaml").read_text()))
    if not name.endswith((".yaml", ".yml")):
        message = f"there is no detector {name!r}: choose one of {', '.join(detectors())}, or give a YAML file"
        raise ConfigError(message)
    values = read_yaml(name)
    try:
        return Detector.from_description(values)
    except HepflowsError as error:
        message = f"{name}: {error}"
        raise ConfigError(message) from None


def _folder() -> Any:
    return resources.files("hepflows.applications.calorimeter") / "configs" / "detectors"
