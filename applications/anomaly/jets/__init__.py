"""Jets of particles: clustering, N-subjettiness and the columns of a features file."""

from __future__ import annotations

from hepflows.applications.anomaly.jets.columns import jet_columns
from hepflows.applications.anomaly.jets.dijets import Dijets, JetRules, find_dijets
from hepflows.applications.anomaly.jets.particles import Particles
from hepflows.applications.anomaly.jets.subjettiness import subjettiness

__all__ = ["Dijets", "JetRules", "Particles", "find_dijets", "jet_columns", "subjettiness"]
