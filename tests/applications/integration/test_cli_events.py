"""Events of processes from the command line: momenta, weights and partons in HDF5 and Les Houches files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from command_line import integration as run

from hepflows.applications.integration.event_files import read_events


def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def test_three_jets_as_les_houches_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    arguments = ["--builtin", "ee3j", "--neval", "2e4", "--events", 300, "--overweight", "0.01"]
    formats = [word for one in ("lhe", "lhe.gz", "hdf5") for word in ("--format", one)]
    assert run(monkeypatch, "run", *arguments, *formats, "--out", tmp_path / "run") == 0
    assert "truth 16.71534237, pull" in capsys.readouterr().out
    found = result(tmp_path / "run")
    assert found["pull"] == pytest.approx((found["mean"] - found["truth"]) / found["sdev"])
    assert abs(found["pull"]) < 5
    text = (tmp_path / "run" / "events.lhe").read_text()
    beams, total = text.split("<init>\n")[1].split("\n")[:2]
    assert float(total.split()[0]) == pytest.approx(found["mean"], rel=1e-12)
    assert float(total.split()[1]) == pytest.approx(found["sdev"], rel=1e-12)
    events = [block.split("</event>")[0].splitlines() for block in text.split("<event>\n")[1:]]
    assert len(events) == 300
    rows = np.array([[line.split() for line in event[1:6]] for event in events], dtype=float)
    momenta = rows[:, :, 6:10]
    assert np.abs(momenta[:, :2].sum(1) - momenta[:, 2:].sum(1)).max() < 1e-9
    assert set(rows[0, :, 0]) == {11, -11, 1, -1, 21}
    weights = np.array([float(event[0].split()[2]) for event in events])
    if int(beams.split()[-2]) == 3:
        assert set(weights) == {1.0}
    else:
        assert weights.mean() == pytest.approx(found["mean"])
    columns = read_events(tmp_path / "run" / "events.hdf5")
    np.testing.assert_allclose(columns.momenta[:, 0, 1:], momenta[:, 2, :3], rtol=1e-12, atol=1e-12)
    assert {f"x_{i}" for i in range(5)} == set(columns.columns)


def test_weighted_events_of_protons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--builtin", "drell_yan", "--neval", "2e4", "--events", 1000, "--weighted", "--out", tmp_path / "run"]
    assert run(monkeypatch, "run", *arguments, "--format", "lhe", "--format", "hdf5") == 0
    found = result(tmp_path / "run")
    events = read_events(tmp_path / "run" / "events.hdf5")
    assert len(events) == found["events"]["files"]["events.hdf5"] <= 1000
    error = math.sqrt(np.square(events.weight).sum()) / len(events)
    assert abs(events.weight.mean() - found["truth"]) < 5 * error
    text = (tmp_path / "run" / "events.lhe").read_text()
    head = text.split("<init>\n")[1].split()
    assert head[:2] == ["2212", "2212"]
    assert head[8] == "-4"  # weights in units of the cross section
    blocks = [block.splitlines() for block in text.split("<event>\n")[1:]]
    assert np.mean([float(block[0].split()[2]) for block in blocks]) == pytest.approx(found["mean"])
    partons = {int(block[1].split()[0]) for block in blocks}
    assert partons <= {1, 2, -1, -2}
    assert len(partons) > 1
