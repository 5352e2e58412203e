"""The momentum of neutrinos in events of top-quark pairs: read or simulate events, learn p(neutrino | event), judge it.

>>> from hepflows.applications.neutrino import NeutrinoFlow, read_events, top_pairs
"""

from __future__ import annotations

from typing import Any

from hepflows.lazy import public_name

_HERE = "hepflows.applications.neutrino"
_PUBLIC = {
    "Events": f"{_HERE}.events",
    "FeedForward": f"{_HERE}.methods.feedforward",
    "NeutrinoFlow": f"{_HERE}.methods.flow",
    "Selection": f"{_HERE}.simulate.fast",
    "iterate_events": f"{_HERE}.data",
    "load_config": f"{_HERE}.config",
    "quadratic": f"{_HERE}.methods.quadratic",
    "read_events": f"{_HERE}.data",
    "top_pairs": f"{_HERE}.simulate.fast",
    "solve_w_constraint": f"{_HERE}.kinematics",
    "write_events": f"{_HERE}.data",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    return public_name(__name__, _PUBLIC, name)


def __dir__() -> list[str]:
    return list(__all__)
