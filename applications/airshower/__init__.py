"""Sources of cosmic rays from air showers: spectrum and Xmax of the Pierre Auger Observatory in, a posterior of the sources out.

>>> from hepflows.applications.airshower import ForwardModel, Prior
"""

from __future__ import annotations

from typing import Any

from hepflows.lazy import public_name

_HERE = "hepflows.applications.airshower"
_PUBLIC = {
    "ForwardModel": f"{_HERE}.forward",
    "Observation": f"{_HERE}.observations",
    "Prior": f"{_HERE}.prior",
    "Response": f"{_HERE}.response",
    "SourcePosterior": f"{_HERE}.inference",
    "auger": f"{_HERE}.observations",
    "gumbel_cdf": f"{_HERE}.xmax",
    "gumbel_moments": f"{_HERE}.xmax",
    "load_config": f"{_HERE}.config",
    "load_response": f"{_HERE}.response",
    "markov_chain": f"{_HERE}.mcmc",
    "read_observation": f"{_HERE}.observations",
    "write_observation": f"{_HERE}.observations",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    return public_name(__name__, _PUBLIC, name)


def __dir__() -> list[str]:
    return list(__all__)
