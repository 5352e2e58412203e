"""A small calorimeter with known physics, so that tests are fast and their answers are known."""

from __future__ import annotations

import numpy as np

from hepflows.applications.calorimeter import Geometry, GridLayer, Showers

TOY = Geometry(name="toy", layers=(GridLayer((2, 3), (10.0, 10.0)), GridLayer((3, 2), (20.0, 20.0))))


def toy_showers(n: int, seed: int = 0, tilt: float = 0.0) -> Showers:
    """Mirror symmetric unless tilted; a third of the voxels of the second layer are empty; the response is 0.8 to 0.99."""
    rng = np.random.default_rng(seed)
    energies = rng.uniform(1, 100, n)
    share = rng.beta(8, 4, n)
    deposit = 1e3 * energies * rng.uniform(0.8, 0.99, n)
    shapes = rng.gamma(3.0, size=(n, 12)) * np.array([1.0, 2.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 2.0, 2.0, 1.0, 1.0])
    shapes[:, :3] *= 1 + tilt
    shapes[:, 6:][rng.random((n, 6)) < 0.33] = 0.0
    shapes[:, 6] += 1e-3  # never an empty layer
    voxels = np.empty_like(shapes)
    for part, energy in ((slice(0, 6), share * deposit), (slice(6, 12), (1 - share) * deposit)):
        voxels[:, part] = shapes[:, part] / shapes[:, part].sum(1, keepdims=True) * energy[:, None]
    return Showers(energies, voxels, np.zeros((n, 2)), TOY, {"engine": "toy"})


SMALL = [
    "model.energy_flow.blocks=2", "model.energy_flow.hidden=[16, 16]", "model.energy_flow.training.epochs=12",
    "model.shower_flow.blocks=2", "model.shower_flow.hidden=[24, 24]", "model.shower_flow.training.epochs=12",
    "model.shower_flow.dropout=0.0",
]  # fmt: skip
"""Settings that train in seconds."""

SMALL_TRANSFORMER = [
    *(setting for setting in SMALL if "hidden" not in setting or "energy_flow" in setting), "model.shower_flow.width=24",
    "model.shower_flow.heads=2", "model.shower_flow.patch=2", "model.shower_flow.training.learning_rate=3.0e-3",
]  # fmt: skip
"""The same on top of the preset `transformer`."""
