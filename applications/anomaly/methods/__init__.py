"""Methods of one interface: ``fit``, ``score``, ``sample_background``; `METHODS` has them by name."""

from __future__ import annotations

from hepflows.applications.anomaly.config import SearchConfig
from hepflows.applications.anomaly.methods.base import Method
from hepflows.applications.anomaly.methods.cathode import Cathode, LaCathode
from hepflows.applications.anomaly.methods.cwola import CWoLa
from hepflows.applications.anomaly.methods.densities import Anode, RAnode
from hepflows.applications.anomaly.methods.references import Idealised, Supervised

__all__ = ["METHODS", "Anode", "CWoLa", "Cathode", "Idealised", "LaCathode", "Method", "RAnode", "Supervised", "build"]

METHODS: dict[str, type[Method]] = {
    method.name: method for method in (Cathode, Anode, CWoLa, LaCathode, RAnode, Idealised, Supervised)
}
"""All methods by name."""


def build(config: SearchConfig) -> Method:
    """The method of a configuration, not fitted."""
    return METHODS[config.method](config)
