"""The report of an inference of sources as one HTML file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hepflows.applications.airshower import report_pictures as pictures
from hepflows.applications.airshower.observations import Observation
from hepflows.applications.airshower.prior import NAMES
from hepflows.applications.airshower.verdict import Calibration, Inferred, Predictive
from hepflows.report.calibration import coverage, ecdf_difference, rank_histograms
from hepflows.report.corner import corner
from hepflows.report.html import Card, Picture, Report, Tone
from hepflows.report.training import loss_pictures
from hepflows.training.loop import History

ENOUGH = 0.02
"""Effective share of the adapted draws below which the weights cannot carry the posterior."""

LONG = 50
"""Autocorrelation times that a chain must keep to be compared with (arXiv:1202.3665)."""


def write_report(
    path: Path,
    *,
    observation: Observation,
    found: Inferred,
    again: Predictive,
    calibration: Calibration,
    metrics: Mapping[str, Any],
    histories: Mapping[str, History],
    manifest: Mapping[str, Any],
) -> None:
    """Write ``report.html``: the verdict, the posterior, the data again, calibration, the chain, and how the run was made."""
    config = manifest["identity"]["config"]
    report = Report(
        f"Sources of cosmic rays: {observation.name}",
        subtitle=f"{int(observation.spectrum.sum()):,} events in the spectrum, {int(observation.xmax.sum()):,} with Xmax; propagation "
        f"{config['response']}, Xmax {config['xmax']}, {metrics['n_universes']:,} universes.",
        footer="Written by hepflows. Data: Pierre Auger Collaboration where named so. Errors are statistical unless stated otherwise.",
    )
    report.section("Verdict")
    tone, title, text = verdict(metrics)
    report.notice(text, tone, title=title)
    report.cards(_cards(metrics))
    _posterior(report, metrics, found)
    _again(report, observation, again)
    _calibrated(report, metrics, calibration)
    _chains(report, metrics)
    report.section("How it was made")
    with report.details("Losses"):
        report.figures(loss_pictures(histories))
    report.manifest(manifest)
    report.write(path)


def verdict(metrics: Mapping[str, Any]) -> tuple[Tone, str, str]:
    """A colour, a few words and a sentence: the first thing that stands against the posterior, or that nothing does."""
    seen, share = metrics["observation"], metrics["observation"]["exact_efficiency"]
    if seen["out_of_range"] > 1:
        far = f"The observation lies {seen['out_of_range']:.2f} times as far out as the farthest universe of the training: "
        return "bad", "Unlike everything simulated.", far + "the draws of the flow are an extrapolation."
    if share < ENOUGH or seen["exact_temperature"] < 1:
        few = f"Only {share:.1%} of the adapted draws count after the weights of the exact likelihood: "
        return "warning", "The weights do not carry.", few + "train longer or on more universes, or trust a chain."
    if metrics["predictive_p_value"] < 0.01:
        odd = f"New data of the posterior deviate as much as the observation does in {metrics['predictive_p_value']:.2%} of all cases: "
        return (
            "warning",
            "The model does not describe the data.",
            odd + "the posterior holds within a model that does not.",
        )
    text = (
        f"{share:.0%} of the adapted draws count after the weights of the exact likelihood, and the model describes the data "
        f"(p = {metrics['predictive_p_value']:.2f})."
    )
    if seen["efficiency"] < ENOUGH:
        alone = f" The flow alone is off here, {seen['efficiency']:.1%} of its own draws would count: take the adapted ones, with weights."
        return "good", "Posterior confirmed, after adaptation.", text + alone
    return "good", "Posterior confirmed.", text


def _cards(metrics: Mapping[str, Any]) -> list[Card]:
    parameters = metrics["observation"]["parameters"]

    def value(name: str) -> str:
        return f"{parameters[name]['exact_mean']:.2f} ± {parameters[name]['exact_std']:.2f}"

    return [
        Card("spectral index γ", value("gamma"), "exact posterior"),
        Card("lg(R_cut/V)", value("lg_rcut"), "exact posterior"),
        Card(
            "effective share",
            f"{metrics['observation']['exact_efficiency']:.1%}",
            f"adapted draws; of the flow's {metrics['observation']['efficiency']:.1%}",
        ),
        Card("predictive p-value", f"{metrics['predictive_p_value']:.2g}", "deviance"),
        Card("coverage error", f"{metrics['coverage_error_max']:.3f}", "largest, all levels"),
        Card("information", f"{metrics['information_gain']:.2f} nats", f"± {metrics['information_gain_std']:.2f}"),
    ]


def _posterior(report: Report, metrics: Mapping[str, Any], found: Inferred) -> None:
    report.section("Posterior")
    samples = {"flow": found.draws.numpy(), "exact": found.resampled.numpy()}
    if found.chain is not None:
        samples["Markov chain"] = found.chain.theta.numpy()
    picture = Picture(corner(samples, NAMES), "Contours hold 68 % and 95 %.", title="Parameters.", alt="corner plot")
    report.figures([picture], wide=True)
    rows = [
        [name, f"{one['mean']:.3f} ± {one['std']:.3f}", f"{one['exact_mean']:.3f} ± {one['exact_std']:.3f}"]
        for name, one in metrics["observation"]["parameters"].items()
    ]
    report.table(
        ["parameter", "flow", "exact"], rows,
        caption="Mean and standard deviation. Fractions are those at the source at a fixed energy below all cut-offs; xmax_shift is the "
        "Xmax scale in units of its systematic uncertainty.",
    )  # fmt: skip


def _again(report: Report, observation: Observation, again: Predictive) -> None:
    report.section("The data again")
    parts = [again.low, again.median, again.high]
    report.paragraph(
        f"New counts drawn from the exact posterior. The deviance of the observation is exceeded in {again.p_value:.1%} of all "
        f"cases; of the bins with more than one expected event {again.outside:.1%} lie outside of their 95 % interval."
    )
    report.figures([Picture(pictures.spectrum(observation.spectrum, *[one[:15] for one in parts]), alt="spectrum")])
    depths = [one[15:].reshape(9, 45) for one in parts]
    report.figures([Picture(pictures.xmax(observation.xmax, *depths), alt="Xmax histograms")], wide=True)


def _calibrated(report: Report, metrics: Mapping[str, Any], calibration: Calibration) -> None:
    report.section("Calibration")
    number = len(next(iter(calibration.ranks.values())))
    report.paragraph(f"{number:,} new universes drawn from the prior, inferred by the flow alone.")
    tests = {name: values for name, values in calibration.ranks.items() if name not in NAMES}
    marginals = {name: calibration.ranks[name] for name in NAMES}
    report.figures(
        [
            Picture(ecdf_difference(marginals), title="Ranks.", alt="ECDF differences of the ranks"),
            Picture(coverage(tests), title="Coverage and TARP.", alt="coverage against nominal coverage"),
        ]
    )
    report.figures([Picture(rank_histograms(marginals), "Grey: 99 % of the bins.", alt="rank histograms")], wide=True)
    rows = [
        [
            name,
            f"{one['p_value']:.3f}",
            f"{one['error_max']:.3f}",
            f"{one['at_68']:.3f} ± {one['at_68_std']:.3f}",
            f"{one['at_95']:.3f}",
        ]
        for name, one in metrics["calibration"].items()
    ]
    report.table(["test", "KS p-value", "largest error", "at 68 %", "at 95 %"], rows)


def _chains(report: Report, metrics: Mapping[str, Any]) -> None:
    with_chain = [("observation", metrics["observation"])] if "c2st" in metrics["observation"] else []
    with_chain += [(f"pseudo-data {i + 1}", one) for i, one in enumerate(metrics["pseudo_data"])]
    if not with_chain:
        return
    report.section("Against a Markov chain")

    def number(one: Mapping[str, Any], key: str) -> str:
        return "–" if one[key] is None else f"{one[key]:.3f} ± {one[f'{key}_std']:.3f}"

    rows = [
        [
            name, *[number(one, key) for key in ("c2st", "c2st_reweighted", "c2st_exact", "c2st_floor")],
            f"{one['efficiency']:.1%}, {one['exact_efficiency']:.1%}",
            f"{one['chain_seconds']:.0f} s, {one['chain_effective']:.0f}",
            f"{one['draw_seconds']:.2f} s, {one['exact_seconds']:.2f} s",
        ]
        for name, one in with_chain
    ]  # fmt: skip
    header = [
        "data", "C2ST of the flow", "with weights", "adapted", "floor", "effective share: flow, adapted", "chain: time, effective draws",
        "flow, adapted: time",
    ]  # fmt: skip
    report.table(
        header, rows,
        caption="C2ST in the six coordinates of the sources, 0.5 for posteriors that cannot be told apart. Adapted: population "
        "Monte Carlo that begins at the draws of the flow, with weights of the exact likelihood. Floor: the first half of the chain "
        "against the second." + _short([one for _, one in with_chain]),
    )  # fmt: skip


def _short(compared: Sequence[Mapping[str, Any]]) -> str:
    """A sentence on chains that are too short to compare with."""
    short = [one for one in compared if one["chain_length"] < LONG]
    if not short:
        return ""
    thousands = max(math.ceil(one["chain_steps"] * LONG / one["chain_length"] / 1000) for one in short)
    return (
        f" {len(short)} of {len(compared)} chains kept fewer than {LONG} autocorrelation times, so that their rows say little: "
        f"repeat with --set chain.steps={1000 * thousands}."
    )
