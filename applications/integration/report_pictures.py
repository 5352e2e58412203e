"""Pictures of an integration: its rounds, its weights, and where its events lie. They take arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from hepflows.applications.integration.integrand import Array, Bound
from hepflows.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 50


@style.styled
def rounds(
    means: ArrayLike,
    sdevs: ArrayLike,
    total: tuple[float, float],
    *,
    truth: float | None = None,
    size: tuple[float, float] = (4.2, 3.4),
) -> Figure:
    """Draw the independent estimates with their errors, and the band of all of them together.

    Args:
        means, sdevs: (k,) estimates and errors.
        total: the combined ones.
        truth: the integral, where it is known.
        size: width and height in inches.

    >>> figure = rounds([1.0, 1.1], [0.1, 0.1], (1.05, 0.07), truth=1.02)
    >>> figure.axes[0].get_legend_handles_labels()[1]
    ['all rounds', 'truth', 'one round']
    """
    from matplotlib.ticker import MaxNLocator

    y, error = np.asarray(means, dtype=np.float64), np.asarray(sdevs, dtype=np.float64)
    figure = style.new_figure(*size)
    axes = figure.subplots()
    mean, sdev = total
    axes.axhspan(mean - sdev, mean + sdev, facecolor=style.REFERENCE_BAND, linewidth=0.0, label="all rounds")
    axes.axhline(mean, color=style.REFERENCE_LINE, linewidth=1.0)
    if truth is not None:
        axes.axhline(truth, color=style.SAMPLES[1], linestyle=(0, (5, 1.5)), linewidth=1.4, label="truth")
    place = np.arange(1, len(y) + 1)
    axes.errorbar(place, y, error, fmt="o", color=style.SAMPLES[0], markersize=4.5, label="one round")
    axes.set(xlabel="round", ylabel="estimate", xlim=(0.5, len(y) + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.tick_params(axis="x", which="minor", bottom=False, top=False)
    style.legend_above(axes)
    return figure


@style.styled
def weights(drawn: ArrayLike, cap: float | None, *, size: tuple[float, float] = (4.2, 3.4)) -> Figure:
    """Draw the weights of points in units of their mean, both axes logarithmic, with the cap of unweighting.

    Args:
        drawn: (n,) absolute weights; zeros are left out of the histogram and count in the mean.
        cap: the weight above which events stay weighted.
        size: width and height in inches.

    >>> figure = weights(np.linspace(0.0, 2.0, 1001), cap=1.9)
    >>> figure.axes[0].get_xlabel()
    'weight / mean weight'
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    w = np.asarray(drawn, dtype=np.float64)
    mean = float(w.mean())
    relative = w[w > 0] / mean
    low = max(float(np.quantile(relative, 1e-3)), 1e-6)
    edges = np.geomspace(min(low, 0.5) * 0.9, max(float(relative.max()), 2.0) * 1.1, 2 * _BINS + 1)
    counts = np.histogram(np.maximum(relative, edges[0]), edges)[0]
    figure = style.new_figure(*size)
    axes = figure.subplots()
    axes.stairs(counts, edges, fill=True, facecolor=style.REFERENCE_FILL, edgecolor=style.REFERENCE_LINE, linewidth=1.0)
    axes.axvline(1.0, color=style.MUTED, linestyle=(0, (2, 2)), linewidth=1.0, label="mean")
    if cap is not None and cap > 0:
        axes.axvline(cap / mean, color=style.SAMPLES[1], linewidth=1.4, label="cap")
    axes.set(xscale="log", yscale="log", xlim=(edges[0], edges[-1]), ylim=(0.5, 2.0 * max(int(counts.max()), 1)))
    axes.set(xlabel="weight / mean weight", ylabel="points per bin")
    if edges[-1] < 300 * edges[0]:  # few decades: numbers between the powers of ten, and not all of them
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    style.legend_above(axes)
    return figure


@style.styled
def projection(
    x: ArrayLike, weight: ArrayLike, bound: Bound, label: str, *, size: tuple[float, float] = (4.2, 2.9)
) -> Figure:
    """Draw the distribution of one coordinate, with statistical errors.

    Args:
        x, weight: (n,) values and weights of events, which may be negative.
        bound: of the coordinate.
        label: its name; mathematics between dollar signs.
        size: width and height in inches.

    >>> figure = projection([0.1, 0.2, 0.7], [1.0, 1.0, 1.0], (0.0, 1.0), "$x_0$")
    >>> tuple(map(float, figure.axes[0].get_xlim()))
    (0.0, 1.0)
    """
    values, w = np.asarray(x, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    edges = _edges(values, bound, _BINS)
    norm = np.abs(w).sum() * np.diff(edges)
    content = np.histogram(values, edges, weights=w)[0] / norm
    error = np.sqrt(np.histogram(values, edges, weights=w * w)[0]) / norm
    figure = style.new_figure(*size)
    axes = figure.subplots()
    axes.stairs(content, edges, fill=True, color=style.REFERENCE_FILL)
    axes.stairs(content, edges, color=style.SAMPLES[0], linewidth=1.4, baseline=None)
    centres = 0.5 * (edges[1:] + edges[:-1])
    axes.errorbar(centres, content, error, fmt="none", color=style.SAMPLES[0], elinewidth=1.0)
    lowest = float((content - error).min())
    axes.set(xlim=(edges[0], edges[-1]), xlabel=label, ylabel="density")
    axes.set_ylim(1.1 * lowest if lowest < 0 and (w < 0).any() else 0.0, 1.12 * float((content + error).max()) or 1.0)
    if (w < 0).any():
        axes.axhline(0.0, color=style.MUTED, linewidth=0.8)
    return figure


@style.styled
def plane(
    x: ArrayLike,
    weight: ArrayLike,
    bounds: Sequence[Bound],
    labels: Sequence[str],
    *,
    size: tuple[float, float] = (4.6, 3.9),
) -> Figure:
    """Draw the density of events over two coordinates.

    Args:
        x: (n, 2) values.
        weight: (n,) weights, which may be negative.
        bounds: of the two coordinates.
        labels: their names.
        size: width and height in inches.

    >>> figure = plane(np.random.default_rng(0).random((100, 2)), np.ones(100), [(0, 1), (0, 1)], ["$x_0$", "$x_1$"])
    >>> len(figure.axes)  # the picture and its colour bar
    2
    """
    import matplotlib as mpl
    from matplotlib.colors import Normalize, PowerNorm

    points, w = np.asarray(x, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    bins = int(np.clip(np.sqrt(len(points)) / 2, 10, 60))
    edges = [_edges(points[:, i], bounds[i], bins) for i in range(2)]
    content = np.histogram2d(points[:, 0], points[:, 1], edges, weights=w)[0]
    content /= np.abs(w).sum() * np.outer(np.diff(edges[0]), np.diff(edges[1]))
    largest = float(np.abs(content).max()) or 1.0
    signed = bool((w < 0).any())
    # a root, so that a peak does not hide what lies around it
    norm = Normalize(-largest, largest) if signed else PowerNorm(0.5, 0.0, largest)
    palette = mpl.colormaps[style.DIVERGING if signed else style.SEQUENTIAL]
    figure = style.new_figure(*size)
    axes = figure.subplots()
    shown = axes.pcolormesh(*edges, content.T, norm=norm, cmap=palette, rasterized=True)
    bar = figure.colorbar(shown, ax=axes, pad=0.02)
    bar.set_label("density")
    bar.ax.tick_params(which="both", direction="out", left=False)
    axes.tick_params(which="both", direction="out", top=False, right=False)
    axes.set(xlabel=labels[0], ylabel=labels[1])
    style.lay_out(figure)  # a colour bar knows its ticks only after a first layout
    return figure


def _edges(values: Array, bound: Bound, bins: int) -> Array:
    """Bins over the bounds; over nearly all events where these are infinite; one a value where there are few."""
    if isinstance(bound, int):
        return np.linspace(-0.5, bound - 0.5, min(bound, bins) + 1)
    low, high = np.quantile(values, (0.005, 0.995))
    margin = 0.05 * (high - low) or 0.5
    start, end = (
        edge if np.isfinite(edge) else far for edge, far in zip(bound, (low - margin, high + margin), strict=True)
    )
    return np.linspace(start, end, bins + 1)
