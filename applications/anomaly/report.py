"""The report of a search as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepflows.applications.anomaly import report_pictures as pictures
from hepflows.applications.anomaly import report_sky
from hepflows.applications.anomaly.bumphunt import Window
from hepflows.applications.anomaly.closure import Closure
from hepflows.applications.anomaly.events import Array, Events
from hepflows.applications.anomaly.metrics import curve
from hepflows.applications.anomaly.regions import Regions
from hepflows.applications.anomaly.report_text import cards, verdict
from hepflows.applications.anomaly.sky import Sky
from hepflows.report import plots
from hepflows.report.html import Picture, Report
from hepflows.report.training import loss_pictures
from hepflows.training.loop import History


def write_report(
    path: Path,
    *,
    scores: Array,
    events: Events,
    regions: Regions,
    metrics: Mapping[str, Any],
    sample: Closure | None,
    inner: Closure | None,
    sky: Sky | None,
    hunts: Sequence[tuple[float, Window | str]],
    histories: Mapping[str, History],
    manifest: Mapping[str, Any],
) -> None:
    """Write ``report.html``: the verdict, the cuts, the pictures and how the run was made."""
    unit = manifest["identity"]["config"]["selection"]["units"]
    axis = f"{events.resonance_name} [{unit}]" if unit else events.resonance_name
    files = ", ".join(one["name"] for one in manifest["identity"]["data"])
    report = Report(
        f"Anomaly search in {files}",
        subtitle=f"{metrics['method']}, {len(events):,} events, signal region {regions.low:g} to {regions.high:g} {unit}, "
        f"features {', '.join(events.names)}.",
        footer="Written by hepflows. Errors are statistical unless stated otherwise.",
    )
    report.section("Verdict")
    tone, title, text = verdict(metrics)
    report.notice(text, tone, title=title)
    report.cards(cards(metrics))
    _cuts(report, metrics, scores, events, regions, hunts, axis)
    _found(report, scores, events, regions)
    if sky is not None:
        report_sky.section(report, scores, events, regions, sky)
    _truth(report, metrics, scores, events, regions)
    if sample is not None:
        _background(report, metrics, sample, events, scores, regions)
    if inner is not None:
        _inner(report, metrics, inner)
    _origin(report, histories, manifest)
    report.write(path)


def _cuts(
    report: Report,
    metrics: Mapping[str, Any],
    scores: Array,
    events: Events,
    regions: Regions,
    hunts: Sequence[tuple[float, Window | str]],
    axis: str,
) -> None:
    report.section("Bump hunt")
    passed = [("all events", np.ones(len(events), dtype=bool))]
    passed += [(f"background efficiency {cut:g}", scores >= -np.log10(cut)) for cut, _ in hunts]
    figure = pictures.spectrum(events.resonance, passed, regions, label=axis)
    shown = [
        Picture(figure, "The signal region is shaded.", title="Spectrum.", alt="spectrum of the resonant variable")
    ]
    rows = []
    for cut, one in hunts:
        if isinstance(one, str):
            report.paragraph(f"No fit at background efficiency {cut:g}: {one}.")
            continue
        rows.append(_row(cut, one))
        caption = f"{one.shape.family} with {one.shape.parameters} parameters, fitted beside the window (p = {one.sideband_p_value:.2g})."
        shown.append(
            Picture(
                pictures.fitted(one, label=axis),
                caption,
                title=f"Fit at {cut:g}.",
                alt="spectrum with the fit of the sidebands",
            )
        )
    header = [
        "background efficiency",
        "observed",
        "expected",
        "significance",
        "p-value",
        "p-value, toys",
        "95 % CLs limit",
    ]
    if rows:
        report.table(
            header,
            rows,
            caption="Events of the signal region against a smooth function fitted to the sidebands, after the cut. One window, no "
            "look-elsewhere correction; a p-value from toys is never below one over their number; the limit is a number of signal events "
            "that pass the cut.",
        )
    report.figures(shown)
    _counts(report, metrics)


def _row(cut: float, one: Window) -> list[str]:
    return [
        f"{cut:g}",
        f"{one.observed:,}",
        f"{one.expected:.1f} ± {one.expected_std:.1f}",
        f"{one.significance:+.2f}",
        f"{one.p_value:.2g}",
        "–" if one.p_toys is None else f"{one.p_toys:.2g}",
        f"{one.limit:.1f}",
    ]


def _counts(report: Report, metrics: Mapping[str, Any]) -> None:
    counts = [one for one in metrics["counts"] if one["expected"] is not None]
    if not counts:
        return
    report.heading("Without a fit")
    report.table(
        ["background efficiency", "observed", "expected", "significance", "p-value"],
        [
            [
                f"{one['efficiency']:g}",
                f"{one['observed']:,}",
                f"{one['expected']:.1f} ± {one['expected_std']:.1f}",
                f"{one['significance']:+.2f}",
                f"{one['p_value']:.2g}",
            ]
            for one in counts
        ],
        caption="The expectation is that of the sampled background (arXiv:2411.00085) times the ratio of real to sampled events that "
        "pass in the sidebands; the error is that of the ratio, and its difference between both sides.",
    )


def _found(report: Report, scores: Array, events: Events, regions: Regions) -> None:
    """The features of the events that score highest."""
    inside = np.flatnonzero(regions.signal(events.resonance))
    most = inside[np.argsort(-scores[inside], kind="stable")[: max(10, len(inside) // 20)]]
    report.section("What stands out")
    report.paragraph(
        f"The {len(most):,} events of the signal region that score highest, 5 % of it, beside all of them."
    )
    figures = []
    for i, name in enumerate(events.names):
        low, high = np.quantile(events.features[inside, i], (0.001, 0.999))
        figure = plots.comparison(
            events.features[inside, i],
            {"highest scores": events.features[most, i]},
            bins=np.linspace(low, high, 31),
            label=name,
            reference_name="all",
            ylabel="fraction of events",
            ratio_range=(0.0, 6.0),
        )
        figures.append(Picture(figure, title=f"{name}.", alt=f"{name} of the events with the highest scores"))
    report.figures(figures)


def _truth(report: Report, metrics: Mapping[str, Any], scores: Array, events: Events, regions: Regions) -> None:
    if metrics.get("max_sic") is None or events.label is None:
        return
    inside = regions.signal(events.resonance)
    report.section("Against the labels")
    found = curve(scores[inside], events.label[inside])
    signal, background = found.n_signal, found.n_background
    caption = f"{signal:,} signal and {background:,} background events of the signal region, scored by models that have not seen them."
    shown = [("background", scores[inside & (events.label == 0)]), ("signal", scores[inside & (events.label == 1)])]
    report.figures(
        [
            Picture(
                pictures.sic(found, truth=str(metrics["method"])),
                caption,
                title="Significance improvement.",
                alt="SIC curve",
            ),
            Picture(
                pictures.score_distributions(shown),
                "Signal region.",
                title="Scores.",
                alt="scores of signal and background",
            ),
        ]
    )


def _background(
    report: Report, metrics: Mapping[str, Any], sample: Closure, events: Events, scores: Array, regions: Regions
) -> None:
    report.section("Background")
    report.paragraph(
        f"Background drawn in the sidebands, at the resonant variable of real events, by flows that have not seen them. A classifier "
        f"reaches an AUC of {metrics['auc_sideband']:.3f} ± {metrics['auc_sideband_std']:.3f}; two halves of the real events give "
        f"{metrics['auc_sideband_floor']:.3f}."
    )
    figures = _compared(sample, "sidebands")
    inside = regions.signal(events.resonance)
    shown = [
        ("signal region", scores[inside]),
        ("sidebands", sample.real_scores),
        ("sampled sidebands", sample.drawn_scores),
    ]
    figures.append(
        Picture(pictures.score_distributions(shown), title="Scores.", alt="scores of real and sampled events")
    )
    report.figures(figures)


def _inner(report: Report, metrics: Mapping[str, Any], sample: Closure) -> None:
    report.heading("Background of the signal region, by its labels")
    report.paragraph(
        f"The same where the flows had to interpolate, against events that the labels call background. A classifier reaches an AUC of "
        f"{metrics['auc_signal_region']:.3f} ± {metrics['auc_signal_region_std']:.3f}; two halves of the real events give "
        f"{metrics['auc_signal_region_floor']:.3f}."
    )
    report.figures(_compared(sample, "signal region"))


def _compared(sample: Closure, place: str) -> list[Picture]:
    """Each feature of real and sampled background."""
    figures = []
    for i, name in enumerate(sample.real.names):
        low, high = np.quantile(sample.real.features[:, i], (0.001, 0.999))
        figure = plots.comparison(
            sample.real.features[:, i],
            {"sampled": sample.drawn.features[:, i]},
            bins=np.linspace(low, high, 41),
            label=name,
            reference_name=place,
            ylabel="fraction of events",
            ratio_range=(0.5, 1.5),
        )
        figures.append(Picture(figure, title=f"{name}.", alt=f"{name} of real and sampled background, {place}"))
    return figures


def _origin(report: Report, histories: Mapping[str, History], manifest: Mapping[str, Any]) -> None:
    report.section("How it was made")
    with report.details("Losses of the flows"):
        report.figures(loss_pictures(histories))
    report.manifest(manifest)
