"""A run that is killed in the middle goes on, in a new process, to what an undisturbed one gives; and a run repeats exactly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from anomaly_command import search

from hepflows.applications.anomaly import FastModel
from hepflows.io.columns import write_columns

SMALL = (
    "--set",
    "verdict.toys=10",
    "--set",
    "verdict.closure_events=200",
    "--set",
    "classifier.members=1",
    "--threads",
    1,
)


def command(*arguments: object) -> list[str]:
    # without the report, which takes longest and depends on nothing that is lost
    code = "from hepflows.applications.anomaly import pipeline; pipeline.write_report = lambda *_, **__: None; "
    code += "from hepflows import cli; from hepflows.applications.anomaly.cli import app; cli._mount = lambda: None; "
    code += "cli.app.registered_groups = []; cli.app.add_typer(app, name='anomaly'); cli.main()"
    return [sys.executable, "-c", code, "anomaly", *map(str, arguments)]


def results(out: Path) -> tuple[np.ndarray, dict]:
    metrics = json.loads((out / "metrics.json").read_text())
    del metrics["train_seconds"]
    with h5py.File(out / "scores.hdf5") as file:
        return file["score"][:], metrics


@pytest.mark.slow
def test_a_killed_run_goes_on_and_a_run_repeats_exactly(tmp_path: Path) -> None:
    events = FastModel().generate(2000, signal=100, seed=4)
    columns = {"mJJ": events.resonance, "label": events.label, **{name: events.column(name) for name in events.names}}
    path = tmp_path / "events.hdf5"
    write_columns(path, iter([columns]))
    subprocess.run(command(*search(path, tmp_path / "whole", *SMALL)), check=True, capture_output=True)
    scores, metrics = results(tmp_path / "whole")
    out = tmp_path / "killed"
    with subprocess.Popen(command(*search(path, out, *SMALL)), stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
        while (
            not (out / "checkpoint_fold0.safetensors").exists()
            and process.poll() is None
            and time.monotonic() < deadline
        ):
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (out / "metrics.json").exists()
    kept = (out / "checkpoint_fold0.safetensors").stat().st_mtime_ns
    subprocess.run(command(*search(path, out, *SMALL, "--resume")), check=True, capture_output=True)
    scores_after, metrics_after = results(out)
    np.testing.assert_array_equal(scores, scores_after)
    assert metrics == metrics_after
    assert kept < (out / "scores.hdf5").stat().st_mtime_ns
    # and another process repeats it all from the seed
    subprocess.run(command(*search(path, out, *SMALL, "--overwrite")), check=True, capture_output=True)
    np.testing.assert_array_equal(results(out)[0], scores)
