"""The sky in a report: a map and a profile of the events with the highest scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.events import Array, Events
from hepflows.applications.anomaly.regions import Regions
from hepflows.applications.anomaly.sky import TOP, Profile, Sky
from hepflows.report import style
from hepflows.report.html import Picture, Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def section(report: Report, scores: Array, events: Events, regions: Regions, sky: Sky) -> None:
    """Where the events with the highest scores lie."""
    found, inside = sky.profile(scores, events.resonance, regions), regions.signal(events.resonance)
    top, name = sky.top(scores, inside), sky.names[1]
    known = [one for one in sky.names if one in events.names]
    caveat = (
        f" The score knows {' and '.join(known)}: it may crowd there by itself."
        if known
        else " The score knows neither."
    )
    report.section("On the sky")
    report.paragraph(
        f"The {len(top):,} events of the signal region that score highest, {100 * TOP:g} % of it. In {name} they crowd most from "
        f"{found.low:.3g} to {found.high:.3g}: {found.observed} events where the sidebands let expect {found.background:.1f}, "
        f"{found.significance:+.1f} standard deviations there, and p = {found.p_value:.2g} for any place.{caveat}"
    )
    chosen = np.isin(np.arange(len(events)), top)[inside]
    report.figures(
        [
            Picture(
                plot(sky.places[inside], chosen, sky.names),
                "Signal region; the highest scores in colour.",
                title="Sky.",
                alt=f"{sky.names[0]} and {name} of the events with the highest scores",
            ),
            Picture(
                profiled(found, label=name),
                "Bins of equal counts in the sidebands, whose expectation is the line.",
                title=f"Profile in {name}.",
                alt=f"histogram of {name} of the events with the highest scores",
            ),
        ]
    )


@style.styled
def plot(places: Array, chosen: NDArray[np.bool_], names: tuple[str, str]) -> Figure:
    """Draw (n, 2) places, some of them in colour.

    >>> figure = plot(np.zeros((3, 2)), np.array([True, False, False]), ("phi1", "phi2"))
    >>> figure.axes[0].get_ylabel()
    'phi2'
    """
    figure = style.new_figure(6.0, 3.6)
    axes = figure.subplots()
    rest = places[~chosen]
    axes.scatter(
        rest[:, 0], rest[:, 1], s=3, color=style.MUTED, alpha=0.35, linewidth=0, rasterized=True, label="signal region"
    )
    axes.scatter(places[chosen, 0], places[chosen, 1], s=9, color=style.SAMPLES[1], linewidth=0, label="highest scores")
    axes.set(xlabel=names[0], ylabel=names[1])
    style.legend_above(axes)
    return figure


@style.styled
def profiled(found: Profile, *, label: str) -> Figure:
    """Draw the counts of a profile with the expectation of the sidebands, the place of the largest excess shaded."""
    figure = style.new_figure(4.6, 3.8)
    axes = figure.subplots()
    middle, width = 0.5 * (found.edges[1:] + found.edges[:-1]), np.diff(found.edges)
    look = style.sample_style(1)
    axes.axvspan(found.low, found.high, color=style.REFERENCE_FILL, alpha=0.6, linewidth=0, zorder=0)
    axes.stairs(found.counts / width, found.edges, label="highest scores", linewidth=1.4, **look)
    axes.errorbar(
        middle, found.counts / width, np.sqrt(found.counts) / width, fmt="none", linewidth=0.9, color=look["color"]
    )
    axes.stairs(found.expected / width, found.edges, label="sidebands", linewidth=1.4, color=style.REFERENCE_LINE)
    axes.set(xlabel=label, ylabel=f"events per unit of {label}", xlim=(found.edges[0], found.edges[-1]), ylim=(0, None))
    style.legend_above(axes)
    return figure
