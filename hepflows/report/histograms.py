"""One distribution of several samples, with a panel of ratios to the reference (panels by mplhep)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import hist
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepflows.errors import DataError
from hepflows.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Histogram: TypeAlias = "hist.Hist[Any]"

_MOST_BARS = 3
"""With more samples their error bars stand in the panel of ratios only."""


def bin_edges(bins: int | ArrayLike, reference: ArrayLike) -> Array:
    """Return histogram edges: `bins` itself when it is a list of edges, else so many equal bins over the reference.

    >>> bin_edges(2, [0.0, 1.0, 4.0])
    array([0., 2., 4.])
    """
    if np.ndim(bins) == 0:
        finite = np.asarray(reference, dtype=np.float64)
        finite = finite[np.isfinite(finite)]
        return np.histogram_bin_edges(finite, bins=int(np.asarray(bins)))
    edges = np.asarray(bins, dtype=np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not np.all(np.isfinite(edges)) or not np.all(np.diff(edges) > 0):
        message = (
            f"bins must be at least two increasing finite edges; got {edges!r}: give np.linspace(low, high, n + 1)"
        )
        raise DataError(message)
    return edges


def normalised_histogram(values: ArrayLike, edges: Array, weights: ArrayLike | None = None) -> Histogram:
    """Fill a histogram whose bins, with under- and overflow, sum to one.

    Bin content is sum(w in bin) / sum(w), its variance sum(w^2 in bin) / sum(w)^2. The last edge belongs to the last
    bin, as in numpy. Values that are not a number are left out: the quantity does not exist there. No value at all
    gives a histogram of zeros.

    >>> normalised_histogram([0.5, 0.6, 1.0, 7.0], np.array([0.0, 0.55, 1.0])).values()
    array([0.25, 0.5 ])
    """
    data = np.asarray(values, dtype=np.float64).ravel()
    data = np.where(data == edges[-1], np.nextafter(edges[-1], -np.inf), data)
    weight = np.ones_like(data) if weights is None else np.asarray(weights, dtype=np.float64).ravel()
    if weight.shape != data.shape:
        message = f"weights must be one per value: got {weight.size} weights for {data.size} values"
        raise DataError(message)
    data, weight = data[~np.isnan(data)], weight[~np.isnan(data)]
    filled = hist.Hist(hist.axis.Variable(edges, name="x"), storage=hist.storage.Weight())
    filled.fill(data, weight=weight)
    total = float(weight.sum())
    return filled / total if total > 0 else filled


@style.styled
def comparison(
    reference: ArrayLike,
    generated: ArrayLike | Mapping[str, ArrayLike],
    *,
    bins: int | ArrayLike,
    label: str,
    unit: str = "",
    log_x: bool = False,
    log_y: bool = False,
    weights: Mapping[str, ArrayLike] | None = None,
    reference_name: str = "Geant4",
    ylabel: str = "fraction of showers",
    ratio_range: tuple[float, float] = (0.0, 2.0),
    size: tuple[float, float] = (4.2, 3.9),
) -> Figure:
    """Compare one distribution of the reference with that of generated samples, with a panel of ratios.

    Bin contents are fractions of the sample (what lies outside the bins counts), errors are statistical, sqrt(sum w^2).
    The grey band of the lower panel is the relative error of the reference, the error bars that of the sample alone. With more
    than three samples the upper panel shows no error bars of theirs.

    Args:
        reference: values of the reference, any shape.
        generated: values of one sample, or several by name.
        bins: edges, or a number of equal bins over the range of the reference.
        label: what is shown; mathematics between dollar signs.
        unit: its unit, written in brackets after the label.
        log_x, log_y: logarithmic axes.
        weights: event weights by sample name (the reference under `reference_name`).
        reference_name: name of the reference in the legend.
        ylabel: label of the upper vertical axis.
        ratio_range: limits of the lower panel; ratios beyond them are marked by triangles at its edge.
        size: width and height in inches, with one line of legend; further lines add to the height.

    Raises:
        DataError: the bins are not increasing, or weights do not match their sample.

    >>> values = np.random.default_rng(0).normal(size=(2, 1000))
    >>> figure = comparison(values[0], {"flow": values[1]}, bins=np.linspace(-3, 3, 21), label="x", unit="mm")
    >>> len(figure.axes)
    2
    """
    samples = dict(generated) if isinstance(generated, Mapping) else {"generated": generated}
    weighting = dict(weights or {})
    edges = bin_edges(bins, reference)
    truth = normalised_histogram(reference, edges, weighting.get(reference_name))
    filled = {name: normalised_histogram(data, edges, weighting.get(name)) for name, data in samples.items()}

    names = [style.literal(name) for name in (reference_name, *filled)]
    figure = style.new_figure(size[0], size[1] + style.legend_room(names))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.6, 1.0))
    _draw_reference(upper, truth, reference_name)
    for index, (name, histogram) in enumerate(filled.items()):
        _draw_sample(upper, histogram, name, index, bars=len(filled) <= _MOST_BARS)
        _draw_ratio(lower, histogram, truth, index, ratio_range)
    _finish_upper(upper, [truth, *filled.values()], log_y=log_y, ylabel=ylabel)
    style.legend_above(upper)
    lower.set_xscale("log" if log_x else "linear")
    lower.set_xlim(edges[0], edges[-1])
    lower.set_xlabel(f"{label} [{unit}]" if unit else label)
    lower.set_ylabel(f"ratio to\n{style.literal(reference_name, 13)}", multialignment="center")
    figure.align_ylabels()
    return figure


def _errors(histogram: Histogram) -> Array:
    return np.sqrt(np.asarray(histogram.variances(), dtype=np.float64))


def _draw_reference(axes: Axes, histogram: Histogram, name: str) -> None:
    import mplhep

    mplhep.histplot(
        histogram,
        ax=axes,
        histtype="fill",
        facecolor=style.REFERENCE_FILL,
        edgecolor=style.REFERENCE_LINE,
        linewidth=1.2,
        label=style.literal(name),
        flow="none",
    )
    mplhep.histplot(
        histogram,
        ax=axes,
        histtype="errorbar",
        yerr=_errors(histogram),
        color=style.REFERENCE_LINE,
        marker="none",
        elinewidth=1.2,
        flow="none",
    )


def _draw_sample(axes: Axes, histogram: Histogram, name: str, index: int, *, bars: bool) -> None:
    import mplhep

    look = style.sample_style(index)
    mplhep.histplot(histogram, ax=axes, histtype="step", yerr=False, label=style.literal(name), flow="none", **look)
    if not bars:
        return
    mplhep.histplot(
        histogram,
        ax=axes,
        histtype="errorbar",
        yerr=_errors(histogram),
        color=look["color"],
        marker="none",
        elinewidth=1.2,
        flow="none",
    )


def _draw_ratio(axes: Axes, histogram: Histogram, truth: Histogram, index: int, limits: tuple[float, float]) -> None:
    """Draw one ratio with mplhep; the band of the reference is drawn once, and only where the reference has entries."""
    import mplhep

    colour = style.sample_style(index)["color"]
    present = len(axes.lines)
    mplhep.comp.comparison(
        histogram,
        truth,
        axes,
        comparison="split_ratio",
        comparison_ylim=limits,
        flow="none",
        color=colour,
        marker=style.MARKERS[index % len(style.MARKERS)],
        markersize=3.6,
        elinewidth=1.2,
    )
    band = axes.containers[-1]
    for bar, content in zip(band.get_children(), truth.values(), strict=True):
        bar.set(hatch=None, fill=True, facecolor=style.REFERENCE_BAND, linewidth=0.0, zorder=0.5)
        bar.set_visible(index == 0 and content > 0)
    for line in axes.lines[present:]:
        if line.get_linestyle() == "--":
            line.set(color=style.MUTED, zorder=0.8)
    _mark_beyond(axes, histogram, truth, limits, colour)


def _mark_beyond(axes: Axes, histogram: Histogram, truth: Histogram, limits: tuple[float, float], colour: str) -> None:
    """Mark ratios outside the panel, and bins where only the sample has entries, by triangles at the panel's edge."""
    below, inside, above = limits[0], truth.values() > 0, limits[1]
    ratio = np.divide(histogram.values(), truth.values(), out=np.full(len(inside), np.inf), where=inside)
    ratio[~inside & (histogram.values() == 0)] = 1.0
    centres = truth.axes[0].centers
    margin = 0.07 * (above - below)
    for selected, marker, height in ((ratio > above, "^", above - margin), (ratio < below, "v", below + margin)):
        if np.any(selected):
            axes.plot(centres[selected], np.full(selected.sum(), height), marker, color=colour, markersize=4.5)


def _finish_upper(axes: Axes, histograms: Sequence[Histogram], *, log_y: bool, ylabel: str) -> None:
    contents = np.concatenate([h.values() for h in histograms])
    largest = float(contents.max(initial=0.0))
    axes.set_ylabel(ylabel)
    axes.set_xlabel("")
    if largest <= 0:
        axes.text(0.5, 0.5, "no entries in this range", ha="center", va="center", transform=axes.transAxes)
        axes.set_ylim(0.0, 1.0)
    elif log_y:
        axes.set_yscale("log")
        axes.set_ylim(0.4 * float(contents[contents > 0].min()), 2.5 * largest)
    else:
        axes.set_ylim(0.0, 1.12 * largest)
