"""Integration and event generation by importance sampling with flows.

>>> from hepflows.applications.integration import FlowIntegrator
"""

from __future__ import annotations

from typing import Any

from hepflows.lazy import public_name

_HERE = "hepflows.applications.integration"
_PUBLIC = {
    "Events": f"{_HERE}.events",
    "FamilyIntegrator": f"{_HERE}.family",
    "FlowIntegrator": f"{_HERE}.integrator",
    "FlowTraining": f"{_HERE}.flow_training",
    "INTEGRANDS": f"{_HERE}.integrands",
    "Integrand": f"{_HERE}.integrand",
    "IntegrationResult": f"{_HERE}.result",
    "PROCESSES": f"{_HERE}.processes",
    "Rambo": f"{_HERE}.phasespace",
    "Sample": f"{_HERE}.generation",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    return public_name(__name__, _PUBLIC, name)


def __dir__() -> list[str]:
    return list(__all__)
