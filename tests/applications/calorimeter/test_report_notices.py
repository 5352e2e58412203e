"""What must be said before a number is quoted: of few events, approximate samples, other energies, a reference that is a model's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_calorimeter import toy_showers

from hepflows.applications.calorimeter import Showers, read_showers
from hepflows.applications.calorimeter.report_notices import Notice, all_notices
from hepflows.applications.calorimeter.report_text import summary
from hepflows.applications.calorimeter.simulate import Gun, Spread, load_detector, particle_pdg, simulate_showers
from hepflows.applications.calorimeter.simulate.tables import APPROXIMATIONS, TABLES_VERSION

TABLES = f"synthesised ({TABLES_VERSION}), not official G4EMLOW: {'; '.join(APPROXIMATIONS)}"


def counts(train: int, select: int, score: int) -> dict[str, Any]:
    numbers = {"n_classifier_train": train, "n_classifier_select": select, "n_classifier_score": score}
    return {"auc": 0.7, "auc_std": 0.01, "power_ok": True, "classifier_repeats": 2, **numbers}


def titles(found: list[Notice]) -> list[str]:
    return [notice.title for notice in found]


def toys(n: int = 300, seed: int = 1, **attributes: str) -> Showers:
    return replace(toy_showers(n, seed), attributes=attributes)


def notices(metrics: dict[str, Any]) -> list[Notice]:
    """Those of one sample beside showers of which there is nothing to say."""
    return all_notices({"flow": metrics}, {"Geant4": toys(seed=1), "flow": toys(seed=2)})


def test_what_numbers_say() -> None:
    found = notices({**counts(60_000, 20_000, 20_000), "power_ok": None, "n_shared": 3})
    assert titles(found) == ["No power check.", "Samples overlap."]
    assert notices({}) == []


@pytest.mark.parametrize(("events", "few"), [((12_000, 4_000, 4_000), False), ((12_000, 4_000, 3_999), True)])
def test_an_auc_counts_with_twenty_thousand_events_a_class_in_all(events: tuple[int, int, int], few: bool) -> None:
    metrics = counts(*events)
    assert titles(notices(metrics)) == (["Small sample."] if few else [])
    assert any(row[0] == "small sample" for row in summary(metrics)) == few


def test_every_classifier_is_counted() -> None:
    """The verdict's is large enough, another of the same run is not."""
    tests = {"standardised": counts(12_000, 4_000, 4_000), "caloflow": counts(600, 200, 200)}
    (found,) = notices({**tests["standardised"], "classifiers": tests})
    assert "there are 1,000 (flow, caloflow)." in found.text
    assert found.line == (
        "Small sample. An AUC counts with 20,000 showers a class or more to train, select and score; here there are 1,000 (flow, caloflow)."
    )


def test_samples_are_named_where_not_all_are_small() -> None:
    showers = {"Geant4": toys(seed=1), "big": toys(seed=2), "small": toys(seed=3)}
    metrics = {"big": counts(60_000, 20_000, 20_000), "small": counts(60, 20, 20)}
    (found,) = all_notices(metrics, showers)
    assert "here there are 100 (small)." in found.text
    (found,) = all_notices(dict.fromkeys(metrics, counts(60, 20, 20)), showers)
    assert "here there are 100." in found.text
    (found,) = all_notices({"big": counts(600, 200, 200), "small": counts(60, 20, 20)}, showers)
    assert "here there are 1,000 (big), 100 (small)." in found.text
    overlap = all_notices({"big": {}, "small": {"n_shared": 3}}, showers)
    assert titles(overlap) == ["small: Samples overlap."]


@pytest.mark.parametrize(
    ("particle", "first"),
    [
        ("piplus (PDG 211)", "pi+ showers of this simulation are approximate: hadronic cross sections below 20 MeV are crude."),
        ("particle (PDG 2212)", "proton showers of this simulation are approximate: hadronic cross sections below 20 MeV are crude."),
    ],
)  # fmt: skip
def test_hadrons_of_synthesised_tables_are_approximate(particle: str, first: str) -> None:
    of_file = {"engine": "Geant4 11.4.0 (calzone 1.2.2)", "particle": particle, "data_tables": TABLES}
    generated = {"engine": "hepflows 0 CaloFlow teacher", "training_particle": particle, "data_tables": TABLES}
    (found,) = all_notices({}, {"Geant4": toys(seed=1, **of_file), "flow": toys(seed=2, **generated)})
    assert (found.line, found.tone, found.loud) == (first, "warning", True)
    assert "nuclear level data absent" in found.text
    assert "never a ranking" in found.text


@pytest.mark.parametrize("particle", ["eplus (PDG -11)", "gamma (PDG 22)", "e+"])
def test_electrons_and_photons_are_told_what_concerns_them(particle: str) -> None:
    both = {name: toys(seed=seed, particle=particle, data_tables=TABLES) for seed, name in enumerate("ab")}
    (found,) = all_notices({}, both)
    assert (found.title, found.tone, found.loud) == ("About the sample.", "note", False)
    assert "Tsai" in found.text
    assert "hadron" not in found.text


@pytest.mark.parametrize(
    ("particle", "words"),
    [("piplus", "pi+ showers of this simulation are approximate:"), ("gamma", "About the sample:")],
)
def test_parametrised_showers_are_called_so(particle: str, words: str, tmp_path: Path) -> None:
    samples = {}
    for seed, name in enumerate(("reference", "generated")):
        gun = Gun(particle_pdg(particle), Spread.parse("1:100", "--energy"))
        simulate_showers(tmp_path / f"{name}.hdf5", load_detector("calogan"), gun, 20, seed=seed, engine="fast", jobs=1)
        samples[name] = read_showers(tmp_path / f"{name}.hdf5")
    (found,) = all_notices({}, samples)
    assert found.line.startswith(f"{words} a parametrised shower, no Geant4")
    assert ("hadrons" in found.text) == (particle == "piplus")
    # official data are not called approximate
    assert all_notices({}, {"reference": toys(seed=1), "generated": toys(seed=2)}) == []


def test_other_incident_energies_are_told() -> None:
    reference = toys(2000, seed=1)
    low = replace(toys(300, seed=2), energies=np.linspace(1, 50, 300))
    steep = replace(toys(300, seed=3), energies=np.geomspace(1, 100, 300))
    same = toys(300, seed=4)
    found = all_notices({}, {"Geant4": reference, "low": low, "steep": steep, "same": same})
    assert titles(found) == ["The incident energies differ."] * 2
    assert found[0].text.startswith(
        "low has other incident energies than Geant4 (1–50 GeV against 1–100 GeV), and the comparison"
    )
    assert found[1].text.startswith("steep has other incident energies than Geant4 (1–100 GeV in both)")
    assert all(notice.loud for notice in found)
    weighted = replace(low, columns={"weight": np.ones(300)})
    assert "weights are not counted" in all_notices({}, {"Geant4": reference, "low": weighted})[0].text


def test_equal_spectra_rarely_alarm() -> None:
    """Two hundred pairs of one spectrum, of which one in ten thousand would."""
    reference = toys(500, seed=0)
    assert not any(all_notices({}, {"a": reference, "b": toys(100, seed=seed)}) for seed in range(1, 201))


def test_a_generated_reference_is_told() -> None:
    model = toys(seed=1, engine="hepflows 0.1.0.dev0 CaloFlow student")
    (found,) = all_notices({}, {"reference": model, "flow": toys(seed=2)})
    assert (found.tone, found.title) == ("bad", "The reference is generated.")
    assert "(hepflows 0.1.0.dev0 CaloFlow student)" in found.line
    assert all_notices({}, {"reference": toys(seed=2), "flow": model}) == []
    # a file made of several
    mixed = toys(seed=1, engine="Geant4 11.4.0 (calzone 1.2.2) | hepflows 0.1.0.dev0 CaloFlow student")
    assert titles(all_notices({}, {"reference": mixed, "flow": toys(seed=2)})) == ["The reference is generated."]
