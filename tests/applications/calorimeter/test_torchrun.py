"""`calorimeter train` in two processes writes the run that one process writes; the other commands refuse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toy_calorimeter import toy_showers

from hepflows import cli, console
from hepflows.applications.calorimeter import write_showers
from hepflows.errors import ConfigError
from hepflows.training.runs import RunFolder

PATIENCE = 300  # seconds: a process that waits for ever fails the test, a busy machine does not
PATHS = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
SETTINGS = [
    "model.precision=float64",
    "model.energy_flow.blocks=1", "model.energy_flow.hidden=[8]", "model.energy_flow.training.epochs=3",
    "model.shower_flow.blocks=1", "model.shower_flow.hidden=[8]", "model.shower_flow.training.epochs=4",
    "model.shower_flow.dropout=0.0", "model.shower_flow.training.average=0.9",
]  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    showers = toy_showers(301)
    write_showers(tmp_path / "showers.hdf5", showers)
    return tmp_path / "showers.hdf5"


def command(name: str, *arguments: object, settings: list[str] = SETTINGS, processes: int = 2) -> list[str]:
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    options = [part for setting in settings for part in ("--set", setting)]
    python = [sys.executable, *(several if processes > 1 else []), "-m", "hepflows.cli"]
    return [*python, "calorimeter", name, *map(str, arguments), *options]


def call(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, env=PATHS)


def same_model(one: Path, other: Path, tolerance: float) -> None:
    left, right = (load_file(folder / "model.safetensors") for folder in (one, other))
    for name, value in left.items():
        torch.testing.assert_close(right[name], value, rtol=tolerance, atol=tolerance)


@pytest.mark.slow
def test_two_processes_train_the_model_of_one(file: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    alone = call(command("train", file, "--out", one, processes=1))
    assert alone.returncode == 0, alone.stderr
    done = call(command("train", file, "--out", two))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("next: hepflows calorimeter sample") == 1  # one process speaks
    assert {path.name for path in two.iterdir()} == {path.name for path in one.iterdir()}
    assert json.loads((two / "manifest.json").read_text())["processes"] == 2
    same_model(one, two, 1e-9)
    again = call(command("train", file, "--out", two))
    assert again.returncode != 0
    assert again.stderr.count("already holds a run; add --resume") == 1


@pytest.mark.slow
def test_ctrl_c_leaves_a_run_that_goes_on(file: Path, tmp_path: Path) -> None:
    longer = [*SETTINGS, "model.shower_flow.training.epochs=150"]
    one, two = tmp_path / "one", tmp_path / "two"
    words = command("train", file, "--out", two, "--resume", settings=longer)
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=PATHS) as started:
        until = time.monotonic() + PATIENCE
        while not (two / "checkpoint_energy_flow.safetensors").exists() and time.monotonic() < until:
            time.sleep(0.05)
        started.send_signal(signal.SIGINT)
        _, said = started.communicate(timeout=PATIENCE)
    assert started.returncode != 0
    assert said.count("repeat the command with --resume") == 1
    assert not (two / "model.safetensors").exists()
    resumed = call(words)
    assert resumed.returncode == 0, resumed.stderr
    whole = call(command("train", file, "--out", one, settings=longer))
    assert whole.returncode == 0, whole.stderr
    same_model(
        one, two, 0.0
    )  # as many processes give the same bits; so long a training amplifies the rounding of other sums


@pytest.mark.parametrize("rank", [0, 1])
def test_other_commands_refuse(rank: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in {"RANK": rank, "WORLD_SIZE": 4, "MASTER_ADDR": "localhost", "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("hepflows.cli._PATIENCE", 0.0)
    for output in (console.console, console.errors):  # as they were, afterwards
        monkeypatch.setattr(output, "quiet", False)
    monkeypatch.setattr(sys, "argv", ["hepflows", "calorimeter", "run", "x.hdf5", "--out", "y"])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    said = capsys.readouterr().err
    assert ("calorimeter run was started in 4 processes, and only train" in said) == (rank == 0)


def test_a_process_joins_only_the_run_of_the_first(tmp_path: Path) -> None:
    identity = {"config": {"a": 1}, "seed": 1}
    with pytest.raises(ConfigError, match="not every process sees the run"):
        RunFolder.joined(tmp_path / "run", identity)
    first = RunFolder(tmp_path / "run", identity)
    before = {path.name: path.stat().st_mtime_ns for path in first.path.iterdir()}
    assert RunFolder.joined(tmp_path / "run", identity).manifest == first.manifest
    with pytest.raises(ConfigError, match="another seed"):
        RunFolder.joined(tmp_path / "run", {**identity, "seed": 2})
    assert before == {path.name: path.stat().st_mtime_ns for path in first.path.iterdir()}
