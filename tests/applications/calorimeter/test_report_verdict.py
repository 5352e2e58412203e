"""The verdict in words, of numbers whose meaning is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hepflows.applications.calorimeter.report_verdict import differing, verdict

METRICS: dict[str, Any] = {
    "auc": 0.7143,
    "auc_std": 0.0123,
    "auc_floor": 0.503,
    "auc_floor_std": 0.0088,
    "power_auc": 0.993,
    "power_ok": True,
    "n_classifier_train": 600,
    "n_classifier_select": 200,
    "n_classifier_score": 200,
    "n_classifier_floor": [600, 200, 200],
    "separation": {"energy_0": 0.01234, "my_own": 0.2, "width_x_2": None},
    "separation_floor": {"energy_0": 0.0031},
}
FAR = {
    "separation": {"energy_1": 0.373},
    "separation_floor": {"energy_1": 0.060},
    "separation_floor_std": {"energy_1": 0.013},
}


@pytest.mark.parametrize(
    ("change", "title", "tone"),
    [
        ({}, "Distinguishable", "warning"),
        ({"auc": 0.52}, "No difference found", "good"),
        ({"auc": 0.56}, "Hard to tell", "good"),
        ({"auc": 0.8}, "Easily told", "warning"),
        ({"auc": 0.99}, "Almost always", "bad"),
        ({"auc": 0.40}, "Below the floor", "warning"),
        ({"auc": 0.52, "power_ok": False, "power_auc": 0.6}, "No verdict", "bad"),
        ({"auc": 0.9, "power_ok": False}, "Different from Geant4; how much", "bad"),
        ({"auc": 0.52, "auc_std": None, "auc_floor": None, "auc_floor_std": None}, "Hard to tell", "good"),
        ({"auc": 0.52, "power_ok": np.False_}, "No verdict", "bad"),
        ({"auc": None}, "No classifier test", "note"),
        ({"auc": float("nan")}, "No classifier test", "note"),
    ],
)
def test_the_verdict_in_words(change: dict[str, Any], title: str, tone: str) -> None:
    found = verdict({**METRICS, **change}, "Geant4", "flow")
    assert found[0] == tone
    assert found[1].startswith(title)
    if change.get("power_auc"):
        assert "AUC of 0.600; at least 0.75 is needed. A low AUC is therefore no evidence" in found[2]
    assert ("The power check failed" in found[2]) == (change.get("power_ok", True) in (False, np.False_))


def test_a_floor_of_few_showers_does_not_hide_a_difference() -> None:
    """Energies of 1-50 GeV against 1-100 GeV, as once measured: in quadrature with the floor's error it is 1.8 standard deviations."""
    found = {**METRICS, "auc": 0.694, "auc_std": 0.036, "auc_floor": 0.538, "auc_floor_std": 0.078}
    few = [60, 20, 20]
    assert verdict(found, "Geant4", "flow")[1] == "No difference found at this sample size."
    tone, title, text = verdict({**found, "n_classifier_floor": few}, "Geant4", "flow")
    assert (tone, title) == ("warning", "Distinguishable from Geant4.")
    assert "fewer showers and agrees with 0.5: from there the difference is 5.4 standard deviations" in text
    # a floor that is not 0.5 itself stands
    high = {**found, "auc_floor": 0.66, "auc_floor_std": 0.02, "n_classifier_floor": few}
    assert verdict(high, "Geant4", "flow")[1] == "No difference found at this sample size."


def test_no_difference_is_never_said_beside_a_large_separation() -> None:
    blind = {**METRICS, "auc": 0.51}
    assert verdict(blind, "Geant4", "flow")[0] == "good"
    tone, title, text = verdict({**blind, **FAR}, "Geant4", "flow")
    assert (tone, title) == ("warning", "The classifier finds no difference, but distributions differ.")
    assert "Energy, layer 1 differs (separation 0.3730, floor 0.0600)." in text
    weak = verdict({**blind, **FAR, "power_ok": False}, "Geant4", "flow")
    assert weak[1].startswith("Different from Geant4; how much")
    assert "Energy, layer 1 differs" in verdict(FAR, "Geant4", "flow")[2]


def test_what_lies_far_above_its_floor() -> None:
    """Five standard deviations and twice the floor, both."""
    metrics = {
        "separation": {"a": 0.149, "b": 0.151, "c": 0.3, "d": None, "e": 0.9},
        "separation_floor": {"a": 0.1, "b": 0.1, "c": 0.1, "d": 0.1},
        "separation_floor_std": {"a": 0.01, "b": 0.01, "c": 0.01, "d": 0.01, "e": 0.01},
    }
    assert differing(metrics) == ["c"]
    assert differing({**metrics, "separation": {"a": 0.21, "c": 0.3}}) == ["c", "a"]
    assert differing({"separation": {"a": 0.9}}) == []
