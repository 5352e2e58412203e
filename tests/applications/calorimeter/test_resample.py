"""Other cells, the same energy: by area, by depth, and against random points."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from fake_showers import RINGS, assert_same, fake_showers

from hepflows.applications.calorimeter import GEOMETRIES, Geometry, GridLayer, Layer, PolarLayer, Showers
from hepflows.applications.calorimeter.resampling import _overlaps, resample
from hepflows.applications.calorimeter.simulate.booking import Booking
from hepflows.errors import ConfigError

CALOGAN = GEOMETRIES["calogan"]
GRID = GridLayer((6, 8), (10.0, 5.0))
WHEEL = PolarLayer((0.0, 4.0, 10.0, 25.0), 8)


def one(layer: Layer) -> Geometry:
    return Geometry("one", (layer,))


def areas(layer: Layer) -> np.ndarray:
    if isinstance(layer, GridLayer):
        return np.full(layer.n_voxels, layer.cell_mm[0] * layer.cell_mm[1])
    rings = np.pi * np.diff(np.square(layer.r_edges_mm)) / layer.n_alpha  # type: ignore[attr-defined]
    return np.tile(rings, layer.n_alpha)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("source", "target"), list(itertools.permutations(["calogan", "calochallenge-2", "calochallenge-3"], 2))
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_energy_is_lost(source: str, target: str, dtype: type) -> None:
    showers = fake_showers(GEOMETRIES[source], 5, filled=0.05)
    overflow = np.random.default_rng(1).exponential(size=(5, showers.geometry.n_layers))
    showers = Showers(showers.energies, showers.voxels.astype(dtype), overflow.astype(dtype), showers.geometry)
    found = resample(showers, GEOMETRIES[target])
    before, after = (one.layer_energies + one.overflow for one in (showers, found))
    if len(before[0]) == len(after[0]):
        np.testing.assert_allclose(after, before, rtol=1e-6 if dtype == np.float32 else 1e-12)
    np.testing.assert_allclose(after.sum(1, dtype=float), before.sum(1, dtype=float), rtol=1e-6)
    assert found.voxels.dtype == dtype
    assert found.voxels.min() >= 0
    assert found.overflow.min() >= 0


@pytest.mark.parametrize(
    ("source", "target"), list(itertools.product([GRID, WHEEL, PolarLayer((1.0, 3.0), 1)], repeat=2))
)
def test_overlaps_are_those_of_random_points(source: Layer, target: Layer) -> None:
    """Another implementation: 20,000 points in each cell, and where they fall."""
    rng, n = np.random.default_rng(0), 20_000
    inside, outside = _overlaps(source, target)
    np.testing.assert_allclose(inside.sum(axis=1) + outside, 1, atol=1e-12)
    for cell in range(0, source.n_voxels, 7):
        if isinstance(source, GridLayer):
            centre = source.coordinates
            x = centre["x"][cell] + source.cell_mm[0] * rng.uniform(-0.5, 0.5, n)
            y = centre["y"][cell] + source.cell_mm[1] * rng.uniform(-0.5, 0.5, n)
        else:
            angle, ring = divmod(cell, source.shape[1])
            r = np.sqrt(rng.uniform(*np.square(source.r_edges_mm[ring : ring + 2]), n))  # type: ignore[attr-defined]
            alpha = -np.pi + 2 * np.pi * (angle + rng.random(n)) / source.n_alpha  # type: ignore[attr-defined]
            x, y = r * np.cos(alpha), r * np.sin(alpha)
        counts = np.bincount(target.locate(x, y) + 1, minlength=target.n_voxels + 1) / n
        wanted = np.concatenate([outside[[cell]], inside[[cell]].toarray()[0]])
        error = np.sqrt(wanted * (1 - wanted) / n)
        assert (np.abs(counts - wanted) < 5 * error + 2e-3).all()


def test_an_even_shower_stays_even() -> None:
    """Energy per area is the same in all cells that lie inside: exact from grid to grid and from rings to rings."""
    for source, target, exact in [
        (GridLayer((10, 10), (7.0, 7.0)), GridLayer((9, 5), (3.0, 11.0)), True),
        (PolarLayer((0.0, 7.0, 50.0), 5), PolarLayer((0.0, 1.0, 9.0, 30.0), 7), True),
        (GridLayer((10, 10), (7.0, 7.0)), PolarLayer((0.0, 5.0, 10.0, 30.0), 6), False),
        (PolarLayer((0.0, 7.0, 50.0), 6), GridLayer((9, 5), (6.0, 11.0)), False),
    ]:
        showers = Showers(np.ones(1), areas(source)[None], geometry=one(source))
        found = resample(showers, one(target))
        np.testing.assert_allclose(found.voxels[0], areas(target), rtol=1e-12 if exact else 0.03)


def test_aligned_cells_are_summed() -> None:
    fine, coarse = GridLayer((6, 4), (5.0, 10.0)), GridLayer((3, 2), (10.0, 20.0))
    showers = fake_showers(one(fine), 10)
    pictures = showers.voxels.reshape(-1, 3, 2, 2, 2).sum((2, 4))
    np.testing.assert_allclose(resample(showers, one(coarse)).voxels, pictures.reshape(10, -1), rtol=1e-12)
    # and spread again: the same sums
    back = resample(resample(showers, one(coarse)), one(fine))
    np.testing.assert_allclose(resample(back, one(coarse)).voxels, pictures.reshape(10, -1), rtol=1e-12)


def test_a_finer_wheel_holds_the_same_rings() -> None:
    fine = PolarLayer((0.0, 2.0, 4.0, 10.0, 17.0, 25.0), 24)
    showers = fake_showers(one(WHEEL), 10)
    back = resample(resample(showers, one(fine)), one(WHEEL))
    np.testing.assert_allclose(back.voxels, showers.voxels, rtol=1e-12)
    assert (back.voxels == 0).sum() == (showers.voxels == 0).sum(), "no dust from rounded angles"


def test_centres_of_gravity_stay() -> None:
    showers = fake_showers(one(GridLayer((6, 6), (8.0, 8.0))), 20)
    found = resample(showers, one(GridLayer((30, 30), (2.0, 2.0))))
    for name in "xy":
        before, after = (
            sample.voxels @ sample.geometry.layers[0].coordinates[name] / sample.voxels.sum(1)
            for sample in (showers, found)
        )
        np.testing.assert_allclose(after, before, atol=1e-9)


def test_layers_are_shared_out_by_depth() -> None:
    cells = ((2, 2), (5.0, 5.0))
    source = Geometry("two", (GridLayer(*cells, (0.0, 10.0)), GridLayer(*cells, (20.0, 40.0))))
    target = Geometry("three", tuple(GridLayer(*cells, depth) for depth in ((2.0, 4.0), (4.0, 25.0), (30.0, 35.0))))
    showers = Showers(np.ones(1), np.repeat([[100.0, 1000.0]], 4, axis=1), np.array([[10.0, 20.0]]), source)
    found = resample(showers, target)
    # 0-10: 2 of 10 mm to the first, 6 to the second, 2 lie in front; 20-40: a quarter to the second, one to the third, a quarter
    # lies between the two, half of it nearer to the second, and a quarter behind
    np.testing.assert_allclose(found.layer_energies, [[80.0, 240.0 + 1000.0, 1000.0]])
    lost = [[2.0 + 0.2 * 410.0, 6.0 + 5.0 + 0.125 * 4020.0, 5.0 + 0.375 * 4020.0]]
    np.testing.assert_allclose(found.overflow, lost)
    np.testing.assert_allclose(found.layer_energies.sum() + found.overflow.sum(), 4400.0 + 30.0)


def test_a_layer_is_shared_out_as_a_simulation_books_it() -> None:
    """Deposits at even depths, booked into the new layers, against the resampled one layer that they filled."""
    cells = ((2, 2), (5.0, 5.0))
    source = Geometry("one", (GridLayer(*cells, (0.0, 100.0)),))
    target = Geometry("thin", tuple(GridLayer(*cells, depth) for depth in ((20.0, 30.0), (60.0, 70.0))))
    found = resample(Showers(np.ones(1), np.full((1, 4), 250.0), geometry=source), target)
    np.testing.assert_allclose(found.overflow, [[350.0, 450.0]])
    depth = np.arange(0.5, 100.0)
    voxels, overflow = Booking(target).add(1, np.zeros(100, int), depth, np.ones(100), np.ones(100), np.full(100, 10.0))
    np.testing.assert_allclose(overflow, found.overflow)
    np.testing.assert_allclose(voxels.sum(), found.voxels.sum())


def test_other_depths_are_taken_over_and_integers_are_numbers() -> None:
    cells = ((2, 2), (5.0, 5.0))
    source, target = (Geometry("mine", (GridLayer(*cells, (0.0, end)),)) for end in (10.0, 15.0))
    found = resample(Showers(np.ones(1), np.array([[1, 2, 3, 4]]), geometry=source), target)
    assert found.geometry.layers[0].depth_mm == (0.0, 15.0)
    assert found.voxels.tolist() == [[1, 2, 3, 4]]


def test_unknown_depths_are_asked_for() -> None:
    showers = fake_showers(GEOMETRIES["calochallenge-1-photons"], 2)
    text = "the 5 layers of 'CaloChallenge 1, photons' cannot become the 3 of 'CaloGAN', since the depth .*: give it as depth_mm"
    with pytest.raises(ConfigError, match=text):
        resample(showers, CALOGAN)


def test_the_same_cells_change_nothing_and_columns_stay() -> None:
    showers = fake_showers(RINGS, 6, columns=True)
    assert resample(showers, RINGS) is showers
    other = Geometry("other", (WHEEL, RINGS.layers[1]))
    found = resample(showers, other)
    assert found.attributes == {"source": "seed 0", "resampled": "from two rings to other"}
    np.testing.assert_array_equal(found.voxels[:, 24:], showers.voxels[:, 3:])
    for name, values in showers.columns.items():
        np.testing.assert_array_equal(found.columns[name], values)
    assert_same(showers, fake_showers(RINGS, 6, columns=True))  # and the original is as it was
