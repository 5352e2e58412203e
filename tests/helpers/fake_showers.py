"""Numbers that look like showers, in any calorimeter, and files of them that hepflows has not written."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from hepflows.applications.calorimeter import Geometry, PolarLayer, Showers

RINGS = Geometry(
    "two rings",
    (PolarLayer((0.0, 5.0, 10.0, 30.0), 1, (0.0, 10.0)), PolarLayer((0.0, 4.0, 20.0), 6, (10.0, 40.0))),
)


def fake_showers(geometry: Geometry, n: int, seed: int = 0, *, filled: float = 0.3, columns: bool = False) -> Showers:
    """Sparse voxels that sum to about 99 % of the incident energy, with or without all that a shower may carry."""
    rng = np.random.default_rng(seed)
    energies = rng.uniform(1, 100, n)
    voxels = np.zeros((n, geometry.n_voxels))
    rows, cells = np.nonzero(rng.random((n, geometry.n_voxels)) < filled)
    voxels[rows, cells] = rng.exponential(size=len(rows))
    voxels[:, 0] += 1e-3
    voxels *= 990 * energies[:, None] / voxels.sum(axis=1, keepdims=True)
    more = {
        "weight": rng.normal(1, 2, n),  # of either sign
        "pdg": rng.choice([-11.0, 22.0, 211.0], n),
        "theta": rng.uniform(0, 0.5, n),
        "phi": rng.uniform(-3, 3, n),
        "x": rng.normal(0, 20, n),
        "y": rng.normal(0, 20, n),
    }
    overflow = rng.exponential(size=(n, geometry.n_layers)) if columns else None
    return Showers(energies, voxels, overflow, geometry, {"source": f"seed {seed}"}, more if columns else {})  # type: ignore[arg-type]


def save_calochallenge(path: Path, showers: Showers, **more: np.ndarray) -> Path:
    """A file as the CaloChallenge publishes them: gzip, h5py's own chunks, MeV, nothing else."""
    with h5py.File(path, "w") as file:
        file.create_dataset("incident_energies", data=1e3 * showers.energies[:, None], compression="gzip")
        file.create_dataset("showers", data=showers.voxels, compression="gzip", compression_opts=1)
        for name, values in more.items():
            file[name] = values
    return path


def assert_same(found: Showers, wanted: Showers, *, ulp: int = 0) -> None:
    """The same showers: voxels and columns to the bit (or to units in the last place), incident energies to one."""
    assert found.geometry == wanted.geometry
    assert set(found.columns) == set(wanted.columns)
    np.testing.assert_array_max_ulp(found.energies, wanted.energies, maxulp=1)
    for name in ("voxels", "overflow"):
        left, right = getattr(found, name), getattr(wanted, name)
        np.testing.assert_array_max_ulp(left, right, maxulp=ulp) if ulp else np.testing.assert_array_equal(left, right)
        np.testing.assert_array_equal(left == 0, right == 0)
    for name, values in wanted.columns.items():
        np.testing.assert_array_equal(found.columns[name], values)
