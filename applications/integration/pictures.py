"""Pictures of event shapes: generated events beside a reference, with errors and ratios."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.integration.events import Events
from hepflows.applications.integration.observables import durham, thrust
from hepflows.report import plots
from hepflows.report.html import Picture

__all__ = ["event_shapes"]

Array = NDArray[np.float64]

_BELOW = 1e-4
"""Share of the rate that may lie below a logarithmic axis."""


def event_shapes(
    reference: Events, generated: Mapping[str, Events], *, reference_name: str = "reference", bins: int = 40
) -> list[Picture]:
    """Thrust and Durham resolution of several samples of events of three or more particles, as parts of one.

    Args:
        reference: events to compare with.
        generated: samples by name. Weights are used in both.
        reference_name: in the legend.
        bins: over the range of the reference; equal ones in 1 - T, equal ratios in y_23.

    Returns:
        A picture of 1 - T and one of y_23, with captions.

    Raises:
        DomainError: events have fewer than three particles or too many of them.

    >>> from hepflows.applications.integration.processes import ee3j_5d
    >>> f = ee3j_5d()
    >>> samples = [np.random.default_rng(seed).uniform(size=(200, 5)) for seed in (0, 1)]
    >>> events = [Events(f.momenta(u), f.particles, f(u)) for u in samples]
    >>> [picture.title for picture in event_shapes(events[0], {"generated": events[1]})]
    ['Thrust.', 'Durham resolution.']
    """
    samples = {reference_name: reference, **generated}
    weights = {name: events.weight for name, events in samples.items()}
    counts = ", ".join(f"{name} {_describe(events)}" for name, events in samples.items())
    pictures = []
    for title, values, label, log in (
        ("Thrust", {name: 1 - thrust(events.momenta) for name, events in samples.items()}, "$1 - T$", False),
        ("Durham resolution", {name: durham(e.momenta) for name, e in samples.items()}, "$y_{23}$", True),
    ):
        first = values.pop(reference_name)
        figure = plots.comparison(
            first,
            values,
            bins=_edges(first, reference.weight, bins, log=log),
            label=label,
            log_x=log,
            log_y=True,
            ratio_range=(0.5, 1.5),
            weights=weights,
            reference_name=reference_name,
            ylabel="fraction of rate per bin",
        )
        caption = f"Bars are statistical errors of the weighted events; events (effective): {counts}."
        pictures.append(Picture(figure, caption, f"{title}."))
    return pictures


def _edges(values: Array, weight: Array, bins: int, *, log: bool) -> Array:
    values, weight = values[weight > 0], weight[weight > 0]
    if not log:
        return np.linspace(values.min(), values.max(), bins + 1)
    order = np.argsort(values)
    rate = np.cumsum(weight[order])
    # points of next to no weight may lie decades below all others
    low = values[order][np.searchsorted(rate, _BELOW * rate[-1])]
    return np.geomspace(low, values.max(), bins + 1)


def _describe(events: Events) -> str:
    effective = events.weight.sum() ** 2 / (events.weight**2).sum()
    return f"{len(events)} ({effective:.0f})"
