from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest
import torch
import uproot
from command_line import help_without_torch, neutrino

from hepflows.applications.neutrino import inference
from hepflows.applications.neutrino.data import read_events, write_events

N = 1000
FAST = ["--preset", "quick"]
for setting in (
    "posterior.training.epochs=2",
    "regression.epochs=2",
    "verdict.classifier_epochs=2",
    "verdict.samples=40",
):
    FAST += ["--set", setting]


@pytest.fixture(autouse=True)
def single_precision() -> None:
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "ttbar.root"
    with pytest.MonkeyPatch.context() as patch:
        assert neutrino(patch, "simulate", "--events", N, "--seed", 3, "-o", path) == 0
    return path


@pytest.fixture(scope="module")
def run(events: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_default_dtype(torch.float32)
    out = tmp_path_factory.mktemp("runs") / "nu"
    with pytest.MonkeyPatch.context() as patch:
        assert neutrino(patch, "run", events, "--out", out, *FAST) == 0
    return out


def test_a_run_leaves_what_was_promised(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    for key in (
        "auc",
        "auc_std",
        "auc_floor",
        "coverage_error_max",
        "log_prob",
        "log_prob_std",
        "train_seconds",
        "real_roots",
    ):
        assert isinstance(metrics[key], float), key
    for method in ("flow", "feedforward", "quadratic"):
        found = metrics["methods"][method]
        for name in ("px", "py", "pz", "eta", "m_w", "m_top"):
            assert all(isinstance(found[name][key], float) for key in ("bias", "width", "width_std")), (method, name)
        assert 0 <= found["root_efficiency"] <= 1
    assert metrics["n_train"] + metrics["n_test"] == N
    # the flow has learnt something about the neutrino even so
    assert metrics["log_prob"] > metrics["log_prob_marginal_gaussian"]
    report = (run / "report.html").read_text()
    for text in ("Verdict", "Methods", "Calibration", "Single events", "SBC", "TARP", "W constraint"):
        assert text in report
    assert not list(run.glob("checkpoint_*"))
    assert {line.split(",")[0] for line in (run / "history.csv").read_text().splitlines()} == {
        "flow",
        "epoch",
        "regression",
    } - {"epoch"}


def test_a_run_that_was_cut_short_goes_on_to_the_same(
    events: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hepflows.applications.neutrino import pipeline
    from hepflows.applications.neutrino.methods import feedforward

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "again"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feedforward, "fit", cut)
        assert neutrino(patch, "run", events, "--out", out, *FAST) == 130
    assert (out / "model.safetensors").exists()
    monkeypatch.setattr(pipeline, "write_report", lambda *_, **__: None)  # seconds of pictures
    assert neutrino(monkeypatch, "run", events, "--out", out, *FAST) == 2
    assert neutrino(monkeypatch, "run", events, "--out", out, "--resume", *FAST) == 0
    one, other = (json.loads((path / "metrics.json").read_text()) for path in (run, out))
    for key in ("auc", "coverage_error_max", "log_prob", "methods"):
        assert one[key] == other[key], key


def test_inference_keeps_the_order(
    events: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "neutrinos.root"
    monkeypatch.setattr(inference, "AT_ONCE", 64 * 100)
    assert neutrino(monkeypatch, "infer", run, events, "--samples", 64, "-o", output) == 0
    assert f"{N} events in" in capsys.readouterr().out
    with uproot.open(output) as file:
        tree = file["events"]
        found = tree.arrays(
            ["row", "nu_pz_mean", "nu_px_median", "nu_pz_low68", "nu_pz_high68", "root_near", "roots_real"],
            library="np",
        )
        draws = ak.to_numpy(tree["sample_pz"].array())
    np.testing.assert_array_equal(found["row"], np.arange(N))
    assert draws.shape == (N, 64)
    np.testing.assert_allclose(draws.mean(1), found["nu_pz_mean"], rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(np.quantile(draws, 0.16, axis=1), found["nu_pz_low68"], rtol=1e-4, atol=2e-2)
    truth = read_events(events)
    px = truth.neutrinos[:, 0, 0]
    assert np.corrcoef(found["nu_px_median"], px)[0, 1] > 0.6
    # rows of the file in another order give the same rows in that order
    backwards = tmp_path / "backwards.h5"
    write_events(backwards, iter([truth[::-1]]))
    assert neutrino(monkeypatch, "infer", run, backwards, "--samples", 64, "-o", tmp_path / "b.hdf5") == 0
    with h5py.File(tmp_path / "b.hdf5") as file:
        np.testing.assert_allclose(file["root_near"][()][::-1], found["root_near"], rtol=1e-3, atol=1e-2)
        assert np.corrcoef(file["nu_pz_mean"][()][::-1], found["nu_pz_mean"])[0, 1] > 0.9
        assert file["sample_eta"].shape == (N, 64)


def test_what_a_user_can_get_wrong_is_one_sentence(
    events: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def says(*arguments: object) -> str:
        assert neutrino(monkeypatch, *arguments) == 2
        text = " ".join(capsys.readouterr().err.split())
        assert "Traceback" not in text
        return text

    assert "is the file of the events itself" in says("infer", run, events, "-o", events)
    assert "no such file" in says("infer", tmp_path / "none", events, "-o", tmp_path / "x.root")
    assert "no engine 'geant'" in says("simulate", "--engine", "geant", "-o", tmp_path / "x.root")
    assert "no known data format" in says("simulate", "-n", 5, "-o", tmp_path / "x.csv")
    few = tmp_path / "few.h5"
    assert neutrino(monkeypatch, "simulate", "-n", 50, "-o", few) == 0
    assert "too few to learn from" in says("run", few, "--out", tmp_path / "few")
    assert "leptons an event where 2 are expected" in says(
        "run", few, "--out", tmp_path / "few", "--channel", "dilepton"
    )


@pytest.mark.skipif(
    "neutrino" not in {point.name for point in entry_points(group="hepflows.applications")},
    reason="the installed package is older than the application",
)
def test_help_does_not_wait_for_torch() -> None:
    assert "hepflows neutrino run ttbar.root" in help_without_torch("neutrino", "run")
