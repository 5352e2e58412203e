"""The verdict in words: what the classifier test and the separations say, and how sure they are."""

from __future__ import annotations

import math

from hepflows.applications.calorimeter.report_pictures import plain_name
from hepflows.applications.calorimeter.report_text import Metrics, flag, number, short
from hepflows.metrics.result import PARTS, POWER_NEEDED
from hepflows.report.html import Tone
from hepflows.report.numbers import plus_minus

FAR = 5.0
"""A separation that many standard deviations of its floor above it, and at least twice as large, is a difference."""


def verdict(metrics: Metrics, reference: str, sample: str) -> tuple[Tone, str, str]:
    """Say in words what the classifier test found: how it is to be taken, a title and a text.

    The distance from the floor counts in units of both errors, then the size of the AUC. Where the power check failed
    (the classifier does not find a difference that is known to be there) a low AUC says nothing about the generator. "No difference"
    is said only where no separation lies far above its floor.
    """
    auc, error, differ = number(metrics, "auc"), number(metrics, "auc_std"), _differing_words(metrics)
    if auc is None:
        return "note", "No classifier test.", f"This report shows distributions only.{differ}"
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
        meaning += f"Two samples of {reference}, judged in the same way, give {known} (the floor)."
    distance, words = _distance(metrics, auc, error)
    meaning += words + differ
    if flag(metrics, "power_ok") is False:
        return "bad", _weak_title(distance, reference, differ), f"{_power_words(metrics, reference)} {meaning}"
    if distance is not None and abs(distance) < 2:
        if differ:
            return "warning", "The classifier finds no difference, but distributions differ.", meaning
        return "good", "No difference found at this sample size.", meaning
    if distance is not None and distance < 0:
        return "warning", "Below the floor.", f"{meaning} That should not happen: look at both samples for duplicates."
    return (*_size_of(auc, reference), meaning)


def differing(metrics: Metrics) -> list[str]:
    """The observables whose separation lies far above its floor, see `FAR`; the farthest first.

    >>> differing({"separation": {"depth": 0.4, "energy_0": 0.07}, "separation_floor": {"depth": 0.06, "energy_0": 0.06},
    ...     "separation_floor_std": {"depth": 0.01, "energy_0": 0.001}})
    ['depth']
    """
    values, floors, errors = (metrics.get(f"separation{part}") or {} for part in ("", "_floor", "_floor_std"))
    far: dict[str, float] = {}
    for name in values:
        value, floor, error = (number(one, name) for one in (values, floors, errors))
        if value is not None and floor is not None and error and value > max(2 * floor, floor + FAR * error):
            far[name] = value - floor
    return sorted(far, key=lambda name: -far[name])


def _differing_words(metrics: Metrics) -> str:
    names = differing(metrics)
    if not names:
        return ""
    value, floor = (number(metrics[part], names[0]) for part in ("separation", "separation_floor"))
    others = [plain_name(name) for name in names[1:]]
    also = (
        ""
        if not others
        else f", and so {'does ' + others[0] if len(others) == 1 else f'do {len(others)} other observables'}"
    )
    return f" {plain_name(names[0])} differs (separation {short(value)}, floor {short(floor)}){also}."


def _weak_title(distance: float | None, reference: str, differ: str) -> str:
    """A weak classifier can say that samples differ, never that they agree."""
    if differ or (distance is not None and distance >= 2):
        return f"Different from {reference}; how much, this classifier is too weak to say."
    return "No verdict: the classifier is too weak."


def _distance(metrics: Metrics, auc: float, error: float | None) -> tuple[float | None, str]:
    """How far the AUC lies from that of a perfect generator in units of its error, and that in words.

    The floor is measured with halves of the reference: where these are small its error would hide a difference. A floor that agrees
    with 0.5 knows nothing better than 0.5, so the distance from there counts as well.
    """
    floor, floor_error = number(metrics, "auc_floor"), number(metrics, "auc_floor_std")
    from_floor = _in_errors(auc - (0.5 if floor is None else floor), error, floor_error)
    from_half = _in_errors(auc - 0.5, error) if error and _small_floor(metrics) else None
    if from_half is not None and abs(from_half) > abs(from_floor or 0.0):
        words = f" That floor had fewer showers and agrees with 0.5: from there the difference is {_sigma(from_half)}."
        return from_half, words
    return from_floor, "" if from_floor is None else f" The difference is {_sigma(from_floor)}."


def _small_floor(metrics: Metrics) -> bool:
    """Whether the floor agrees with 0.5 and was measured with fewer showers than the test."""
    floor, error, counts = (
        number(metrics, "auc_floor"),
        number(metrics, "auc_floor_std"),
        metrics.get("n_classifier_floor"),
    )
    if floor is None or not error or not counts or abs(floor - 0.5) > 2 * error:
        return False
    return sum(counts) < sum(number(metrics, f"n_classifier_{part}") or 0 for part in PARTS)


def _in_errors(difference: float, *errors: float | None) -> float | None:
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
