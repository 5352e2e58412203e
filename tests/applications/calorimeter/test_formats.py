"""Every layout: what goes in comes out, other programs' files are recognised, and what is no shower file is told so."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from fake_showers import RINGS, assert_same, fake_showers, save_calochallenge

from hepflows.applications.calorimeter import GEOMETRIES, Geometry, GridLayer, Showers, read_showers, write_showers
from hepflows.applications.calorimeter.checks import UNITS_IN_MEV, converted
from hepflows.applications.calorimeter.data import find_showers, iterate_showers
from hepflows.applications.calorimeter.formats import GEOMETRY_KEY, detect
from hepflows.applications.calorimeter.geometry import write_binning
from hepflows.errors import ConfigError, DataError

CALOGAN, PHOTONS = GEOMETRIES["calogan"], GEOMETRIES["calochallenge-1-photons"]
OWN = Geometry("own", (GridLayer((3, 4), (1.0, 1.0)), GridLayer((2, 2), (2.0, 2.0))))


def error(path: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        read_showers(path, **options)  # type: ignore[arg-type]
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text


# ---- there and back


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("layout", ["calogan", "calochallenge", "pointcloud"])
@pytest.mark.parametrize("geometry", [*list(GEOMETRIES)[:3], "own", "rings"])
def test_nothing_is_lost_within_a_geometry(geometry: str, layout: str, columns: bool, tmp_path: Path) -> None:
    cells = {"own": OWN, "rings": RINGS}.get(geometry) or GEOMETRIES[geometry]
    showers = fake_showers(cells, 40, columns=columns)
    assert write_showers(tmp_path / "a.h5", showers, layout=layout) == 40
    found = read_showers(tmp_path / "a.h5")
    assert_same(found, showers, ulp=1 if layout == "pointcloud" else 0)
    assert found.geometry.name == cells.name
    assert found.attributes == showers.attributes


@pytest.mark.parametrize("name", ["calochallenge-2", "calochallenge-3"])
@pytest.mark.parametrize("layout", ["calochallenge", "pointcloud"])
def test_large_geometries_too(name: str, layout: str, tmp_path: Path) -> None:
    showers = fake_showers(GEOMETRIES[name], 4, filled=0.02)
    write_showers(tmp_path / "a.h5", showers, layout=layout)
    assert_same(read_showers(tmp_path / "a.h5"), showers, ulp=1 if layout == "pointcloud" else 0)


@pytest.mark.parametrize("geometry", [OWN, RINGS, PHOTONS], ids=lambda geometry: geometry.name)
def test_root_files_hold_any_small_geometry(geometry: Geometry, tmp_path: Path) -> None:
    showers = fake_showers(geometry, 12, columns=True)
    write_showers(tmp_path / "a.root", showers)
    assert_same(read_showers(tmp_path / "a.root"), showers)


def test_a_chain_of_layouts_changes_no_voxel(tmp_path: Path) -> None:
    showers = fake_showers(PHOTONS, 30, columns=True)
    previous = showers
    for name, layout in [("a.h5", "calochallenge"), ("b.root", None), ("c.h5", "calogan"), ("d.h5", None)]:
        write_showers(tmp_path / name, previous, layout=layout)
        previous = read_showers(tmp_path / name)
    np.testing.assert_array_equal(previous.voxels.view(np.uint64), showers.voxels.view(np.uint64))
    for name, values in showers.columns.items():
        np.testing.assert_array_equal(previous.columns[name], values)


@pytest.mark.parametrize("unit", UNITS_IN_MEV)
def test_units_there_and_back_differ_by_one_in_the_last_place(unit: str) -> None:
    values = np.random.default_rng(0).lognormal(0, 5, 20_000)
    np.testing.assert_array_max_ulp(converted(converted(values, "MeV", unit), unit, "MeV"), values, maxulp=1)


def test_the_published_energies_are_exact() -> None:
    """Powers of two in MeV, as in dataset 1."""
    energies = 2.0 ** np.arange(8, 23)
    np.testing.assert_array_equal(converted(converted(energies, "MeV", "GeV"), "GeV", "MeV"), energies)


def test_the_layout_of_the_calochallenge_is_theirs(tmp_path: Path) -> None:
    """Two datasets in MeV, gzip, the radius fastest; nothing else, since there is nothing else to say."""
    showers = fake_showers(GEOMETRIES["calochallenge-2"], 3, filled=0.1)
    write_showers(tmp_path / "a.hdf5", showers)
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert {name: file[name].shape for name in file} == {"incident_energies": (3, 1), "showers": (3, 6480)}
        assert {file[name].compression for name in file} == {"gzip"}
        np.testing.assert_allclose(file["incident_energies"][:, 0], 1e3 * showers.energies)
        pictures = file["showers"][:].reshape(3, 45, 16, 9)
    layer = showers.geometry.layers[7]
    r, alpha = 3, 11
    where = layer.coordinates
    x, y = (where[name][alpha * 9 + r] for name in "xy")
    np.testing.assert_allclose(np.hypot(x, y), 3.5 * 4.65)
    np.testing.assert_allclose(np.arctan2(y, x), -np.pi + 11.5 * 2 * np.pi / 16)
    np.testing.assert_array_equal(pictures[:, 7, alpha, r], showers.layer(7)[:, alpha, r])


def test_overflow_is_a_dataset_where_there_is_any(tmp_path: Path) -> None:
    """Also where it first comes late in a stream."""
    first, second = fake_showers(RINGS, 5), fake_showers(RINGS, 4, 1, columns=True)
    second = Showers(second.energies, second.voxels, second.overflow, RINGS)
    for layout in ("calochallenge", "pointcloud"):
        path = tmp_path / f"{layout}.h5"
        write_showers(path, iter([first, second, first]), layout=layout)
        found = read_showers(path).overflow
        np.testing.assert_array_equal(found[:5], 0)
        np.testing.assert_array_max_ulp(found[5:9], second.overflow, maxulp=1)
        np.testing.assert_array_equal(found[9:], 0)


def test_which_layout_a_file_gets(tmp_path: Path) -> None:
    mixed = Geometry("mixed", (OWN.layers[0], RINGS.layers[0]))
    for geometry, layout in ((OWN, "calogan"), (mixed, "calogan"), (RINGS, "calochallenge")):
        write_showers(tmp_path / "a.h5", fake_showers(geometry, 2))
        assert detect(tmp_path / "a.h5").layout.name == layout
    with pytest.raises(ConfigError, match="no layout 'xml': choose one of calogan, calochallenge, pointcloud"):
        write_showers(tmp_path / "b.h5", fake_showers(OWN, 2), layout="xml")
    with pytest.raises(ConfigError, match=r"ROOT files have the layout calogan, not pointcloud: give .* \.hdf5"):
        write_showers(tmp_path / "b.root", fake_showers(OWN, 2), layout="pointcloud")
    with pytest.raises(ConfigError, match=r"of which the geometry 'CaloChallenge 2' has 6480, .* take too long"):
        write_showers(tmp_path / "b.root", fake_showers(GEOMETRIES["calochallenge-2"], 1, filled=0.01))
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


# ---- files of others


@pytest.mark.parametrize("name", list(GEOMETRIES)[1:])
def test_published_files_are_recognised(name: str, tmp_path: Path) -> None:
    showers = fake_showers(GEOMETRIES[name], 5, filled=0.05)
    found = read_showers(save_calochallenge(tmp_path / "dataset_1.hdf5", showers))
    assert_same(found, showers)
    assert found.geometry.name == GEOMETRIES[name].name


def test_weights_angles_and_places_are_read_where_they_are(tmp_path: Path) -> None:
    showers = fake_showers(PHOTONS, 20, columns=True)
    path = save_calochallenge(tmp_path / "a.hdf5", showers, overflow=showers.overflow, **showers.columns)
    assert_same(read_showers(path), showers)
    assert [set(part.columns) for part in iterate_showers(path, chunk=7)] == [set(showers.columns)] * 3
    np.testing.assert_array_equal(read_showers(path, n=3).weights, showers.columns["weight"][:3])


def test_a_binning_file_or_yaml_gives_the_cells(tmp_path: Path) -> None:
    showers = fake_showers(RINGS, 20)
    path = save_calochallenge(tmp_path / "a.hdf5", showers)
    write_binning(tmp_path / "binning.xml", {"photon": RINGS, "pion": PHOTONS})
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(RINGS.describe()))
    for source in (RINGS, f"{tmp_path}/binning.xml:photon", tmp_path / "mine.yaml"):
        assert_same(read_showers(path, geometry=source), showers)
    text = error(path)
    assert (
        "has 15 voxels a shower, which no known calorimeter has: give its cells with --geometry NAME, file.yaml or"
        in text
    )
    assert "has 15 voxels a shower, where the geometry 'CaloGAN' has 504: give its cells" in error(
        path, geometry="calogan"
    )
    assert "where the geometry 'binning, pion' has 368" in error(path, geometry=f"{tmp_path}/binning.xml:pion")


def test_an_ambiguity_is_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = Geometry("twin", (GridLayer((368, 1), (1.0, 1.0)),))
    monkeypatch.setitem(GEOMETRIES, "twin", twin)
    path = save_calochallenge(tmp_path / "a.hdf5", fake_showers(PHOTONS, 5))
    assert "has 368 voxels a shower, as calochallenge-1-photons and twin have: say which with --geometry" in error(path)
    assert read_showers(path, geometry="twin").geometry.name == "twin"


def test_a_file_of_ours_says_what_its_cells_are(tmp_path: Path) -> None:
    showers = fake_showers(OWN, 20)
    for name in ("a.h5", "a.root"):
        write_showers(tmp_path / name, showers)
        assert read_showers(tmp_path / name).geometry == OWN
        text = error(tmp_path / name, geometry="calogan")
        assert "was written with the geometry 'own' and not with 'CaloGAN': leave --geometry (geometry=) out" in text
    # equal cells by another name, with depths that the file does not know: what the user says counts
    other = Geometry("renamed", OWN.layers)
    assert read_showers(tmp_path / "a.h5", geometry=other).geometry.name == "renamed"


@pytest.mark.parametrize(
    "description",
    [
        '{"layers": [{"cells": [Infinity, 1], "cell_mm": [1, 1]}]}',
        '{"layers": [{"cells": [1000000, 1000000], "cell_mm": [1, 1]}]}',
        "{",
        "[]",
        "3",
        "null",
        '{"layers": 3}',
        '{"layers": [{"cells": [0, 1], "cell_mm": [1, 1]}]}',
        "[" * 100_000,
    ],
)
def test_a_spoilt_description_is_no_geometry(description: str, tmp_path: Path) -> None:
    path = save_calochallenge(tmp_path / "a.h5", fake_showers(PHOTONS, 3))
    with h5py.File(path, "a") as file:
        file.attrs[GEOMETRY_KEY] = description
    assert f"its attribute '{GEOMETRY_KEY}' describes no geometry: make the file again" in error(path)


def test_a_description_that_contradicts_the_numbers_is_found(tmp_path: Path) -> None:
    path = save_calochallenge(tmp_path / "a.h5", fake_showers(PHOTONS, 3))
    with h5py.File(path, "a") as file:
        file.attrs[GEOMETRY_KEY] = json.dumps(RINGS.describe())
    assert "has 368 voxels a shower, where the geometry 'two rings' has 15" in error(path)


def test_files_of_different_calorimeters_are_not_joined(tmp_path: Path) -> None:
    for name, geometry in (("a.h5", OWN), ("b.h5", RINGS)):
        write_showers(tmp_path / name, fake_showers(geometry, 3))
    with pytest.raises(
        DataError, match=r"a.h5 \(own\) and .*b.h5 \(two rings\) are of different geometries: give files of one"
    ):
        read_showers(tmp_path)
    write_showers(tmp_path / "b.h5", fake_showers(OWN, 3, columns=True))
    with pytest.raises(DataError, match=r"b.h5: has other columns \(none and pdg, phi, theta, weight, x, y\) than"):
        read_showers(tmp_path)


def test_files_of_one_calorimeter_in_different_layouts_are(tmp_path: Path) -> None:
    showers = fake_showers(RINGS, 9, columns=True)
    for index, layout in enumerate(("calogan", "calochallenge", "pointcloud")):
        write_showers(tmp_path / f"{index}.h5", showers[3 * index : 3 * index + 3], layout=layout)
    assert_same(read_showers(tmp_path), showers, ulp=1)
    assert [found.layout.name for found in find_showers(tmp_path)] == ["calogan", "calochallenge", "pointcloud"]


# ---- units and responses


def test_other_units_are_asked_for_and_taken(tmp_path: Path) -> None:
    """Energies in GeV where MeV belong, and voxels in keV."""
    showers = fake_showers(PHOTONS, 30)
    path = save_calochallenge(
        tmp_path / "a.h5", Showers(showers.energies / 1e3, 1e3 * showers.voxels, geometry=PHOTONS)
    )
    text = error(path, voxel_unit="keV")
    assert "the voxels in keV sum to 990 times the incident energy in MeV (median of 30 showers): " in text
    assert text.endswith("say --energy-unit GeV if the incident energies are in GeV")
    assert_same(read_showers(path, energy_unit="GeV", voxel_unit="keV"), showers, ulp=2)


@pytest.mark.parametrize(("n", "largest"), [(1, 6.93), (5, 6.93), (200, 2.0)])
def test_overweighted_voxels_are_no_wrong_unit(n: int, largest: float, tmp_path: Path) -> None:
    """Dataset 1 holds raw sampling weights: a single pion may sum to 6.93 times its energy, the median may not."""
    showers = fake_showers(PHOTONS, n)
    voxels = showers.voxels * largest / 0.99
    found = read_showers(save_calochallenge(tmp_path / "a.h5", Showers(showers.energies, voxels, geometry=PHOTONS)))
    np.testing.assert_allclose(found.voxels.sum(1) / found.energies, 1e3 * largest)


# ---- chunks


def test_chunks_are_made_by_bytes_and_never_more_than_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_calochallenge(tmp_path / "a.h5", fake_showers(PHOTONS, 50, filled=0.05))
    assert [len(part) for part in iterate_showers(path)] == [50]
    monkeypatch.setattr("hepflows.applications.calorimeter.data.CHUNK_BYTES", 20 * 373 * 8)
    assert [len(part) for part in iterate_showers(path)] == [20, 20, 10]
    assert [len(part) for part in iterate_showers(path, n=23)] == [20, 3]
    assert [len(part) for part in iterate_showers(path, chunk=30)] == [30, 20]
    monkeypatch.setattr("hepflows.applications.calorimeter.data.CHUNK_BYTES", 10)
    assert [len(part) for part in iterate_showers(path, n=3)] == [1, 1, 1]


# ---- hostile files


def spoilt(path: Path, **datasets: object) -> Path:
    good = {"incident_energies": np.full((3, 1), 1e3), "showers": np.full((3, 368), 2.5)}
    with h5py.File(path, "w") as file:
        for name, values in (good | datasets).items():
            if values is not None:
                file[name] = values
    return path


@pytest.mark.parametrize(
    ("datasets", "part"),
    [
        ({"showers": None}, "has no dataset 'showers' (it holds: incident_energies): give a file with this layout"),
        ({"incident_energies": None}, "has no dataset 'incident_energies' (it holds: showers)"),
        ({"incident_energies": np.ones(3)}, "'incident_energies' has the shape (3,) instead of (n, 1): reshape it"),
        ({"incident_energies": np.ones((2, 1))}, "'showers' has 3 rows but 'incident_energies' has 2"),
        (
            {"showers": np.ones((3, 45, 16, 9))},
            "'showers' has the shape (3, 45, 16, 9) instead of (n, 6480): reshape it",
        ),
        ({"showers": np.ones((3, 5, 368))}, "has 1840 voxels a shower, which no known calorimeter has"),
        ({"showers": np.array([[b"x"] * 368] * 3)}, "'showers' has the type |S1 instead of a real number"),
        ({"showers": np.full((3, 368), np.nan)}, "dataset 'showers' holds nan in row 0, cell [0] (counted from 0)"),
        ({"showers": -np.ones((3, 368))}, "but an energy deposit is not negative"),
        ({"overflow": np.ones((3, 4))}, "'overflow' has the shape (3, 4) instead of (n, 5)"),
        ({"theta": np.array([0.0, np.inf, 0.0])}, "dataset 'theta' holds inf in row 1 (counted from 0)"),
        ({"weight": np.ones((3, 1))}, "'weight' has the shape (3, 1) instead of (n): reshape it"),
        ({"showers": np.zeros((3, 368))}, "all voxels of its first 3 showers are zero"),
        ({"showers": None, "incident_energies": None}, "holds nothing, which is no layout of showers that is known"),
        ({"showers": None, "incident_energies": None, "x": np.ones(3)}, "holds x, which is no layout of showers"),
    ],
)
def test_spoilt_files_get_one_sentence(datasets: dict[str, object], part: str, tmp_path: Path) -> None:
    assert part in error(spoilt(tmp_path / "a.h5", **datasets))


def test_pickled_objects_are_never_read(tmp_path: Path) -> None:
    path = spoilt(tmp_path / "a.h5", showers=None)
    with h5py.File(path, "a") as file:
        data = file.create_dataset("showers", (3, 368), dtype=h5py.vlen_dtype(np.uint8))
        data[0, 0] = np.frombuffer(b"\x80\x04cos\nsystem\n", np.uint8)
    assert "'showers' holds objects (variable-length or pickled data), which are never read" in error(path)


def test_groups_and_links_are_no_datasets(tmp_path: Path) -> None:
    path = spoilt(tmp_path / "a.h5", showers=None)
    with h5py.File(path, "a") as file:
        file.create_group("showers")
    assert "'showers' is a group and not a dataset" in error(path)


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.97])
def test_truncated_files_are_named(keep: float, tmp_path: Path) -> None:
    path = save_calochallenge(tmp_path / "a.h5", fake_showers(PHOTONS, 200))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else int(keep)])
    assert "again" in error(path)


def test_a_lost_layer_of_calogan_is_named(tmp_path: Path) -> None:
    write_showers(tmp_path / "a.h5", fake_showers(CALOGAN, 5))
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file.attrs[GEOMETRY_KEY]
        del file["layer_1"]
    assert "has no dataset 'layer_1' (it holds: energy, layer_0, layer_2, overflow)" in error(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["layer_1"] = np.ones((5, 7, 7))
    assert "has layers of 3 x 96, 7 x 7, 12 x 6 cells, which no known calorimeter has" in error(tmp_path / "a.h5")
