from __future__ import annotations

import numpy as np
import pytest

from hepflows.applications.calorimeter import CALOGAN, GEOMETRIES, Geometry, GridLayer, PolarLayer
from hepflows.applications.calorimeter.simulate.booking import Booking

GAPS = Geometry(
    "with gaps",
    (
        GridLayer((2, 2), (10.0, 10.0), (5.0, 10.0)),
        PolarLayer((0.0, 10.0, 20.0), 3, (20.0, 30.0)),
        GridLayer((2, 2), (10.0, 10.0), (30.0, 40.0)),
    ),
)


def one_by_one(geometry: Geometry, n: int, *columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rule as it is written, a deposit at a time."""
    voxels, overflow = np.zeros((n, geometry.n_voxels)), np.zeros((n, geometry.n_layers))
    for shower, depth, x, y, mev in zip(*columns, strict=True):
        distances = [max(layer.depth_mm[0] - depth, depth - layer.depth_mm[1], 0.0) for layer in geometry.layers]  # type: ignore[index]
        inside = [i for i, layer in enumerate(geometry.layers) if layer.depth_mm[0] <= depth < layer.depth_mm[1]]  # type: ignore[index]
        index = inside[0] if inside else int(np.argmin(distances))
        cell = int(geometry.layers[index].locate(x, y))
        if inside and cell >= 0:
            voxels[shower, geometry.slices[index].start + cell] += mev
        else:
            overflow[shower, index] += mev
    return voxels, overflow


@pytest.mark.parametrize("geometry", [CALOGAN, GAPS, GEOMETRIES["calochallenge-2"]], ids=lambda geometry: geometry.name)
def test_against_one_deposit_at_a_time(geometry: Geometry) -> None:
    rng, size, n = np.random.default_rng(0), 3000, 4
    end = geometry.layers[-1].depth_mm[1]  # type: ignore[index]
    columns = (
        rng.integers(n, size=size),
        rng.uniform(-5, end + 5, size),
        *rng.normal(0, 20, (2, size)),
        rng.exponential(1, size),
    )
    voxels, overflow = Booking(geometry).add(n, *columns)
    expected_voxels, expected_overflow = one_by_one(geometry, n, *columns)
    np.testing.assert_allclose(voxels, expected_voxels, rtol=1e-12)
    np.testing.assert_allclose(overflow, expected_overflow, rtol=1e-12)
    assert voxels.sum() + overflow.sum() == pytest.approx(columns[-1].sum())


def test_between_two_layers_the_nearer_one_has_it() -> None:
    _, overflow = Booking(GAPS).add(1, [0] * 4, [0.0, 14.9, 15.1, 99.0], [0.0] * 4, [0.0] * 4, [1.0, 2.0, 4.0, 8.0])
    assert overflow.tolist() == [[3, 4, 8]]


def test_nothing_booked_is_zero() -> None:
    voxels, overflow = Booking(CALOGAN).add(2, *[np.zeros(0, dtype=int)] * 5)
    assert voxels.shape == (2, 504)
    assert not voxels.any()
    assert not overflow.any()
