"""The report of a run as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hepflows.applications.neutrino import report_pictures as pictures
from hepflows.applications.neutrino.quantities import NAMES, TITLES, UNITS
from hepflows.applications.neutrino.report_text import cards, verdict
from hepflows.applications.neutrino.verdict import Judged
from hepflows.report import calibration as plots_of
from hepflows.report.html import Picture, Report
from hepflows.report.numbers import plus_minus
from hepflows.report.training import loss_pictures
from hepflows.training.loop import History


def write_report(
    path: Path,
    *,
    judged: Judged,
    metrics: Mapping[str, Any],
    histories: Mapping[str, History],
    manifest: Mapping[str, Any],
) -> None:
    """Write ``report.html``: the verdict, the resolutions, the pictures and how the run was made."""
    config = manifest["identity"]["config"]
    files = ", ".join(one["name"] for one in manifest["identity"]["data"])
    report = Report(
        f"Neutrinos in {files}",
        subtitle=f"{config['channel']}, {metrics['n_train']:,} events to learn from, {metrics['n_test']:,} to judge by, "
        f"{metrics['samples']} draws for {metrics['n_with_draws']:,} of them.",
        footer="Written by hepflows. Errors are statistical.",
    )
    report.section("Verdict")
    tone, title, text = verdict(metrics)
    report.notice(text, tone, title=title)
    report.cards(cards(metrics))
    _methods(report, judged, metrics)
    _calibration(report, judged, metrics)
    _single_events(report, judged)
    _origin(report, histories, manifest)
    report.write(path)


_TESTS = {"coverage": "coverage", "tarp": "TARP, random references", "tarp_of_x": "TARP, references that follow x"}
_TESTS |= {f"sbc_{name}": f"SBC, {TITLES[name]}" for name in NAMES}


def _methods(report: Report, judged: Judged, metrics: Mapping[str, Any]) -> None:
    report.section("Methods")
    for name in NAMES:
        rows = []
        for method, values in metrics["methods"].items():
            one = values[name]
            rows.append(
                [
                    pictures.TITLES[method] if method != "flow_sample" else "flow, one draw",
                    plus_minus(one["bias"], one["bias_std"]),
                    f"{one['median']:.2g}",
                    plus_minus(one["width"], one["width_std"]),
                    f"{one['rmse']:.3g}",
                    f"{values['root_efficiency']:.3f}" if name == "pz" and "root_efficiency" in values else "",
                ]
            )
        unit = f" [{UNITS[name]}]" if UNITS[name] else ""
        report.heading(f"{TITLES[name]}{unit}, estimate minus truth")
        report.table(
            ["method", "bias", "median", "68 % half-width", "RMSE", "right root" if name == "pz" else ""], rows
        )
    report.paragraph(
        "The flow's estimate of each quantity is the median of its draws, event by event. The right root is the one nearer to the true pz, "
        "among events with two real roots; the flow chooses the one that most draws are nearest to. m(l, ν) is the mass with the lepton, "
        "m(l, ν, b) that with the jet of smallest mass with the lepton too, b-tagged where there is one."
    )
    figures = [
        Picture(
            pictures.distribution(name, judged.estimates, UNITS[name]),
            title=f"{TITLES[name]}.",
            alt=f"{TITLES[name]} of all methods",
        )
        for name in ("px", "pz", "eta", "m_w", "m_top")
    ]
    for name, reach in (("pz", 300.0), ("m_w", 60.0)):
        figure = pictures.residuals(name, judged.estimates, reach, UNITS[name])
        figures.append(
            Picture(figure, title=f"Residual of {TITLES[name]}.", alt=f"estimate minus truth of {TITLES[name]}")
        )
    report.figures(figures)


def _calibration(report: Report, judged: Judged, metrics: Mapping[str, Any]) -> None:
    report.section("Calibration")
    found = judged.calibration
    by_name = {name.removeprefix("sbc_"): one.values for name, one in found.items()}
    sbc = {name: values for name, values in by_name.items() if f"sbc_{name}" in found}
    tarp = {"random references": by_name["tarp"], "references that follow x": by_name["tarp_of_x"]}
    report.figures(
        [
            Picture(
                plots_of.coverage({"highest density": by_name["coverage"]}),
                "Share of the events whose region of highest density at a level holds the truth.",
                title="Expected coverage.",
                alt="coverage against nominal level",
            ),
            Picture(
                plots_of.ecdf_difference({"highest density": by_name["coverage"]}),
                "The same minus the level.",
                title="Error of the coverage.",
                alt="coverage minus nominal level",
            ),
            Picture(
                plots_of.ecdf_difference(sbc),
                "Ranks of the truth among the draws.",
                title="SBC.",
                alt="distribution of ranks minus uniform",
            ),
            Picture(
                plots_of.ecdf_difference(tarp),
                "Share of the draws nearer to a reference point than the truth.",
                title="TARP.",
                alt="TARP ranks minus uniform",
            ),
        ]
    )
    rows = [
        [_TESTS.get(name, name), f"{one.p_value:.3g}", f"{one.error_max:.4f}", "yes" if one.inside else "no"]
        for name, one in found.items()
    ]
    report.table(["test", "p-value", "largest error", "inside the band"], rows)


def _single_events(report: Report, judged: Judged) -> None:
    if judged.roots is None:
        return
    report.section("Single events")
    report.paragraph(
        "Events whose draws are divided most evenly between two well separated roots: the regression answers in between."
    )
    px, py, eta = np.moveaxis(judged.draws.neutrinos[:, :, 0], -1, 0)
    pz = np.hypot(px, py) * np.sinh(np.clip(eta, -20, 20))
    figures = []
    for event in pictures.two_sided(pz, judged.roots, 4):
        truth, regression = (float(judged.estimates[name]["pz"][event, 0]) for name in ("truth", "feedforward"))
        figure = pictures.single_event(pz[:, event], judged.roots, int(event), truth, regression)
        figures.append(
            Picture(figure, title=f"Test event {event}.", alt="posterior of pz of one event with both roots")
        )
    report.figures(figures)


def _origin(report: Report, histories: Mapping[str, History], manifest: Mapping[str, Any]) -> None:
    report.section("How it was made")
    with report.details("Losses"):
        report.figures(loss_pictures(histories, ylabel="loss"))
    report.manifest(manifest)
