from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from anomaly_command import anomaly, search

from hepflows.applications.anomaly.metrics import band, curve
from hepflows.applications.anomaly.seeds import summary

SMALL = (
    "--method",
    "cwola",
    "--set",
    "classifier.iterations=10",
    "--set",
    "classifier.members=1",
    "--set",
    "verdict.toys=0",
)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.hdf5"
    with pytest.MonkeyPatch.context() as patch:
        assert anomaly(patch, "simulate", "--background", 3000, "--signal", 150, "--seed", 3, "-o", path) == 0
    return path


def test_seeds_are_runs_with_medians_and_a_band(events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the reports of the single runs are tested elsewhere, and take longest
    monkeypatch.setattr("hepflows.applications.anomaly.pipeline.write_report", lambda *_, **__: None)
    out = tmp_path / "runs"
    assert anomaly(monkeypatch, *search(events, out, *SMALL, "--seeds", 3, "--seed", 5)) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    runs = [json.loads((out / f"seed_{seed}" / "metrics.json").read_text()) for seed in (5, 6, 7)]
    values = [one["max_sic"] for one in runs]
    assert len(set(values)) > 1
    assert metrics["max_sic_seeds"] == values
    assert metrics["max_sic"] == np.median(values)
    assert metrics["max_sic_std"] == pytest.approx(np.diff(np.quantile(values, (0.16, 0.84)))[0] / 2)
    assert "band of SIC curves" in (out / "report.html").read_text()
    # each seed is an ordinary run: it resumes, and is refused without saying so
    assert anomaly(monkeypatch, *search(events, out, *SMALL, "--seeds", 3, "--seed", 5)) == 2
    assert anomaly(monkeypatch, *search(events, out, *SMALL, "--seeds", 3, "--seed", 5, "--resume")) == 0
    again = json.loads((out / "metrics.json").read_text())
    assert again["max_sic_seeds"] == values
    assert anomaly(monkeypatch, *search(events, out / "seed_5", *SMALL, "--seeds", 2)) == 2


def test_a_band_ends_where_fewer_than_half_of_the_curves_do() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], [2000, 200])
    curves = [curve(rng.normal(2.0 * labels), labels) for _ in range(5)]
    found = band(curves)
    assert (found["low"] <= found["median"]).all()
    assert (found["median"] <= found["high"]).all()
    at = {round(float(x), 2): float(y) for x, y in zip(found["signal"], found["median"], strict=True)}
    values = [np.interp(0.5, one.signal, one.background) for one in curves]
    assert at[0.5] == pytest.approx(0.5 / np.sqrt(np.median(values)), rel=1e-9)


def test_figures_that_a_seed_lacks_are_left_out() -> None:
    found = summary([{"method": "x", "auc": 0.5, "p_value": None}, {"method": "x", "auc": 0.7, "p_value": 0.1}], [1, 2])
    assert found["auc"] == pytest.approx(0.6)
    assert "p_value" not in found
