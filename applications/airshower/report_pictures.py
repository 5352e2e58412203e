"""Figures of an inference of sources: spectrum and Xmax of the data with what the posterior expects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.airshower.detector import SPECTRUM_EDGES, XMAX_EDGES, load_detector
from hepflows.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]


@style.styled
def spectrum(seen: Array, low: Array, median: Array, high: Array) -> Figure:
    """Draw the counts of the spectrum and the 95 % interval of the posterior predictive; all arrays (15,)."""
    figure = style.new_figure(5.0, 3.8)
    axes = figure.subplots()
    _band(axes, SPECTRUM_EDGES, low, median, high)
    centres = 0.5 * (SPECTRUM_EDGES[1:] + SPECTRUM_EDGES[:-1])
    _points(axes, centres, seen)
    axes.set(yscale="log", ylim=(0.3, 2.5 * max(seen.max(), high.max())), xlabel="lg(E/eV)", ylabel="events a bin")
    style.legend_above(axes, 52)
    return figure


@style.styled
def xmax(seen: Array, low: Array, median: Array, high: Array) -> Figure:
    """Draw the Xmax histograms of the nine energy bins with the 95 % intervals of the posterior predictive; all arrays (9, 45)."""
    figure = style.new_figure(8.0, 6.4)
    grid = figure.subplots(3, 3, sharex=True)
    edges = load_detector().lg_energy_edges
    centres = 0.5 * (XMAX_EDGES[1:] + XMAX_EDGES[:-1])
    for i, axes in enumerate(grid.flat):
        _band(axes, XMAX_EDGES, low[i], median[i], high[i])
        _points(axes, centres, seen[i])
        axes.set(xlim=(560, 1120), ylim=(0, 1.35 * max(1.0, seen[i].max(), high[i].max())))
        axes.text(
            0.95,
            0.9,
            f"lg E {edges[i]:.1f}–{edges[i + 1]:.1f}",
            transform=axes.transAxes,
            ha="right",
            va="top",
            fontsize=9,
        )
    figure.supxlabel("Xmax [g/cm²]", fontsize=12)
    figure.supylabel("events a bin", fontsize=12)
    return figure


def _band(axes: Axes, edges: Array, low: Array, median: Array, high: Array) -> None:
    axes.stairs(
        high, edges, baseline=low, fill=True, color=style.SAMPLES[0], alpha=0.25, label="posterior predictive, 95 %"
    )
    axes.stairs(median, edges, color=style.SAMPLES[0], linewidth=1.2)


def _points(axes: Axes, centres: Array, seen: Array) -> None:
    shown = seen > 0
    axes.errorbar(
        centres[shown], seen[shown], np.sqrt(seen[shown]),
        fmt="o", markersize=2.5, linewidth=0.9, color=style.REFERENCE_LINE, label="observed",
    )  # fmt: skip
