"""The report of a run: the verdict in words, then the pictures behind it, then how it was made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepflows.applications.calorimeter.report_pictures import HEADINGS, average_showers, distributions, plain_name
from hepflows.applications.calorimeter.report_text import cards, count, notices, number, short, verdict
from hepflows.applications.calorimeter.showers import Showers
from hepflows.errors import DataError
from hepflows.report import plots
from hepflows.report.html import Picture, Report
from hepflows.report.nested import grouped_rows

Curves = Mapping[str, tuple[ArrayLike, ArrayLike]]

# ROC curves that have a name of their own, and the metric that is their area
CURVES = {
    "generated": ("{sample}", "auc"),
    "floor": ("{reference} (floor)", "auc_floor"),
    "power check": ("permuted (power check)", "power_auc"),
}


def write_report(
    path: str | os.PathLike[str],
    *,
    showers: Mapping[str, Showers],
    metrics: Mapping[str, Any] | None = None,
    histories: Mapping[str, Mapping[str, ArrayLike]] | None = None,
    roc: Curves | None = None,
    manifest: Mapping[str, Any] | None = None,
    title: str = "CaloFlow: calorimeter showers",
) -> None:
    """Write the report of a run, or of an evaluation, as one HTML file that needs nothing else.

    Whatever is missing is left out: `hepflows calorimeter evaluate` has no histories, for example.

    Args:
        path: the file; it appears when it is complete.
        showers: samples by name in one geometry, the reference ("Geant4") first, then one or more generated ones.
        metrics: numbers of the first generated sample: auc, auc_std, auc_floor, auc_floor_std, power_auc, power_ok, jsd,
            n_classifier_train, n_classifier_select, n_classifier_score, n_train, train_seconds, ms_per_shower,
            separation and separation_floor (by observable).
        histories: losses by epoch ("train", "validation") by name of the flow.
        roc: (false positive rate, true positive rate) by name: "generated", "floor", "power check", or any other.
        manifest: how the run was made; nested mappings become tables.
        title: heading of the page.

    Raises:
        DataError: there is no generated sample, a sample is empty, geometries differ, or the file cannot be written.
    """
    _check(showers)
    numbers = metrics or {}
    names = list(showers)
    report = Report(title, subtitle=_subtitle(showers), footer="Written by hepflows. Errors are statistical.")
    _write_verdict(report, numbers, showers)
    _write_images(report, showers)
    _write_distributions(report, showers, numbers)
    _write_curves(report, roc or {}, histories or {}, numbers, names)
    _write_separation(report, numbers, names[0], names[1])
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


def _write_verdict(report: Report, metrics: Mapping[str, Any], showers: Mapping[str, Showers]) -> None:
    reference, sample, *_ = showers
    tone, title, text = verdict(metrics, reference, sample)
    report.section("Verdict")
    report.notice(text, tone, title=title)
    report.cards(cards(metrics, reference, sample))
    for tone, title, text in notices(metrics, [one.attributes for one in showers.values()]):
        report.notice(text, tone, title=title)


def _write_images(report: Report, showers: Mapping[str, Showers]) -> None:
    report.section("Average showers")
    report.figures([average_showers(showers)], wide=True)


def _write_distributions(report: Report, showers: Mapping[str, Showers], metrics: Mapping[str, Any]) -> None:
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
    metrics: Mapping[str, Any],
    names: Sequence[str],
) -> None:
    if not curves and not histories:
        return
    report.section("Classifier and training" if curves and histories else "Classifier" if curves else "Training")
    pictures = [_roc_picture(curves, metrics, *names[:2])] if curves else []
    caption = "Loss by epoch; the circle marks the epoch whose weights were kept."
    for name, history in histories.items():
        figure = plots.losses(history)
        pictures.append(Picture(figure, caption, title=f"{name}.", alt=f"training and validation loss of {name}"))
    report.figures(pictures)


def _roc_picture(curves: Curves, metrics: Mapping[str, Any], reference: str, sample: str) -> Picture:
    named, areas, floor = {}, {}, None
    for key, curve in curves.items():
        known = CURVES.get(key)
        name = known[0].format(reference=reference, sample=sample) if known else key
        named[name] = curve
        floor = name if key == "floor" else floor
        if known and (area := number(metrics, known[1])) is not None:
            areas[name] = (area, number(metrics, f"{known[1]}_std"))
    caption = (
        "Mean over the trainings, on showers that the classifier was not trained on. The closer to the diagonal, the "
        "better the generator."
    )
    return Picture(plots.roc(named, auc=areas, floor=floor), caption, title="Classifier.", alt="ROC curves")


def _write_separation(report: Report, metrics: Mapping[str, Any], reference: str, sample: str) -> None:
    values, floors = metrics.get("separation") or {}, metrics.get("separation_floor") or {}
    errors = metrics.get("separation_floor_std") or {}
    if not values:
        return
    rows = []
    for name in sorted(values, key=lambda key: -(number(values, key) or 0.0)):
        value, floor = number(values, name), number(floors, name)
        times = "–" if value is None or not floor else f"{value / floor:.1f}"
        spread = number(errors, name)
        text = short(floor) if spread is None else f"{short(floor)} ± {short(spread)}"
        rows.append([plain_name(name), short(value), text, times])
    report.section("Separation")
    report.paragraph(
        "Separation power S = ½ Σ (h₁ − h₂)² / (h₁ + h₂) of two histograms of unit sum, largest first: 0 where they are "
        "the same, 1 where they do not overlap (arXiv:2009.03796). The floor is what two samples of one distribution would "
        "give with as many showers and the same bins: a value near it shows no difference."
    )
    header = ["observable", f"S, {sample} against {reference}", "floor", "S / floor"]
    report.table(header, rows)


def _write_origin(report: Report, showers: Mapping[str, Showers], manifest: Mapping[str, Any]) -> None:
    report.section("How it was made")
    header = ["sample", "showers", "incident energy [GeV]", "mean E_tot / E_inc"]
    report.table(header, [_sample_row(name, sample) for name, sample in showers.items()])
    for name, sample in showers.items():
        if sample.attributes:
            with report.details(f"What the file of {name} says about itself"):
                report.table(["", ""], [[key, str(value)] for key, value in sample.attributes.items()], columns="ht")
    if not manifest:
        return
    with report.details("Command, versions, seeds, checksums"):
        if "command" in manifest:
            report.code(str(manifest["command"]))
        groups = grouped_rows({key: value for key, value in manifest.items() if key != "command"})
        for heading, rows in groups.items():
            if heading:
                report.heading(heading)
            report.table(["", ""], rows, columns="hc")


def _sample_row(name: str, sample: Showers) -> list[str]:
    low, high = float(sample.energies.min()), float(sample.energies.max())
    response = float(np.mean(sample.layer_energies.sum(axis=1) / (1e3 * sample.energies)))
    return [name, count(len(sample)), f"{low:.3g} – {high:.3g}", f"{response:.4f}"]
