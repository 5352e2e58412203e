"""What a report says in words: the verdict and the key numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hepflows.applications.anomaly.metrics import FEWEST_BACKGROUND
from hepflows.report.html import Card, Tone


def verdict(metrics: Mapping[str, Any]) -> tuple[Tone, str, str]:
    """A colour, a few words and a sentence: what stands against the p-value of the first cut, or what it says."""
    z, p, closure = metrics["significance"], metrics["p_value"], metrics["auc_sideband"]
    if z is None:
        failed = next((one["failed"] for one in metrics["bump_hunt"] if "failed" in one), "events have weights")
        return "note", "No significance.", f"The scores stand, but there is no p-value: {failed}."
    floor = metrics["auc_sideband_floor"]
    if closure is not None and closure - floor > 3 * metrics["auc_sideband_std"] and closure > 0.51:
        text = (
            f"The sampled background can be told from the real one in the sidebands (AUC {closure:.3f}, floor {floor:.3f}): "
            "train the density longer or on more events before you believe a p-value."
        )
        return "warning", "Background not closed.", text
    bump = metrics.get("sculpting_bump")
    if bump is not None and bump > 3:
        text = (
            f"The cut lets more background pass in the signal region than beside it, by {bump:.1f} standard deviations."
        )
        return "warning", "The cut makes a bump.", text
    cut = metrics["bump_hunt"][0]
    if cut["sideband_p_value"] < 0.01:
        text = f"The fit does not describe the sidebands (p = {cut['sideband_p_value']:.2g}): choose another verdict.function."
        return "warning", "Sidebands not fitted.", text
    text = (
        f"{cut['observed']} events pass the cut at background efficiency {cut['efficiency']:g}, {cut['expected']:.1f} ± "
        f"{cut['expected_std']:.1f} are expected from the sidebands: p = {p:.2g} in this window alone."
    )
    return (
        ("good", f"Excess of {z:.1f} standard deviations.", text)
        if z >= 3
        else ("note", f"No excess ({z:+.1f}).", text)
    )


def cards(metrics: Mapping[str, Any]) -> list[Card]:
    """Key numbers."""
    found = []
    if metrics["significance"] is not None:
        found.append(
            Card("local significance", f"{metrics['significance']:+.2f}", f"p = {metrics['p_value']:.2g}, first cut")
        )
    if metrics["auc_sideband"] is not None:
        remark = f"floor {metrics['auc_sideband_floor']:.3f}, {metrics['n_sideband_test']:,} events a class"
        found.append(
            Card("sidebands, AUC", f"{metrics['auc_sideband']:.3f} ± {metrics['auc_sideband_std']:.3f}", remark)
        )
    if metrics.get("max_sic") is not None:
        remark = f"at signal efficiency {metrics['max_sic_at_signal_efficiency']:.2f}, ≥ {FEWEST_BACKGROUND} background events"
        found.append(Card("largest SIC", f"{metrics['max_sic']:.1f} ± {metrics['max_sic_std']:.1f}", remark))
        found.append(Card("AUC, signal region", f"{metrics['auc']:.3f} ± {metrics['auc_std']:.3f}", "labelled events"))
    if metrics["sculpting_p_value"] is not None:
        bump = metrics["sculpting_bump"]
        where = "sidebands" if bump is None else f"bump {bump:+.1f}"
        remark = f"{where}, {metrics['n_sculpting']:,} background events pass"
        found.append(Card("sculpting, p-value", f"{metrics['sculpting_p_value']:.2g}", remark))
    found.append(Card("training", f"{metrics['train_seconds']:.0f} s", f"{metrics['n_events']:,} events"))
    return found
