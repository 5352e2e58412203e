"""Figures of a verdict: distributions of all methods, residuals, coverage, posteriors of single events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hepflows.applications.neutrino.events import Array
from hepflows.applications.neutrino.kinematics import Roots
from hepflows.report import plots, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS = {
    "px": r"$p_x^\nu$", "py": r"$p_y^\nu$", "pz": r"$p_z^\nu$", "eta": r"$\eta^\nu$", "m_w": r"$m(\ell\nu)$", "m_top": r"$m(\ell\nu b)$",
}  # fmt: skip
TITLES = {
    "flow": "flow, median", "flow_sample": "flow", "flow_mode": "flow, mode", "feedforward": "regression", "quadratic": "W constraint",
}  # fmt: skip
_RANGES = {
    "px": (-200, 200),
    "py": (-200, 200),
    "pz": (-500, 500),
    "eta": (-4, 4),
    "m_w": (40, 160),
    "m_top": (100, 300),
}


def distribution(name: str, estimates: Mapping[str, Mapping[str, Array]], unit: str) -> Figure:
    """Draw a quantity of the true neutrinos, of one draw of the flow, of the regression and of the constraint.

    Args:
        name: of the quantity.
        estimates: (n, L) by method and quantity.
        unit: of the quantity.
    """
    shown = {
        TITLES[one]: estimates[one][name] for one in ("flow_sample", "feedforward", "quadratic") if one in estimates
    }
    return plots.comparison(
        estimates["truth"][name],
        shown,
        bins=np.linspace(*_RANGES[name], 51),
        label=LABELS[name],
        unit=unit,
        reference_name="truth",
        ylabel="fraction of neutrinos",
        ratio_range=(0.0, 2.0),
    )


@style.styled
def residuals(name: str, estimates: Mapping[str, Mapping[str, Array]], reach: float, unit: str) -> Figure:
    """Draw estimate minus truth of a quantity.

    Args:
        name: of the quantity.
        estimates: by method and quantity.
        reach: of the axis.
        unit: of the quantity.
    """
    chosen = [one for one in ("flow", "flow_sample", "feedforward", "quadratic") if one in estimates]
    titles = [TITLES[one] if one != "flow_sample" else "flow, one draw" for one in chosen]
    figure = style.new_figure(4.6, 3.8 + style.legend_room(titles))
    axes = figure.subplots()
    edges = np.linspace(-reach, reach, 81)
    for index, (one, title) in enumerate(zip(chosen, titles, strict=True)):
        difference = (estimates[one][name] - estimates["truth"][name]).ravel()
        counts = np.histogram(difference, edges)[0] / max(1, len(difference))
        axes.stairs(counts, edges, label=title, linewidth=1.5, **style.sample_style(index))
    axes.axvline(0.0, color=style.MUTED, linewidth=0.8)
    axes.set(
        xlabel=f"{LABELS[name]} − truth{f' [{unit}]' if unit else ''}",
        ylabel="fraction of neutrinos",
        xlim=(-reach, reach),
    )
    axes.set_ylim(bottom=0.0)
    style.legend_above(axes)
    return figure


@style.styled
def single_event(pz: Array, roots: Roots, event: int, truth: float, regression: float) -> Figure:
    """Draw the posterior of pz of one event with both roots of the constraint, the truth and the regression.

    Args:
        pz: (S,) draws in GeV.
        roots: of all events.
        event: row of this one.
        truth: the true pz.
        regression: what the regression says.
    """
    figure = style.new_figure(4.2, 3.9)
    axes = figure.subplots()
    low, high = np.quantile(pz, (0.01, 0.99))
    marks = [*roots.pz[event], truth, regression]
    low, high = min(low, *marks), max(high, *marks)
    edges = np.linspace(low - 0.05 * (high - low), high + 0.05 * (high - low), 41)
    counts = np.histogram(pz, edges, density=True)[0]
    axes.stairs(counts, edges, fill=True, color=style.SAMPLES[0], alpha=0.35, label="flow")
    look: dict[str, Any] = {"linewidth": 1.6}
    for index, root in enumerate(roots.pz[event]):
        axes.axvline(
            root, color=style.SAMPLES[2], linestyle=(0, (2, 1.5)), label="W constraint" if index == 0 else None, **look
        )
    axes.axvline(regression, color=style.SAMPLES[1], linestyle=(0, (5, 1.5)), label="regression", **look)
    axes.axvline(truth, color=style.REFERENCE_LINE, label="truth", **look)
    axes.set(xlabel=f"{LABELS['pz']} [GeV]", ylabel="density [1/GeV]", xlim=(edges[0], edges[-1]))
    axes.set_ylim(0.0, 1.12 * float(counts.max()))
    style.legend_above(axes)
    return figure


def two_sided(pz: Array, roots: Roots, count: int) -> Array:
    """Rows of events whose draws lie near both real roots, the most evenly divided of well separated ones first.

    Args:
        pz: (S, n) draws.
        roots: of the n events.
        count: how many rows.
    """
    far = np.abs(pz - roots.pz[:, 1]) < np.abs(pz - roots.pz[:, 0])
    share = far.mean(axis=0)
    gap = np.abs(roots.pz[:, 1] - roots.pz[:, 0])
    spread = 0.5 * (np.quantile(pz, 0.84, axis=0) - np.quantile(pz, 0.16, axis=0))
    apart = roots.real & (gap > 1.2 * spread) & (gap > 60.0)
    score = np.where(apart, -np.abs(share - 0.5), -1.0)
    return np.argsort(-score, kind="stable")[:count]
