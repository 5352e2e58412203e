"""The report of a search with several seeds: a table of the seeds, and the band of the SIC curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepflows.applications.anomaly import report_pictures
from hepflows.applications.anomaly.data import Selection
from hepflows.applications.anomaly.events import Array
from hepflows.applications.anomaly.regions import Regions
from hepflows.report import style
from hepflows.report.html import Card, Picture, Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = {
    "significance": "local significance", "p_value": "p-value", "max_sic": "largest SIC", "auc": "AUC", "auc_sideband": "sidebands, AUC",
    "auc_signal_region": "background of the signal region, AUC", "sculpting_p_value": "sculpting, p-value",
}  # fmt: skip


def write_report(
    path: Path,
    metrics: Mapping[str, Any],
    runs: Sequence[Mapping[str, Any]],
    band: Mapping[str, Array] | None,
    *,
    title: str,
    regions: Regions,
    selection: Selection,
) -> None:
    """Write ``report.html`` of all seeds; that of each stands in its folder."""
    report = Report(
        f"Anomaly search in {title}, {metrics['n_seeds']} seeds",
        subtitle=f"{metrics['method']}, {metrics['n_events']:,} events, signal region {regions.low:g} to {regions.high:g} "
        f"{selection.units}, features {', '.join(selection.features)}.",
        footer="Written by hepflows. Medians and central 68 % over the seeds: folds, weights, batches, samples and classifiers vary, "
        "the events do not.",
    )
    report.section("Median of the seeds")
    shown = [key for key in _COLUMNS if key in metrics]
    report.cards(
        [
            Card(
                _COLUMNS[key],
                f"{metrics[key]:.3g}",
                f"68 % from {metrics[f'{key}_low']:.3g} to {metrics[f'{key}_high']:.3g}",
            )
            for key in shown
        ]
    )
    if band is not None:
        report.figures(
            [
                Picture(
                    sic_band(band, truth=f"{metrics['method']}, {metrics['n_seeds']} seeds"),
                    "Median and central 68 % over the seeds, at equal signal efficiency.",
                    title="Significance improvement.",
                    alt="band of SIC curves",
                )
            ]
        )
    report.section("The seeds")
    rows = [
        [str(seed), *("–" if one.get(key) is None else f"{one[key]:.3g}" for key in shown)]
        for seed, one in zip(metrics["seeds"], runs, strict=True)
    ]
    report.table(
        ["seed", *(_COLUMNS[key] for key in shown)], rows, caption="Each has a report of its own, in its folder."
    )
    report.write(path)


@style.styled
def sic_band(band: Mapping[str, Array], *, truth: str) -> Figure:
    """Draw the median SIC curve of several seeds with its central 68 %.

    Args:
        band: see `hepflows.applications.anomaly.metrics.band`.
        truth: what the curve belongs to, for the legend.

    >>> import numpy as np
    >>> x = np.linspace(0.1, 1, 5)
    >>> figure = sic_band({"signal": x, "median": x, "low": x - 0.1, "high": x + 0.1}, truth="cathode, 3 seeds")
    >>> figure.axes[0].get_xlabel()
    'signal efficiency'
    """
    figure = style.new_figure(4.6, 4.0)
    axes = figure.subplots()
    look = style.sample_style(0)
    axes.plot(band["signal"], band["median"], label=truth, **look)
    axes.fill_between(band["signal"], band["low"], band["high"], color=look["color"], alpha=0.25, linewidth=0)
    report_pictures.finish_sic(axes, float(band["high"].max()))
    return figure
