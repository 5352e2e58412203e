"""The bump hunt: a smooth spectrum fitted beside a window, and the significance, limit and look-elsewhere effect of what is in it."""

from __future__ import annotations

from hepflows.applications.anomaly.bumphunt.functions import FAMILIES, Shape
from hepflows.applications.anomaly.bumphunt.hunt import BumpHunt, Window
from hepflows.applications.anomaly.bumphunt.spectrum import Spectrum

__all__ = ["FAMILIES", "BumpHunt", "Shape", "Spectrum", "Window"]
