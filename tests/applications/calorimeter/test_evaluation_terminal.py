"""What `evaluate` and `timing` print."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import calorimeter as command
from command_line import help_without_torch
from fake_showers import fake_showers

from hepflows.applications.calorimeter import GEOMETRIES, report, write_showers
from hepflows.applications.calorimeter.evaluation import timing
from hepflows.metrics import PROTOCOLS

QUICK = replace(PROTOCOLS["standardised"], name="quick", hidden=(32, 32), epochs=8, batch_size=64)


def test_the_terminal_says_what_to_know_before_quoting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model's showers as the reference, pi+ by the fast engine, other energies, few events, own numbers beside published ones."""
    monkeypatch.setitem(PROTOCOLS, "caloflow", replace(QUICK, name="caloflow", inputs="raw"))
    monkeypatch.setattr(report, "_write_images", lambda *anything: None)
    monkeypatch.setattr(report, "_write_distributions", lambda *anything: None)
    monkeypatch.chdir(tmp_path)
    pions = {"particle": "piplus (PDG 211)", "engine": "hepflows, parametrised after hep-ex/0001020"}
    model = {"training_particle": "piplus (PDG 211)", "engine": "hepflows 0.1.0.dev0 CaloFlow teacher"}
    whole, truth = (fake_showers(GEOMETRIES["calogan"], 300, seed=seed) for seed in (1, 2))
    half = replace(whole, energies=0.5 * whole.energies, voxels=0.5 * whole.voxels, attributes=pions)
    write_showers("low.hdf5", half)
    write_showers("truth.hdf5", replace(truth, attributes=model))
    options = ["--out", "out", "--repeats", "2", "--protocol", "caloflow"]
    assert command(monkeypatch, "evaluate", "low.hdf5", "truth.hdf5", *options) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    for start in (
        "The reference is generated. The file of reference says that a model made it (hepflows 0.1.0.dev0 CaloFlow teacher).",
        "The incident energies differ. generated has other incident energies than reference (0.",
        "Small sample. An AUC counts with 20,000 showers a class or more to train, select and score; here there are 300.",
        "generated: pi+ showers of this simulation are approximate: a parametrised shower, no Geant4, and crude for hadrons.",
    ):
        assert sum(line.startswith(start) for line in lines) == 1, start
    published = out[out.index("CaloGAN data, pi+") :]
    assert re.search(r"^generated \(here\) +0\.\d+ ± 0\.\d+$", published, re.MULTILINE)
    assert re.search(r"^CaloFlow v1 teacher +0\.649$", published, re.MULTILINE)


def test_published_times_stand_beside_measured_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {"batches": [], "cpu": "abacus", "threads": 1, "parameters": 7, "geometry": "CaloChallenge 2"}
    monkeypatch.setattr(timing, "time_model", lambda *_, **__: found)
    assert command(monkeypatch, "timing", tmp_path) == 0
    out = capsys.readouterr().out
    assert "CaloChallenge 2: published milliseconds a shower by size of the batch, as context; unknown hardware" in out
    assert re.search(r"^CaloINN +2\.71e\+8 +387\.7 +59\.71 +46\.18 +53\.40 +1\.18 +0\.65$", out, re.MULTILINE)
    monkeypatch.setattr(timing, "time_model", lambda *_, **__: {**found, "geometry": "CaloGAN"})
    assert command(monkeypatch, "timing", tmp_path) == 0
    assert "milliseconds" not in capsys.readouterr().out


def test_the_help_knows_all_protocols_and_what_is_replaced() -> None:
    words = re.findall(r"[\w-]+", help_without_torch("calorimeter", "evaluate"))
    assert set(PROTOCOLS) <= set(words)
    assert "replaced" in words
    assert "blocks of 1,000" in " ".join(help_without_torch("calorimeter", "timing").replace("│", " ").split())
