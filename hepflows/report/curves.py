"""Curves of a report: receiver operating characteristics and losses by epoch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepflows.errors import DataError
from hepflows.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

_TOSS = "no separation: AUC 0.5"
_NAME = 24  # letters of a name that leave room for its area


@style.styled
def roc(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    auc: Mapping[str, tuple[float, float | None]] | None = None,
    floor: str | Collection[str] | None = None,
    size: tuple[float, float] = (4.2, 4.2),
) -> Figure:
    """Draw ROC curves of classifiers, with the diagonal of a coin toss and the area under each curve.

    Args:
        curves: (false positive rate, true positive rate) by name, each increasing from 0 to 1.
        auc: area and its error (or None) by the same names; a missing one is the trapezium area of its curve, no error.
        floor: the name among `curves` that compares the reference with itself, or several such names; they are drawn in grey.
        size: width and height in inches with three lines of legend; further ones add to the height.

    Raises:
        DataError: a curve has rates of different length, or outside [0, 1].

    >>> figure = roc({"flow": ([0.0, 0.2, 1.0], [0.0, 0.6, 1.0])}, auc={"flow": (0.7, 0.01)})
    >>> figure.axes[0].get_legend_handles_labels()[1]
    ['flow: AUC 0.700 ± 0.010', 'no separation: AUC 0.5']
    """
    rates = {name: _rates(name, pair) for name, pair in curves.items()}
    areas = {name: (float(np.trapezoid(true, false)), None) for name, (false, true) in rates.items()} | dict(auc or {})
    texts = {name: f"{style.literal(name, _NAME)}: AUC {_written(*areas[name])}" for name in curves}
    figure = style.new_figure(size[0], size[1] + style.legend_room([*texts.values(), _TOSS]) - 0.4)
    axes = figure.subplots()
    floors = [name for name in curves if name in ([floor] if isinstance(floor, str) else floor or ())]
    samples = [name for name in curves if name not in floors]
    for name, text in texts.items():
        false, true = rates[name]
        if name in floors:
            dashes = style.DASHES[floors.index(name) % len(style.DASHES)]
            axes.plot(false, true, color=style.REFERENCE_LINE, linestyle=dashes, linewidth=1.4, label=text)
        else:
            axes.plot(false, true, label=text, **style.sample_style(samples.index(name)))
    diagonal: dict[str, Any] = {"color": style.MUTED, "linestyle": (0, (2, 2)), "linewidth": 1.0}
    axes.plot([0, 1], [0, 1], label=_TOSS, **diagonal)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="false positive rate", ylabel="true positive rate")
    axes.set_aspect("equal")
    style.legend_above(axes)
    return figure


def _written(area: float, error: float | None) -> str:
    return f"{area:.3f}" if error is None else f"{area:.3f} ± {error:.3f}"


def _rates(name: str, pair: tuple[ArrayLike, ArrayLike]) -> tuple[Array, Array]:
    false, true = (np.asarray(rate, dtype=np.float64) for rate in pair)
    if false.ndim != 1 or false.shape != true.shape or false.size < 2:
        message = f"ROC curve {name!r}: expected two lists of equal length, got shapes {false.shape} and {true.shape}"
        raise DataError(message)
    if not (np.all((false >= 0) & (false <= 1)) and np.all((true >= 0) & (true <= 1))):
        message = f"ROC curve {name!r}: rates must lie between 0 and 1; pass (false positive rate, true positive rate)"
        raise DataError(message)
    return false, true


@style.styled
def losses(
    history: Mapping[str, ArrayLike],
    *,
    chosen: int | None = None,
    title: str = "",
    ylabel: str = "loss (−log likelihood)",
    size: tuple[float, float] = (4.2, 4.2),
) -> Figure:
    """Draw training and validation loss by epoch and mark the epoch whose weights were kept.

    Args:
        history: one list per column, one entry an epoch: a column whose name begins with "train", one with "val", and
            "epoch" (else epochs count from 1). Other columns are left alone.
        chosen: the epoch that was kept, in the numbers of the axis; by default the one of least validation loss.
        title: name of the model, written above the axes.
        ylabel: label of the vertical axis.
        size: width and height in inches.

    Raises:
        DataError: there is no column of losses, or columns differ in length.

    >>> figure = losses({"epoch": [1, 2, 3], "train": [3.0, 2.0, 1.5], "validation": [3.1, 2.2, 2.4]})
    >>> figure.axes[0].get_legend_handles_labels()[1]
    ['training', 'validation', 'kept: epoch 2']
    """
    training, validation = _column(history, "train"), _column(history, "val")
    found = [column for column in (training, validation) if column is not None]
    if not found or len({len(column) for column in found}) > 1:
        message = f"a history needs columns 'train' and 'validation' of equal length; got {_lengths(history)}"
        raise DataError(message)
    epochs = np.asarray(history.get("epoch", np.arange(1, len(found[0]) + 1)), dtype=np.float64)
    if epochs.shape != found[0].shape:
        message = f"a history needs one loss an epoch; got {_lengths(history)}"
        raise DataError(message)
    from matplotlib.ticker import MaxNLocator

    figure = style.new_figure(*size)
    axes = figure.subplots()
    marker = "o" if len(epochs) < 15 else ""
    if training is not None:
        look: dict[str, Any] = {"color": style.REFERENCE_LINE, "linestyle": (0, (4, 1.5))}
        axes.plot(epochs, training, label="training", marker=marker, markersize=3, **look)
    if validation is not None:
        axes.plot(epochs, validation, label="validation", marker=marker, markersize=3, **style.sample_style(0))
        _mark_chosen(axes, epochs, validation, chosen)
    _limit(axes, found)
    axes.set(xlabel="epoch", ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper right", borderaxespad=0.8)
    if title:
        figure.suptitle(style.literal(title), x=0.02, ha="left", fontsize=12.0, fontweight="bold")
    return figure


def _column(history: Mapping[str, ArrayLike], beginning: str) -> Array | None:
    for name, values in history.items():
        if name.lower().startswith(beginning):
            return np.asarray(values, dtype=np.float64)
    return None


def _lengths(history: Mapping[str, ArrayLike]) -> str:
    return ", ".join(f"{name} ({np.size(values)})" for name, values in history.items()) or "nothing"


def _mark_chosen(axes: Axes, epochs: Array, validation: Array, chosen: int | None) -> None:
    if not np.any(np.isfinite(validation)):
        return
    place = int(np.nanargmin(validation)) if chosen is None else int(np.argmin(np.abs(epochs - chosen)))
    look: dict[str, Any] = {
        "color": style.SAMPLES[1],
        "markersize": 8.0,
        "linestyle": "none",
        "markerfacecolor": "none",
    }
    text = f"kept: epoch {epochs[place]:g}"
    axes.plot(epochs[place], validation[place], marker="o", markeredgewidth=1.8, label=text, zorder=3, **look)


def _limit(axes: Axes, columns: list[Array]) -> None:
    """Leave the first epochs outside the picture where they would squeeze all the others into a line."""
    values = np.concatenate([column[np.isfinite(column)] for column in columns])
    if values.size < 20:
        return
    low, most, high = values.min(), np.quantile(values, 0.9), values.max()
    if high - low > 4.0 * (most - low) > 0:
        axes.set_ylim(low - 0.1 * (most - low), most + 0.6 * (most - low))
