"""The two engines behind one face, and the settings that say everything about a simulation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hepflows.applications.calorimeter.showers import Showers
from hepflows.applications.calorimeter.simulate.detector import Detector
from hepflows.applications.calorimeter.simulate.gun import Gun, Primaries

__all__ = ["ENGINES", "Engine", "Settings"]

ENGINES = ("geant4", "fast")

_GEANT4_SHARD = 25  # a minute at 100 GeV
_FAST_SHARD, _FAST_VOXELS = 1000, 2_000_000


class Engine(Protocol):
    """Makes showers."""

    def shoot(self, primaries: Primaries, seed: int, n: int | None = None) -> Showers:
        """Showers of the first ``n`` particles, which do not depend on ``n``."""


@dataclass(frozen=True)
class Settings:
    """What the showers of a simulation depend on, all in plain numbers and texts but the objects made of them.

    Attributes:
        name: the engine, a name in `ENGINES`.
        detector: slabs and cells.
        gun: what is shot at it.
        n: number of showers.
        seed: of the simulation.
        physics: Geant4's, a name in `geant4.PHYSICS`; empty for the fast engine.
        software: the engine and its version.
        data: which data Geant4 read; empty for the fast engine.
    """

    name: str
    detector: Detector
    gun: Gun
    n: int
    seed: int
    physics: str = ""
    software: str = ""
    data: str = ""

    @property
    def size(self) -> int:
        """Showers a shard."""
        if self.name == "geant4":
            return _GEANT4_SHARD
        return int(np.clip(_FAST_VOXELS // self.detector.geometry.n_voxels, 10, _FAST_SHARD))

    def engine(self) -> Engine:
        """The engine; for Geant4 the environment must name its data.

        Raises:
            MissingExtraError: its package is not installed.
        """
        if self.name == "geant4":
            from hepflows.applications.calorimeter.simulate.geant4 import Geant4Engine

            return Geant4Engine(self.detector, self.physics, os.environ["GEANT4_DATA_DIR"])
        from hepflows.applications.calorimeter.simulate.fast import FastEngine

        return FastEngine(self.detector)

    def describe(self) -> dict[str, Any]:
        """As plain numbers and texts; `read` makes it again."""
        plain = {name: getattr(self, name) for name in ("n", "seed", "physics", "software", "data")}
        return {
            "engine": self.name,
            "detector": self.detector.describe(),
            "gun": self.gun.describe(),
            **plain,
            "shard": self.size,
        }

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Settings:
        """From what `describe` gives."""
        plain = {name: values[name] for name in ("n", "seed", "physics", "software", "data")}
        return cls(values["engine"], Detector.from_description(values["detector"]), Gun.read(values["gun"]), **plain)
