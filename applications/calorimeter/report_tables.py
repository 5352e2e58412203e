"""The tables of the report: all figures, and the separations, a column a sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hepflows.applications.calorimeter.evaluation.context import FEWER, scaled_mark
from hepflows.applications.calorimeter.report_pictures import plain_name
from hepflows.applications.calorimeter.report_text import count, number, short
from hepflows.report.numbers import plus_minus

Metrics = Mapping[str, Mapping[str, Any]]
Table = tuple[list[str], list[list[str]]]

_PRDC = ("precision", "recall", "density", "coverage")


def figures(metrics: Metrics) -> Table | None:
    """All figures of an evaluation: quantity, one column a sample, floor; None where no suite was run.

    Where samples have floors of their own, for want of as many showers, these stand in a row of their own.

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
    return f"{whole}. {_floor_words(metrics, reference)}"


def _floor_words(metrics: Metrics, reference: str) -> str:
    """What the floors are of which something was measured."""
    samples, separations = metrics.values(), "expected for as many showers as each sample and the reference have"
    if not any(one.get(name) for one in samples for name in ("classifiers", "fpd", "kpd", "prdc_low", "prdc_high")):
        return f"Floor: {separations}."
    text = (
        f"Floor: one half of {reference} against the other, for classifiers with half the showers, for FPD and KPD carried to the counts "
        f"of the test (separations: {separations})."
    )
    if any(one.get(name) for one in samples for name in ("prdc_low", "prdc_high")):
        text += " Precision and the like look at equally many showers of both samples, 10,000 at most."
    return f"{text} {marks(metrics)}".rstrip()


def marks(metrics: Metrics) -> str:
    """What the marks in the table of figures mean; empty where there are none."""
    distances = [one.get(name) or {} for one in metrics.values() for name in ("fpd", "kpd")]
    return f"{FEWER}." if any(one.get("scaled_down") for one in distances) else ""


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
            floors = [_cell(one, f"{key}_floor", f"{key}_floor_std") for one in found]
            yield from _with_floors(f"{words}, {_plain(name)}", cells, floors)
        yield [f"power check, {_plain(name)}", *map(_power, found), ""]
    for name in ("fpd", "kpd"):
        for key, words in (("value", ""), ("unbiased", ", without bias")):
            found = [one.get(name) or {} for one in samples]
            if any(found):
                cells, floors = (
                    [_distance(one, key) for one in part] for part in (found, [one.get("floor") or {} for one in found])
                )
                yield from _with_floors(f"{name.upper()}{words} × 10³", cells, floors)
    for name, words in (("prdc_low", "voxels"), ("prdc_high", "high level")):
        found = [one.get(name) or {} for one in samples]
        if any(found):
            for key in _PRDC:
                cells, floors = (
                    [_cell(one, key, f"{key}_error") for one in part]
                    for part in (found, [one.get("floor") or {} for one in found])
                )
                yield from _with_floors(f"{key}, {words}", cells, floors)
    floor = [(number(one, "separation_mean_floor"), number(one, "separation_mean_floor_std")) for one in samples]
    yield [
        "mean separation",
        *(_cell(one, "separation_mean", "separation_mean_std") for one in samples),
        _floor_text(floor),
    ]


def _distance(values: Mapping[str, Any], key: str) -> str:
    """FPD or KPD; only the published value knows a scheme that it may fall short of."""
    if key == "value":
        return _cell(values, key, "error", 1e3) + scaled_mark(values)
    return _cell(values, key, f"{key}_error", 1e3)


def _with_floors(words: str, cells: list[str], floors: list[str]) -> Iterator[list[str]]:
    """A row, and a second one of floors where the samples do not share theirs."""
    known = list(dict.fromkeys(floor for floor in floors if floor != "–"))
    if len(known) <= 1:
        yield [words, *cells, *(known or ["–"])]
    else:
        yield [words, *cells, "next row"]
        yield [f"floor of each: {words}", *floors, ""]


def _power(found: Mapping[str, Any]) -> str:
    if "power_ok" not in found:
        return "–"
    words = "passed" if found["power_ok"] else "FAILED"
    reached = _cell(found, "power_auc", "power_auc_std")
    return words if reached == "–" else f"{reached} {words}"


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


def separation_table(metrics: Metrics, reference: str, suffix: str = "") -> Table | None:
    """Separations of all observables, those that are largest in any sample first; None where there are none.

    Args:
        metrics: by name of the sample.
        reference: its name.
        suffix: of the keys, "_calochallenge" for those in the bins of the challenge.
    """
    keys = [f"separation{part}{suffix}" for part in ("", "_floor", "_floor_std")]
    parts = {sample: [one.get(key) or {} for key in keys] for sample, one in metrics.items()}
    names = list(dict.fromkeys(name for values, _, _ in parts.values() for name in values))
    if not names:
        return None
    names.sort(key=lambda name: -max(number(values, name) or 0.0 for values, _, _ in parts.values()))
    rows = []
    for name in names:
        found = [tuple(number(one, name) for one in part) for part in parts.values()]
        floor = _floor_text([(least, spread) for _, least, spread in found])
        if len(found) == 1:
            value, least, _ = found[0]
            (one,) = metrics.values()
            error = number(one.get(f"separation_std{suffix}") or {}, name)
            shown = short(value) if value is None or error is None else plus_minus(value, error)
            rows.append([plain_name(name), shown, floor, _times(value, least)])
        else:
            rows.append(
                [plain_name(name), *(f"{short(value)} ({_times(value, least)})" for value, least, _ in found), floor]
            )
    return _header(list(metrics), reference), rows


def _times(value: float | None, floor: float | None) -> str:
    return "–" if value is None or not floor else f"{value / floor:.1f}"


def _floor_text(floors: Sequence[tuple[float | None, float | None]]) -> str:
    """The floor that all samples share, or the range of theirs."""
    known = sorted(((floor, spread) for floor, spread in floors if floor is not None), key=lambda one: one[0])
    if not known:
        return "–"
    (least, spread), most = known[0], known[-1][0]
    if short(least) != short(most):
        return f"{short(least)} to {short(most)}"
    return short(least) if spread is None else plus_minus(least, spread)


def _header(samples: Sequence[str], reference: str) -> list[str]:
    if len(samples) == 1:
        return ["observable", f"S, {samples[0]} against {reference}", "floor", "S / floor"]
    return ["observable", *(f"{sample}: S (S / floor)" for sample in samples), "floor"]
