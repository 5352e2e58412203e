"""From settings to a file of showers: on all cores, in shards, to be gone on with after an interruption."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from hepflows import __version__
from hepflows.applications.calorimeter.checks import OWN_UNITS
from hepflows.applications.calorimeter.data import write_showers
from hepflows.applications.calorimeter.formats import layout_for
from hepflows.applications.calorimeter.simulate.detector import Detector
from hepflows.applications.calorimeter.simulate.engines import ENGINES, Settings
from hepflows.applications.calorimeter.simulate.gun import PARTICLES, Gun
from hepflows.applications.calorimeter.simulate.shards import ShardFolder
from hepflows.applications.calorimeter.simulate.workers import make_shards
from hepflows.errors import ConfigError
from hepflows.training.seeding import derive

__all__ = ["simulate_showers"]

_PARAMETRISED = "hepflows, parametrised after hep-ex/0001020: no simulation of particles; hadrons crude"

_LEAST_GEV = 0.01  # below, the shapes are none of a shower

Update = Callable[[int, int], None]


def simulate_showers(
    output: str | os.PathLike[str],
    detector: Detector,
    gun: Gun,
    n: int,
    *,
    seed: int = 1,
    engine: str = "geant4",
    physics: str | None = None,
    jobs: int | None = None,
    overwrite: bool = False,
    update: Update | None = None,
) -> int:
    """Simulate showers into a file, in flat memory, and return how many.

    Shower i depends on the settings, the seed and i only: not on ``n``, not on the number of processes, not on interruptions. Until all are
    done they lie in ``<output>.shards``; the same call goes on from there.

    Args:
        output: a file that ends in .root, .hdf5, .h5 or .hdf.
        detector: slabs and cells.
        gun: what is shot at it.
        n: number of showers.
        seed: everything random follows from it.
        engine: ``geant4`` (extra ``geant4``) or ``fast``, parametrised.
        physics: Geant4 only: ``em``, ``em-option1`` (coarser, faster) or ``FTFP_BERT``; where not given, ``em`` for electrons, positrons
            and photons and ``FTFP_BERT`` for hadrons.
        jobs: processes; one a core where not given.
        overwrite: replace the file, and begin again where shards are there.
        update: called with (done, n) at the beginning and after every shard.

    Raises:
        ConfigError: an option is wrong, the file is there already, or its shards were begun with other settings.
        MissingExtraError: the extra ``geant4`` is not installed.
        SimulationError: Geant4 failed; what is done stays.
        DataError: a file cannot be written.

    >>> import tempfile
    >>> from hepflows.applications.calorimeter import read_showers
    >>> from hepflows.applications.calorimeter.simulate import Spread, load_detector
    >>> path = tempfile.mkdtemp() + "/showers.hdf5"
    >>> gun = Gun(22, Spread.parse("1:100", "--energy"))
    >>> simulate_showers(path, load_detector("calogan"), gun, 50, seed=3, engine="fast", jobs=1)
    50
    >>> read_showers(path).attributes["particle"]
    'gamma (PDG 22)'
    """
    path = Path(output).expanduser()
    layout_for(path, detector.geometry)  # a file that cannot hold the showers is known before they are simulated
    if n < 1 or (jobs is not None and jobs < 1):
        message = f"the number of showers and of jobs must be at least 1, but are {n} and {jobs}: give positive numbers"
        raise ConfigError(message)
    settings, environment = _settings(engine, detector, gun, n, seed, physics)
    shards = ShardFolder.beside(path, n, settings.size)
    if path.is_dir() or (path.exists() and not overwrite):
        remedy = "" if path.is_dir() else ", or say --overwrite to replace it"
        message = f"{path} is there already{' and is a folder' if path.is_dir() else ''}: give another name{remedy}"
        raise ConfigError(message)
    with shards.opened(settings.describe(), overwrite=overwrite) as missing:
        left = set(missing)

        def tell(index: int | None = None) -> None:
            left.discard(-1 if index is None else index)
            if update is not None:
                update(n - sum(map(shards.showers_in, left)), n)

        tell()
        seeds = [(index, derive(seed, "shard", index)) for index in missing]
        make_shards(shards.path, seeds, jobs=jobs or _cores(), environment=environment, done=tell)
        written = write_showers(path, shards.showers(detector.geometry), attributes=_attributes(settings))
        shards.remove()
    return written


def _settings(
    engine: str, detector: Detector, gun: Gun, n: int, seed: int, physics: str | None
) -> tuple[Settings, dict[str, str]]:
    """Settings, and the environment that the processes need."""
    if engine not in ENGINES:
        message = f"there is no engine {engine!r}: choose {' or '.join(ENGINES)}"
        raise ConfigError(message)
    if engine == "fast":
        if physics is not None:
            message = f"--physics {physics} is for Geant4 only: leave it out with --engine fast"
            raise ConfigError(message)
        if gun.pdg not in PARTICLES.values():
            message = f"--particle {gun.pdg}: the fast engine knows {', '.join(PARTICLES)} only: choose one, or --engine geant4"
            raise ConfigError(message)
        if gun.energy.bounds[0] < _LEAST_GEV:
            message = (
                f"--energy {gun.energy}: the fast engine begins at {_LEAST_GEV:g} GeV: give more, or --engine geant4"
            )
            raise ConfigError(message)
        return Settings(engine, detector, gun, n, seed, software=_PARAMETRISED), {}
    from hepflows.applications.calorimeter.simulate import geant4
    from hepflows.applications.calorimeter.simulate.tables import geant4_data

    calzone = geant4.import_calzone()
    physics = physics or geant4.default_physics(gun.pdg)
    if physics not in geant4.PHYSICS:
        message = f"there is no physics {physics!r}: choose one of {', '.join(geant4.PHYSICS)}"
        raise ConfigError(message)
    data = geant4_data({z for material in detector.resolved.values() for z in material.elements})
    software = f"Geant4 {calzone.GEANT4_VERSION} (calzone {calzone.VERSION})"
    settings = Settings(engine, detector, gun, n, seed, physics, software, data.description)
    return settings, {"GEANT4_DATA_DIR": str(data.folder)}


def _attributes(settings: Settings) -> dict[str, str]:
    """What the file says about itself; nothing that differs between two runs of the same settings."""
    gun, detector = settings.gun, settings.detector
    names = {number: name for name, number in PARTICLES.items()}
    texts = {
        "engine": settings.software,
        "particle": f"{names.get(gun.pdg, 'particle')} (PDG {gun.pdg})",
        "energy_spectrum": f"{gun.energy} GeV, kinetic",
        "direction": f"theta {gun.theta} rad, phi {gun.phi} rad",
        "place": f"x {gun.x} mm, y {gun.y} mm on the front face",
        "physics": settings.physics,
        "data_tables": settings.data,
        "cut_mm": f"{detector.cut_mm:g}" if settings.name == "geant4" else "",
        "geometry": detector.name,
        "detector": json.dumps(detector.describe()),
        "seed": str(settings.seed),
        "software": f"hepflows {__version__}",
        "units": OWN_UNITS,
    }
    return {name: text for name, text in texts.items() if text}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
