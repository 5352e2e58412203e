"""The tables of the report: all figures, and the separations, a column a sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hepflows.applications.calorimeter.report_pictures import plain_name
from hepflows.applications.calorimeter.report_text import count, number, short
from hepflows.report.numbers import plus_minus

Metrics = Mapping[str, Mapping[str, Any]]
Table = tuple[list[str], list[list[str]]]

_PRDC = ("precision", "recall", "density", "coverage")


def figures(metrics: Metrics) -> Table | None:
    """All figures of an evaluation: quantity, one column a sample, floor of the first one; None where no suite was run.

    Args:
        metrics: as `measure` gives them, by name of the sample.

    >>> one = {"suite": "standard", "classifiers": {}, "fpd": {"value": 1e-3, "error": 2e-4, "unbiased": 0.0, "unbiased_error": 0.0}}
    >>> figures({"mine": one})[1][0]
    ['FPD × 10³', '1.00 ± 0.20', '–']
    """
    if not any(one.get("suite") for one in metrics.values()):
        return None
    rows = list(_rows(metrics))
    return ["", *metrics, "floor"], rows


def counts(metrics: Metrics, reference: str) -> str:
    """How many showers stand behind the figures, and what the floor is.

    >>> one = {"n_generated": 900, "n_reference": 1000, "n_classifier_train": 540, "n_classifier_select": 180, "n_classifier_score": 180}
    >>> print(counts({"mine": one}, "Geant4"))  # doctest: +ELLIPSIS
    mine: 900 showers against 1,000 of Geant4; classifiers train, ... 540 + 180 + 180 a class. Floor: ...
    """
    parts: dict[str, list[str]] = {}
    for name, one in metrics.items():
        text = f"{count(number(one, 'n_generated'))} showers against {count(number(one, 'n_reference'))} of {reference}"
        if number(one, "n_shared"):
            text += f", {count(number(one, 'n_shared'))} of them in both and dealt out, half to each"
        if number(one, "n_classifier_train") is not None:
            numbers = " + ".join(count(number(one, f"n_classifier_{part}")) for part in ("train", "select", "score"))
            text += f"; classifiers train, select and score with {numbers} a class"
        parts.setdefault(text, []).append(name)
    whole = ". ".join(f"{', '.join(names)}: {text}" for text, names in parts.items())
    return (
        f"{whole}. Floor: one half of {reference} against the other, with half the showers (separations: expected for the "
        f"counts of {next(iter(metrics))}). Precision and the like look at 10,000 showers at most."
    )


def left_out(metrics: Metrics) -> list[str]:
    """Sentences on what was not measured, and why; one for all samples where they agree."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for sample, one in metrics.items():
        for name, reason in (one.get("skipped") or {}).items():
            reasons.setdefault((name.replace("_", " "), reason), []).append(sample)
        if one.get("without_weights"):
            names = ", ".join(name.replace("_", " ") for name in one["without_weights"])
            reasons.setdefault((names, ""), []).append(sample)
    return [
        f"{', '.join(samples)}: {name} not measured: {reason}."
        if reason
        else f"{', '.join(samples)}: sample weights are used, except by {name}, which take all showers alike."
        for (name, reason), samples in reasons.items()
    ]


def _rows(metrics: Metrics) -> Iterator[list[str]]:
    samples = list(metrics.values())
    tests = list(dict.fromkeys(name for one in samples for name in one.get("classifiers") or {}))
    for name in tests:
        found = [(one.get("classifiers") or {}).get(name) or {} for one in samples]
        for key, words in (("auc", "AUC"), ("jsd", "JSD [bits]")):
            cells = [_cell(one, key, f"{key}_std") for one in found]
            yield [f"{words}, {_plain(name)}", *cells, _cell(found[0], f"{key}_floor", f"{key}_floor_std")]
        weak = [("passed" if one.get("power_ok") else "FAILED") if "power_ok" in one else "–" for one in found]
        yield [f"power check, {_plain(name)}", *weak, ""]
    for name in ("fpd", "kpd"):
        for key, words in (("value", ""), ("unbiased", ", without bias")):
            found = [one.get(name) or {} for one in samples]
            if any(found):
                row = [_cell(one, key, "error" if key == "value" else f"{key}_error", 1e3) for one in found]
                floor = _cell(found[0].get("floor") or {}, key, "error" if key == "value" else f"{key}_error", 1e3)
                yield [f"{name.upper()}{words} × 10³", *row, floor]
    for name, words in (("prdc_low", "voxels"), ("prdc_high", "high level")):
        found = [one.get(name) or {} for one in samples]
        if any(found):
            for key in _PRDC:
                floor = _cell(found[0].get("floor") or {}, key, f"{key}_error")
                yield [f"{key}, {words}", *(_cell(one, key, f"{key}_error") for one in found), floor]
    means = [_mean(one.get("separation")) for one in samples]
    yield ["mean separation", *means, _mean(samples[0].get("separation_floor"))]


def _plain(name: str) -> str:
    """A classifier in words.

    >>> _plain("calochallenge-512_high")
    'CaloChallenge 512, high level'
    """
    protocol, _, features = name.partition("_")
    protocol = protocol.replace("calochallenge", "CaloChallenge").replace("caloflow", "CaloFlow").replace("-", " ")
    words = {"low": "voxels", "high": "high level", "normalised": "voxels over layers", "": ""}.get(features, features)
    return f"{protocol}, {words}" if words else protocol


def _cell(values: Mapping[str, Any], key: str, error: str, factor: float = 1.0) -> str:
    value, spread = number(values, key), number(values, error)
    if value is None:
        return "–"
    return plus_minus(factor * value, None if spread is None else factor * spread)


def _mean(separations: Mapping[str, Any] | None) -> str:
    values = [value for name in separations or {} if (value := number(separations or {}, name)) is not None]
    return short(sum(values) / len(values)) if values else "–"


def separation_table(metrics: Metrics, reference: str, suffix: str = "") -> Table | None:
    """Separations of all observables, those that are largest in any sample first; None where there are none.

    Args:
        metrics: by name of the sample.
        reference: its name.
        suffix: of the keys, "_calochallenge" for those in the bins of the challenge.
    """
    values = {sample: one.get(f"separation{suffix}") or {} for sample, one in metrics.items()}
    first = next(iter(metrics))
    floors = metrics[first].get(f"separation_floor{suffix}") or {}
    errors = metrics[first].get(f"separation_floor_std{suffix}") or {}
    names = list(dict.fromkeys(name for one in values.values() for name in one))
    if not names:
        return None
    names.sort(key=lambda name: -max(number(one, name) or 0.0 for one in values.values()))
    rows = []
    for name in names:
        found, floor, spread = (
            [number(one, name) for one in values.values()],
            number(floors, name),
            number(errors, name),
        )
        text = short(floor) if spread is None else f"{short(floor)} ± {short(spread)}"
        largest = max((value for value in found if value is not None), default=None)
        times = "–" if largest is None or not floor else f"{largest / floor:.1f}"
        rows.append([plain_name(name), *map(short, found), text, times])
    return _header(list(metrics), reference), rows


def _header(samples: Sequence[str], reference: str) -> list[str]:
    if len(samples) == 1:
        return ["observable", f"S, {samples[0]} against {reference}", "floor", "S / floor"]
    return ["observable", *samples, "floor", "S / floor"]
