from __future__ import annotations

import numpy as np
import pytest
from toy_calorimeter import TOY, toy_showers

from hepflows.applications.calorimeter.data import Showers
from hepflows.applications.calorimeter.geometry import CALOGAN
from hepflows.applications.calorimeter.observables import OBSERVABLES, observables, voxel_counts


def random_showers(n: int = 20, seed: int = 0) -> Showers:
    rng = np.random.default_rng(seed)
    voxels = rng.gamma(0.5, 100.0, (n, 504)) * (rng.random((n, 504)) < 0.4)
    voxels[0, CALOGAN.slices[2]] = 0.0  # an empty layer
    voxels[1, CALOGAN.slices[0]] = 0.0
    voxels[1, 5] = 3.0  # a layer with one voxel
    return Showers(rng.uniform(1, 100, n), voxels, np.zeros((n, 3)))


def by_hand(showers: Showers, row: int, layer: int) -> dict[str, float]:
    """The definitions, one voxel after the other."""
    cells = showers.geometry.layers[layer]
    image = showers.layer(layer)[row]
    spots = [(x, y, image[i, j]) for i, x in enumerate(cells.x_mm) for j, y in enumerate(cells.y_mm)]
    energy = sum(v for _, _, v in spots)
    x, y = sum(x * v for x, _, v in spots) / energy, sum(y * v for _, y, v in spots) / energy
    first, second, *_ = sorted((v for _, _, v in spots), reverse=True)
    return {
        "energy": energy,
        "sparsity": sum(v == 0 for _, _, v in spots) / len(spots),
        "centroid_x": x,
        "centroid_y": y,
        "width_x": (sum(x * x * v for x, _, v in spots) / energy - x * x) ** 0.5,
        "width_y": (sum(y * y * v for _, y, v in spots) / energy - y * y) ** 0.5,
        "energy_ratio": (first - second) / (first + second),
        "brightest_1": first / energy,
        "brightest_2": second / energy,
    }


@pytest.mark.parametrize("layer", range(3))
def test_each_layer_by_hand(layer: int) -> None:
    showers = random_showers()
    found = observables(showers, brightest=2)
    for row in range(2, len(showers)):
        for name, value in by_hand(showers, row, layer).items():
            assert found[f"{name}_{layer}"][row] == pytest.approx(value, rel=1e-9, abs=1e-9), name


def test_the_whole_shower_by_hand() -> None:
    showers = random_showers()
    found, energies = observables(showers), showers.layer_energies
    for row, (e0, e1, e2) in enumerate(energies):
        total = e0 + e1 + e2
        depth = (e1 + 2 * e2) / total
        expected = {
            "energy_total": total,
            "e_tot_over_e_inc": total / (1000 * showers.energies[row]),
            "depth": depth,
            "depth_spread": max((e1 + 4 * e2) / total - depth**2, 0.0) ** 0.5,
            "energy_fraction_1": e1 / total,
        }
        for name, value in expected.items():
            assert found[name][row] == pytest.approx(value, rel=1e-9), name


def test_what_does_not_exist_is_not_a_number() -> None:
    found = observables(random_showers(), brightest=3)
    missing = {name for name, values in found.items() if np.isnan(values[0])}
    families = (
        "centroid_x",
        "centroid_y",
        "width_x",
        "width_y",
        "energy_ratio",
        *(f"brightest_{k}" for k in (1, 2, 3)),
    )
    assert missing == {f"{family}_2" for family in families}
    assert found["energy_2"][0] == 0.0
    assert found["sparsity_2"][0] == 1.0
    one = {name: values[1] for name, values in found.items() if name.endswith("_0")}
    assert (one["width_x_0"], one["width_y_0"]) == (0.0, 0.0)
    assert (one["energy_ratio_0"], one["brightest_1_0"], one["brightest_2_0"]) == (1.0, 1.0, 0.0)
    nothing = observables(Showers(np.ones(2), np.zeros((2, 504)), np.zeros((2, 3))))
    assert nothing["energy_total"].tolist() == [0.0, 0.0]
    assert np.isnan(nothing["depth"]).all()


def test_a_moved_image_moves_its_centroid_and_keeps_its_width() -> None:
    image = np.zeros((1, 12, 12))
    image[0, 4:7, 3:5] = [[1.0, 2.0], [5.0, 3.0], [1.0, 0.5]]
    found = []
    for shift in (0, 2):
        voxels = np.zeros((1, 504))
        voxels[:, CALOGAN.slices[1]] = np.roll(image, shift, axis=1).reshape(1, -1)
        found.append(observables(Showers(np.ones(1), voxels, np.zeros((1, 3)))))
    before, after = found
    assert after["centroid_x_1"] - before["centroid_x_1"] == pytest.approx(2 * 40.0)
    assert after["centroid_y_1"] == pytest.approx(before["centroid_y_1"])
    assert after["width_x_1"] == pytest.approx(before["width_x_1"])


def test_narrow_widths_survive_round_off() -> None:
    voxels = np.zeros((1, 504))
    voxels[0, CALOGAN.slices[0]][[0, 1]] = 0.0
    image = voxels[:, CALOGAN.slices[0]].reshape(1, 3, 96)
    image[0, 1, 95], image[0, 1, 94] = 1e5, 1e-5  # 1e-10 of the energy one cell of 5 mm away, far from the axis
    width = observables(Showers(np.ones(1), voxels, np.zeros((1, 3))))["width_y_0"][0]
    assert width == pytest.approx(5.0 * 1e-5, rel=1e-6)


def test_a_threshold_empties_voxels() -> None:
    showers = random_showers()
    cut = Showers(showers.energies, np.where(showers.voxels < 20.0, 0.0, showers.voxels), showers.overflow)
    first, second = observables(showers, threshold_mev=20.0), observables(cut)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])


def test_any_geometry() -> None:
    showers = toy_showers(50)
    found = observables(showers, brightest=9)
    assert {name.rsplit("_", 1)[1] for name in found if name.startswith("width")} == {"0", "1"}
    assert "brightest_6_1" in found
    assert "brightest_7_1" not in found  # six voxels a layer
    assert all(values.shape == (50,) for values in found.values())
    np.testing.assert_allclose(sum(found[f"brightest_{k}_0"] for k in range(1, 7)), 1.0)
    assert TOY.n_layers == 2


def test_every_observable_has_a_label_and_bins() -> None:
    found = observables(random_showers(200), brightest=5)
    for name, values in found.items():
        known = OBSERVABLES[name]
        edges = known.edges(values)
        assert len(edges) == known.bins + 1
        assert np.all(np.diff(edges) > 0)
        assert known.label
        assert "#" not in known.label
    assert set(OBSERVABLES) == {*observables(random_showers(2)), *(f"voxel_energy_{layer}" for layer in range(3))}
    assert len(OBSERVABLES) == len(list(OBSERVABLES))
    assert OBSERVABLES["centroid_x_17"].label.endswith("layer 17")
    assert OBSERVABLES["energy_12"].label == "$E_{12}$"
    for name in ("energy", "energy_x", "colour_0", "brightest_0_", ""):
        assert name not in OBSERVABLES


def test_voxel_spectra_count_every_filled_voxel() -> None:
    showers = random_showers()
    edges = np.geomspace(1.0, 300.0, 11)
    counts = voxel_counts(showers, 1, edges)
    part = showers.voxels[:, CALOGAN.slices[1]]
    assert counts.shape == (len(showers), 12)
    np.testing.assert_array_equal(counts.sum(axis=1), (part > 0).sum(axis=1))
    np.testing.assert_array_equal(counts[3, 1:-1], np.histogram(part[3][part[3] > 0], edges)[0])
    np.testing.assert_array_equal(counts[:, -1], (part >= 300.0).sum(axis=1))
