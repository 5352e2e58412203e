"""Point clouds, against the showerdata package itself: its files are read, ours are read by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import showerdata
from fake_showers import RINGS, assert_same, fake_showers

from hepflows.applications.calorimeter import GEOMETRIES, Geometry, Showers, read_showers, write_showers
from hepflows.applications.calorimeter.formats import detect
from hepflows.errors import DataError

CALOGAN, PHOTONS = GEOMETRIES["calogan"], GEOMETRIES["calochallenge-1-photons"]


def cloud(n: int = 12, width: int = 4, seed: int = 0) -> showerdata.Showers:
    """Points anywhere within +-240 mm in three layers, a different number in each shower, none in the last."""
    rng = np.random.default_rng(seed)
    points = np.zeros((n, 9, width))
    for shower, count in zip(points, np.arange(n) % 9, strict=True):
        shower[:count, :2] = rng.uniform(-239, 239, (count, 2))
        shower[:count, 2] = rng.integers(0, 3, count)
        shower[:count, 3] = rng.exponential(1.0, count) + 0.01
    directions = rng.normal(size=(n, 3)) * 0.2 + [0, 0, 1]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    total = points[..., 3].sum(1)
    return showerdata.Showers(points, np.where(total > 0, total, 1.0), rng.choice([22, -11], n), directions)


@pytest.mark.parametrize("geometry", [CALOGAN, PHOTONS, RINGS], ids=lambda geometry: geometry.name)
def test_showerdata_reads_what_we_write(geometry: Geometry, tmp_path: Path) -> None:
    showers = fake_showers(geometry, 15, columns=True)
    write_showers(tmp_path / "a.h5", showers, layout="pointcloud")
    theirs = showerdata.load(tmp_path / "a.h5")
    assert len(theirs) == 15
    np.testing.assert_allclose(theirs.energies[:, 0], showers.energies, rtol=1e-6)
    np.testing.assert_array_equal(theirs.pdg, showers.columns["pdg"])
    np.testing.assert_allclose(np.arccos(theirs.directions[:, 2]), showers.columns["theta"], atol=1e-3)
    x = np.sin(showers.columns["theta"]) * np.cos(showers.columns["phi"])
    np.testing.assert_allclose(theirs.directions[:, 0], x, atol=1e-6)
    # energy by layer and number of points by layer, as their own functions count them
    layers = showerdata.observables.calc_energy_per_layer(theirs, geometry.n_layers)
    np.testing.assert_allclose(1e3 * layers, showers.layer_energies, rtol=1e-5)
    counts = showerdata.observables.calc_num_points_per_layer(theirs, geometry.n_layers)
    filled = np.stack([(showers.voxels[:, part] > 0).sum(1) for part in geometry.slices], 1)
    np.testing.assert_array_equal(counts, filled)
    assert showerdata.get_file_shape(tmp_path / "a.h5") == (15, int(filled.sum(1).max()), 4)


@pytest.mark.parametrize("geometry", [CALOGAN, PHOTONS, RINGS], ids=lambda geometry: geometry.name)
def test_cells_survive_a_way_through_showerdata(geometry: Geometry, tmp_path: Path) -> None:
    """It knows float32 and no description of cells: they must be told, and the middle of each is near enough."""
    showers = fake_showers(geometry, 15)
    write_showers(tmp_path / "ours.h5", showers, layout="pointcloud")
    showerdata.load(tmp_path / "ours.h5").save(tmp_path / "theirs.h5")
    found = read_showers(tmp_path / "theirs.h5", geometry=geometry)
    np.testing.assert_allclose(found.voxels, showers.voxels, rtol=2e-7)
    np.testing.assert_array_equal(found.voxels == 0, showers.voxels == 0)
    assert set(found.columns) == {"pdg", "theta", "phi"}
    assert not found.columns["theta"].any()
    with pytest.raises(
        DataError, match=r"is a point cloud without a description .* or project its points with --resample"
    ):
        read_showers(tmp_path / "theirs.h5")


@pytest.mark.parametrize("width", [4, 5])
def test_foreign_points_are_projected_onto_cells(width: int, tmp_path: Path) -> None:
    theirs = cloud(width=width)
    theirs.save(tmp_path / "a.h5")
    found = read_showers(tmp_path / "a.h5", project=CALOGAN)
    np.testing.assert_allclose(found.energies, theirs.energies[:, 0])
    layers = showerdata.observables.calc_energy_per_layer(theirs, 3)
    np.testing.assert_allclose(found.layer_energies, 1e3 * layers, rtol=1e-5)
    for shower in (1, 5, 8):
        for x, y, layer, energy, *_ in theirs.points[shower, : shower % 9].astype(float):
            cell = int(CALOGAN.layers[int(layer)].locate(x, y))
            assert found.voxels[shower, CALOGAN.slices[int(layer)]][cell] >= 1e3 * energy * (1 - 1e-6)
    np.testing.assert_array_equal(found.columns["pdg"], theirs.pdg)
    direction = theirs.directions.astype(float)
    np.testing.assert_allclose(
        found.columns["theta"], np.arccos(direction[:, 2] / np.linalg.norm(direction, axis=1)), atol=1e-6
    )
    np.testing.assert_allclose(np.tan(found.columns["phi"]), direction[:, 1] / direction[:, 0], rtol=1e-5)


def test_points_beyond_the_cells_are_overflow(tmp_path: Path) -> None:
    points = np.array([[[0.0, 0.0, 1.0, 2.0], [500.0, 0.0, 1.0, 0.25], [0.0, -241.0, 2.0, 0.5]]])
    showerdata.Showers(points, [3.0], [22]).save(tmp_path / "a.h5")
    found = read_showers(tmp_path / "a.h5", project=CALOGAN)
    assert found.voxels.sum() == 2000
    assert found.overflow.tolist() == [[0, 250, 500]]


@pytest.mark.parametrize(
    ("points", "part"),
    [
        (
            [0.0, 0.0, 3.0, 1.0],
            "in row 1 (counted from 0) lies in a layer that the geometry 'CaloGAN' with its 3 layers does",
        ),
        ([0.0, 0.0, -1.0, 1.0], "lies in a layer that"),
        ([0.0, 0.0, 1e30, 1.0], "has a third coordinate that is no number of a layer"),
        ([0.0, 0.0, 1.5, 1.0], "has a third coordinate that is no number of a layer: replace depths by the numbers"),
        ([0.0, np.nan, 1.0, 1.0], "dataset 'showers' holds nan in row 1 (counted from 0)"),
    ],
)
@pytest.mark.parametrize("project", [False, True])
def test_impossible_points_are_named(points: list[float], part: str, project: bool, tmp_path: Path) -> None:
    good = [20.0, 20.0, 1.0, 1.0]  # the middle of a cell
    showerdata.Showers([[good, good], [good, points]], [1.0, 1.0], [22, 22]).save(tmp_path / "a.h5")
    with pytest.raises(DataError) as caught:
        read_showers(tmp_path / "a.h5", **{"project" if project else "geometry": CALOGAN})
    assert part in str(caught.value)


def test_negative_deposits_are_named(tmp_path: Path) -> None:
    cloud().save(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        row = file["showers"][7]
        row[4 + 3] = -0.5
        file["showers"][7] = row
    with pytest.raises(DataError, match=r"a point of the shower in row 7 \(counted from 0\) has a negative energy"):
        read_showers(tmp_path / "a.h5", project=CALOGAN)


def test_points_off_the_middle_are_not_taken_for_cells(tmp_path: Path) -> None:
    showerdata.Showers([[[20.0, 20.0, 1.0, 1.0]], [[20.0, 21.0, 1.0, 1.0]]], [1.0, 1.0], 22).save(tmp_path / "a.h5")
    text = r"a.h5: a point of the shower in row 1 .* is not in the middle of a cell of 'CaloGAN': project .* with --resample"
    with pytest.raises(DataError, match=text):
        read_showers(tmp_path / "a.h5", geometry=CALOGAN)
    assert len(read_showers(tmp_path / "a.h5", geometry=CALOGAN, n=1)) == 1


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        ({"shape": np.array([12, 8, 6])}, "the dataset 'shape' of a point cloud holds the numbers of showers"),
        ({"shape": None}, "has no dataset 'shape' of a few numbers"),
        ({"shape": np.array([12, 8, 5])}, "in row 1 (counted from 0) has 4 numbers, which are not 1 points of 5"),
        ({"num_points": np.zeros(12, int)}, "has 4 numbers, which are not 0 points of 4"),
        ({"showers": None}, "has no dataset 'showers'"),
        ({"showers": np.ones((12, 4))}, "'showers' is no list of numbers for each row"),
        ({"directions": np.ones((12, 2))}, "'directions' has the shape (12, 2) instead of (n, 3)"),
        ({"energies": np.zeros((12, 1))}, "dataset 'energies' holds 0 in row 0"),
        ({"pdg": np.ones(7)}, "dataset 'pdg' has 7 rows"),
    ],
)
def test_spoilt_clouds_get_one_sentence(spoil: dict[str, np.ndarray | None], part: str, tmp_path: Path) -> None:
    cloud().save(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        for name, values in spoil.items():
            del file[name]
            if values is not None:
                file[name] = values
    with pytest.raises(DataError) as caught:
        read_showers(tmp_path / "a.h5", project=CALOGAN)
    text = str(caught.value)
    assert part in text
    assert text.startswith(str(tmp_path / "a.h5"))
    assert "\n" not in text


def test_what_is_left_out_is_known(tmp_path: Path) -> None:
    cloud().save(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.create_group("observables")
    assert detect(tmp_path / "a.h5", project=CALOGAN).unknown == ["observables"]


def test_empty_showers_and_single_points(tmp_path: Path) -> None:
    showers = Showers(np.ones(3), np.zeros((3, 504)))
    showers.voxels[1, 300] = 5.0
    write_showers(tmp_path / "a.h5", showers, layout="pointcloud")
    assert_same(read_showers(tmp_path / "a.h5"), showers, ulp=1)
    assert showerdata.load(tmp_path / "a.h5").points.shape == (3, 1, 4)


@pytest.mark.parametrize("number", [11.5, 3e9])
def test_a_species_that_is_no_integer_of_32_bits_is_refused(number: float, tmp_path: Path) -> None:
    showers = replace(fake_showers(RINGS, 3), columns={"pdg": np.array([22.0, number, 22.0])})
    with pytest.raises(DataError, match=r"an integer of 32 bits, not .*: mend the column 'pdg'"):
        write_showers(tmp_path / "a.hdf5", showers, layout="pointcloud")
    assert not list(tmp_path.iterdir())
