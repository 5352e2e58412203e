"""The folder of a run protects what is in it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from hepflows.errors import ConfigError
from hepflows.training.loop import History
from hepflows.training.runs import RunFolder, checksum

IDENTITY = {"config": {"a": 1}, "seed": 3, "data": [{"name": "x.root", "sha256": "00"}]}


def test_a_run_is_not_overwritten_by_accident(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "one"
    RunFolder(out, IDENTITY).write_json("metrics.json", {"auc": 0.5})
    with pytest.raises(ConfigError, match=r"already holds a run; add --resume .* or --overwrite"):
        RunFolder(out, IDENTITY)
    assert (RunFolder(out, IDENTITY, resume=True) / "metrics.json").exists()
    assert not (RunFolder(out, IDENTITY, overwrite=True) / "metrics.json").exists()


@pytest.mark.parametrize(("key", "value"), [("seed", 4), ("config", {"a": 2}), ("data", [])])
def test_a_run_is_resumed_only_with_what_it_started_with(tmp_path: Path, key: str, value: object) -> None:
    RunFolder(tmp_path / "run", IDENTITY)
    with pytest.raises(ConfigError, match=f"started with another {key}"):
        RunFolder(tmp_path / "run", {**IDENTITY, key: value}, resume=True)


def test_other_peoples_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="holds files but no run"):
        RunFolder(tmp_path, IDENTITY)
    RunFolder(tmp_path, IDENTITY, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    with pytest.raises(ConfigError, match="is a file"):
        RunFolder(tmp_path / "thesis.tex", IDENTITY)


def test_manifest_history_and_numbers(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", IDENTITY)
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["identity"] == IDENTITY
    assert {"command", "started", "versions", "machine"} <= set(manifest)
    run.note(n_train=12)
    assert json.loads((run / "manifest.json").read_text())["n_train"] == 12
    run.write_json("metrics.json", {"auc": float("nan"), "list": [1.0, float("inf")]})
    assert json.loads((run / "metrics.json").read_text()) == {"auc": None, "list": [1.0, None]}
    run.write_history({"flow": History([3.0, 2.0, 1.5], [3.1, 2.2, 2.3])})
    assert run.read_history()["flow"].validation == [3.1, 2.2, 2.3]
    assert (run / "history.csv").read_text().splitlines()[2] == "flow,2,2.0,2.2,1"
    assert run.read_history()["flow"].best_epoch == 1
    run.write_history({"flow": History([3.0, 2.0, 1.5], [3.1, 2.2, 2.3], keep="last")})
    assert run.read_history()["flow"].best_epoch == 2


def test_the_time_of_a_step_that_was_interrupted_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 13.0, 100.0, 104.5])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    run = RunFolder(tmp_path / "run", IDENTITY)
    with pytest.raises(KeyboardInterrupt), run.timed("train_seconds"):
        raise KeyboardInterrupt
    with run.timed("train_seconds"):
        pass
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["train_seconds"] == 7.5


def test_checksum(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert checksum(tmp_path / "empty").startswith("e3b0c44298fc1c14")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"identity": 3}'])
def test_a_damaged_manifest_is_one_sentence(text: str, tmp_path: Path) -> None:
    RunFolder(tmp_path / "run", IDENTITY)
    (tmp_path / "run" / "manifest.json").write_text(text)
    with pytest.raises(ConfigError, match=r"manifest.json: is damaged, .*; choose another --out, or add --overwrite"):
        RunFolder(tmp_path / "run", IDENTITY, resume=True)
    assert RunFolder(tmp_path / "run", IDENTITY, overwrite=True).manifest["identity"] == IDENTITY


def test_what_a_process_left_that_was_killed_in_its_first_write_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".manifest.json.0123abcd.part").touch()
    RunFolder(tmp_path, IDENTITY, resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "manifest.json"]
