"""The tables of samples that differ in size: each beside the floor of its own size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_showers import RINGS, fake_showers

from hepflows.applications.calorimeter import report
from hepflows.applications.calorimeter.report_tables import counts, figures, separation_table


def sample(floor: float, n: int, **more: Any) -> dict[str, Any]:
    """Numbers of a sample whose floors go by its size."""
    test = {
        "auc": 0.7,
        "auc_std": 0.02,
        "auc_floor": 0.5 + floor,
        "auc_floor_std": 0.03,
        "jsd": 0.1,
        "jsd_std": 0.01,
        "jsd_floor": 0.001,
        "jsd_floor_std": 0.01,
        "power_auc": 0.96,
        "power_auc_std": 0.012,
        "power_ok": True,
        "n_classifier_train": n,
        "n_classifier_select": n,
        "n_classifier_score": n,
        "n_classifier_floor": [n, n, n],
    }
    separations = {
        "separation": {"depth": 0.2},
        "separation_floor": {"depth": floor},
        "separation_floor_std": {"depth": 0.01},
        "separation_mean": 0.2,
        "separation_mean_std": 0.02,
        "separation_mean_floor": floor,
        "separation_mean_floor_std": 0.01,
    }
    return {
        "suite": "standard",
        **test,
        "classifiers": {"standardised": test},
        **separations,
        "n_generated": 3 * n,
        **more,
    }


def row(table: tuple[list[str], list[list[str]]] | None, start: str) -> list[str]:
    assert table is not None
    return next(cells[1:] for cells in table[1] if cells[0] == start)


def test_samples_of_one_size_share_a_column_of_floors() -> None:
    table = figures({"a": sample(0.04, 100), "b": sample(0.04, 100)})
    assert row(table, "AUC, standardised") == ["0.700 ± 0.020", "0.700 ± 0.020", "0.540 ± 0.030"]
    assert row(table, "mean separation") == ["0.200 ± 0.020", "0.200 ± 0.020", "0.040 ± 0.010"]
    assert not any(cells[0].startswith("floor of each") for cells in table[1])  # type: ignore[index]


def test_samples_of_several_sizes_have_floors_of_their_own() -> None:
    metrics = {"big": sample(0.02, 400), "small": sample(0.08, 100)}
    table = figures(metrics)
    assert row(table, "AUC, standardised")[-1] == "next row"
    assert row(table, "floor of each: AUC, standardised") == ["0.520 ± 0.030", "0.580 ± 0.030", ""]
    assert row(table, "mean separation")[-1] == "0.0200 to 0.0800"
    separations = separation_table(metrics, "Geant4")
    assert separations is not None
    assert separations[0] == ["observable", "big: S (S / floor)", "small: S (S / floor)", "floor"]
    assert separations[1] == [["Depth", "0.2000 (10.0)", "0.2000 (2.5)", "0.0200 to 0.0800"]]


def test_separations_of_one_sample_have_their_errors() -> None:
    table = separation_table({"a": {**sample(0.04, 100), "separation_std": {"depth": 0.03}}}, "Geant4")
    assert row(table, "Depth") == ["0.200 ± 0.030", "0.040 ± 0.010", "5.0"]


def test_the_power_check_has_its_number() -> None:
    metrics = {"a": sample(0.04, 100), "b": sample(0.04, 100)}
    metrics["b"]["classifiers"] = {
        "standardised": {**metrics["b"]["classifiers"]["standardised"], "power_auc": 0.6, "power_ok": False}
    }
    assert row(figures(metrics), "power check, standardised") == ["0.960 ± 0.012 passed", "0.600 ± 0.012 FAILED", ""]


def test_a_sample_without_a_metric_hides_no_floor() -> None:
    """The first one has too few showers for an FPD."""
    distance = {"value": 0.003, "error": 0.001, "unbiased": 0.0, "unbiased_error": 0.001, "scaled_down": False}
    metrics = {
        "few": sample(0.04, 100, fpd=None),
        "many": sample(0.04, 100, fpd={**distance, "floor": {**distance, "value": 0.001}}),
    }
    assert row(figures(metrics), "FPD × 10³") == ["–", "3.0 ± 1.0", "1.0 ± 1.0"]


def test_what_fell_short_of_the_published_scheme_is_marked() -> None:
    distance = {"value": 0.003, "error": 0.001, "unbiased": 0.0, "unbiased_error": 0.001, "scaled_down": True}
    metrics = {"a": sample(0.04, 100, kpd={**distance, "floor": {**distance, "scaled_down": False}})}
    assert row(figures(metrics), "KPD × 10³") == ["3.0 ± 1.0 †", "3.0 ± 1.0"]
    assert row(figures(metrics), "KPD, without bias × 10³") == ["0.0 ± 1.0", "0.0 ± 1.0"]
    assert counts(metrics, "Geant4").endswith("† with fewer showers than the published scheme takes.")
    assert "†" not in counts({"a": sample(0.04, 100)}, "Geant4")


def test_a_caption_tells_of_what_was_measured() -> None:
    whole = sample(0.04, 100, suite="quick", n_reference=300)
    quick = {key: whole[key] for key in ("suite", "separation", "separation_floor", "n_generated", "n_reference")}
    caption = counts({"a": quick}, "Geant4")
    assert caption.endswith("Floor: expected for as many showers as each sample and the reference have.")
    assert "Precision" not in counts({"a": sample(0.04, 100)}, "Geant4")
    assert "Precision" in counts({"a": sample(0.04, 100, prdc_low={"precision": 0.5})}, "Geant4")


def test_every_floor_is_drawn_with_its_area(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(report, "_write_images", lambda *_: None)
    monkeypatch.setattr(report, "_write_distributions", lambda *_: None)
    real = report.plots.roc

    def roc(curves: Any, **options: Any) -> Any:
        drawn.update(options, curves=list(curves))
        return real(curves, **options)

    monkeypatch.setattr(report.plots, "roc", roc)
    showers = {name: fake_showers(RINGS, 20, seed) for seed, name in enumerate(("Geant4", "big", "small"))}
    metrics = {"big": sample(0.02, 400), "small": sample(0.08, 100)}
    rate = np.linspace(0, 1, 11)
    curves = {"big": rate**0.5, "floor of big": rate, "small": rate**0.7, "floor of small": rate**0.9}
    report.write_report(
        tmp_path / "a.html", showers=showers, metrics=metrics, roc={name: (rate, true) for name, true in curves.items()}
    )
    assert drawn["curves"] == ["big", "small", "floor, 1,200 a class", "floor, 300 a class"]
    assert drawn["floor"] == drawn["curves"][2:]
    assert drawn["auc"]["floor, 300 a class"] == (0.58, 0.03)
    assert drawn["auc"]["big"] == (0.7, 0.02)
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "S over the floor of that sample, which goes by its size" in page
    # samples of one size share theirs
    alike = {"big": metrics["big"], "small": metrics["big"]}
    some = {name: (rate, curves[name]) for name in ("big", "small", "floor of big")}
    report.write_report(tmp_path / "b.html", showers=showers, metrics=alike, roc=some)
    assert drawn["curves"] == ["big", "small", "Geant4 (floor)"]
    # two floors of one size that are not the same
    twins = {name: (rate, curves[name]) for name in ("big", "small", "floor of big", "floor of small")}
    report.write_report(tmp_path / "c.html", showers=showers, metrics=alike, roc=twins)
    assert drawn["curves"] == ["big", "small", "floor, 1,200 a class", "floor of small"]
