"""Published numbers beside one's own: which belong to a sample, and how they are printed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_showers import fake_showers
from toy_calorimeter import toy_showers

from hepflows.applications.calorimeter import GEOMETRIES, read_showers
from hepflows.applications.calorimeter.evaluation.context import published_context, published_dataset, published_times
from hepflows.applications.calorimeter.simulate import Gun, Spread, load_detector, particle_pdg, simulate_showers

PRDC = ("precision", "recall", "density", "coverage")


def test_the_published_table_that_belongs_to_a_sample() -> None:
    calogan = fake_showers(GEOMETRIES["calogan"], 2)
    assert published_dataset(calogan) is None
    assert published_dataset(calogan, "data/piplus.hdf5") == "calogan_piplus"
    assert published_dataset(replace(calogan, attributes={"particle": "e+"}), "gamma.hdf5") == "calogan_eplus"
    assert published_dataset(replace(calogan, columns={"pdg": np.array([22.0, 22.0])})) == "calogan_gamma"
    assert published_dataset(replace(calogan, columns={"pdg": np.array([22.0, 11.0])})) is None
    assert published_dataset(fake_showers(GEOMETRIES["calochallenge-3"], 1)) == "calochallenge_3"
    assert published_dataset(toy_showers(2)) is None


@pytest.mark.parametrize(
    ("text", "dataset"),
    [
        ("eplus (PDG -11)", "calogan_eplus"),
        ("gamma (PDG 22)", "calogan_gamma"),
        ("piplus (PDG 211)", "calogan_piplus"),
        ("piplus", "calogan_piplus"),
        ("photons", "calogan_gamma"),
        ("-11", "calogan_eplus"),
        ("eplus (PDG -11) | eplus (PDG -11)", "calogan_eplus"),
        ("eplus (PDG -11) | gamma (PDG 22)", None),
        ("particle (PDG 2212)", None),  # known, and not what the file's name says
        ("as it came from the beam", "calogan_piplus"),  # the file's name is left
    ],
)
def test_the_particle_of_a_file(text: str, dataset: str | None) -> None:
    calogan = replace(fake_showers(GEOMETRIES["calogan"], 2), attributes={"particle": text})
    assert published_dataset(calogan, "data/piplus.hdf5") == dataset


@pytest.mark.parametrize("particle", ["eplus", "gamma", "piplus"])
def test_the_published_table_of_simulated_showers(particle: str, tmp_path: Path) -> None:
    gun = Gun(particle_pdg(particle), Spread.parse("1:100", "--energy"))
    simulate_showers(tmp_path / "a.hdf5", load_detector("calogan"), gun, 10, engine="fast", jobs=1)
    assert published_dataset(read_showers(tmp_path / "a.hdf5"), "a.hdf5") == f"calogan_{particle}"


def test_cells_alone_make_no_published_sample() -> None:
    """Photons in the cells of the CaloChallenge's pions are none of its pions."""
    cells = fake_showers(GEOMETRIES["calochallenge-1-pions"], 2)
    assert published_dataset(replace(cells, attributes={"particle": "piplus (PDG 211)"})) == "calochallenge_1_pions"
    assert published_dataset(replace(cells, attributes={"particle": "gamma (PDG 22)"})) is None


def test_own_numbers_stand_beside_published_ones_of_the_same_protocol_only() -> None:
    mine: dict[str, Any] = {
        "suite": "full",
        "classifiers": {"standardised": {"auc": 0.9, "auc_std": 0.1}, "calochallenge_high": {"auc": 0.7, "auc_std": 0.004}},
        "fpd": {"value": 0.0031, "error": 1e-4, "scaled_down": False},
        "kpd": {"value": 0.0001, "error": 2e-4, "scaled_down": True},
        "prdc_low": dict.fromkeys(PRDC, 0.5),
    }  # fmt: skip
    found = published_context("calochallenge_1_photons", {"mine": mine})
    assert found is not None
    own = dict(zip(found.header, found.own[0], strict=True))
    assert own["AUC low"] == "–"  # another protocol
    assert own["AUC high"] == "0.700 ± 0.004"
    assert own["FPD × 10³"] == "3.10 ± 0.10"
    assert own["KPD × 10³"] == "0.10 ± 0.20 †"
    assert found.footnote == "† with fewer showers than the published scheme takes."
    assert own["recall"] == "0.500"
    teacher = next(row for row in found.published if row[0] == "CaloFlow teacher")
    assert dict(zip(found.header, teacher, strict=True))["FPD × 10³"] == "3.11 ± 0.09"
    assert "no rank" in found.caveat
    assert published_context("calogan_eplus", {"mine": {"suite": "quick"}}) is None
    assert published_context(None, {"mine": mine}) is None


def test_published_figures_keep_their_digits() -> None:
    """As they stand in the file, read by eye."""
    found = published_context("calochallenge_3", {"mine": {"suite": "standard"}})
    assert found is not None
    cells = {
        (row[0], name): cell
        for header, rows in ((found.header, found.published), found.times or ([], []))
        for row in rows
        for name, cell in zip(header, row, strict=True)
    }
    assert cells["CaloDiffusion", "recall"] == "0.090"
    assert cells["GEANT4", "KPD × 10³"] == "−0.01 ± 0.05"
    assert cells["MDMA", "AUC 3-D"] == "1.000 ± 0.000"
    assert cells["CaloClouds", "FPD × 10³"] == "948.2 ± 4.63"
    assert cells["MDMA", "parameters"] == "6.64e+4"
    assert cells["MDMA", "CPU, 1"] == "32.10"
    assert cells["MDMA", "GPU, 10,000"] == "–"
    assert ("GEANT4", "parameters") not in cells
    photons = published_context("calochallenge_1_photons", {"mine": {"suite": "standard"}})
    assert photons is not None
    assert next(row for row in photons.published if row[0] == "CaloFlow student")[6] == "0.70"
    assert published_times("calogan_eplus") is None
    assert published_times(None) is None
