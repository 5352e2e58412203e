"""The words of the report: what the numbers say, how sure they are, and what they do not say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hepflows.metrics.result import POWER_NEEDED
from hepflows.report.html import Card, Tone
from hepflows.report.numbers import plus_minus

SMALL_SAMPLE = 10_000
"""Training events per class below which a classifier sees coarse differences only; CaloFlow used 60,000."""

Metrics = Mapping[str, Any]


def number(metrics: Metrics, name: str) -> float | None:
    """A metric as a finite number, or None where it is missing."""
    value = metrics.get(name)
    if value is None or not math.isfinite(float(value)):
        return None
    return float(value)


def flag(metrics: Metrics, name: str) -> bool | None:
    """A metric that is true or false, or None where it is missing."""
    value = metrics.get(name)
    return None if value is None else bool(value)


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(42.3), duration(252), duration(9000)
    ('42 s', '4 min 12 s', '2 h 30 min')
    """
    whole = round(seconds)
    if whole < 1:
        return f"{seconds:.2g} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count(value: float | None) -> str:
    """A number of events with separators, or a dash.

    >>> count(60000), count(None)
    ('60,000', '–')
    """
    return "–" if value is None else f"{value:,.0f}"


def short(value: float | None) -> str:
    """A separation or another small number, or a dash.

    >>> short(0.01234), short(0.00012345), short(None)
    ('0.0123', '0.00012', '–')
    """
    return "–" if value is None else f"{value:.2g}" if abs(value) < 1e-3 else f"{value:.4f}"


def verdict(metrics: Metrics, reference: str, sample: str) -> tuple[Tone, str, str]:
    """Say in words what the classifier test found: how it is to be taken, a title and a text.

    The distance from the floor counts in units of both errors, then the size of the AUC. Where the power check failed
    (the classifier does not find a difference that is known to be there) a low AUC says nothing about the generator.
    """
    auc, error = number(metrics, "auc"), number(metrics, "auc_std")
    if auc is None:
        return "note", "No classifier test.", "This report shows distributions only."
    floor, floor_error = number(metrics, "auc_floor"), number(metrics, "auc_floor_std")
    percent = plus_minus(100 * auc, 100 * error) if error else f"{100 * auc:.1f}"
    meaning = (
        f"Shown one shower from {reference} and one from {sample}, the classifier ranks the two rightly in {percent} % of "
        f"the cases: AUC = {plus_minus(auc, error)}. "
    )
    if floor is None:
        meaning += "Guessing would give 50 %; the floor of this sample was not measured."
    else:
        known = plus_minus(floor, floor_error)
        meaning += f"{reference} against {reference}, judged in the same way, gives {known} (the floor)."
    distance = _distance(auc - (0.5 if floor is None else floor), error, floor_error)
    if distance is not None:
        meaning += f" The difference is {_sigma(distance)}."
    if flag(metrics, "power_ok") is False:
        return "bad", _weak_title(distance, reference), f"{_power_words(metrics, reference)} {meaning}"
    if distance is not None and abs(distance) < 2:
        return "good", "No difference found at this sample size.", meaning
    if distance is not None and distance < 0:
        return "warning", "Below the floor.", f"{meaning} That should not happen: look at both samples for duplicates."
    return (*_size_of(auc, reference), meaning)


def _weak_title(distance: float | None, reference: str) -> str:
    """A weak classifier can say that samples differ, never that they agree."""
    if distance is not None and distance >= 2:
        return f"Different from {reference}; how much, this classifier is too weak to say."
    return "No verdict: the classifier is too weak."


def _distance(difference: float, *errors: float | None) -> float | None:
    total = math.sqrt(sum(error**2 for error in errors if error is not None))
    return difference / total if total > 0 else None


def _sigma(distance: float) -> str:
    return f"{abs(distance):.1f} standard deviations" if abs(distance) < 10 else "more than ten standard deviations"


def _size_of(auc: float, reference: str) -> tuple[Tone, str]:
    if auc < 0.6:
        return "good", f"Hard to tell from {reference}."
    if auc < 0.75:
        return "warning", f"Distinguishable from {reference}."
    if auc < 0.95:
        return "warning", f"Easily told from {reference}."
    return "bad", f"Almost always told from {reference}."


def _power_words(metrics: Metrics, reference: str) -> str:
    power = number(metrics, "power_auc")
    reached = "" if power is None else f" It reached an AUC of {power:.3f}; at least {POWER_NEEDED} is needed."
    return (
        f"The power check failed: the same classifier could not recognise {reference} showers whose features were "
        f"permuted within energy bins.{reached} A low AUC is therefore no evidence of a good generator: use more events."
    )


def notices(metrics: Metrics, attributes: Sequence[Mapping[str, str]]) -> list[tuple[Tone, str, str]]:
    """What a reader must know before quoting a number: (how it is to be taken, title, text)."""
    found: list[tuple[Tone, str, str]] = []
    events, judged = number(metrics, "n_classifier_train"), number(metrics, "auc") is not None
    if judged and flag(metrics, "power_ok") is None:
        text = "A low AUC may come from a weak classifier; no check of its power was made."
        found.append(("warning", "No power check.", text))
    if judged and events is not None and events < SMALL_SAMPLE:
        text = (
            f"The classifier learned from {count(events)} showers of each kind. With more it would find more, so this AUC "
            "holds for this sample size only and must not be compared with results from larger ones (CaloFlow, "
            "arXiv:2106.05285, used 60,000), nor with those of another protocol."
        )
        found.append(("warning", "Small sample.", text))
    shared = number(metrics, "n_shared")
    if shared:
        text = f"{count(shared)} showers stood in both samples; half of them were left to each, so that no shower is compared with itself."
        found.append(("note", "Samples overlap.", text))
    tables = synthesised(attributes)
    if tables:
        text = (
            f"The electromagnetic tables of this Geant4 sample are synthesised, not the official ones ({tables}). Generators "
            "can be judged against each other on it; published AUCs are context, never a ranking."
        )
        found.append(("note", "About the sample.", text))
    return found


def synthesised(attributes: Sequence[Mapping[str, str]]) -> str:
    """What the attributes of the samples say about synthesised tables; empty where they say nothing.

    >>> synthesised([{"data_tables": "synthesised from formulas"}])
    'data_tables: synthesised from formulas'
    """
    words = ("synthesised", "synthesized", "not official")
    for one in attributes:
        for key, value in one.items():
            if any(word in str(value).lower() for word in words):
                return f"{key}: {value}"
    return ""


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


def summary(metrics: Mapping[str, Any], *, worst: int = 3) -> list[tuple[str, str, str]]:
    """The verdict for a terminal: rows of quantity, value and remark.

    Args:
        metrics: what `evaluate` gives, with or without what a run adds.
        worst: how many observables, those that differ most.
    """
    rows: list[tuple[str, str, str]] = []
    if metrics.get("auc") is not None:
        counts = " + ".join(f"{metrics[f'n_classifier_{part}']:,}" for part in ("train", "select", "score"))
        rows.append(
            ("AUC", _with_error(metrics, "auc"), f"{counts} a class, {metrics['classifier_repeats']} trainings")
        )
    if metrics.get("auc_floor") is not None:
        rows.append(("AUC floor", _with_error(metrics, "auc_floor"), "two true samples"))
    if metrics.get("power_auc") is not None:
        remark = "passed" if metrics["power_ok"] else "FAILED, the classifier is too weak to judge"
        rows.append(("power check", f"{metrics['power_auc']:.3f}", f"{remark} (needs {POWER_NEEDED})"))
    if metrics.get("n_shared"):
        rows.append(("in both files", f"{metrics['n_shared']:,}", "showers, dealt out, half to each"))
    if "train_seconds" in metrics:
        rows.append(("training", f"{metrics['train_seconds']:.0f} s", f"{metrics['n_train']:,} showers"))
    if "ms_per_shower" in metrics:
        rows.append(("generation", f"{metrics['ms_per_shower']:.3g} ms", "a shower"))
    return rows + worst_separations(metrics, worst)


def worst_separations(metrics: Mapping[str, Any], worst: int = 3) -> list[tuple[str, str, str]]:
    """Rows of the observables that differ most, beyond their floors."""
    values, floors = metrics.get("separation", {}), metrics.get("separation_floor", {})
    largest = sorted(values, key=lambda name: values[name] - floors[name], reverse=True)[:worst]
    return [(f"separation {name}", f"{values[name]:.4f}", f"floor {floors[name]:.4f}") for name in largest]


def _with_error(metrics: Mapping[str, Any], key: str) -> str:
    return f"{metrics[key]:.3f} ± {metrics[f'{key}_std']:.3f}"
