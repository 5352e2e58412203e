"""Pictures of a calibration: rank histograms, ECDF differences, coverage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from hepflows.metrics.bands import simultaneous_band
from hepflows.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BAND = "95 % band, whole curve"


@style.styled
def ecdf_difference(ranks: Mapping[str, ArrayLike], *, size: tuple[float, float] = (4.6, 4.0)) -> Figure:
    """Draw the distribution function of ranks minus the diagonal, with the band that a calibrated posterior leaves in 5 % of all cases.

    A slope means bias; above the axis on the left and below it on the right means a posterior that is too narrow.

    Args:
        ranks: (N,) numbers between 0 and 1 by name, as many each, see `hepflows.metrics.sbc_ranks`.
        size: width and height in inches.

    >>> figure = ecdf_difference({"theta": np.linspace(0.01, 0.99, 99)})
    >>> figure.axes[0].get_xlabel()
    'rank'
    """
    figure, levels = style.new_figure(size[0], size[1] + style.legend_room([*ranks, _BAND])), np.arange(1, 100) / 100
    axes = figure.subplots()
    numbers = min(np.size(values) for values in ranks.values())
    low, high = simultaneous_band(numbers, levels)
    axes.fill_between(levels, low - levels, high - levels, color=style.REFERENCE_FILL, linewidth=0, label=_BAND)
    for index, (name, values) in enumerate(ranks.items()):
        ordered = np.sort(np.asarray(values, dtype=np.float64))
        share = np.searchsorted(ordered, levels, side="right") / len(ordered)
        axes.plot(levels, share - levels, label=style.literal(name), **style.sample_style(index))
    axes.axhline(0.0, color=style.MUTED, linewidth=0.8)
    axes.set(xlim=(0, 1), xlabel="rank", ylabel="ECDF − rank")
    style.legend_above(axes)
    return figure


@style.styled
def coverage(levels: Mapping[str, ArrayLike], *, size: tuple[float, float] = (4.4, 4.2)) -> Figure:
    """Draw the coverage that is reached against the nominal one, with the band of a calibrated posterior.

    Args:
        levels: (N,) levels of the regions on whose edge the truths lie, by name, see `hepflows.metrics.hpd_ranks`.
        size: width and height in inches.
    """
    figure, nominal = style.new_figure(size[0], size[1] + style.legend_room([*levels, _BAND])), np.arange(1, 100) / 100
    axes = figure.subplots()
    low, high = simultaneous_band(min(np.size(values) for values in levels.values()), nominal)
    axes.fill_between(nominal, low, high, color=style.REFERENCE_FILL, linewidth=0, label=_BAND)
    for index, (name, values) in enumerate(levels.items()):
        ordered = np.sort(np.asarray(values, dtype=np.float64))
        reached = np.searchsorted(ordered, nominal, side="right") / len(ordered)
        axes.plot(nominal, reached, label=style.literal(name), **style.sample_style(index))
    axes.plot([0, 1], [0, 1], color=style.MUTED, linestyle=(0, (2, 2)), linewidth=1.0)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="nominal coverage", ylabel="coverage")
    axes.set_aspect("equal")
    style.legend_above(axes)
    return figure


@style.styled
def rank_histograms(ranks: Mapping[str, ArrayLike], *, bins: int | None = None, columns: int = 4) -> Figure:
    """Draw a histogram of ranks for each parameter, with the band that holds 99 % of the bins of a calibrated posterior.

    Args:
        ranks: (N,) numbers between 0 and 1 by name.
        bins: their number; about one for each 20 ranks, and no more than 20, where not given.
        columns: histograms side by side.
    """
    from scipy.stats import binom

    columns = min(columns, len(ranks))
    rows = -(-len(ranks) // columns)
    figure = style.new_figure(2.3 * columns + 0.4, 1.9 * rows + 0.4)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for axes in grid.flat[len(ranks) :]:
        axes.set_axis_off()
    for axes, (name, values) in zip(grid.flat, ranks.items(), strict=False):
        numbers = np.size(values)
        count = bins or int(np.clip(numbers // 20, 4, 20))
        low, high = binom.ppf((0.005, 0.995), numbers, 1 / count)
        axes.axhspan(low, high, color=style.REFERENCE_FILL, linewidth=0)
        counts = np.histogram(np.asarray(values), np.linspace(0, 1, count + 1))[0]
        axes.stairs(counts, np.linspace(0, 1, count + 1), color=style.SAMPLES[0], linewidth=1.4)
        axes.set(xlim=(0, 1), ylim=(0, 1.25 * max(counts.max(), high)), title=style.literal(name))
    figure.supxlabel("rank", fontsize=12)
    return figure
