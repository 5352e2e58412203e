"""Integrations that are killed or shared by processes give what an undisturbed one gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shared_integration

from hepflows.applications.integration import FlowIntegrator
from hepflows.applications.integration.journal import Journal
from hepflows.errors import CheckpointError

PATHS = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


def start(*arguments: object, processes: int = 1) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), shared_integration.__file__, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=PATHS)


@pytest.fixture(scope="module")
def undisturbed() -> tuple[float, float]:
    result = FlowIntegrator([(0, 1)] * 3, seed=4)(shared_integration.f, 20_000, method="flow")
    return result.mean, result.sdev


def test_killed_and_started_again(tmp_path: Path, undisturbed: tuple[float, float]) -> None:
    journal = tmp_path / "journal"
    assert start("die", journal).returncode == -9
    with open(journal, "ab") as file:  # the last record was being written
        file.write(b"\0" * 50)
    new = []

    def counted(x: np.ndarray) -> np.ndarray:
        new.append(len(x))
        return shared_integration.f(x)

    result = FlowIntegrator([(0, 1)] * 3, seed=4)(counted, 20_000, method="flow", journal=journal)
    assert (result.mean, result.sdev) == undisturbed
    assert sum(new) < 0.95 * result.neval
    again = FlowIntegrator([(0, 1)] * 3, seed=4)(counted, 20_000, method="flow", journal=journal)
    assert again.mean == result.mean
    with pytest.raises(CheckpointError, match="no journal of this integration"):
        FlowIntegrator([(0, 1)] * 3, seed=5)(counted, 20_000, method="flow", journal=journal)


def test_a_changed_integrand_is_noticed_by_its_points(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", {"seed": 1})
    assert journal.next(np.zeros((2, 1))) is None
    journal.add(np.zeros((2, 1)), np.ones((2, 1)), 0.5)
    journal.close()
    again = Journal(tmp_path / "journal", {"seed": 1})
    with pytest.raises(CheckpointError, match="other points"):
        again.next(np.ones((2, 1)))
    again.close()


def test_two_processes_find_what_one_finds(tmp_path: Path, undisturbed: tuple[float, float]) -> None:
    done = start("share", tmp_path / "result", processes=2)
    assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        seen = json.loads((tmp_path / f"result.{rank}").read_text())
        assert (seen["mean"], seen["sdev"]) == undisturbed


def test_an_error_in_one_process_stops_all(tmp_path: Path) -> None:
    done = start("fail", tmp_path / "result", processes=2)
    assert done.returncode != 0
    assert "no value there" in done.stderr
