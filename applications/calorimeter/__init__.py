"""Calorimeter showers: read them, learn them, generate them, and ask a classifier to tell the difference.

>>> from hepflows.applications.calorimeter import CaloFlow, read_showers, write_showers, classifier_test
"""

from __future__ import annotations

from typing import Any

from hepflows.lazy import public_name

_HERE = "hepflows.applications.calorimeter"
_PUBLIC = {
    "CALOGAN": f"{_HERE}.geometry",
    "CaloFlow": f"{_HERE}.models.caloflow",
    "Geometry": f"{_HERE}.geometry",
    "GEOMETRIES": f"{_HERE}.geometry",
    "GridLayer": f"{_HERE}.geometry",
    "Layer": f"{_HERE}.geometry",
    "PolarLayer": f"{_HERE}.geometry",
    "Showers": f"{_HERE}.showers",
    "classifier_test": f"{_HERE}.metrics",
    "describe": f"{_HERE}.description",
    "evaluate": f"{_HERE}.metrics",
    "find_showers": f"{_HERE}.data",
    "iterate_showers": f"{_HERE}.data",
    "load_config": f"{_HERE}.config",
    "load_geometry": f"{_HERE}.geometry",
    "read_showers": f"{_HERE}.data",
    "reweight": f"{_HERE}.reweighting",
    "unweighted": f"{_HERE}.reweighting",
    "resample": f"{_HERE}.resampling",
    "write_showers": f"{_HERE}.data",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    return public_name(__name__, _PUBLIC, name)


def __dir__() -> list[str]:
    return list(__all__)
