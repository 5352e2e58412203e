from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hepflows.errors import DataError
from hepflows.report.curves import losses, roc


def lines_of(figure: Any) -> dict[str, object]:
    return {line.get_label(): line for line in figure.axes[0].lines}


def test_roc_draws_the_curves_with_their_areas() -> None:
    rate = np.linspace(0, 1, 501)
    figure = roc({"flow": (rate, rate**0.25), "floor": (rate, rate)}, auc={"floor": (0.501, 0.0123)}, floor="floor")
    lines = lines_of(figure)
    # the integral of x^(1/4) is 4/5
    assert list(lines) == ["flow: AUC 0.800", "floor: AUC 0.501 ± 0.012", "no separation: AUC 0.5"]
    np.testing.assert_allclose(lines["flow: AUC 0.800"].get_ydata(), rate**0.25)
    np.testing.assert_allclose(lines["no separation: AUC 0.5"].get_data(), [[0, 1], [0, 1]])


@pytest.mark.parametrize(
    "pair", [([0, 1], [0, 0.5, 1]), ([0, 1], [0, 1.5]), ([-1, 1], [0, 1]), ([0], [0]), ([0, 1], [0, np.nan])]
)
def test_roc_refuses_what_is_no_curve(pair: tuple[list[float], list[float]]) -> None:
    with pytest.raises(DataError, match="'flow'"):
        roc({"flow": pair})


def test_losses_mark_the_epoch_of_least_validation_loss() -> None:
    figure = losses({"train": [5.0, 4.0, 3.0, 2.0], "validation": [5.5, 4.2, 4.1, 4.6]})
    lines = lines_of(figure)
    assert list(lines) == ["training", "validation", "kept: epoch 3"]
    np.testing.assert_allclose(lines["validation"].get_data(), [[1, 2, 3, 4], [5.5, 4.2, 4.1, 4.6]])
    mark = lines["kept: epoch 3"]
    assert (float(mark.get_xdata()[0]), float(mark.get_ydata()[0])) == (3.0, 4.1)


def test_losses_with_a_chosen_epoch_and_the_names_of_a_table() -> None:
    history = {"epoch": [0, 10, 20], "train_loss": [3.0, 2.0, 1.0], "val_loss": [3.0, 2.5, 2.0], "seconds": [1.0]}
    assert "kept: epoch 10" in lines_of(losses(history, chosen=10))


def test_losses_of_one_epoch_of_training_only_and_with_a_gap() -> None:
    assert list(lines_of(losses({"train": [1.0]}))) == ["training"]
    assert "kept: epoch 2" in lines_of(losses({"train": [2.0, 1.0], "validation": [np.nan, 1.0]}))
    assert "validation" in lines_of(losses({"validation": [np.nan, np.nan]}))


def test_losses_leave_a_huge_first_epoch_outside_the_picture() -> None:
    curve = 10.0 - np.arange(50) / 50
    curve[0] = 1e6
    low, high = losses({"train": curve, "validation": curve}).axes[0].get_ylim()
    assert low < 9.02 < 9.98 < high < 12


@pytest.mark.parametrize(
    "history", [{}, {"epoch": [1, 2]}, {"train": [1.0, 2.0], "validation": [1.0]}, {"epoch": [1], "train": [1.0, 2.0]}]
)
def test_losses_refuse_what_is_no_history(history: dict[str, list[float]]) -> None:
    with pytest.raises(DataError, match="a history needs"):
        losses(history)
