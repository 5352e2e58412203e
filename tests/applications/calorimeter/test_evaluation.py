"""Suites on showers whose relation is known, with weights and without."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_showers import fake_showers
from toy_calorimeter import toy_showers

from hepflows.applications.calorimeter import GEOMETRIES, Showers, read_showers
from hepflows.applications.calorimeter.evaluation.context import published_context
from hepflows.applications.calorimeter.evaluation.suites import Pair, classifiers, measure
from hepflows.errors import ConfigError
from hepflows.metrics import PROTOCOLS

ROOT = Path(__file__).parents[3]
DATA = ROOT / "data" / "calorimeter" / "eplus.hdf5"
QUICK = replace(PROTOCOLS["standardised"], name="quick", hidden=(32, 32), epochs=8, batch_size=64)


def hotter(showers: Showers, factor: float) -> Showers:
    return replace(showers, voxels=showers.voxels * factor)


@pytest.fixture(scope="module")
def geant4() -> Showers:
    showers = read_showers(DATA)
    return showers[np.random.default_rng(3).permutation(len(showers))[:1800]]


def test_two_halves_of_geant4_agree_and_a_shifted_half_does_not(geant4: Showers) -> None:
    """Every metric but the classifiers, on real showers."""
    samples = {"same": geant4[:900], "hot": hotter(geant4[:900], 1.05)}
    found: dict[str, dict[str, Any]] = {}
    for name, generated in samples.items():
        pair = Pair.of(generated, geant4[900:], "standard", 1)
        found[name] = measure(pair, protocols=[QUICK], repeats=2, seed=1)[0]
    same, hot = found["same"], found["hot"]
    pulls = [
        (same["separation"][name] - same["separation_floor"][name]) / same["separation_floor_std"][name]
        for name in same["separation"]
    ]
    assert np.abs(pulls).max() < 6  # the largest of 33 correlated ones
    assert abs(np.median(pulls)) < 1
    for name in ("fpd", "kpd"):
        assert abs(same[name]["unbiased"]) < 4 * same[name]["unbiased_error"], name
    for kind in ("prdc_low", "prdc_high"):
        one = same[kind]
        assert (one["n_generated"], one["n_reference"], one["floor"]["n_reference"]) == (900, 900, 450)
        assert abs(one["density"] - 1) < 5 * one["density_error"]
        # the coverage of a perfect generator is known: 1 - prod (n - i) / (n + m - i) = 0.969 for k = 5
        assert abs(one["coverage"] - 0.969) < 5 * one["coverage_error"]
    assert abs(same["auc"] - 0.5) < 4 * same["auc_std"]
    assert hot["separation"]["e_tot_over_e_inc"] > 0.9
    assert hot["separation"]["sparsity_0"] == same["separation"]["sparsity_0"]  # a factor empties no voxel
    assert hot["fpd"]["n_generated"] == 900
    assert same["skipped"] == hot["skipped"] == {}


def test_a_longer_sorted_reference_has_figures_at_their_floors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A perfect generator against more showers, in the order of their energies, with a limit on precision and recall and without."""
    generated, reference = toy_showers(400, seed=1), toy_showers(1200, seed=2)
    pair = Pair.of(generated, reference[np.argsort(reference.energies)], "standard", 1)
    for limit in (10_000, 300):
        monkeypatch.setattr("hepflows.applications.calorimeter.evaluation.suites.PRDC_EVENTS", limit)
        found = measure(pair, protocols=[], seed=1)[0]
        for kind in ("prdc_low", "prdc_high"):
            one, floor = found[kind], found[kind]["floor"]
            assert {part[name] for part in (one, floor) for name in ("n_generated", "n_reference")} == {min(limit, 400)}
            for name in ("precision", "recall", "density", "coverage"):
                spread = np.hypot(one[f"{name}_error"], floor[f"{name}_error"])
                assert abs(one[name] - floor[name]) < 4 * spread + 0.01, (kind, name)
    assert found["fpd"]["floor"]["count_factor"] == pytest.approx((1 / 400 + 1 / 1200) / (2 / 600))
    for name in ("fpd", "kpd"):
        one, floor = found[name], found[name]["floor"]
        assert abs(one["value"] - floor["value"]) < 4 * np.hypot(one["error"], floor["error"]), name


@pytest.mark.slow
def test_the_classifiers_of_both_protocols_find_the_shift(geant4: Showers) -> None:
    small = {name: replace(PROTOCOLS[name], hidden=(128, 128)) for name in ("standardised", "calochallenge")}
    for factor in (1.0, 1.05):
        pair = Pair.of(hotter(geant4[:900], factor), geant4[900:], "standard", 1)
        found = measure(pair, protocols=list(small.values()), repeats=2, seed=1)[0]
        assert list(found["classifiers"]) == ["standardised", "calochallenge"]
        assert found["auc"] == found["classifiers"]["standardised"]["auc"]
        assert [one["features"] for one in found["classifiers"].values()] == ["both", "calochallenge-low"]
        if factor == 1.0:
            for one in found["classifiers"].values():
                assert abs(one["auc"] - one["auc_floor"]) < 4 * np.hypot(one["auc_std"], one["auc_floor_std"])
        else:
            assert found["auc"] > 0.9


def test_suites_ask_for_what_they_say() -> None:
    toy, electrons = toy_showers(2), fake_showers(GEOMETRIES["calochallenge-2"], 1)
    assert classifiers("quick", ["caloflow"], toy) == {}
    assert list(classifiers("standard", ["caloflow", "standardised"], toy)) == ["caloflow", "standardised"]
    full = classifiers("full", ["caloflow"], electrons)
    widths = {name: (rules.hidden[:1], features) for name, (rules, features) in full.items()}
    assert widths == {
        "caloflow": ((512,), "voxels"),
        "calochallenge_low": ((2048,), "calochallenge-low"),
        "calochallenge_high": ((2048,), "calochallenge-high"),
        "calochallenge_normalised": ((2048,), "calochallenge-normalised"),
        "calochallenge-512_low": ((512,), "calochallenge-low"),
        "calochallenge-512_high": ((512,), "calochallenge-high"),
        "calochallenge-resnet-ds2": ((), "calochallenge-low"),
    }
    with pytest.raises(ConfigError, match="'best'"):
        classifiers("quick", ["best"], toy)


def test_a_seed_repeats_a_suite_and_progress_only_grows() -> None:
    pair = Pair.of(toy_showers(300, seed=1), toy_showers(300, seed=2), "standard", 4)
    steps: list[tuple[int, int]] = []

    def note(done: int, total: int, text: str) -> None:
        steps.append((done, total))

    one = measure(pair, protocols=[QUICK], repeats=2, seed=4, progress=note)
    two = measure(pair, protocols=[QUICK], repeats=2, seed=4)
    assert json.dumps(one[0]) == json.dumps(two[0])
    assert len({total for _, total in steps}) == 1
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert steps[-1][0] == steps[-1][1]


def test_metrics_that_need_more_events_are_named_with_the_reason() -> None:
    pair = Pair.of(toy_showers(60, seed=1), toy_showers(110, seed=2), "standard", 1)
    found, _ = measure(pair, protocols=[QUICK], repeats=2, seed=1)
    assert found["fpd"] is None
    assert found["kpd"] is None
    assert "needs about" in found["skipped"]["fpd"]
    assert found["prdc_high"]["floor"]["n_generated"] == 55
    assert found["auc"] is not None


def test_every_key_of_distances_and_every_name_of_a_classifier_is_documented() -> None:
    section = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8").split("(names-of-classifiers)=")[1]
    names, keys = section.split("(timing-json)=")[0].split("(distances-json)=")
    documented = {
        key for row in re.findall(r"^\| (`.*?) \|", keys, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)
    }
    pair = Pair.of(toy_showers(700, seed=1), toy_showers(700, seed=2), "standard", 1)
    found = measure(pair, protocols=[], seed=1)[0]
    for name in ("fpd", "kpd", "prdc_low", "prdc_high"):
        wanted = {key.removesuffix("_error") if name.startswith("prdc") else key for key in found[name]} - {"floor"}
        assert wanted <= documented, (name, wanted - documented)
        assert set(found[name]["floor"]) == set(found[name]) - {"floor"}
    for dataset in ("calochallenge-2", "calochallenge-3"):
        showers = fake_showers(GEOMETRIES[dataset], 1)
        assert set(classifiers("full", ["calochallenge", "standardised"], showers)) <= set(
            re.findall(r"`([\w-]+)`", names)
        )
    assert {key.removesuffix("_calochallenge") for key in found if key.endswith("_calochallenge")} == {
        f"separation{mean}{part}" for mean in ("", "_mean") for part in ("", "_std", "_floor", "_floor_std")
    }


def test_weights_are_used_and_said_where_not() -> None:
    """Electrons drawn too often at low energy, with the weights that undo it."""
    reference, wrong = toy_showers(900, seed=1), toy_showers(2500, seed=2)
    wrong = wrong[np.random.default_rng(0).random(2500) < np.where(wrong.energies < 50, 0.6, 0.15)]
    weighted = replace(wrong, columns={"weight": np.where(wrong.energies < 50, 1.0, 4.0)})
    results = {}
    for name, sample in (("without", wrong), ("with", weighted)):
        results[name] = measure(Pair.of(sample, reference, "standard", 1), protocols=[QUICK], repeats=2, seed=2)[0]
    assert results["without"]["auc"] > 0.6
    assert results["with"]["auc"] < results["without"]["auc"] - 0.05
    assert abs(results["with"]["auc"] - 0.5) < 4 * results["with"]["auc_std"]
    assert results["with"]["without_weights"] == ["fpd", "kpd", "prdc_low", "prdc_high"]
    assert results["without"]["without_weights"] == []
    assert results["with"]["fpd"] == results["without"]["fpd"]


@pytest.mark.parametrize(
    ("dataset", "published"),
    [
        ("calochallenge-1-photons", {"AUC low", "AUC high", "precision", "recall", "density", "coverage"}),
        pytest.param("calochallenge-2", {"AUC low", "AUC high", "AUC 3-D", "density"}, marks=pytest.mark.slow),
    ],
)
def test_the_full_suite_fills_the_table_of_the_challenge(
    dataset: str, published: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With networks that learn nothing in their single epoch: their numbers mean nothing, their places do."""
    for name, rules in list(PROTOCOLS.items()):
        monkeypatch.setitem(PROTOCOLS, name, replace(rules, epochs=1, hidden=(4,) if rules.hidden else ()))
    pair = Pair.of(*(fake_showers(GEOMETRIES[dataset], 110, seed=seed) for seed in (1, 2)), "full", 1)
    found, curves = measure(pair, suite="full", repeats=2, seed=1)
    assert set(curves) == {"generated", "floor", "power check"}
    assert found["auc"] == found["classifiers"]["standardised"]["auc"]
    assert all(one["auc_floor"] is not None for one in found["classifiers"].values())
    assert len({json.dumps(one["aucs"]) for one in found["classifiers"].values()}) == len(found["classifiers"])
    assert found["separation_calochallenge"]["e_tot_over_e_inc"] >= 0
    table = published_context(dataset.replace("-", "_"), {"mine": found})
    assert table is not None
    own = dict(zip(table.header, table.own[0], strict=True))
    assert {name for name in published if own[name] != "–"} == published
