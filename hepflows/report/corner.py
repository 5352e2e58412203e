"""The corner plot: all pairs and all marginals of posteriors in several parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepflows.errors import DataError
from hepflows.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

_GRID = 40


@style.styled
def corner(
    samples: Mapping[str, ArrayLike],
    names: Sequence[str],
    *,
    truth: Sequence[float] | None = None,
    ranges: Sequence[tuple[float, float]] | None = None,
    levels: tuple[float, ...] = (0.68, 0.95),
    cell: float = 1.45,
) -> Figure:
    """Draw posteriors over each other: marginals on the diagonal, contours that hold 68 % and 95 % of the points below it.

    Args:
        samples: (n, P) points by the name of the posterior.
        names: of the P parameters.
        truth: (P,) true values, drawn as lines.
        ranges: (P,) limits of the axes; those that hold 99.8 % of all points where not given.
        levels: probabilities of the contours.
        cell: width of a panel in inches.

    Raises:
        DataError: points of another number of parameters, or fewer than 20 of them.

    >>> rng = np.random.default_rng(0)
    >>> figure = corner({"flow": rng.normal(size=(500, 2))}, ["a", "b"], truth=[0.0, 0.0])
    >>> len(figure.axes)
    3
    """
    points = {name: np.asarray(values, dtype=np.float64) for name, values in samples.items()}
    for name, values in points.items():
        if values.ndim != 2 or values.shape[1] != len(names) or len(values) < 20:
            message = f"a corner plot of {len(names)} parameters needs points (n, {len(names)}), n at least 20; {name} has {values.shape}"
            raise DataError(message)
    limits = _limits(list(points.values())) if ranges is None else list(ranges)
    count = len(names)
    width, height = cell * count + 0.8, cell * count + 0.6
    figure = style.new_figure(width, height)
    # panels of one size in a fixed grid: to negotiate the places of so many axes takes long
    figure.set_layout_engine(None)
    edges = {"left": 0.7 / width, "right": 1 - 0.1 / width, "bottom": 0.5 / height, "top": 1 - 0.1 / height}
    grid = figure.add_gridspec(count, count, wspace=0.08, hspace=0.08, **edges)
    for row in range(count):
        for column in range(row + 1):
            axes = figure.add_subplot(grid[row, column])
            for index, values in enumerate(points.values()):
                if row == column:
                    _marginal(axes, values[:, row], limits[row], style.sample_style(index))
                else:
                    _contours(axes, values[:, [column, row]], limits[column], limits[row], levels, index)
            _dress(axes, row, column, names, limits, truth)
    handles = [figure.axes[0].lines[index] for index in range(len(points))]
    figure.legend(handles, [style.literal(name) for name in points], loc="upper right", bbox_to_anchor=(0.98, 0.98))
    return figure


def _limits(points: Sequence[Array]) -> list[tuple[float, float]]:
    together = np.concatenate(points)
    low, high = np.quantile(together, (0.001, 0.999), axis=0)
    room = 0.05 * np.maximum(high - low, 1e-12)
    return list(zip((low - room).tolist(), (high + room).tolist(), strict=True))


def _marginal(axes: Axes, values: Array, limits: tuple[float, float], look: dict[str, Any]) -> None:
    counts, edges = np.histogram(values, _GRID, range=limits)
    axes.plot(0.5 * (edges[1:] + edges[:-1]), counts / max(1, len(values)), drawstyle="steps-mid", **look)


def _contours(
    axes: Axes,
    values: Array,
    across: tuple[float, float],
    up: tuple[float, float],
    levels: tuple[float, ...],
    index: int,
) -> None:
    from scipy.ndimage import gaussian_filter

    counts, x, y = np.histogram2d(values[:, 0], values[:, 1], _GRID, range=(across, up))
    # few points are smoothed more: the contours shall show the posterior, not its counting noise
    counts = gaussian_filter(counts, 0.8 + 20.0 / len(values) ** 0.5)
    heights = np.sort(counts.ravel())[::-1]
    inside = heights.cumsum() / max(heights.sum(), 1e-300)
    last = len(heights) - 1
    cuts = sorted({float(heights[min(int(np.searchsorted(inside, level)), last)]) for level in levels})
    cuts = [cut for cut in cuts if 0 < cut < heights[0]]
    if cuts:
        look = style.sample_style(index)
        centres = (0.5 * (x[1:] + x[:-1]), 0.5 * (y[1:] + y[:-1]))
        lines = [look["linestyle"]] * len(cuts)
        axes.contour(*centres, counts.T, cuts, colors=look["color"], linewidths=1.2, linestyles=lines)


def _dress(
    axes: Axes,
    row: int,
    column: int,
    names: Sequence[str],
    limits: Sequence[tuple[float, float]],
    truth: Sequence[float] | None,
) -> None:
    from matplotlib.ticker import MaxNLocator

    last = row == len(names) - 1
    axes.set_xlim(*limits[column])
    axes.xaxis.set_major_locator(MaxNLocator(3, prune="both"))
    axes.tick_params(labelsize=8.5, labelbottom=last, labelleft=column == 0 < row)
    if truth is not None:
        axes.axvline(truth[column], color=style.REFERENCE_LINE, linewidth=0.9)
    if row == column:
        axes.set_yticks([])
        axes.set_ylim(bottom=0)
    else:
        axes.set_ylim(*limits[row])
        axes.yaxis.set_major_locator(MaxNLocator(3, prune="both"))
        if truth is not None:
            axes.axhline(truth[row], color=style.REFERENCE_LINE, linewidth=0.9)
    if last:
        axes.set_xlabel(style.literal(names[column]), fontsize=10.5)
    if column == 0 < row:
        axes.set_ylabel(style.literal(names[row]), fontsize=10.5)
