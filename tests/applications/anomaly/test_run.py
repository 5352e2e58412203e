from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import uproot
from anomaly_command import anomaly, search

from hepflows.applications.anomaly import FastModel
from hepflows.io.columns import open_columns, write_columns


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.root"
    with pytest.MonkeyPatch.context() as patch:
        assert anomaly(patch, "simulate", "--background", 5000, "--signal", 200, "--seed", 3, "-o", path) == 0
    return path


@pytest.fixture(scope="module")
def run(events: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        assert anomaly(patch, *search(events, out)) == 0
    return out


def column(path: Path, name: str) -> np.ndarray:
    with open_columns(path) as table:
        return np.concatenate([part[name] for part in table.iterate([name], chunk=1000)])


def test_simulated_files_hold_the_true_ratio(events: Path) -> None:
    with open_columns(events) as table:
        assert table.attributes["units"] == "TeV"
    assert column(events, "label").sum() == 200
    names = ("mJ1", "dmJ", "tau21_1", "tau21_2")
    features = np.stack([column(events, name) for name in names], axis=1)
    from hepflows.applications.anomaly import Events

    expected = FastModel().log_likelihood_ratio(Events(column(events, "mJJ"), features, names))
    np.testing.assert_array_equal(column(events, "log_likelihood_ratio"), expected)


def test_a_run_leaves_what_was_promised(events: Path, run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    for key in (
        "auc_sideband",
        "auc_sideband_floor",
        "p_value",
        "significance",
        "n_events",
        "train_seconds",
        "auc",
        "max_sic",
        "max_sic_std",
    ):
        assert isinstance(metrics[key], float | int), key
    assert metrics["n_events"] == 5200
    assert metrics["auc"] > 0.8
    with h5py.File(run / "scores.hdf5") as file:
        np.testing.assert_array_equal(file["resonance"][:], column(events, "mJJ"))
        np.testing.assert_array_equal(file["label"][:], column(events, "label"))
        assert np.isfinite(file["score"][:]).all()
        assert set(np.unique(file["fold"][:])) == {0, 1}
    report = (run / "report.html").read_text()
    for text in ("Verdict", "What stands out", "Bump hunt", "Without a fit", "Significance improvement", "mJ1"):
        assert text in report
    assert not list(run.glob("checkpoint_*"))


def test_the_file_of_the_run_gets_its_held_out_scores(
    events: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hepflows.applications.anomaly.pipeline.CHUNK", 777)
    output = tmp_path / "scored.root"
    assert anomaly(monkeypatch, "score", run, events, "-o", output) == 0
    with h5py.File(run / "scores.hdf5") as file:
        np.testing.assert_array_equal(column(output, "anomaly_score"), file["score"][:])
    with uproot.open(events) as before, uproot.open(output) as after:
        assert set(before["events"].keys()) < set(after["events"].keys())
        for name in before["events"].keys():  # noqa: SIM118
            np.testing.assert_array_equal(
                before["events"][name].array(library="np"), after["events"][name].array(library="np")
            )


def new_file(path: Path, **changes: Any) -> Path:
    fresh = FastModel().generate(300, seed=9)
    columns = {
        "mJJ": fresh.resonance,
        **{name: fresh.column(name) for name in fresh.names},
        "id": np.arange(300) * 2**50,
    }
    write_columns(path, iter([{**columns, **changes}]))
    return path


def test_scores_of_new_files_follow_the_rows(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = new_file(tmp_path / "new.hdf5")
    assert anomaly(monkeypatch, "score", run, path, "-o", tmp_path / "a.csv") == 0
    with open_columns(path) as table:
        columns = next(table.iterate(table.names, chunk=1000))
    write_columns(tmp_path / "back.hdf5", iter([{name: values[::-1] for name, values in columns.items()}]))
    monkeypatch.setattr("hepflows.applications.anomaly.pipeline.CHUNK", 71)
    assert anomaly(monkeypatch, "score", run, tmp_path / "back.hdf5", "-o", tmp_path / "b.hdf5") == 0
    np.testing.assert_allclose(
        column(tmp_path / "b.hdf5", "anomaly_score"), column(tmp_path / "a.csv", "anomaly_score")[::-1], rtol=1e-5
    )
    np.testing.assert_array_equal(column(tmp_path / "b.hdf5", "id"), columns["id"][::-1])


def test_events_outside_of_the_range_are_counted_and_scored(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mass = np.r_[np.full(7, 1e6), FastModel().generate(293, seed=1).column("mJ1")]
    path = new_file(tmp_path / "far.hdf5", mJ1=mass)
    assert anomaly(monkeypatch, "score", run, path, "-o", tmp_path / "a.hdf5") == 0
    assert "7 events have a feature outside" in capsys.readouterr().out
    assert np.isfinite(column(tmp_path / "a.hdf5", "anomaly_score")).all()


def test_nothing_is_scored_as_nan(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.full(300, 0.5)
    values[12] = np.nan
    path = new_file(tmp_path / "nan.hdf5", tau21_1=values)
    assert anomaly(monkeypatch, "score", run, path, "-o", tmp_path / "a.hdf5") == 2
    assert "tau21_1 is not a finite number in 1 events, the first is row 12" in capsys.readouterr().err
    assert not (tmp_path / "a.hdf5").exists()
    assert anomaly(monkeypatch, "score", run, path, "-o", path) == 2
    assert "is the file of the events itself" in capsys.readouterr().err
    assert anomaly(monkeypatch, "score", tmp_path / "a.hdf5", path, "-o", tmp_path / "b.hdf5") == 2


def test_a_run_resumes_to_the_same_scores(
    events: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hepflows.applications.anomaly import kfold

    torch.set_default_dtype(torch.float32)  # as in the run of the fixture: first weights depend on it
    saved, calls = kfold.save_tensors, []

    def stop(path: Path, *rest: Any) -> None:
        saved(path, *rest)
        calls.append(path.name)
        raise KeyboardInterrupt

    monkeypatch.setattr(kfold, "save_tensors", stop)
    assert anomaly(monkeypatch, *search(events, tmp_path / "run")) == 130
    assert calls == ["checkpoint_fold0.safetensors"]
    monkeypatch.setattr(kfold, "save_tensors", saved)
    assert anomaly(monkeypatch, *search(events, tmp_path / "run")) == 2  # there is a run already
    assert anomaly(monkeypatch, *search(events, tmp_path / "run", "--resume")) == 0
    with h5py.File(run / "scores.hdf5") as one, h5py.File(tmp_path / "run/scores.hdf5") as other:
        np.testing.assert_array_equal(one["score"][:], other["score"][:])


@pytest.mark.parametrize(
    ("more", "features", "message"),
    [
        (["--signal-region", "3300:3700"], "mJ1", "in the unit of the data"),
        (["--method", "nothing"], "mJ1", "no method 'nothing'"),
        (["--label", "truth"], "mJ1", "no column 'truth'"),
        ([], "mJ3", "no column 'mJ3'"),
        (["--preset", "slow"], "mJ1", "no preset 'slow'"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(
    events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    more: list[str], features: str, message: str,
) -> None:  # fmt: skip
    assert anomaly(monkeypatch, *search(events, tmp_path / "run", *more, features=features)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


def test_one_feature_and_a_method_without_samples(
    events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        anomaly(monkeypatch, *search(events, tmp_path / "one", "--method", "cwola", "--label", "none", features="dmJ"))
        == 0
    )
    metrics = json.loads((tmp_path / "one/metrics.json").read_text())
    assert metrics["auc_sideband"] is None
    assert metrics["counts"][0]["expected"] is None
    assert 0 <= metrics["p_value"] <= 1
    assert "auc" not in metrics  # nobody told the truth
    assert metrics["sculpting_bump"] is None


def test_what_cannot_be_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for more in (["--engine", "geant4"], ["--variant", "x"], ["--background", "0", "--signal", "0"]):
        assert anomaly(monkeypatch, "simulate", *more, "-o", tmp_path / "a.hdf5") == 2
    assert anomaly(monkeypatch, "simulate", "--background", 100, "--window", "3.3:3.7", "-o", tmp_path / "b.csv") == 0
    assert column(tmp_path / "b.csv", "label").sum() == 0
    assert column(tmp_path / "b.csv", "mJJ").min() > 3.3


def test_a_scan_slides_over_the_spectrum(events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [
        "scan", events, "--out", tmp_path / "scan", "--units", "TeV", "--resonance", "mJJ", "--features", "dmJ,tau21_1",
        "--jobs", 1, "--windows", "2.9:3.7:0.4:0.4", "--preset", "quick", "--method", "cwola", "--set", "classifier.iterations=20",
    ]  # fmt: skip
    assert anomaly(monkeypatch, *arguments) == 0
    found = json.loads((tmp_path / "scan/scan.json").read_text())
    assert [row["window"] for row in found["windows"]] == [[2.9, 3.3], [3.3, 3.7]]
    assert found["windows"][1]["significance"] > 3 > abs(found["windows"][0]["significance"])
    best = found["windows"][1]["p_value"]
    assert best < found["global_p_value"] <= 2 * best


@pytest.mark.parametrize("text", ["2.9:3.7", "a:b:c", "2.9:3.7:1.0", "2.9:3.7:0.4:0"])
def test_windows_that_are_none(events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert (
        anomaly(
            monkeypatch,
            "scan",
            events,
            "--out",
            tmp_path / "s",
            "--resonance",
            "mJJ",
            "--features",
            "dmJ",
            "--windows",
            text,
        )
        == 2
    )
