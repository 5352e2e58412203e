"""The key numbers of a run, as cards below its verdict."""

from __future__ import annotations

from collections.abc import Mapping

from hepflows.applications.calorimeter.report_text import Metrics, count, duration, flag, number
from hepflows.applications.calorimeter.report_verdict import verdict
from hepflows.metrics.result import POWER_NEEDED
from hepflows.report.html import Card, Tone
from hepflows.report.numbers import plus_minus


def cards(metrics: Metrics, reference: str, sample: str) -> list[Card]:
    """The key numbers; those that are missing are left out."""
    found: list[Card] = []
    auc, floor, divergence = (number(metrics, name) for name in ("auc", "auc_floor", "jsd"))
    if auc is not None:
        tone = verdict(metrics, reference, sample)[0]
        text = plus_minus(auc, number(metrics, "auc_std"))
        found.append(Card(f"AUC, {sample} against {reference}", text, "0.5 would be perfect", tone))
    if floor is not None:
        text = plus_minus(floor, number(metrics, "auc_floor_std"))
        found.append(Card(f"Floor, {reference} against {reference}", text, "the same test, nothing to find"))
    found += _power_cards(metrics, reference)
    if divergence is not None:
        text = plus_minus(divergence, number(metrics, "jsd_std"))
        found.append(Card("Jensen-Shannon divergence", text, "0: the same, 1: no overlap"))
    return found + _size_cards(metrics)


def _power_cards(metrics: Metrics, reference: str) -> list[Card]:
    power, passed = number(metrics, "power_auc"), flag(metrics, "power_ok")
    if power is None and passed is None:
        return []
    words = {True: "passed", False: "failed", None: "not judged"}[passed]
    tones: dict[bool | None, Tone] = {True: "good", False: "bad", None: ""}
    if power is None:
        return [Card("Power check", words, "", tones[passed])]
    remark = f"{words}: AUC on permuted {reference} must reach {POWER_NEEDED}"
    return [Card("Power check", plus_minus(power, number(metrics, "power_auc_std")), remark, tones[passed])]


def _protocol_words(metrics: Metrics) -> list[str]:
    protocol, repeats = metrics.get("protocol"), number(metrics, "classifier_repeats")
    name = protocol.get("name") if isinstance(protocol, Mapping) else protocol
    return [f"protocol {name}" if name else "", f"{repeats:.0f} trainings" if repeats else ""]


def _size_cards(metrics: Metrics) -> list[Card]:
    found: list[Card] = []
    parts = [number(metrics, f"n_classifier_{part}") for part in ("train", "select", "score")]
    if any(part is not None for part in parts):
        remark = ", ".join(filter(None, ["to train / select / score", *_protocol_words(metrics)]))
        found.append(Card("Classifier, events per class", " / ".join(map(count, parts)), remark))
    trained, seconds, speed = (number(metrics, name) for name in ("n_train", "train_seconds", "ms_per_shower"))
    if trained is not None:
        found.append(Card("Flow trained on", f"{count(trained)} showers"))
    if seconds is not None:
        found.append(Card("Training time", duration(seconds)))
    if speed is not None:
        found.append(Card("Generation", f"{speed:.3g} ms", "per shower"))
    return found
