"""Showers of real Geant4, through calzone. Runs in the process that calls it, and a Geant4 error aborts this process."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from hepflows.applications.calorimeter.showers import Showers
from hepflows.applications.calorimeter.simulate.booking import Booking
from hepflows.applications.calorimeter.simulate.detector import Detector
from hepflows.applications.calorimeter.simulate.gun import Primaries
from hepflows.applications.calorimeter.simulate.materials import SYMBOLS
from hepflows.errors import ConfigError, MissingExtraError

__all__ = ["PHYSICS", "Geant4Engine", "default_physics"]

PHYSICS: dict[str, tuple[str, str | None]] = {
    "em": ("standard", None),
    "em-option1": ("option1", None),
    "FTFP_BERT": ("standard", "FTFP_BERT"),
}
"""Physics by the names that ``--physics`` takes: calzone's electromagnetic and hadronic models."""

_RUN_GEV = 250.0
"""A run holds about 2,000 deposits of 100 bytes for every GeV."""
_RUN_SHOWERS = 50
_GAP_MM = 1e-6

_begun: list[str] = []
"""The physics that Geant4 keeps until this process ends; another would be accepted and be wrong."""


def default_physics(pdg: int) -> str:
    """``em`` for electrons, positrons and photons, ``FTFP_BERT`` for everything else."""
    return "em" if abs(pdg) in (11, 22) else "FTFP_BERT"


def import_calzone() -> Any:
    """Calzone, whose wheel holds Geant4.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import calzone
    except ImportError as error:
        message = (
            "Geant4 comes with calzone, which is not installed: pip install 'hepflows[geant4]', or say --engine fast for "
            "parametrised showers"
        )
        raise MissingExtraError(message) from error
    return calzone


class Geant4Engine:
    """Geant4 showers in a detector, each deposit booked at the middle of its step.

    Args:
        detector: slabs and cells.
        physics: a name in `PHYSICS`.
        data: the folder for ``GEANT4_DATA_DIR``, of `geant4_data`.

    Raises:
        MissingExtraError: calzone is not installed.
        ConfigError: this process has used Geant4 with other physics.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from hepflows.applications.calorimeter.simulate import Gun, Spread, geant4_data, load_detector
    >>> data = geant4_data([1, 18, 82], Path(tempfile.mkdtemp()))  # hydrogen is in Geant4's vacuum
    >>> engine = Geant4Engine(load_detector("calogan"), "em", data.folder)
    >>> gun = Gun(-11, Spread.parse("0.1", "--energy"))
    >>> engine.shoot(gun.draw(2, np.random.default_rng(0)), seed=1).voxels.shape
    (2, 504)
    """

    def __init__(self, detector: Detector, physics: str, data: str | os.PathLike[str]) -> None:
        _forget_other_data()
        calzone = import_calzone()
        if _begun and _begun != [physics]:
            message = (
                f"this process has used Geant4 with the physics {_begun[0]!r}, which it keeps: for {physics!r} call "
                "simulate_showers, which uses processes of its own, or start another Python"
            )
            raise ConfigError(message)
        _begun[:] = [physics]
        os.environ["GEANT4_DATA_DIR"] = os.fspath(data)  # the only way to tell calzone
        self._detector, self._booking = detector, Booking(detector.geometry)
        own = [name for name in detector.materials if name in detector.resolved]  # others stand in no slab
        if own:
            calzone.define(materials={"mixtures": {name: _mixture(detector, name) for name in own}})
        self._simulation = calzone.Simulation(calzone.GeometryBuilder(_volumes(detector)).build())
        settings = self._simulation.physics
        settings.em_model, settings.had_model = PHYSICS[physics]
        settings.default_cut = detector.cut_mm / 10  # calzone has cm
        self._simulation.sample_deposits = "detailed"
        self._simulation.sample_particles = False

    def shoot(self, primaries: Primaries, seed: int, n: int | None = None) -> Showers:
        """Showers of the given particles, which depend on them and on the seed only.

        Args:
            primaries: the particles.
            seed: of Geant4's random numbers.
            n: simulate the first ``n`` only; they do not depend on it.

        Raises:
            ConfigError: a particle misses the front face.
        """
        primaries = primaries[:n]
        self._detector.check_entry(primaries.x, primaries.y)
        self._simulation.random.seed = seed
        geometry = self._detector.geometry
        voxels = np.empty((len(primaries), geometry.n_voxels))
        overflow = np.empty((len(primaries), geometry.n_layers))
        for rows in _runs(primaries.energies):
            voxels[rows], overflow[rows] = self._run(primaries[rows])
        return Showers(primaries.energies, *self._detector.signals(voxels, overflow), geometry)

    def _run(self, primaries: Primaries) -> tuple[Any, Any]:
        half_mm = self._detector.depth_mm / 2
        generator = self._simulation.particles().pid(_calzone_pid(primaries.pdg)).energy(1.0)
        gun = generator.position([0.0, 0.0, 0.0]).direction([0.0, 0.0, 1.0]).generate(len(primaries))
        sin = np.sin(primaries.theta)
        gun["energy"] = 1e3 * primaries.energies
        gun["direction"] = np.stack(
            [sin * np.cos(primaries.phi), sin * np.sin(primaries.phi), np.cos(primaries.theta)], axis=1
        )
        front = np.full(len(primaries), -half_mm - _GAP_MM)
        gun["position"] = 0.1 * np.stack([primaries.x, primaries.y, front], axis=1)
        try:
            deposits = self._simulation.run(gun)
        except ValueError as error:
            if "pid" not in str(error):
                raise
            message = f"--particle {primaries.pdg}: Geant4 knows no such particle: give a PDG number such as 2212"
            raise ConfigError(message) from None
        parts = [part for volume in deposits.values() for part in _points(volume)]
        if not parts:  # nothing interacted
            return self._booking.add(len(primaries), *[np.zeros(0, np.int64)] * 5)
        shower, position_cm, mev = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        x, y, z = 10 * position_cm.T
        return self._booking.add(len(primaries), shower, z + half_mm, x, y, mev)


def _forget_other_data() -> None:
    """Geant4 prefers folders that its own variables name, such as ``G4LEDATA``, to those in ``GEANT4_DATA_DIR``."""
    for name in list(os.environ):
        if re.fullmatch(r"G4\w+DATA", name):
            del os.environ[name]


def _runs(energies_gev: Any) -> Iterator[slice]:
    """Showers that are sent together: few enough for the memory; they do not depend on later ones."""
    start, sum_gev = 0, 0.0
    for index, energy in enumerate(energies_gev):
        if index > start and (sum_gev + energy > _RUN_GEV or index - start == _RUN_SHOWERS):
            yield slice(start, index)
            start, sum_gev = index, 0.0
        sum_gev += energy
    yield slice(start, len(energies_gev))


def _points(deposits: Any) -> Iterator[tuple[Any, Any, Any]]:
    line, point = deposits.line, deposits.point
    if line is not None and len(line):
        yield line["event"].astype(np.int64), 0.5 * (line["start"] + line["end"]), line["value"]
    if point is not None and len(point):
        yield point["event"].astype(np.int64), point["position"], point["value"]


def _calzone_pid(pdg: int) -> Any:
    return {11: "e-", -11: "e+", 22: "gamma"}.get(pdg, pdg)


def _mixture(detector: Detector, name: str) -> dict[str, Any]:
    material = detector.resolved[name]
    composition = {SYMBOLS[z - 1]: fraction for z, fraction in material.elements.items()}
    return {"density": material.density, "state": "gas" if material.gas else "solid", "composition": composition}


def _volumes(detector: Detector) -> dict[str, Any]:
    """The geometry as calzone takes it: cm, a box by its full lengths and its centre."""
    volumes: dict[str, Any] = {}
    width, edges = 0.1 * detector.width_mm, 0.1 * (detector.edges_mm - detector.depth_mm / 2)
    for index, slab in enumerate(detector.slabs):
        volumes[f"Slab{index:04d}"] = {
            "material": slab.material,
            "box": [width, width, 0.1 * slab.mm],
            "position": [0.0, 0.0, 0.5 * (edges[index] + edges[index + 1])],
            **({"role": "record_deposits"} if detector.reads(slab.material) else {}),
        }
    world = [1.2 * width, 1.2 * width, 0.1 * detector.depth_mm + 12.0]
    return {"World": {"material": detector.world, "box": world, **volumes}}
