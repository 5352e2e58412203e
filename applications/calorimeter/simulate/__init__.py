"""Showers made here: by real Geant4 (extra ``geant4``), or fast and parametrised.

>>> from hepflows.applications.calorimeter.simulate import Gun, Spread, load_detector, simulate_showers
"""

from __future__ import annotations

from typing import Any

from hepflows.lazy import public_name

_HERE = "hepflows.applications.calorimeter.simulate"
_PUBLIC = {
    "Detector": f"{_HERE}.detector",
    "FastEngine": f"{_HERE}.fast",
    "Geant4Engine": f"{_HERE}.geant4",
    "Gun": f"{_HERE}.gun",
    "PARTICLES": f"{_HERE}.gun",
    "Primaries": f"{_HERE}.gun",
    "Spread": f"{_HERE}.gun",
    "detectors": f"{_HERE}.detector",
    "geant4_data": f"{_HERE}.tables",
    "load_detector": f"{_HERE}.detector",
    "particle_pdg": f"{_HERE}.gun",
    "simulate_showers": f"{_HERE}.production",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    return public_name(__name__, _PUBLIC, name)


def __dir__() -> list[str]:
    return list(__all__)
