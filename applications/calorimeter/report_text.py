"""Numbers and words that the report and the terminal share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hepflows.metrics.result import POWER_NEEDED

Metrics = Mapping[str, Any]

FEW_EVENTS = 20_000
"""Events per class to train, select and score a classifier, below which its AUC does not count; CaloFlow trained with 60,000."""

_PARTS = ("train", "select", "score")


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


def classifier_events(metrics: Metrics) -> dict[str, int]:
    """Events per class that each classifier saw in all, by its name; of a run's only one without a name.

    >>> classifier_events({"n_classifier_train": 600, "n_classifier_select": 200, "n_classifier_score": 200})
    {'': 1000}
    """
    found = {}
    for name, one in (metrics.get("classifiers") or {"": metrics}).items():
        parts = [number(one, f"n_classifier_{part}") for part in _PARTS]
        if all(part is not None for part in parts):
            found[name] = int(sum(part or 0.0 for part in parts))
    return found


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


def summary(metrics: Mapping[str, Any], *, worst: int = 3) -> list[tuple[str, str, str]]:
    """The verdict for a terminal: rows of quantity, value and remark.

    Args:
        metrics: what `evaluate` gives, with or without what a run adds.
        worst: how many observables, those that differ most.
    """
    rows: list[tuple[str, str, str]] = []
    if metrics.get("auc") is not None:
        counts = " + ".join(f"{metrics[f'n_classifier_{part}']:,}" for part in _PARTS)
        rows.append(
            ("AUC", _with_error(metrics, "auc"), f"{counts} a class, {metrics['classifier_repeats']} trainings")
        )
        if any(events < FEW_EVENTS for events in classifier_events(metrics).values()):
            rows.append(("small sample", "", f"an AUC counts with {FEW_EVENTS:,} showers a class or more in all"))
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
