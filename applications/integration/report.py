"""The report of a run: the number and whether to believe it, then the pictures behind it, then how it was made."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from hepflows.applications.integration import report_pictures
from hepflows.applications.integration.event_output import particles
from hepflows.applications.integration.events import Events
from hepflows.applications.integration.generation import Sample
from hepflows.applications.integration.integrand import Integrand
from hepflows.applications.integration.observables import invariant_mass
from hepflows.applications.integration.pictures import event_shapes
from hepflows.applications.integration.result import IntegrationResult, with_error
from hepflows.report import plots
from hepflows.report.html import Card, Picture, Report, Tone
from hepflows.training.seeding import numpy_generator

_COORDINATES = 8
_REFERENCE = 100_000
"""Evenly spread points that show what events of a process should look like."""


def write_report(
    path: str | os.PathLike[str],
    result: IntegrationResult,
    integrand: Integrand,
    sample: Sample | None = None,
    *,
    weighted: bool = False,
    metrics: Mapping[str, Any] | None = None,
    manifest: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> None:
    """Write the report of an integration as one HTML file that needs nothing else.

    Args:
        path: the file; it appears when it is complete.
        result: the number.
        integrand: what was integrated; with momenta, event shapes and masses are shown.
        sample: its events.
        weighted: whether they were not rejected.
        metrics: what `hepflows.applications.integration.metrics.as_metrics` gives.
        manifest: how the run was made; nested mappings become tables.
        seed: of the evenly spread points that events of a process are compared with.

    Raises:
        DataError: the file cannot be written.
    """
    dimensions = "one dimension" if integrand.dimension == 1 else f"{integrand.dimension} dimensions"
    words = f"Integrand: {integrand.summary}. In " if integrand.summary else "In "
    report = Report(
        f"Integral of {integrand.name}",
        subtitle=f"{words}{dimensions}, {result.neval:,} evaluations, sampler: {result.method}.",
        footer="Written by hepflows. Errors are statistical, one standard deviation.",
    )
    _write_result(report, result, integrand)
    _write_rounds(report, result, integrand, sample)
    if sample is not None and len(sample):
        _write_events(report, sample, integrand, weighted=weighted)
        if integrand.momenta is not None:
            _write_physics(report, sample, integrand, seed)
    if metrics is not None:
        _write_verdict(report, metrics)
    _write_origin(report, result, manifest or {})
    report.write(path)


def _write_result(report: Report, result: IntegrationResult, integrand: Integrand) -> None:
    report.section("Result")
    number = with_error(float(result.means[0]), _sdev(result))
    if result.reliable:
        report.notice("nothing speaks against the number and its error.", "good", title=f"{number}:")
    else:
        report.notice(
            "the number, its error, or both may be wrong, see below.", "bad", title=f"{number}, NOT RELIABLE:"
        )
    for warning in result.warnings:
        report.notice(f"{warning}.", "note" if result.reliable else "warning")
    report.cards(_cards(result, integrand))
    if len(result.means) > 1:
        rows = [[name, with_error(m, s)] for name, m, s in _entries(result)]
        report.table(["output", "integral"], rows, columns="hn")


def _cards(result: IntegrationResult, integrand: Integrand) -> list[Card]:
    mean, sdev = float(result.means[0]), _sdev(result)
    cards = [Card("integral", with_error(mean, sdev), "error in the last digits")]
    if mean:
        cards.append(Card("relative error", f"{sdev / abs(mean):.2g}", f"{result.neval:,} evaluations"))
    if integrand.truth is not None:
        pull = (mean - integrand.truth) / sdev if sdev > 0 else math.inf
        tone: Tone = "good" if abs(pull) < 3 else "bad"
        cards.append(Card("truth", f"{integrand.truth:.8g}", f"the result is {pull:+.2f} errors away", tone))
    return [
        *cards,
        Card("effective sample size", f"{result.ess:.3g}", "of the number of points"),
        Card("unweighting efficiency", f"{result.efficiency:.3g}", "against the 99.9 % quantile"),
        Card("scatter of the rounds", f"Q = {result.Q:.2g}", f"chi2/dof = {result.chi2:.2f}/{result.dof}"),
    ]


def _entries(result: IntegrationResult) -> list[tuple[str, float, float]]:
    """Real columns of the outputs by name."""
    names = []
    for entry in result.outputs.entries:
        base = entry.key or "f"
        places = [base + "".join(f"[{i}]" for i in place) for place in np.ndindex(entry.shape)]
        names += [f"{part} {name}" for name in places for part in ("Re", "Im")] if entry.is_complex else places
    return [(name, float(m), math.sqrt(v)) for name, m, v in zip(names, result.means, result.variances, strict=True)]


def _write_rounds(report: Report, result: IntegrationResult, integrand: Integrand, sample: Sample | None) -> None:
    report.section("Rounds and weights")
    means, sdevs = np.array([[part.mean[0], math.sqrt(part.variance[0])] for part in result.rounds]).T
    figure = report_pictures.rounds(means, sdevs, (float(result.means[0]), _sdev(result)), truth=integrand.truth)
    caption = "Independent estimates; the band is their combination. They should scatter by their errors."
    pictures = [Picture(figure, caption, "Rounds.", "estimates of the rounds with errors")]
    if sample is not None and (sample.drawn > 0).any():
        zero = float((sample.drawn == 0).mean())
        caption = (
            f"{len(sample.drawn):,} points; the narrower, the smaller the error. Above the cap lies a share of "
            f"{sample.overweight:.2g} of the sum."
            + (f" {100 * zero:.1f} % of the points have the weight zero." if zero else "")
        )
        pictures.append(Picture(report_pictures.weights(sample.drawn, sample.cap), caption, "Weights."))
    report.figures(pictures)
    rows = [
        [str(i), f"{part.n:,}", with_error(float(part.mean[0]), math.sqrt(part.variance[0]))]
        for i, part in enumerate(result.rounds, 1)
    ]
    report.table(["round", "points", "estimate"], rows)


def _write_events(report: Report, sample: Sample, integrand: Integrand, *, weighted: bool) -> None:
    report.section("Events")
    above = int((np.abs(sample.weight) > 1).sum())
    report.paragraph(
        f"{len(sample):,} weighted events."
        if weighted
        else f"{len(sample):,} unweighted events, {100 * sample.efficiency:.3g} % of the points drawn; {above:,} of them "
        "lay above the cap and have a weight above one."
    )
    names = [f"$x_{{{i}}}$" for i in range(integrand.dimension)]
    shown = min(integrand.dimension, _COORDINATES)
    if shown < integrand.dimension:
        report.paragraph(f"The first {shown} of {integrand.dimension} coordinates are shown.")
    pictures = [
        Picture(
            report_pictures.projection(sample.x[:, i], sample.weight, integrand.bounds[i], names[i]),
            alt=f"distribution of coordinate {i}",
        )
        for i in range(shown)
    ]
    if integrand.dimension >= 2:
        figure = report_pictures.plane(sample.x[:, :2], sample.weight, integrand.bounds[:2], names[:2])
        caption = "Density over the first two coordinates; the colours follow its square root."
        if (sample.weight < 0).any():
            caption = "Density over the first two coordinates, with its sign."
        pictures.insert(0, Picture(figure, caption, alt="density of events over the first two coordinates"))
    report.figures(pictures)


def _write_physics(report: Report, sample: Sample, integrand: Integrand, seed: int) -> None:
    report.section("Momenta")
    report.paragraph(
        f"The reference are {_REFERENCE:,} evenly spread points, weighted by the integrand: independent of the sampler. Bars are "
        "statistical errors; where the reference has few effective events, only they are to be believed."
    )
    generated = particles(integrand, sample.x, sample.weight)
    low, high = np.array(integrand.bounds).T
    points = low + (high - low) * numpy_generator(seed, "reference").random((_REFERENCE, integrand.dimension))
    reference = particles(integrand, points, np.asarray(integrand(points)))
    pictures = event_shapes(reference, {"events": generated}) if len(integrand.particles) > 2 else []
    report.figures([*pictures, *_masses(reference, generated)])


def _masses(reference: Events, generated: Events) -> list[Picture]:
    """Invariant masses of neighbours; of three particles all pairs."""
    n = reference.momenta.shape[1]
    pairs = [(i, i + 1) for i in range(n - 1)] + ([(0, 2)] if n == 3 else [])
    pictures = []
    for i, j in pairs:
        values = [invariant_mass(events.momenta, (i, j)) for events in (reference, generated)]
        low, high = np.quantile(values[1], (0.002, 0.998))
        if high - low < 1e-6 * high:  # at fixed energy
            continue
        wide = bool(low > 0 and high > 20 * low)
        edges = np.geomspace(low, high, 41) if wide else np.linspace(low, high, 41)
        content = np.histogram(values[1], edges, weights=generated.weight)[0]
        steep = bool(content.max() > 30 * np.quantile(content, 0.1))
        figure = plots.comparison(
            values[0],
            {"events": values[1]},
            bins=edges,
            label=rf"$m_{{{i}{j}}}$",
            unit="GeV",
            log_x=wide,
            log_y=steep,
            weights={"reference": reference.weight, "events": generated.weight},
            reference_name="reference",
            ylabel="fraction of rate per bin",
            ratio_range=(0.5, 1.5),
        )
        codes = ", ".join(str(int(generated.pdg[0, k])) for k in (i, j))
        pictures.append(Picture(figure, f"Invariant mass of particles {i} and {j} (PDG {codes}).", "Mass."))
    return pictures


def _write_verdict(report: Report, metrics: Mapping[str, Any]) -> None:
    report.section("Classifier")
    difference, error = metrics["auc"] - 0.5, math.hypot(metrics["auc_std"], metrics["auc_floor_std"])
    strong = metrics["power_ok"]
    tone: Tone = "warning" if not strong else "good" if difference < 3 * error else "bad"
    report.notice(f"{metrics['verdict']}.", tone, title="Events against acceptance-rejection:")
    if metrics["truth_exceeded"]:
        report.notice(
            f"{metrics['truth_exceeded']} of {metrics['n_truth']} events of the truth exceeded the bound, by up to a factor of "
            f"{metrics['truth_largest']:.2g}; they entered with that weight.",
            "warning",
        )
    report.paragraph(
        "Area under the ROC curve of a classifier that is trained to tell the events from events by acceptance-rejection: 0.5 where it "
        "cannot. The floor compares two samples of the truth; the power check, the truth with evenly spread points."
    )


def _write_origin(report: Report, result: IntegrationResult, manifest: Mapping[str, Any]) -> None:
    report.section("How it was made")
    seconds = [[name, f"{value:.3g}"] for name, value in result.seconds.items()]
    report.table(["time", "seconds"], seconds)
    report.manifest(manifest)


def _sdev(result: IntegrationResult) -> float:
    return math.sqrt(result.variances[0])
