"""Figures of a search: spectrum with cuts, SIC curve, scores, features of sampled and real background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hepflows.applications.anomaly.bumphunt import Window
from hepflows.applications.anomaly.bumphunt.spectrum import aligned
from hepflows.applications.anomaly.events import Array
from hepflows.applications.anomaly.metrics import FEWEST_BACKGROUND, Curve
from hepflows.applications.anomaly.regions import Regions
from hepflows.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@style.styled
def spectrum(m: Array, passed: Sequence[tuple[str, Any]], regions: Regions, *, label: str, bins: int = 40) -> Figure:
    """Draw the resonant variable of all events and of those that pass each cut, the signal region shaded.

    Args:
        m: (n,) resonant variable.
        passed: a name and (n,) which events pass, for each cut.
        regions: the window.
        label: of the horizontal axis.
        bins: bins over the range of the data; their edges match the window.

    >>> figure = spectrum(np.linspace(2, 5, 500), [("all", np.ones(500, bool))], Regions(3.3, 3.7), label="m [TeV]")
    >>> figure.axes[0].get_xlabel()
    'm [TeV]'
    """
    figure = style.new_figure(5.4, 4.0 + style.legend_room([name for name, _ in passed], 52))
    axes = figure.subplots()
    kept = m[(m >= regions.start) & (m <= regions.stop)]
    edges = aligned(float(kept.min()), float(kept.max()), regions, bins)
    for index, (name, rows) in enumerate(passed):
        counts = np.histogram(m[rows], edges)[0]
        look: dict[str, Any] = {"color": style.REFERENCE_LINE} if index == 0 else style.sample_style(index - 1)
        axes.stairs(np.where(counts > 0, counts, np.nan), edges, label=name, linewidth=1.4, **look)
        centres = 0.5 * (edges[1:] + edges[:-1])
        axes.errorbar(
            centres,
            np.where(counts > 0, counts, np.nan),
            np.sqrt(counts),
            fmt="none",
            linewidth=0.9,
            color=look["color"],
        )
    _shade(axes, regions)
    axes.set(yscale="log", xlabel=label, ylabel="events a bin", xlim=(edges[0], edges[-1]))
    style.legend_above(axes, 52)
    return figure


@style.styled
def fitted(window: Window, *, label: str) -> Figure:
    """Draw a spectrum with the fit of its sidebands, and below it the pulls (n - b) / sqrt(b).

    Args:
        window: what a bump hunt found.
        label: of the horizontal axis.
    """
    figure = style.new_figure(5.4, 4.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.2))
    spectrum, centres = window.spectrum, window.spectrum.centres
    shown = spectrum.counts > 0
    upper.errorbar(
        centres[shown], spectrum.counts[shown], np.sqrt(spectrum.counts[shown]), fmt="o", markersize=3, linewidth=0.9,
        color=style.REFERENCE_LINE, label="events that pass",
    )  # fmt: skip
    upper.plot(
        centres,
        window.background,
        label=f"{window.shape.family}, {window.shape.parameters} parameters",
        **style.sample_style(0),
    )
    pulls = (spectrum.counts - window.background) / np.sqrt(np.maximum(window.background, 1e-9))
    lower.stairs(pulls, spectrum.edges, baseline=0.0, fill=True, color=style.SAMPLES[0], alpha=0.5)
    lower.axhline(0.0, color=style.MUTED, linewidth=0.8)
    for axes in (upper, lower):
        _shade(axes, window.regions)
    top = 1.5 * float(max(spectrum.counts.max(), window.background.max()))
    upper.set(yscale="log", ylabel="events a bin", ylim=(0.3, top))
    lower.set(xlabel=label, ylabel="pull", xlim=(spectrum.edges[0], spectrum.edges[-1]), ylim=(-4.5, 4.5))
    style.legend_above(upper, 52)
    return figure


@style.styled
def sic(curve: Curve, *, truth: str) -> Figure:
    """Draw the significance improvement against the signal efficiency, with the line of a random score.

    Args:
        curve: see `hepflows.applications.anomaly.metrics.curve`.
        truth: what the labels belong to, for the legend.
    """
    figure = style.new_figure(4.6, 4.0)
    axes = figure.subplots()
    passing = curve.background * curve.n_background
    error = 0.5 * curve.sic / np.sqrt(passing)
    look = style.sample_style(0)
    axes.plot(curve.signal, curve.sic, label=truth, **look)
    axes.fill_between(curve.signal, curve.sic - error, curve.sic + error, color=look["color"], alpha=0.2, linewidth=0)
    finish_sic(axes, float((curve.sic + error).max()))
    return figure


def finish_sic(axes: Axes, highest: float) -> None:
    """The line of a random score, axes up to above ``highest``, and what the points of a SIC curve have in common."""
    grid = np.linspace(0, 1, 101)
    axes.plot(grid, np.sqrt(grid), color=style.MUTED, linestyle=(0, (2, 2)), linewidth=1.0, label="random score")
    top = max(1.5, 1.15 * highest)
    axes.set(
        xlim=(0, 1), ylim=(0, top), xlabel="signal efficiency", ylabel=r"SIC  $\varepsilon_S / \sqrt{\varepsilon_B}$"
    )
    axes.text(
        0.97, 0.95, f"at least {FEWEST_BACKGROUND} background events", transform=axes.transAxes, ha="right", va="top",
        color=style.MUTED, fontsize=9.5,
    )  # fmt: skip
    style.legend_above(axes)


@style.styled
def score_distributions(samples: Sequence[tuple[str, Array]]) -> Figure:
    """Draw the share of events above each score; background alone follows the straight line.

    Args:
        samples: a name and (n,) scores, -log10 of the background share.
    """
    figure = style.new_figure(4.6, 4.0 + style.legend_room([name for name, _ in samples]))
    axes = figure.subplots()
    for index, (name, scores) in enumerate(samples):
        ordered = np.sort(scores)
        share = 1.0 - np.arange(len(ordered)) / len(ordered)
        axes.plot(ordered, share, label=name, drawstyle="steps-pre", **style.sample_style(index))
    top = max(1.0, min(8.0, max(float(scores.max()) for _, scores in samples)))
    line = np.linspace(0, top, 50)
    axes.plot(line, 10.0**-line, color=style.MUTED, linestyle=(0, (2, 2)), linewidth=1.0, label="background as sampled")
    least = 0.5 / max(len(scores) for _, scores in samples)
    axes.set(
        yscale="log",
        xlim=(0, top),
        ylim=(least, 1.5),
        xlabel=r"score  $-\log_{10}$ background share",
        ylabel="share above",
    )
    style.legend_above(axes)
    return figure


def _shade(axes: Axes, regions: Regions) -> None:
    axes.axvspan(regions.low, regions.high, color=style.REFERENCE_FILL, alpha=0.6, linewidth=0, zorder=0)
