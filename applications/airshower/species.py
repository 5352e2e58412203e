"""The five nuclei that stand for all: what sources emit, and the mass groups that arrive."""

from __future__ import annotations

import numpy as np

NAMES = ("H", "He", "N", "Si", "Fe")
MASS = np.array([1.0, 4.0, 14.0, 28.0, 56.0])
CHARGE = np.array([1.0, 2.0, 7.0, 14.0, 26.0])
FRACTIONS = tuple(f"f_{name}" for name in NAMES)
