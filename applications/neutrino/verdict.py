"""The verdict: can a classifier tell the drawn neutrinos from the true ones, are the posteriors calibrated, how good is each method."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepflows import console
from hepflows.applications.neutrino.config import NeutrinoConfig, VerdictConfig
from hepflows.applications.neutrino.events import Array, Events
from hepflows.applications.neutrino.features import rows
from hepflows.applications.neutrino.kinematics import Roots
from hepflows.applications.neutrino.methods.feedforward import FeedForward
from hepflows.applications.neutrino.methods.flow import NeutrinoFlow, target_names
from hepflows.applications.neutrino.methods.quadratic import nearest, quadratic
from hepflows.applications.neutrino.quantities import NAMES, Quantities, half_width, resolution
from hepflows.metrics.calibration import Uniformity, hpd_ranks, information_gain, sbc_ranks, tarp_ranks, uniformity
from hepflows.metrics.classifier import classifier_test
from hepflows.metrics.protocol import ClassifierProtocol
from hepflows.metrics.result import ClassifierResult
from hepflows.posterior.training_range import OutOfRangeWarning
from hepflows.training.seeding import derive, numpy_generator

CHUNK = 2000
"""Events whose draws are made at once."""


@dataclass(frozen=True)
class Draws:
    """Draws of the posteriors of test events.

    Args:
        neutrinos: (S, n, L, 3) px, py, pseudorapidity.
        log_prob: (S, n) log densities.
        truth_log_prob: (n,) those of the true neutrinos.
    """

    neutrinos: Array
    log_prob: Array
    truth_log_prob: Array


@dataclass(frozen=True)
class Judged:
    """All numbers of ``metrics.json`` but times, and what they and the pictures come from.

    Args:
        metrics: the numbers.
        events: the test events that have draws.
        draws: theirs.
        estimates: by method, by quantity, (n, L): point estimates for these events; ``truth`` among them.
        roots: their roots; None for two leptons.
        calibration: by name, ranks against uniform ones.
    """

    metrics: dict[str, Any]
    events: Events
    draws: Draws
    estimates: dict[str, dict[str, Array]]
    roots: Roots | None
    calibration: dict[str, Uniformity]


def judge(flow: NeutrinoFlow, regression: FeedForward, test: Events, config: NeutrinoConfig, seed: int) -> Judged:
    """Judge all methods on events that none has seen.

    Args:
        flow: nu-Flow.
        regression: nu-FF.
        test: events with true neutrinos.
        config: its section ``verdict`` counts.
        seed: of draws, classifiers and bootstrap.
    """
    rules = config.verdict
    truth = test.truth("the verdict")
    drawn = _once(flow, test, derive(seed, "one draw"))
    with console.progress("classifier") as update:
        told = classify(test, drawn, rules, seed=derive(seed, "classifier"), progress=update)
    events = test[: rules.events]
    draws = drawn_posteriors(flow, events, rules.samples, derive(seed, "draws"))
    calibration = calibrate(draws, events, derive(seed, "calibration"))
    log_prob = np.concatenate([draws.truth_log_prob, _log_prob(flow, test[rules.events :])])
    gain, gain_std = information_gain(log_prob)
    roots = None if config.leptons > 1 else quadratic(events, **config.quadratic.model_dump())
    estimates = estimated(draws, events, drawn[: len(events)], regression, roots)
    rng = numpy_generator(seed, "bootstrap")
    methods = {name: resolution(found, estimates["truth"], rng) for name, found in estimates.items() if name != "truth"}
    if roots is not None:
        chosen = root_choices(draws, estimates, roots)
        for name, (share, std) in chosen.items():
            methods[name] |= {"root_efficiency": share, "root_efficiency_std": std}  # type: ignore[dict-item]
    coverage = calibration["coverage"]
    metrics: dict[str, Any] = {
        "n_test": len(test),
        "n_with_draws": len(events),
        "samples": rules.samples,
        **(_nothing() if told is None else told.to_dict()),
        "coverage_error_max": coverage.error_max,
        "coverage": coverage.to_dict(),
        "sbc": {
            name.removeprefix("sbc_"): one.to_dict() for name, one in calibration.items() if name.startswith("sbc_")
        },
        "tarp": calibration["tarp"].to_dict(),
        "tarp_of_x": calibration["tarp_of_x"].to_dict(),
        "log_prob": gain,
        "log_prob_std": gain_std,
        "log_prob_regression_gaussian": _gaussian(truth, regression.predict(test)),
        "log_prob_marginal_gaussian": _gaussian(truth, np.zeros_like(truth)),
        "rmse_flow_mean": _rmse(events, draws.neutrinos.mean(axis=0)),
        "rmse_feedforward": _rmse(events, regression.predict(events)),
        "m_w_spectrum_width": {name: half_width(found["m_w"]) for name, found in estimates.items()},
        "m_top_spectrum_width": {name: half_width(found["m_top"]) for name, found in estimates.items()},
        "real_roots": None if roots is None else float(roots.real.mean()),
        "n_outside_training_range": int((flow.out_of_range(test) > 1).sum()),
        "methods": methods,
    }
    return Judged(metrics, events, draws, estimates, roots, calibration)


def classify(
    test: Events, drawn: Array, rules: VerdictConfig, *, seed: int, progress: Any = None
) -> ClassifierResult | None:
    """(x, drawn y) of one half of the events against (x, true y) of the other; None where it was not asked for.

    The inputs are those of the networks, px, py and pseudorapidity of the neutrinos, and pz and the mass with the lepton. The power check
    compares true neutrinos with those of other events.
    """
    if not rules.classifier_repeats:
        return None
    truth = test.truth("the classifier test")
    x = rows(test).numpy()
    other = truth[numpy_generator(seed, "power").permutation(len(truth))]
    half = len(test) // 2
    quantities = Quantities(test)

    def features(y: Array, part: slice) -> NDArray[np.float64]:
        found = quantities.of(y)
        more = [np.arcsinh(found["pz"] / 100.0), np.log(np.maximum(found["m_w"], 1.0))]
        return np.concatenate([x, y.reshape(len(y), -1), *more], axis=1)[part].astype(np.float64)

    first, second = slice(0, half), slice(half, 2 * half)
    protocol = ClassifierProtocol(
        "neutrino", hidden=(128, 128, 128), inputs="robust", epochs=rules.classifier_epochs, batch_size=256, dropout=0.1,
        weight_decay=1e-2, cooldown=0.3, select="auc", calibration_clip=None,
    )  # fmt: skip
    reference = features(truth, second)
    return classifier_test(
        features(drawn, first),
        reference,
        protocol=protocol,
        repeats=rules.classifier_repeats,
        seed=seed,
        floor_reference=features(truth, first),
        power_pair=(features(other, first), reference),
        progress=progress,
    )


def drawn_posteriors(flow: NeutrinoFlow, events: Events, samples: int, seed: int) -> Draws:
    """Draws of all events and the density of the truth, a chunk of events at a time."""
    neutrinos = np.empty((samples, len(events), flow.config.leptons, 3), dtype=np.float32)
    log_prob = np.empty((samples, len(events)))
    with console.progress("draws") as update:
        for first in range(0, len(events), CHUNK):
            part = slice(first, first + CHUNK)
            found = quietly(flow, events[part], samples, derive(seed, first))
            neutrinos[:, part], log_prob[:, part] = found
            update(min(first + CHUNK, len(events)), len(events), "events")
    return Draws(neutrinos, log_prob, _log_prob(flow, events))


def quietly(flow: NeutrinoFlow, events: Events, samples: int, seed: int) -> tuple[Array, Array]:
    """Draws and their densities; who calls counts the events outside of the training range."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OutOfRangeWarning)
        return flow.sample_and_log_prob(events, samples, seed=seed)


def calibrate(draws: Draws, events: Events, seed: int) -> dict[str, Uniformity]:
    """SBC ranks of each parameter, expected coverage of highest-density regions, TARP with references that ignore x and that follow it."""
    truth = events.truth("calibration").reshape(len(events), -1)
    theta = draws.neutrinos.reshape(*draws.neutrinos.shape[:2], -1)
    ranks = sbc_ranks(theta, truth, seed=seed)
    names = target_names(events.n_neutrinos)
    found = {f"sbc_{name}": uniformity(ranks[:, i], seed=seed) for i, name in enumerate(names)}
    found["coverage"] = uniformity(hpd_ranks(draws.log_prob, draws.truth_log_prob, seed=seed), seed=seed)
    found["tarp"] = uniformity(tarp_ranks(theta, truth, seed=seed), seed=seed)
    observed = rows(events).numpy()
    found["tarp_of_x"] = uniformity(tarp_ranks(theta, truth, observations=observed, seed=seed), seed=seed)
    return found


def estimated(
    draws: Draws, events: Events, one: Array, regression: FeedForward, roots: Roots | None
) -> dict[str, dict[str, Array]]:
    """Estimates of every quantity: truth; median of the draws (``flow``), one draw, that of highest density; regression; constraint."""
    quantities = Quantities(events)
    mode = np.take_along_axis(draws.neutrinos, draws.log_prob.argmax(axis=0)[None, :, None, None], axis=0)[0]
    parts: dict[str, list[Array]] = {name: [] for name in NAMES}
    for first in range(0, len(events), CHUNK):
        some = slice(first, first + CHUNK)
        for name, values in Quantities(events[some]).of(draws.neutrinos[:, some].astype(np.float64)).items():
            parts[name].append(np.median(values, axis=0))
    found = {
        "truth": quantities.of(events.truth("the verdict")),
        "flow": {name: np.concatenate(values) for name, values in parts.items()},
        "flow_sample": quantities.of(one),
        "flow_mode": quantities.of(mode.astype(np.float64)),
        "feedforward": quantities.of(regression.predict(events)),
    }
    if roots is not None:
        p = nearest(roots)
        found["quadratic"] = quantities(p[..., 0], p[..., 1], p[..., 2])
    return found


def root_choices(
    draws: Draws, estimates: Mapping[str, Mapping[str, Array]], roots: Roots
) -> dict[str, tuple[float, float]]:
    """How often the root that is nearest to a method's pz is the one nearest to the true pz, among events with two real roots.

    For the flow it is the root that most draws are nearest to. Each with its binomial standard deviation.
    """
    real = roots.real

    def near(pz: Array) -> NDArray[np.bool_]:
        return np.asarray(np.abs(pz - roots.pz[:, 1]) < np.abs(pz - roots.pz[:, 0]))

    right = near(estimates["truth"]["pz"][:, 0])
    px, py, eta = np.moveaxis(draws.neutrinos[:, :, 0], -1, 0)
    votes = near(np.hypot(px, py) * np.sinh(eta)).mean(axis=0) > 0.5
    chosen = {
        "flow": votes,
        **{name: near(estimates[name]["pz"][:, 0]) for name in estimates if name not in ("truth", "flow")},
    }
    found = {}
    for name, choice in chosen.items():
        share = float((choice == right)[real].mean()) if real.any() else float("nan")
        found[name] = (share, float(np.sqrt(share * (1 - share) / max(1, real.sum()))))
    return found


def _once(flow: NeutrinoFlow, events: Events, seed: int) -> Array:
    one: Array = quietly(flow, events, 1, seed)[0][0]
    return one


def _log_prob(flow: NeutrinoFlow, events: Events) -> Array:
    return flow.log_prob(events.truth("the verdict"), events) if len(events) else np.empty(0)


def _gaussian(truth: Array, centre: Array) -> float:
    """Mean log density of the truth under one Gaussian of the differences, its moments fitted to these very events."""
    difference = (truth - centre).reshape(len(truth), -1)
    covariance = np.atleast_2d(np.cov(difference.T))
    d = difference.shape[1]
    return float(-0.5 * (d * (1 + np.log(2 * np.pi)) + np.linalg.slogdet(covariance)[1]))


def _rmse(events: Events, estimate: Array) -> float:
    """Root mean square of px, py and pseudorapidity, each in units of its standard deviation."""
    truth = events.truth("the verdict")
    scale = truth.std(axis=(0, 1))
    return float(np.sqrt(np.mean(((estimate - truth) / scale) ** 2)))


def _nothing() -> dict[str, None]:
    return dict.fromkeys(("auc", "auc_std", "auc_floor", "auc_floor_std"))
