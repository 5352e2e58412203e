"""What a report says in words: the verdict and the key numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hepflows.report.html import Card, Tone


def verdict(metrics: Mapping[str, Any]) -> tuple[Tone, str, str]:
    """A colour, a few words and a sentence: what stands against the posteriors, or that nothing was found."""
    auc, error = metrics["auc"], metrics["coverage_error_max"]
    if auc is not None and metrics["power_ok"] is False:
        text = "The classifier does not recognise wrong neutrinos either: judge with more events."
        return "warning", "The test is too weak.", text
    if auc is not None and auc > 0.52 and auc - metrics["auc_floor"] > 3 * metrics["auc_std"]:
        text = (
            f"A classifier tells drawn from true neutrinos (AUC {auc:.3f} ± {metrics['auc_std']:.3f}, floor {metrics['auc_floor']:.3f}): "
            "train on more events or longer."
        )
        return "warning", "Drawn neutrinos differ from true ones.", text
    if not metrics["coverage"]["inside_band"] and error > 0.01:
        text = (
            f"Regions of highest density hold the truth up to {100 * error:.1f} % more or less often than they say: their levels are to be "
            "corrected by the curve below."
        )
        return "warning", "Not calibrated.", text
    text = f"Regions of highest density hold the truth as often as they say, within {100 * error:.1f} %"
    if auc is not None:
        text += f", and a classifier does not tell drawn from true neutrinos (AUC {auc:.3f} ± {metrics['auc_std']:.3f})"
    return "good", "Calibrated.", f"{text}."


def cards(metrics: Mapping[str, Any]) -> list[Card]:
    """Key numbers."""
    found = []
    if metrics["auc"] is not None:
        remark = f"floor {metrics['auc_floor']:.3f} ± {metrics['auc_floor_std']:.3f}, {metrics['n_test'] // 2:,} events a class"
        found.append(Card("AUC, drawn against true", f"{metrics['auc']:.3f} ± {metrics['auc_std']:.3f}", remark))
    coverage = metrics["coverage"]
    remark = f"68 %: {coverage['at_68']:.3f} ± {coverage['at_68_std']:.3f}, 95 %: {coverage['at_95']:.3f} ± {coverage['at_95_std']:.3f}"
    found.append(Card("coverage, largest error", f"{metrics['coverage_error_max']:.3f}", remark))
    remark = f"regression with one Gaussian {metrics['log_prob_regression_gaussian']:.2f}"
    found.append(Card("log density of the truth", f"{metrics['log_prob']:.3f} ± {metrics['log_prob_std']:.3f}", remark))
    flow, other = metrics["methods"]["flow"]["pz"], metrics["methods"].get("quadratic")
    remark = "" if other is None else f"W constraint {other['pz']['width']:.1f} ± {other['pz']['width_std']:.1f}"
    found.append(Card("pz, 68 % half-width", f"{flow['width']:.1f} ± {flow['width_std']:.1f} GeV", remark))
    found.append(Card("training", f"{metrics['train_seconds']:.0f} s", f"{metrics['n_train']:,} events"))
    return found
