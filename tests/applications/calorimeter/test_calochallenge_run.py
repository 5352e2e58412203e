"""The main job on a file of the CaloChallenge, whose cells a binning file describes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from fake_showers import RINGS, fake_showers, save_calochallenge

from hepflows import cli
from hepflows.applications.calorimeter import read_showers
from hepflows.applications.calorimeter.geometry import write_binning

TINY = [
    "model.energy_flow.blocks=1", "model.energy_flow.hidden=[8]", "model.energy_flow.training.epochs=2",
    "model.shower_flow.blocks=1", "model.shower_flow.hidden=[8]", "model.shower_flow.training.epochs=2",
    "verdict.repeats=2",
]  # fmt: skip


@pytest.fixture(autouse=True)
def single_precision() -> None:
    torch.set_default_dtype(torch.float32)


def test_the_pipeline_runs_on_a_calochallenge_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read, split, train, generate, judge and report, on rings that only a binning file knows."""
    save_calochallenge(tmp_path / "showers.hdf5", fake_showers(RINGS, 400, filled=0.8))
    write_binning(tmp_path / "binning.xml", {"electron": RINGS})
    cells = f"{tmp_path}/binning.xml:electron"
    settings = [word for setting in TINY for word in ("--set", setting)]
    arguments = ["run", str(tmp_path / "showers.hdf5"), "--out", str(tmp_path / "run"), "--geometry", cells, *settings]
    monkeypatch.setattr(sys, "argv", ["hepflows", "calorimeter", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["n_train"] == 240
    generated = read_showers(tmp_path / "run" / "generated.hdf5")  # which says what its cells are
    assert (len(generated), generated.geometry) == (400, RINGS)
    with h5py.File(tmp_path / "run" / "generated.hdf5") as file:
        assert {"incident_energies", "showers"} <= set(file)
    np.testing.assert_array_equal(read_showers(tmp_path / "run" / "generated.root").voxels, generated.voxels)
