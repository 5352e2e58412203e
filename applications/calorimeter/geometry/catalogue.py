"""The calorimeters that come with the package, by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from hepflows.applications.calorimeter.geometry.binning import read_binning
from hepflows.applications.calorimeter.geometry.geometry import Geometry, read_yaml
from hepflows.applications.calorimeter.geometry.layers import GridLayer, PolarLayer
from hepflows.errors import ConfigError, ShapeError

__all__ = ["CALOGAN", "GEOMETRIES", "load_geometry"]

# arXiv:1712.10321: 480 mm of 2 mm lead + 4 mm liquid argon, read out over +-240 mm on both axes
CALOGAN = Geometry(
    "CaloGAN",
    (
        GridLayer((3, 96), (160.0, 5.0), (0.0, 90.0)),
        GridLayer((12, 12), (40.0, 40.0), (90.0, 437.0)),
        GridLayer((12, 6), (40.0, 80.0), (437.0, 480.0)),
    ),
)

_PRESAMPLER = PolarLayer((0, 5, 10, 30, 50, 100, 200, 400, 600), 1)
_BACK = PolarLayer((0, 50, 100, 200, 400, 600), 1)

# arXiv:2410.21611, the binning files of the CaloChallenge; the calorimeter of ATLAS at eta 0.20-0.25
_PHOTONS = Geometry(
    "CaloChallenge 1, photons",
    (
        _PRESAMPLER,
        PolarLayer((0, 2, 4, 6, 8, 10, 12, 15, 20, 30, 40, 50, 70, 90, 120, 150, 200), 10),
        PolarLayer((0, 2, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 130, 160, 200, 250, 300, 350, 400), 10),
        _BACK,
        PolarLayer((0, 100, 200, 400, 1000, 2000), 1),
    ),
)
_PIONS = Geometry(
    "CaloChallenge 1, pions",
    (
        _PRESAMPLER,
        PolarLayer((0, 1, 4, 7, 10, 15, 30, 50, 90, 150, 200), 10),
        PolarLayer((0, 5, 10, 20, 30, 50, 80, 130, 200, 300, 400), 10),
        _BACK,
        PolarLayer((0, 10, 20, 30, 50, 80, 100, 130, 160, 200, 250, 300, 350, 400, 1000, 2000), 10),
        PolarLayer((0, 10, 20, 30, 50, 80, 100, 130, 160, 200, 250, 300, 350, 400, 600, 1000, 2000), 10),
        PolarLayer((0, 50, 100, 150, 200, 250, 300, 400, 600, 1000, 2000), 1),
    ),
)


def _silicon_tungsten(name: str, rings: int, step_mm: float, n_alpha: int) -> Geometry:
    """45 layers of twice 1.4 mm tungsten + 0.3 mm silicon (Geant4's example Par04)."""
    edges = tuple(round(step_mm * ring, 4) for ring in range(rings + 1))
    depths = [(round(3.4 * layer, 4), round(3.4 * (layer + 1), 4)) for layer in range(45)]
    return Geometry(name, tuple(PolarLayer(edges, n_alpha, depth) for depth in depths))


GEOMETRIES: dict[str, Geometry] = {
    "calogan": CALOGAN,
    "calochallenge-1-photons": _PHOTONS,
    "calochallenge-1-pions": _PIONS,
    "calochallenge-2": _silicon_tungsten("CaloChallenge 2", 9, 4.65, 16),
    "calochallenge-3": _silicon_tungsten("CaloChallenge 3", 18, 2.325, 50),
}
"""By the names that ``--geometry`` takes."""


def geometry_from(values: Mapping[str, Any]) -> Geometry:
    """A geometry from ``layers``, or from ``geometry``, a name in `GEOMETRIES`, to which ``name`` gives another.

    Raises:
        ConfigError, ShapeError: both, or neither of them describes cells.

    >>> geometry_from({"geometry": "calochallenge-2", "name": "mine"}).n_voxels
    6480
    """
    named = values.get("geometry")
    if named is None:
        return Geometry.from_description(values)
    if "layers" in values or not isinstance(named, str) or named not in GEOMETRIES:
        message = f"geometry: give layers, or one of the names {', '.join(GEOMETRIES)}, got {named!r}: see docs/howto/own_detector.md"
        raise ConfigError(message)
    return Geometry(str(values.get("name", GEOMETRIES[named].name)), GEOMETRIES[named].layers)


def load_geometry(source: str | os.PathLike[str]) -> Geometry:
    """A geometry by its name in `GEOMETRIES`, or from a YAML file or a CaloChallenge binning file (XML).

    Of a binning file with several particles name one behind a colon, ``binning.xml:photon``.

    Raises:
        ConfigError: no such name, or the file cannot be read or describes no layers.

    >>> load_geometry("calochallenge-2").n_voxels
    6480
    """
    name = os.fspath(source)
    if name in GEOMETRIES:
        return GEOMETRIES[name]
    try:
        if name.endswith((".yaml", ".yml")):
            return geometry_from(read_yaml(name))
        path, _, particle = name.partition(".xml")
        if path != name:
            return read_binning(f"{path}.xml", particle.removeprefix(":") or None)
    except ShapeError as error:
        message = f"{name}: {error}"
        raise ConfigError(message) from None
    message = (
        f"there is no geometry {name!r}: choose one of {', '.join(GEOMETRIES)}, or give a YAML or a binning XML file"
    )
    raise ConfigError(message)
