"""The CaloChallenge's features against slow loops over voxels, its separations against hand-made histograms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from fake_showers import fake_showers
from toy_calorimeter import toy_showers

from hepflows.applications.calorimeter import CALOGAN, GEOMETRIES, Geometry, PolarLayer, Showers
from hepflows.applications.calorimeter.challenge import (
    challenge_dataset,
    challenge_separations,
    high_level,
    high_level_features,
    log_voxels,
    low_level_features,
    threshold_mev,
)
from hepflows.applications.calorimeter.features import classifier_features
from hepflows.applications.calorimeter.metrics import separations
from hepflows.applications.calorimeter.showers import weights_of
from hepflows.errors import DataError

PHOTONS = GEOMETRIES["calochallenge-1-photons"]
ELECTRONS = GEOMETRIES["calochallenge-2"]


def by_hand(layer: object, voxels: np.ndarray, cut: float) -> dict[str, float]:
    """The challenge's formulas, one voxel at a time, angles and radii counted out; their difference of squares costs 1e-5 mm."""
    kept = [float(v) if v >= cut else 0.0 for v in voxels]
    total = math.fsum(kept)
    found = {"energy": total, "sparsity": sum(v == 0 for v in kept) / len(kept)}
    places: dict[str, list[float]] = {}
    for place in range(len(kept)):
        if isinstance(layer, PolarLayer):
            rings = len(layer.r_edges_mm) - 1
            angle, ring = divmod(place, rings)  # the radius is the fastest
            r = 0.5 * (layer.r_edges_mm[ring] + layer.r_edges_mm[ring + 1])
            alpha = -math.pi + (angle + 0.5) * 2 * math.pi / layer.n_alpha
            where = {"r": r} if layer.n_alpha == 1 else {"r": r, "x": r * math.cos(alpha), "y": r * math.sin(alpha)}
        else:
            (n_x, n_y), (step_x, step_y) = layer.shape, layer.cell_mm  # type: ignore[attr-defined]
            i, j = divmod(place, n_y)
            where = {"x": (i + 0.5 - n_x / 2) * step_x, "y": (j + 0.5 - n_y / 2) * step_y}
        for name, value in where.items():
            places.setdefault(name, []).append(value)
    for name, values in places.items():
        mean = math.fsum(v * x for v, x in zip(kept, values, strict=True)) / (total + 1e-16)
        square = math.fsum(v * x * x for v, x in zip(kept, values, strict=True)) / (total + 1e-16)
        found[f"centroid_{name}"], found[f"width_{name}"] = mean, math.sqrt(max(0.0, square - mean * mean))
    return found


@pytest.mark.parametrize(
    ("geometry", "cut"),
    [(PHOTONS, 1.0), (ELECTRONS, 0.0151515), (CALOGAN, 0.0)],
    ids=["photons", "electrons", "CaloGAN"],
)
def test_high_level_features_are_those_of_a_loop_over_voxels(geometry: Geometry, cut: float) -> None:
    showers = fake_showers(geometry, 4, seed=3)
    showers = replace(showers, voxels=showers.voxels / 300)  # so that many voxels lie about the threshold
    assert threshold_mev(geometry) == pytest.approx(cut, rel=1e-5)
    found = high_level(showers)
    wanted_names = {"energy_total"}
    for index, (layer, where) in enumerate(zip(geometry.layers, geometry.slices, strict=True)):
        for shower in range(len(showers)):
            wanted = by_hand(layer, showers.voxels[shower, where], threshold_mev(geometry))
            for name, value in wanted.items():
                assert found[f"{name}_{index}"][shower] == pytest.approx(value, rel=1e-9, abs=1e-4), (name, index)
        wanted_names |= {f"{name}_{index}" for name in wanted}
    assert set(found) == wanted_names
    total = sum(found[f"energy_{index}"] for index in range(geometry.n_layers))
    np.testing.assert_allclose(found["energy_total"], total)


def test_sparsities_are_rounded_as_in_the_challenge() -> None:
    """48 of 160 voxels empty: 1 - 0.7 lies on the lower edge of a bin of its histogram, 0.3 just below."""
    showers = fake_showers(PHOTONS, 160, seed=4)
    showers = replace(showers, voxels=showers.voxels / 300)
    showers.voxels[0, PHOTONS.slices[1]] = np.where(np.arange(160) < 48, 0.0, 2.0)
    found = high_level(showers)
    for index, where in enumerate(PHOTONS.slices):
        filled = showers.voxels[:, where] >= threshold_mev(PHOTONS)
        np.testing.assert_array_equal(found[f"sparsity_{index}"], 1.0 - filled.mean(axis=1))
    assert np.digitize(found["sparsity_1"][0], np.linspace(0.0, 1.0, 21)) == 7


def test_the_vector_has_the_units_of_the_challenge() -> None:
    showers = fake_showers(PHOTONS, 5)
    showers.voxels[0, PHOTONS.slices[4]] = 0.0
    found, names = high_level(showers), [*high_level(showers)]
    vector = high_level_features(showers)
    # E_inc, E_tot, five layers with energy and sparsity, r of five, x and y of two
    assert vector.shape == (5, 2 + 10 + 10 + 8)
    np.testing.assert_allclose(vector[:, 0], np.log10(1e3 * showers.energies))
    assert vector[0, 1 + names.index("energy_4")] == -8.0
    np.testing.assert_allclose(vector[:, 1 + names.index("centroid_r_1")], found["centroid_r_1"] / 100)
    np.testing.assert_allclose(vector[:, 1 + names.index("sparsity_2")], found["sparsity_2"])
    assert np.isfinite(vector).all()
    np.testing.assert_allclose(classifier_features(showers, "calochallenge-high"), vector, rtol=1e-6)


def test_low_level_features() -> None:
    showers = fake_showers(PHOTONS, 3)
    showers.voxels[0, :2] = [0.999, 1.001]  # MeV, about the threshold
    low, shares = low_level_features(showers), low_level_features(showers, normalised=True)
    assert low[0, 1] == 0.0
    assert low[0, 2] == pytest.approx(1.001 / (1e3 * showers.energies[0]))
    assert low.shape == (3, 369)
    assert shares.shape == (3, 1 + 368 + 5)
    np.testing.assert_allclose(shares[:, 1 : 1 + 8].sum(axis=1), 1.0)
    np.testing.assert_allclose(10 ** shares[:, 369], high_level(showers)["energy_0"])
    assert log_voxels(showers)[0, 0] == -1.0
    assert log_voxels(showers)[0, 1] == pytest.approx(math.log10(1.001))


def test_datasets_are_known_by_their_cells() -> None:
    renamed = Geometry("mine", PHOTONS.layers)
    assert challenge_dataset(renamed) == "calochallenge-1-photons"
    assert challenge_dataset(CALOGAN) is None
    assert challenge_separations(fake_showers(CALOGAN, 20), fake_showers(CALOGAN, 20, seed=1)) == {}


def test_separations_in_the_bins_of_the_challenge_are_those_of_its_definition() -> None:
    first, second = fake_showers(ELECTRONS, 60, seed=1), fake_showers(ELECTRONS, 50, seed=2, filled=0.25)
    found = challenge_separations(first, second)
    values = high_level(first), high_level(second)
    bins = {
        "centroid_x_3": np.linspace(-30, 30, 101),
        "width_r_40": np.linspace(0, 20, 101),
        "sparsity_7": np.linspace(0, 1, 21),
        "energy_0": np.geomspace(0.5e-3 / 0.033, values[1]["energy_0"].max(), 40),
    }
    for name, edges in bins.items():
        p, q = (np.histogram(one[name], edges)[0] for one in values)  # what lies outside does not count
        p, q = p / p.sum(), q / q.sum()
        wanted = 0.5 * sum((a - b) ** 2 / (a + b) for a, b in zip(p, q, strict=True) if a + b > 0)
        assert found[name].value == pytest.approx(wanted), name
    edges = np.geomspace(0.5e-3 / 0.033, second.voxels.max(), 50)
    p, q = (np.histogram(one.voxels, edges)[0].astype(float) for one in (first, second))
    p, q = p / p.sum(), q / q.sum()
    assert found["voxel_energy"].value == pytest.approx(0.5 * np.nansum((p - q) ** 2 / (p + q)))
    assert len(found) == 45 * 8 + 2


def test_the_response_of_dataset_1_is_judged_at_every_energy() -> None:
    rng = np.random.default_rng(0)
    pair = []
    for seed, factor in ((1, 1.0), (2, 1.02)):
        showers = fake_showers(PHOTONS, 400, seed=seed)
        energies = rng.choice([0.256, 4.096], 400)  # GeV, the first and the fifth
        voxels = showers.voxels * (energies / showers.energies * np.where(energies > 1, factor, 1.0))[:, None]
        pair.append(Showers(energies, voxels, geometry=PHOTONS))
    found = challenge_separations(*pair)
    names = [name for name in found if "_at_" in name]
    assert names == ["e_tot_over_e_inc_at_256_MeV", "e_tot_over_e_inc_at_4096_MeV"]
    same, other = (found[name] for name in names)
    assert same.value < same.floor + 4 * same.floor_std
    assert other.value > 0.9  # 2 % are two bins of a hundredth


def test_weights_make_two_different_samples_one() -> None:
    """A sample whose low energies are drawn too often agrees with the reference by its weights, and only by them."""
    rng = np.random.default_rng(5)
    reference, wrong = toy_showers(3000, seed=1), toy_showers(6000, seed=2)
    kept = rng.random(6000) < np.where(wrong.energies < 50, 1.0, 0.25)
    wrong = wrong[kept]
    weights = np.where(wrong.energies < 50, 1.0, 4.0) * 0.3
    weighted = replace(wrong, columns={"weight": weights})
    assert weights_of(weighted) is not None
    assert np.mean(weights_of(weighted)) == pytest.approx(1.0)  # type: ignore[arg-type]
    without, with_weights = separations(wrong, reference), separations(weighted, reference)
    for name in ("energy_total", "energy_0", "voxel_energy_1"):
        assert without[name].value > without[name].floor + 10 * without[name].floor_std, name
        one = with_weights[name]
        assert one.value < one.floor + 5 * one.floor_std, name


def test_weights_without_a_sum_are_refused() -> None:
    showers = replace(toy_showers(4), columns={"weight": np.array([1.0, -1.0, 2.0, -2.0])})
    with pytest.raises(DataError, match="positive sum of weights"):
        separations(showers, toy_showers(4, seed=1))
