"""Whether the posteriors can be believed: calibration on new universes, the exact likelihood, a Markov chain, the data themselves."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hepflows import console
from hepflows.applications.airshower.config import AirshowerConfig, ChainConfig, VerdictConfig
from hepflows.applications.airshower.inference import SourcePosterior
from hepflows.applications.airshower.mcmc import Chain, markov_chain
from hepflows.applications.airshower.prior import NAMES
from hepflows.metrics.calibration import hpd_ranks, information_gain, sbc_ranks, tarp_ranks, uniformity
from hepflows.metrics.sbibm import c2st
from hepflows.posterior.reweighting import Reweighted
from hepflows.training.seeding import derive, generator

Array = NDArray[np.float64]

FEWEST = 100
"""Points of a C2ST."""


@dataclass(frozen=True)
class Calibration:
    """Ranks on new universes.

    Args:
        ranks: (N,) numbers that are uniform for a calibrated posterior, by the name of the test.
        metrics: what is written of them.
    """

    ranks: dict[str, Array]
    metrics: dict[str, Any]


def calibrate(posterior: SourcePosterior, config: AirshowerConfig, *, seed: int) -> Calibration:
    """SBC ranks of every parameter, coverage, TARP with both kinds of references, information gain."""
    rules = config.verdict
    theta = posterior.prior.draw(rules.universes, generator=generator(seed, "new universes"))
    counts = posterior.model.simulate(theta, generator=generator(seed, "new counts"))
    started = time.monotonic()
    draws, density = posterior.sample(counts, rules.draws, seed=derive(seed, "draws"))
    seconds = time.monotonic() - started
    held_out = posterior.log_prob(theta, counts)
    space = posterior.prior.space()
    # distances between fractions that add up to one are taken in the coordinates
    y, true = space(draws)[0], space(theta)[0]
    ranked = sbc_ranks(draws, theta, seed=seed)
    ranks = {name: ranked[:, i] for i, name in enumerate(NAMES)}
    ranks["coverage"] = hpd_ranks(density, held_out, seed=seed)
    ranks["TARP"] = tarp_ranks(y, true, seed=seed)
    ranks["TARP given x"] = tarp_ranks(y, true, observations=posterior.observables(counts), seed=seed)
    found = {name: uniformity(values) for name, values in ranks.items()}
    gain, gain_std = information_gain(held_out, posterior.prior.log_prob(theta))
    p_values = [found[name].p_value for name in NAMES]
    metrics = {
        "calibration": {name: one.to_dict() for name, one in found.items()},
        "sbc_p_value_min": min(p_values),
        "coverage_error_max": found["coverage"].error_max,
        "information_gain": gain,
        "information_gain_std": gain_std,
        "log_prob": information_gain(held_out)[0],
        "microseconds_per_draw": 1e6 * seconds / (rules.universes * rules.draws),
    }
    return Calibration(ranks, metrics)


@dataclass(frozen=True)
class Inferred:
    """The posterior of one observation.

    Args:
        draws: (n, 8) of the flow.
        exact: (n, 8) draws that were adapted from them, with weights, of the exact posterior.
        resampled: (n, 8) draws by these weights.
        chain: the Markov chain, where there is one.
        seconds: that the flow took.
        metrics: what is written of it.
    """

    draws: Tensor
    exact: Reweighted
    resampled: Tensor
    chain: Chain | None
    seconds: float
    metrics: dict[str, Any] = field(default_factory=dict)


def infer(
    posterior: SourcePosterior,
    counts: Tensor,
    rules: VerdictConfig,
    *,
    seed: int,
    chain: ChainConfig | None = None,
    title: str = "chain",
) -> Inferred:
    """The posterior of 420 counts: draws, weights, and the chain beside them where it is asked for.

    Args:
        posterior: the flow.
        counts: (420,) what was seen.
        rules: how many draws.
        seed: of draws and chain.
        chain: walkers and steps; none where not given.
        title: of the progress of the chain.
    """
    started, n = time.monotonic(), rules.posterior
    draws, density = posterior.sample(counts, n, seed=derive(seed, "draws"))
    seconds = time.monotonic() - started
    weighted = posterior.reweight(draws, counts)
    exact, temperature = posterior.exact(draws, density, counts, n, seed=derive(seed, "adapt"))
    resampled = exact.resample(n, seed=derive(seed, "resample"))
    metrics: dict[str, Any] = {
        "out_of_range": float(posterior.out_of_range(counts)),
        "efficiency": float(weighted.efficiency),
        "exact_efficiency": float(exact.efficiency),
        "exact_temperature": temperature,
        "log_evidence": float(exact.log_evidence),
        "draw_seconds": seconds,
        "exact_seconds": time.monotonic() - started,
    }
    found = None
    if chain is not None:
        with console.progress(title) as update:
            found = markov_chain(
                posterior.model, posterior.prior, counts,
                seed=seed, walkers=chain.walkers, steps=chain.steps, progress=update,
            )  # fmt: skip
        more, _ = posterior.sample(counts, rules.weighted, seed=derive(seed, "weighted"))
        weighted = posterior.reweight(more, counts)
        metrics |= compared(posterior, draws, weighted, exact, found, rules.c2st, seed=seed)
    return Inferred(draws, exact, resampled, found, seconds, metrics)


def compared(
    posterior: SourcePosterior,
    draws: Tensor,
    weighted: Reweighted,
    exact: Reweighted,
    chain: Chain,
    points: int,
    *,
    seed: int,
) -> dict[str, Any]:
    """C2ST between chain and flow in the six coordinates of the sources, and the cost of the chain.

    The flow as it is, with weights, and adapted; the floor is that of the first half of the chain against the second one. No more points
    than half of the effective draws stand in a weighted sample: repeated points would tell themselves apart.
    """
    space = posterior.prior.space()
    half = len(chain.coordinates) // chain.walkers // 2

    def thinned(name: str, part: slice) -> Array:
        # coordinates: the free Xmax scale first, then index, cut-off and four of the fractions
        return np.asarray(chain.thinned(points, seed=derive(seed, name), part=part)[:, 1:])

    reference, first, second = (
        thinned(name, part)
        for name, part in (("thin", slice(None)), ("first", slice(half)), ("second", slice(half, None)))
    )
    metrics: dict[str, Any] = {
        "chain_seconds": chain.seconds, "chain_effective": chain.effective, "chain_acceptance": chain.acceptance,
        "chain_autocorrelation": float(np.max(chain.autocorrelation)), "chain_length": chain.length, "chain_steps": chain.steps,
    }  # fmt: skip

    def put(name: str, sample: Array, other: Array) -> None:
        size = min(len(sample), len(other))
        found = c2st(other[:size], sample[:size]) if size else None
        metrics.update(
            {name: found and found.accuracy, f"{name}_std": found and found.accuracy_std, f"{name}_points": size}
        )

    def coordinates(theta: Tensor) -> Array:
        return np.asarray(space(theta)[0][:, 1:])

    put("c2st", coordinates(draws[:points]), reference)
    put("c2st_floor", first, second)
    for name, one in (("c2st_reweighted", weighted), ("c2st_exact", exact)):
        size = int(min(points, float(one.effective) / 2))
        put(name, coordinates(one.resample(size if size >= FEWEST else 0, seed=derive(seed, name))), reference)
    return metrics


def pseudo_data(posterior: SourcePosterior, config: AirshowerConfig, *, seed: int) -> list[dict[str, Any]]:
    """Flow, weights and chain on pseudo-data sets drawn from the prior."""
    found = []
    for number in range(config.chain.datasets):
        theta = posterior.prior.draw(1, generator=generator(seed, "pseudo-data", number))
        counts = posterior.model.simulate(theta, generator=generator(seed, "pseudo-counts", number))[0]
        one = infer(
            posterior, counts, config.verdict, seed=derive(seed, "pseudo-data", number), chain=config.chain,
            title=f"chain {number + 1} of {config.chain.datasets}",
        )  # fmt: skip
        found.append({"truth": dict(zip(NAMES, theta[0].tolist(), strict=True)), **one.metrics})
    return found


@dataclass(frozen=True)
class Predictive:
    """Counts that the posterior expects to see again.

    Args:
        low, median, high: (420,) 95 % interval and median of new counts.
        p_value: share of new data sets that are less likely under their own parameters than the observation is under the same ones.
        outside: share of the bins with an expectation above one in which the observation lies outside of the interval.
    """

    low: Array
    median: Array
    high: Array
    p_value: float
    outside: float


def predictive(posterior: SourcePosterior, theta: Tensor, counts: Tensor, *, seed: int) -> Predictive:
    """Posterior predictive check with the deviance as discrepancy.

    Args:
        posterior: for the model.
        theta: (n, 8) draws of the posterior.
        counts: (420,) what was seen.
        seed: of the new counts.
    """
    # the totals of the observation, not of the public data
    expected = posterior.model.probabilities(theta) * posterior.model.grouped(posterior.model.summed(counts))
    new = torch.poisson(expected, generator=generator(seed, "predictive"))
    deviance = [(torch.xlogy(n, n / expected.clamp_min(1e-300)) - n + expected).sum(1) for n in (new, counts)]
    low, median, high = torch.quantile(new, torch.tensor([0.025, 0.5, 0.975], dtype=new.dtype), dim=0).numpy()
    seen, enough = counts.numpy(), expected.mean(0).numpy() > 1
    outside = ((seen < low) | (seen > high))[enough]
    return Predictive(low, median, high, float((deviance[0] >= deviance[1]).double().mean()), float(outside.mean()))
