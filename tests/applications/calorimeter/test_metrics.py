from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from toy_calorimeter import toy_showers

from hepflows.applications.calorimeter.data import Showers, read_showers
from hepflows.applications.calorimeter.features import classifier_features, feature_scale, permuted_showers
from hepflows.applications.calorimeter.geometry import CALOGAN
from hepflows.applications.calorimeter.metrics import classifier_test, evaluate, separation_keys, separations, share_out
from hepflows.applications.calorimeter.report_text import summary
from hepflows.applications.calorimeter.shared_conditions import shared_conditions
from hepflows.errors import ConfigError, DataError
from hepflows.metrics import PROTOCOLS

QUICK = replace(PROTOCOLS["standardised"], name="quick", hidden=(64, 64), epochs=12, batch_size=64)

ROOT = Path(__file__).parents[3]
OUTSIDE = Path(os.environ.get("HEPFLOWS_THIRD_PARTY_DATA", ROOT.parent / "shared" / "data"))
PLACES = (OUTSIDE / "geant4" / "eplus.hdf5", ROOT / "data" / "calorimeter" / "eplus.hdf5")


@cache
def _all_showers() -> Showers:
    path = next((place for place in PLACES if place.exists()), None)
    if path is None:
        pytest.skip("no Geant4 showers")
    showers = read_showers(path)
    return showers[np.random.default_rng(7).permutation(len(showers))]


def geant4(n: int, block: int = 0) -> Showers:
    """The ``block``-th n showers of one random order."""
    if n * (block + 1) > len(_all_showers()):
        pytest.skip("not enough Geant4 showers")
    return _all_showers()[n * block : n * (block + 1)]


def shuffled(showers: Showers, seed: int = 0) -> Showers:
    """Each shower's voxels in random order."""
    voxels = np.random.default_rng(seed).permuted(showers.voxels, axis=1)
    return Showers(showers.energies, voxels, showers.overflow, showers.geometry)


def noisy(showers: Showers, width: float, seed: int = 0) -> Showers:
    noise = np.exp(width * np.random.default_rng(seed).standard_normal(showers.voxels.shape) - width**2 / 2)
    return Showers(showers.energies, showers.voxels * noise, showers.overflow, showers.geometry)


def test_caloflow_features() -> None:
    voxels = np.zeros((2, 504))
    voxels[0, [0, 288, 432]] = [1e3, 1e4, 1e5]  # 1, 10 and 100 GeV
    found = classifier_features(Showers(np.array([1.0, 100.0]), voxels, np.zeros((2, 3))), "voxels")
    assert found.shape == (2, 508)
    assert found[0, [0, 288, 432]] == pytest.approx([0.01, 0.1, 1.0])
    assert found[:, 504].tolist() == [-1.0, 1.0]
    assert found[0, 505:] == pytest.approx([0.0, 1.0, 2.0], abs=1e-5)
    assert found[1, 505:] == pytest.approx([-6.0, -6.0, -6.0])  # an empty layer: log10(1e-8) + 2


@pytest.mark.parametrize("which", ["voxels", "observables", "both"])
def test_features_are_finite_for_any_shower_and_geometry(which: str) -> None:
    showers = toy_showers(30)
    showers.voxels[0] = 0.0
    found = classifier_features(showers, which)  # type: ignore[arg-type]
    assert np.isfinite(found).all()
    assert found.dtype == np.float32
    scale = feature_scale(showers.geometry, which)  # type: ignore[arg-type]
    if which == "both":
        assert scale is not None
        assert scale.shape == (found.shape[1],)
        assert np.sum(scale[:12] ** 2) == pytest.approx(1.0)  # all voxels together weigh as much as one observable
        assert set(scale[12:]) == {1.0}
    else:
        assert scale is None


def two_species(n: int, seed: int, *, swapped: bool = False) -> Showers:
    """Photons begin late, positrons early; swapped, each has the label of the other."""
    showers, rng = toy_showers(n, seed), np.random.default_rng(seed)
    pdg = rng.choice([22.0, -11.0], n)
    voxels = np.where((pdg == 22.0)[:, None], showers.voxels[:, ::-1], showers.voxels)
    return replace(showers, voxels=voxels, columns={"pdg": np.where(swapped, 11.0 - pdg, pdg)})


def test_particles_with_the_labels_of_others_are_seen() -> None:
    truth = two_species(1000, 1)
    options = {"protocol": QUICK, "repeats": 2, "floor": False, "seed": 1}
    right, wrong = two_species(1000, 2), two_species(1000, 2, swapped=True)
    assert abs(classifier_test(right, truth, **options).test.auc - 0.5) < 0.1
    assert classifier_test(wrong, truth, **options).test.auc > 0.9
    blind = [replace(one, columns={}) for one in (wrong, truth)]
    assert abs(classifier_test(*blind, **options).test.auc - 0.5) < 0.1


def test_conditions_that_are_not_shared_or_never_vary_are_not_seen() -> None:
    mixed, plain = two_species(10, 1), toy_showers(10, 2)
    photons = mixed[mixed.columns["pdg"] == 22.0]
    assert shared_conditions(mixed, plain) is None
    assert shared_conditions(photons, photons) is None
    told = replace(plain, attributes={"particle": "gamma (PDG 22)"})
    found = shared_conditions(mixed, told)
    assert found is not None
    assert found.species == [-11, 22]
    assert classifier_features(told, "both", found).shape == (10, classifier_features(told, "both").shape[1] + 2)


def test_unknown_features_are_refused() -> None:
    with pytest.raises(ConfigError, match="choose one of voxels, observables, both"):
        classifier_features(toy_showers(2), "images")  # type: ignore[arg-type]


def test_permuted_showers_keep_every_voxel_and_lose_the_shower() -> None:
    showers = toy_showers(1000)
    wrong = permuted_showers(showers, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(wrong.voxels, axis=0), np.sort(showers.voxels, axis=0))
    np.testing.assert_array_equal(wrong.energies, showers.energies)
    response = [one.layer_energies.sum(axis=1) / (1e3 * one.energies) for one in (showers, wrong)]
    assert response[0].max() < 1.0
    assert response[1].std() > 3 * response[0].std()
    assert abs(response[1].mean() - response[0].mean()) < 0.05  # permuted among showers of similar energy only


def test_showers_that_stand_in_both_samples_are_dealt_out() -> None:
    showers = toy_showers(100)
    low = Showers(showers.energies, showers.voxels.astype(np.float32), showers.overflow, showers.geometry)
    generated, reference, shared = share_out(showers[:60], low[20:], seed=1)
    assert shared == 40
    assert len(generated) + len(reference) == 100
    assert len(generated) == 40
    both = np.sort(np.r_[generated.energies, reference.energies])
    np.testing.assert_array_equal(both, np.sort(showers.energies))
    apart = share_out(showers[:50], showers[50:])
    assert (len(apart[0]), len(apart[1]), apart[2]) == (50, 50, 0)
    with pytest.raises(DataError, match="different geometries, 'toy' and 'CaloGAN'"):
        share_out(showers, Showers(np.ones(1), np.zeros((1, 504)), np.zeros((1, 3))))


def test_copies_of_a_shower_are_dealt_out_together() -> None:
    """Every shower twice in one sample: none may be left in both, and nothing else may go."""
    showers, others = toy_showers(100), toy_showers(30, seed=1)
    twice = Showers.concatenate([showers, showers, others])
    for swap in (False, True):
        pair = (twice, showers) if swap else (showers, twice)
        *parts, shared = share_out(*pair, seed=3)
        energies = [set(part.energies.tolist()) for part in parts]
        assert shared == 100
        assert not energies[0] & energies[1]
        assert energies[0] | energies[1] == {*showers.energies.tolist(), *others.energies.tolist()}
        single, double = reversed(parts) if swap else parts
        assert (len(single), len(double)) == (50, 2 * 50 + 30)


def test_a_sample_against_itself_shows_nothing() -> None:
    showers = toy_showers(300)
    metrics, _ = evaluate(showers, showers, protocol=QUICK, repeats=2)
    assert metrics["n_shared"] == 300
    assert metrics["n_classifier_train"] == 90  # 60 % of one half
    assert abs(metrics["auc"] - 0.5) < 3 * metrics["auc_std"]
    assert ("in both files", "300") in [row[:2] for row in summary(metrics)]


def test_separations_find_what_was_changed_and_nothing_else() -> None:
    reference, generated = toy_showers(1500, seed=1), toy_showers(1500, seed=2, tilt=1.0)  # more in x < 0 of layer 0
    found = separations(generated, reference)
    assert {"energy_0", "sparsity_1", "voxel_energy_0", "width_y_1"} <= set(found)
    one = found["centroid_x_0"]
    assert one.value > one.floor + 20 * one.floor_std
    for name in ("energy_0", "energy_1", "centroid_x_1", "sparsity_1", "voxel_energy_1", "e_tot_over_e_inc"):
        assert abs(found[name].value - found[name].floor) < 4 * found[name].floor_std, name
    keys = separation_keys(found)
    assert {key for key in keys if "mean" not in key} == {
        f"separation{part}" for part in ("", "_std", "_floor", "_floor_std")
    }
    assert all(set(keys[key]) == set(found) for key in ("separation", "separation_std"))  # type: ignore[arg-type]
    assert keys["separation_mean"] == pytest.approx(np.mean([each.value for each in found.values()]))
    assert 0 < keys["separation_mean_std"] < 0.1 * keys["separation_mean"]  # type: ignore[operator]
    assert 0 < keys["separation_mean_floor_std"] < keys["separation_mean_floor"]  # type: ignore[operator]


def test_empty_layers_do_not_distort_separations() -> None:
    reference, generated = toy_showers(800, seed=1), toy_showers(800, seed=2)
    generated.voxels[:400, 6:] = 0.0  # half of the second layers
    found = separations(generated, reference)
    for name in ("centroid_x_1", "width_y_1", "energy_ratio_1"):
        assert abs(found[name].value - found[name].floor) < 4 * found[name].floor_std, name
    assert found["sparsity_1"].value > 0.2
    assert found["energy_1"].value > 0.2


def test_evaluate_gives_everything_for_the_report() -> None:
    steps: list[int] = []
    reference = toy_showers(150, seed=1)
    generated = shuffled(toy_showers(160, seed=2))
    metrics, curves = evaluate(
        generated,
        reference,
        floor_reference=toy_showers(200, seed=3),
        protocol=QUICK,
        repeats=2,
        seed=4,
        progress=lambda done, total, text: steps.append(total - done),
    )
    assert steps == list(range(QUICK.epochs * 5 - 1, -1, -1))
    metrics = json.loads(json.dumps(metrics, allow_nan=False))
    assert (metrics["n_generated"], metrics["n_reference"], metrics["n_shared"]) == (160, 150, 0)
    assert metrics["n_classifier_floor"] == [metrics[f"n_classifier_{part}"] for part in ("train", "select", "score")]
    assert set(metrics["separation"]) == set(metrics["separation_floor"]) == set(metrics["separation_floor_std"])
    assert set(curves) == {"generated", "floor", "power check"}
    assert metrics["auc"] > 0.7
    for false, true in curves.values():
        assert false.shape == true.shape
        assert np.all(np.diff(true) >= 0)
    rows = summary({**metrics, "train_seconds": 12.3, "n_train": 77, "ms_per_shower": 1.5})
    assert rows[0][0] == "AUC"
    assert "90 + 30 + 30 a class" in rows[0][2]
    assert ("training", "12 s", "77 showers") in rows
    assert ("generation", "1.5 ms", "a shower") in rows
    assert sum(row[0].startswith("separation ") for row in rows) == 3


def test_a_seed_repeats_the_verdict() -> None:
    samples = toy_showers(120, seed=1), toy_showers(120, seed=2)
    one, two, other = (evaluate(*samples, protocol=QUICK, repeats=1, seed=seed)[0] for seed in (1, 1, 2))
    assert one == two
    assert one["auc"] != other["auc"]


def test_geant4_against_geant4_shows_nothing() -> None:
    found = classifier_test(geant4(600), geant4(600, 1), repeats=2, seed=3, floor=False)
    assert abs(found.auc - 0.5) < 3 * found.auc_std
    # one score set of 120 showers a class has an error of sqrt(2 / (12 * 120)) = 0.037; two trainings cannot say less of it
    assert 0.01 < found.auc_std < 1.5 * 0.037
    assert found.power is not None
    assert found.power.counts[0] == 180  # and with so few events
    assert found.power_ok is True


@pytest.mark.parametrize("protocol", ["standardised", "caloflow"])
def test_shuffled_voxels_are_seen(protocol: str) -> None:
    rules = replace(PROTOCOLS[protocol], epochs=20)
    found = classifier_test(shuffled(geant4(300)), geant4(300, 1), protocol=rules, repeats=1, floor=False)
    assert found.auc > 0.95


def test_voxels_of_other_showers_are_seen() -> None:
    wrong = permuted_showers(geant4(800), np.random.default_rng(0))
    found = classifier_test(wrong, geant4(800, 1), repeats=1, floor=False)
    assert found.auc > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["standardised", "caloflow"])
def test_a_thousand_geant4_showers_by_both_protocols(protocol: str) -> None:
    found = classifier_test(geant4(1000), geant4(1000, 1), floor_reference=geant4(1000, 2), protocol=protocol, seed=3)
    for part in (found.test, found.floor):
        assert part is not None
        assert part.counts == (600, 200, 200)
        assert abs(part.auc - 0.5) < 3 * part.auc_std
        assert part.auc_std < 0.03
    again = classifier_test(shuffled(geant4(1000)), geant4(1000, 1), protocol=protocol, floor=False, repeats=1)
    assert again.auc > 0.95
    if protocol == "standardised":
        assert found.power_ok is True


@pytest.mark.slow
def test_small_differences_need_the_protocol_for_small_samples() -> None:
    generated, reference = noisy(geant4(1000), 0.2), geant4(1000, 1)
    strong, weak = (
        classifier_test(generated, reference, protocol=name, floor=False, repeats=1)
        for name in ("standardised", "caloflow")
    )
    assert strong.auc > 0.95
    assert weak.auc < 0.6  # a low AUC from a weak classifier: what the power check is for


@pytest.mark.slow
def test_geant4_separations_scatter_about_their_floor() -> None:
    found = separations(geant4(2000), geant4(2000, 1))
    pulls = np.array([(one.value - one.floor) / one.floor_std for one in found.values()])
    assert len(pulls) > 30
    assert np.abs(pulls).max() < 5
    assert abs(np.median(pulls)) < 1
    assert CALOGAN.n_layers == 3
