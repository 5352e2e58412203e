"""The report of a run: the verdict in words, then the pictures behind it, then how it was made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepflows.applications.calorimeter.evaluation.context import Context
from hepflows.applications.calorimeter.report_cards import cards
from hepflows.applications.calorimeter.report_notices import all_notices
from hepflows.applications.calorimeter.report_pictures import HEADINGS, average_showers, distributions
from hepflows.applications.calorimeter.report_tables import counts, figures, left_out, separation_table
from hepflows.applications.calorimeter.report_text import count, number
from hepflows.applications.calorimeter.report_verdict import verdict
from hepflows.applications.calorimeter.showers import Showers, weights_of
from hepflows.errors import DataError
from hepflows.report import plots
from hepflows.report.html import Picture, Report

Curves = Mapping[str, tuple[ArrayLike, ArrayLike]]
Metrics = Mapping[str, Mapping[str, Any]]

# ROC curves that have a name of their own, and the metric that is their area
CURVES = {
    "generated": ("{sample}", "auc"),
    "floor": ("{reference} (floor)", "auc_floor"),
    "power check": ("permuted (power check)", "power_auc"),
}

FLOOR_OF = "floor of "
"""Before the name of a sample: the key of the ROC curve of its floor, where samples have floors of their own."""


def write_report(
    path: str | os.PathLike[str],
    *,
    showers: Mapping[str, Showers],
    metrics: Mapping[str, Mapping[str, Any]] | None = None,
    histories: Mapping[str, Mapping[str, ArrayLike]] | None = None,
    roc: Curves | None = None,
    manifest: Mapping[str, Any] | None = None,
    context: Context | None = None,
    title: str = "CaloFlow: calorimeter showers",
) -> None:
    """Write the report of a run, or of an evaluation, as one HTML file that needs nothing else.

    Whatever is missing is left out: `hepflows calorimeter evaluate` has no histories, for example.

    Args:
        path: the file; it appears when it is complete.
        showers: samples by name in one geometry, the reference ("Geant4") first, then one or more generated ones.
        metrics: what stands in ``metrics.json`` of each generated sample, by its name; any of it may be missing.
        histories: losses by epoch ("train", "validation") by name of the flow.
        roc: (false positive rate, true positive rate) by name: "generated", "floor", "power check", a sample, "floor of" one, or any
            other.
        manifest: how the run was made; nested mappings become tables.
        context: published numbers.
        title: heading of the page.

    Raises:
        DataError: there is no generated sample, a sample is empty, geometries differ, or the file cannot be written.
    """
    _check(showers)
    reference, *samples = showers
    numbers = {name: (metrics or {}).get(name, {}) for name in samples}
    report = Report(title, subtitle=_subtitle(showers), footer="Written by hepflows. Errors are statistical.")
    _write_verdict(report, numbers, showers)
    _write_figures(report, numbers, reference, context)
    _write_images(report, showers)
    _write_distributions(report, showers, numbers)
    _write_curves(report, roc or {}, histories or {}, numbers, reference)
    _write_separation(report, numbers, reference)
    _write_origin(report, showers, manifest or {})
    report.write(path)


def _check(showers: Mapping[str, Showers]) -> None:
    if len(showers) < 2:
        message = f"a report compares a reference with generated showers; got only {list(showers)}: give both by name"
        raise DataError(message)
    empty = [name for name, sample in showers.items() if len(sample) == 0]
    if empty:
        message = f"the sample {empty[0]!r} has no showers: a report needs at least one in each sample"
        raise DataError(message)
    geometries = {name: sample.geometry for name, sample in showers.items()}
    first = next(iter(geometries.values()))
    other = [name for name, geometry in geometries.items() if geometry != first]
    if other:
        message = f"the sample {other[0]!r} has another geometry than the reference: convert it, or report it apart"
        raise DataError(message)


def _subtitle(showers: Mapping[str, Showers]) -> str:
    sizes = ", ".join(f"{name} ({len(sample):,} showers)" for name, sample in showers.items())
    geometry = next(iter(showers.values())).geometry
    layers = ", ".join("×".join(map(str, layer.shape)) for layer in geometry.layers)
    return f"{sizes}. Detector {geometry.name}: {geometry.n_voxels} cells in layers of {layers}."


def _write_verdict(report: Report, metrics: Metrics, showers: Mapping[str, Showers]) -> None:
    reference, *samples = showers
    report.section("Verdict")
    judged = [sample for sample in samples if number(metrics[sample], "auc") is not None] or samples[:1]
    for sample in judged:
        tone, title, text = verdict(metrics[sample], reference, sample)
        report.notice(text, tone, title=title if len(judged) == 1 else f"{sample}: {title}")
    if len(samples) == 1:
        report.cards(cards(metrics[samples[0]], reference, samples[0]))
    for notice in all_notices(metrics, showers):
        report.notice(notice.text, notice.tone, title=notice.title)


def _write_figures(report: Report, metrics: Metrics, reference: str, context: Context | None) -> None:
    table = figures(metrics)
    if table:
        report.section("Figures")
        report.table(*table, caption=counts(metrics, reference))
        for sentence in left_out(metrics):
            report.paragraph(sentence)
    if context:
        report.section("Published numbers")
        report.paragraph(
            f"{context.title}: published, not measured here. {context.caveat} A dash in a row of this evaluation (here): not "
            "measured by the published protocol. AUC low is that of voxels, high that of high-level features."
        )
        report.table(context.header, [*context.own, *context.published], caption=context.footnote)
        if context.times:
            report.heading("Published sizes and times")
            words = "Parameters that generation needs; milliseconds a shower, by size of the batch. The hardware is unknown: context only."
            report.table(*context.times, caption=words)


def _write_images(report: Report, showers: Mapping[str, Showers]) -> None:
    report.section("Average showers")
    report.figures(average_showers(showers), wide=True)


def _write_distributions(report: Report, showers: Mapping[str, Showers], metrics: Metrics) -> None:
    report.section("Distributions")
    report.paragraph(
        "Histograms show fractions of the sample; what lies outside the bins counts. Below them the ratio to the reference: "
        "the grey band is the statistical error of the reference, the bars are that of the sample, triangles mark ratios "
        "beyond the panel."
    )
    pictures = distributions(showers, metrics)
    for heading in HEADINGS:
        if pictures.get(heading):
            report.heading(heading)
            report.figures(pictures[heading])
    others = [picture for heading, group in pictures.items() if heading not in HEADINGS for picture in group]
    if others:
        with report.details("More observables: energy fractions, brightest voxels, spread of the depth"):
            report.figures(others)


def _write_curves(
    report: Report,
    curves: Curves,
    histories: Mapping[str, Mapping[str, ArrayLike]],
    metrics: Metrics,
    reference: str,
) -> None:
    if not curves and not histories:
        return
    report.section("Classifier and training" if curves and histories else "Classifier" if curves else "Training")
    pictures = [_roc_picture(curves, metrics, reference)] if curves else []
    caption = "Loss by epoch; the circle marks the epoch whose weights were kept."
    for name, history in histories.items():
        figure = plots.losses(history)
        pictures.append(Picture(figure, caption, title=f"{name}.", alt=f"training and validation loss of {name}"))
    report.figures(pictures)


def _roc_picture(curves: Curves, metrics: Metrics, reference: str) -> Picture:
    named, areas, floors = {}, {}, []
    own = [key for key in curves if key.startswith(FLOOR_OF)]
    for key in [*(key for key in curves if key not in own), *own]:
        name, values, metric = _curve(key, metrics, reference, several=len(own) > 1)
        name = (
            key if name in named else name
        )  # two floors of one size, of samples that share other showers with the reference
        named[name] = curves[key]
        if metric == "auc_floor":
            floors.append(name)
        if metric and (area := number(values, metric)) is not None:
            areas[name] = (area, number(values, f"{metric}_std"))
    caption = (
        "Mean over the trainings, on showers that the classifier was not trained on. The closer to the diagonal, the "
        "better the generator."
    )
    return Picture(plots.roc(named, auc=areas, floor=floors), caption, title="Classifier.", alt="ROC curves")


def _curve(key: str, metrics: Metrics, reference: str, *, several: bool) -> tuple[str, Mapping[str, Any], str]:
    """Of a ROC curve: its name, and where its area stands, in which metrics and under which key (none of a curve of the caller's own)."""
    first = next(iter(metrics))
    sample = key.removeprefix(FLOOR_OF)
    if key in metrics and len(metrics) > 1:
        return key, metrics[key], "auc"
    if key in CURVES:
        pattern, metric = CURVES[key]
        return pattern.format(reference=reference, sample=first), metrics[first], metric
    if sample != key and sample in metrics:
        events = f"{sum(metrics[sample].get('n_classifier_floor') or []):,} a class"
        return f"floor, {events}" if several else f"{reference} (floor)", metrics[sample], "auc_floor"
    return key, metrics.get(key, {}), "auc" if key in metrics else ""


def _write_separation(report: Report, metrics: Metrics, reference: str) -> None:
    tables = {
        "": separation_table(metrics, reference),
        "In the bins of the CaloChallenge": separation_table(metrics, reference, "_calochallenge"),
    }
    if not tables[""]:
        return
    report.section("Separation")
    report.paragraph(
        "Separation power S = ½ Σ (h₁ − h₂)² / (h₁ + h₂) of two histograms of unit sum, largest first: 0 where they are "
        "the same, 1 where they do not overlap (arXiv:2009.03796). The floor is what two samples of one distribution would "
        f"give with as many showers and the same bins: a value near it shows no difference.{_own_floors(metrics)}"
    )
    for heading, table in tables.items():
        if table and heading:
            with report.details(heading):
                report.table(*table)
        elif table:
            report.table(*table)


def _own_floors(metrics: Metrics) -> str:
    """What the table of several samples shows of their floors."""
    if len(metrics) == 1:
        return ""
    return " In brackets: S over the floor of that sample, which goes by its size; the last column has the range of the floors."


def _write_origin(report: Report, showers: Mapping[str, Showers], manifest: Mapping[str, Any]) -> None:
    report.section("How it was made")
    header = ["sample", "showers", "incident energy [GeV]", "mean E_tot / E_inc"]
    report.table(header, [_sample_row(name, sample) for name, sample in showers.items()])
    for name, sample in showers.items():
        if sample.attributes:
            with report.details(f"What the file of {name} says about itself"):
                report.table(["", ""], [[key, str(value)] for key, value in sample.attributes.items()], columns="ht")
    report.manifest(manifest)


def _sample_row(name: str, sample: Showers) -> list[str]:
    low, high = float(sample.energies.min()), float(sample.energies.max())
    responses = sample.layer_energies.sum(axis=1) / (1e3 * sample.energies)
    response = float(np.average(responses, weights=weights_of(sample)))
    return [name, count(len(sample)), f"{low:.3g} – {high:.3g}", f"{response:.4f}"]
