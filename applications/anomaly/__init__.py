"""Searches for resonances without a signal model: events in, an anomaly score each and a p-value out.

>>> from hepflows.applications.anomaly import Cathode, Regions, read_events
"""

from __future__ import annotations

from typing import Any

from hepflows.lazy import public_name

_HERE = "hepflows.applications.anomaly"
_PUBLIC = {
    "Anode": f"{_HERE}.methods",
    "BumpHunt": f"{_HERE}.bumphunt",
    "CWoLa": f"{_HERE}.methods",
    "Cathode": f"{_HERE}.methods",
    "Ensemble": f"{_HERE}.kfold",
    "Events": f"{_HERE}.events",
    "FastModel": f"{_HERE}.simulate.fast",
    "Idealised": f"{_HERE}.methods",
    "LaCathode": f"{_HERE}.methods",
    "RAnode": f"{_HERE}.methods",
    "Regions": f"{_HERE}.regions",
    "Selection": f"{_HERE}.data",
    "Supervised": f"{_HERE}.methods",
    "cross_fit": f"{_HERE}.kfold",
    "iterate_events": f"{_HERE}.data",
    "load_config": f"{_HERE}.config",
    "read_events": f"{_HERE}.data",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    return public_name(__name__, _PUBLIC, name)


def __dir__() -> list[str]:
    return list(__all__)
