"""Suites of metrics: what is measured of one generated sample, from seconds to hours."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from hepflows.applications.calorimeter.challenge import (
    challenge_dataset,
    challenge_separations,
    high_level_features,
    log_voxels,
)
from hepflows.applications.calorimeter.features import Which
from hepflows.applications.calorimeter.metrics import (
    Curves,
    Progress,
    classifier_test,
    curves_of,
    features_of,
    separation_keys,
    separations,
    share_out,
)
from hepflows.applications.calorimeter.showers import Showers, weights_of
from hepflows.errors import ConfigError, DataError
from hepflows.metrics import fpd, kpd, prdc
from hepflows.metrics.classifier import FEWEST
from hepflows.metrics.floors import metric_of_equal_counts, with_floor
from hepflows.metrics.pairs import scaled_pair
from hepflows.metrics.protocol import ClassifierProtocol, named
from hepflows.metrics.result import Measurement
from hepflows.metrics.samples import drawn
from hepflows.training.seeding import derive

if TYPE_CHECKING:
    import torch

Suite = Literal["quick", "standard", "full"]
"""``quick``: separations; ``standard``: and distances, precision and recall, the classifiers asked for; ``full``: and all
classifiers of the CaloChallenge and of CaloFlow."""

PRDC_EVENTS = 10_000
"""At most so many showers of each sample, drawn at random, are looked at by precision, recall, density and coverage, whose cost
grows with the square; equally many of both, since they depend on the ratio of the counts."""

_CLASSIFIERS: dict[str, tuple[str, Which]] = {
    "calochallenge_low": ("calochallenge", "calochallenge-low"),
    "calochallenge_high": ("calochallenge", "calochallenge-high"),
    "calochallenge_normalised": ("calochallenge", "calochallenge-normalised"),
    "calochallenge-512_low": ("calochallenge-512", "calochallenge-low"),
    "calochallenge-512_high": ("calochallenge-512", "calochallenge-high"),
    "caloflow": ("caloflow", "voxels"),
}
_RESNETS = {"calochallenge-2": "calochallenge-resnet-ds2", "calochallenge-3": "calochallenge-resnet-ds3"}
_WITHOUT_WEIGHTS = ("fpd", "kpd", "prdc_low", "prdc_high")


@dataclass(frozen=True)
class Pair:
    """Two samples that can be compared, without showers in common.

    Args:
        generated, reference: showers in the same cells.
        n_generated, n_reference: showers before those in common were dealt out.
        n_shared: how many stood in both.
    """

    generated: Showers
    reference: Showers
    n_generated: int
    n_reference: int
    n_shared: int

    @classmethod
    def of(cls, generated: Showers, reference: Showers, suite: Suite, seed: int) -> Pair:
        """Share out what stands in both samples.

        Raises:
            ConfigError: there is no such suite.
            DataError: geometries differ, there are too few showers for the suite, or weights with which it cannot be measured.
        """
        if suite not in get_args(Suite):
            message = f"there is no suite {suite!r}: choose one of {', '.join(get_args(Suite))}"
            raise ConfigError(message)
        parts = share_out(generated, reference, derive(seed, "evaluate"))
        needed = (10, 10) if suite == "quick" else (FEWEST, 2 * FEWEST)
        for name, one, least in zip(("generated", "reference"), parts[:2], needed, strict=True):
            if len(one) < least:
                left = " (those in both samples are dealt out, half to each)" if parts[2] else ""
                message = (
                    f"the {name} sample has {len(one)} showers{left}, but the suite {suite!r} needs {least}: use more, "
                    "or --suite quick, which needs 10"
                )
                raise DataError(message)
            weights = weights_of(one)
            if suite != "quick" and weights is not None and weights.min() < 0:
                message = f"the {name} sample has negative weights, with which no classifier can learn: unweight it, or use --suite quick"
                raise DataError(message)
        return cls(parts[0], parts[1], len(generated), len(reference), parts[2])


def classifiers(
    suite: Suite, protocols: Sequence[str | ClassifierProtocol], reference: Showers
) -> dict[str, tuple[ClassifierProtocol, Which]]:
    """The classifier tests of a suite by name: (protocol, features), those asked for first.

    Raises:
        ConfigError: there is no such protocol.

    >>> showers = Showers([1.0], [[1.0] * 504])
    >>> list(classifiers("standard", ["standardised", "caloflow"], showers))
    ['standardised', 'caloflow']
    """
    asked = [named(protocol) for protocol in protocols]  # a wrong one is known in every suite
    if suite == "quick":
        return {}
    tests = {rules.name: (rules, features_of(rules)) for rules in asked}
    if suite == "full":
        published = {name: (named(protocol), features) for name, (protocol, features) in _CLASSIFIERS.items()}
        tests |= {name: test for name, test in published.items() if test not in tests.values()}
        resnet = _RESNETS.get(challenge_dataset(reference.geometry) or "")
        if resnet:
            tests[resnet] = (named(resnet), "calochallenge-low")
    return tests


def measure(
    pair: Pair,
    *,
    suite: Suite = "standard",
    protocols: Sequence[str | ClassifierProtocol] = ("standardised",),
    repeats: int = 3,
    seed: int = 0,
    device: torch.device | str | None = None,
    measured: dict[Hashable, Measurement] | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], Curves]:
    """Measure all that a suite asks for.

    Args:
        pair: the samples.
        suite: see `Suite`.
        protocols: classifiers of ``standard`` and ``full``; the first one gives the verdict.
        repeats: trainings of each classifier and of its floor.
        seed: everything random follows from it.
        device: where classifiers train; the processor where it is None.
        measured: see :func:`hepflows.metrics.classifier_test`; several samples are judged with one floor.
        progress: called with (done, in all, text).

    Returns:
        The numbers for ``metrics.json`` (keys: docs/conventions.md), and the ROC curves of the first classifier.

    Raises:
        DataError: weights with which a classifier cannot learn.
        ConfigError: there is no such protocol.
    """
    tests = classifiers(suite, protocols, pair.reference)
    steps = _Steps(progress, 1 + (4 if suite != "quick" else 0) + 20 * len(tests))
    steps.at("separations")
    generated, reference = pair.generated, pair.reference
    curves: Curves = {}
    skipped: dict[str, str] = {}
    metrics: dict[str, Any] = {"suite": suite, **separation_keys(separations(generated, reference, seed=seed))}
    found = separation_keys(challenge_separations(generated, reference, seed=seed))
    metrics |= {f"{key}_calochallenge": value for key, value in found.items()}
    steps.done(1, "separations")
    if suite != "quick":
        metrics |= _distances(pair, seed, skipped, steps)
    for number, (name, (protocol, features)) in enumerate(tests.items()):
        test = classifier_test(
            generated,
            reference,
            protocol=protocol,
            features=features,
            repeats=repeats,
            seed=derive(seed, name) if number else seed,
            device=device,
            measured=measured,
            progress=steps.part(name, 20),
        )
        if number == 0:
            metrics |= test.to_dict() | {"verdict": str(test)}
            curves = curves_of(test)
        metrics.setdefault("classifiers", {})[name] = {**test.to_dict(), "features": features, "verdict": str(test)}
    weighted = any("weight" in one.columns for one in (generated, reference))
    metrics |= {
        "skipped": skipped,
        "weighted": weighted,
        "without_weights": [name for name in _WITHOUT_WEIGHTS if weighted and metrics.get(name)],
        "n_generated": pair.n_generated,
        "n_reference": pair.n_reference,
        "n_shared": pair.n_shared,
    }
    steps.finish()
    return metrics, curves


def _distances(pair: Pair, seed: int, skipped: dict[str, str], steps: _Steps) -> dict[str, Any]:
    """FPD, KPD, precision and recall of the high-level features, precision and recall of the voxels."""
    high = high_level_features(pair.generated), high_level_features(pair.reference)
    found = {"fpd": _attempt("fpd", fpd, *high, seed, skipped)}
    steps.done(1, "FPD")
    found["kpd"] = _attempt("kpd", kpd, *high, seed, skipped)
    steps.done(1, "KPD")
    found["prdc_high"] = _attempt("prdc_high", prdc, *scaled_pair(*high), seed, skipped, most=PRDC_EVENTS)
    steps.done(1, "precision and recall")
    # no more than test and floor look at: logarithms of all voxels of all showers would fill the memory
    fake, truth = (
        log_voxels(one[drawn(len(one), number, derive(seed, "prdc_low"), name)])
        for one, number, name in (
            (pair.generated, PRDC_EVENTS, "generated showers"),
            (pair.reference, 2 * PRDC_EVENTS, "reference showers"),
        )
    )
    found["prdc_low"] = _attempt("prdc_low", prdc, fake, truth, seed, skipped, most=PRDC_EVENTS)
    steps.done(1, "precision and recall of voxels")
    return found


def _attempt(
    name: str,
    metric: Callable[..., Any],
    generated: Any,
    reference: Any,
    seed: int,
    skipped: dict[str, str],
    most: int | None = None,
) -> Mapping[str, Any] | None:
    """A metric with its floor; without floor, or not at all, where there are too few showers, and ``skipped`` says why."""
    options: dict[str, Any] = {"seed": derive(seed, name), "most": most}
    try:
        found: dict[str, Any] = with_floor(metric, generated, reference, **options).to_dict()
    except DataError as error:
        try:
            alone = metric_of_equal_counts(metric, generated, reference, **options)
            found = {**alone.to_dict(), "floor": None}
        except DataError as worse:
            skipped[name] = str(worse)
            return None
        skipped[f"{name}_floor"] = str(error)
    return found


class _Steps:
    """How far a suite has come, in parts of different weight."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def at(self, text: str, done: float = 0.0) -> None:
        if self._progress is not None:
            self._progress(round(100 * (self._done + done)), 100 * self._total, text)

    def done(self, weight: int, text: str) -> None:
        self._done += weight
        self.at(text)

    def part(self, name: str, weight: int) -> Progress:
        """The progress of a part, which counts as done with its last step."""

        def update(done: int, total: int, text: str) -> None:
            if done >= total:
                self.done(weight, f"{name}: {text}")
            else:
                self.at(f"{name}: {text}", weight * done / total)

        return update

    def finish(self) -> None:
        self._done = self._total
        self.at("done")
