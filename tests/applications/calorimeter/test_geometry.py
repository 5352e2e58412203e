from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from hepflows.applications.calorimeter.geometry import (
    CALOGAN,
    GEOMETRIES,
    Geometry,
    GridLayer,
    PolarLayer,
    load_geometry,
    write_binning,
)
from hepflows.errors import ConfigError, ShapeError

# ten billion words, if anything spells it out
LINES = [f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]" for i in range(10)]
BOMB = "\n".join(["a0: &a0 [ha]", *LINES, "layers: [{cells: *a10, cell_mm: [1, 1]}]"])


def test_calogan_is_the_published_one() -> None:
    assert [layer.shape for layer in CALOGAN.layers] == [(3, 96), (12, 12), (12, 6)]
    assert CALOGAN.n_voxels == 504
    assert CALOGAN.n_layers == 3
    assert CALOGAN.slices == (slice(0, 288), slice(288, 432), slice(432, 504))


@pytest.mark.parametrize("layer", CALOGAN.layers)
def test_every_layer_covers_the_same_window_of_480_mm(layer: GridLayer) -> None:
    for centres, size, n in zip((layer.x_mm, layer.y_mm), layer.cell_mm, layer.shape, strict=True):
        assert centres.shape == (n,)
        assert centres[0] - size / 2 == -240
        assert centres[-1] + size / 2 == 240
        np.testing.assert_allclose(np.diff(centres), size)
        np.testing.assert_allclose(centres, -centres[::-1])


def test_an_odd_number_of_cells_has_one_on_the_axis() -> None:
    assert GridLayer((3, 1), (160.0, 10.0)).x_mm.tolist() == [-160, 0, 160]
    assert GridLayer((3, 1), (160.0, 10.0)).y_mm.tolist() == [0]


def test_any_number_of_layers() -> None:
    geometry = Geometry("six", tuple(GridLayer((index + 1, 2), (1.0, 1.0)) for index in range(6)))
    covered = np.concatenate([np.arange(geometry.n_voxels)[where] for where in geometry.slices])
    assert covered.tolist() == list(range(2 * 21))
    assert [where.stop - where.start for where in geometry.slices] == [2, 4, 6, 8, 10, 12]


def test_geometries_are_values() -> None:
    assert Geometry("CaloGAN", CALOGAN.layers) == CALOGAN
    assert Geometry("other", CALOGAN.layers) == CALOGAN  # the same cells by another name
    assert Geometry("CaloGAN", CALOGAN.layers[:2]) != CALOGAN
    assert hash(Geometry("CaloGAN", CALOGAN.layers)) == hash(CALOGAN)


@pytest.mark.parametrize(("shape", "cell"), [((0, 3), (1.0, 1.0)), ((3, 3), (0.0, 1.0)), ((3,), (1.0, 1.0))])
def test_impossible_layers_are_refused(shape: tuple[int, int], cell: tuple[float, float]) -> None:
    with pytest.raises(ShapeError, match="give two positive numbers for each"):
        GridLayer(shape, cell)


def test_a_geometry_needs_a_layer() -> None:
    with pytest.raises(ShapeError, match="'none' has no layers"):
        Geometry("none", ())


@pytest.mark.parametrize("name", GEOMETRIES)
def test_points_lie_in_their_cells_and_centres_too(name: str) -> None:
    for layer in GEOMETRIES[name].layers[:5]:
        x, y = layer.points(3)
        np.testing.assert_array_equal(layer.locate(x, y), np.arange(layer.n_voxels)[:, None] * np.ones(9, int))
        where = layer.coordinates
        if "x" in where:
            np.testing.assert_array_equal(layer.locate(where["x"], where["y"]), np.arange(layer.n_voxels))


def test_points_are_even_in_area() -> None:
    """The mean of r^2 over the points of a ring is that over its area, (r0^2 + r1^2) / 2."""
    x, y = PolarLayer((0.0, 3.0, 10.0), 5).points(50)
    np.testing.assert_allclose((x**2 + y**2).mean(1)[:2], [9 / 2, 109 / 2], rtol=1e-3)


def test_the_calochallenge_binnings_have_the_published_numbers_of_voxels() -> None:
    counts = {name: [layer.n_voxels for layer in geometry.layers] for name, geometry in GEOMETRIES.items()}
    assert counts["calochallenge-1-photons"] == [8, 160, 190, 5, 5]
    assert counts["calochallenge-1-pions"] == [8, 100, 100, 5, 150, 160, 10]
    assert counts["calochallenge-2"] == [144] * 45
    assert sum(counts["calochallenge-3"]) == 40_500
    assert GEOMETRIES["calochallenge-3"].layers[0].describe()["r_edges_mm"][-1] == 41.85


def test_points_far_outside_are_in_no_cell() -> None:
    for layer in (GridLayer((3, 4), (1.0, 1.0)), PolarLayer((1.0, 2.0), 4)):
        assert layer.locate([1e300, -1e300, 0.0], [0.0, 1e300, -1e300]).tolist() == [-1, -1, -1]
    assert PolarLayer((1.0, 2.0), 4).locate(0.5, 0.0) == -1  # inside the hole


@pytest.mark.parametrize(
    ("edges", "n_alpha", "words"),
    [
        ((5.0,), 3, "two or more radii"),
        ((0.0, 2.0, 1.0), 3, "increase"),
        ((0.0, np.inf), 3, "increase"),
        ((0.0, 1.0), 0, "angle"),
    ],
)
def test_impossible_rings_are_refused(edges: tuple[float, ...], n_alpha: int, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        PolarLayer(edges, n_alpha)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_description_makes_the_same_geometry(name: str, tmp_path: Path) -> None:
    geometry = GEOMETRIES[name]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(geometry.describe()))
    again = load_geometry(tmp_path / "mine.yaml")
    assert again == geometry
    assert again.name == geometry.name
    assert [layer.depth_mm for layer in again.layers] == [layer.depth_mm for layer in geometry.layers]


def test_binning_files_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "binning.xml"
    rings = {"photon": GEOMETRIES["calochallenge-1-photons"], "pion": GEOMETRIES["calochallenge-1-pions"]}
    write_binning(path, rings)
    for particle, geometry in rings.items():
        assert load_geometry(f"{path}:{particle}") == geometry
    with pytest.raises(ConfigError, match=r"its particle must be named; give one of .*binning.xml:photon"):
        load_geometry(path)
    with pytest.raises(ConfigError, match="no particle 'electron'"):
        load_geometry(f"{path}:electron")
    with pytest.raises(ConfigError, match="is a grid"):
        write_binning(path, {"photon": CALOGAN})


def test_a_layer_with_a_single_edge_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "one.xml"
    path.write_text(
        '<Bins><Bin pid="22" name="photon"><Layer id="0" r_edges="0" n_bin_alpha="1"/>'
        '<Layer id="1" r_edges="0, 5.5,10" n_bin_alpha="4"/></Bin></Bins>'
    )
    assert load_geometry(path).layers == (PolarLayer((0.0, 5.5, 10.0), 4),)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "layers: [", "cannot be read as YAML"),
        ("a.yaml", "[1, 2]", "no mapping"),
        ("a.yaml", "name: x", "a list called layers"),
        ("a.yaml", "layers: [{cells: [1, 2]}]", "described by the numbers"),
        ("a.yaml", "layers: [{cells: [1, 2], cell_mm: [a, b]}]", "described by the numbers"),
        ("a.yaml", "layers: [{cells: [1, 2], cell_mm: [1, 1], depth_mm: [5, 2]}]", "begin < end"),
        ("a.yaml", "layers: [{cells: [.inf, 2], cell_mm: [1, 1]}]", "described by the numbers"),
        ("a.yaml", BOMB, "described by the numbers"),
        ("a.xml", "<Bins", "cannot be read as XML"),
        ("a.xml", "<Calo/>", "begins with <Calo>"),
        ("a.xml", "<Bins/>", "has none"),
        ("a.xml", '<Bins><Bin name="p"/></Bins>', "no layers with cells"),
        ("a.xml", '<Bins><Bin name="p"><Layer id="3" r_edges="0,x" n_bin_alpha="1"/></Bin></Bins>', "layer 3 of 'p'"),
        ("a.xml", '<!DOCTYPE b [<!ENTITY e "ee">]><Bins/>', "no entities"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        load_geometry(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_unknown_names_are_told_what_there_is() -> None:
    with pytest.raises(ConfigError, match="no geometry 'calogna': choose one of calogan, calochallenge-1-photons"):
        load_geometry("calogna")
