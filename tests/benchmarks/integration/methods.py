"""The competitors: each takes an integrand, a number of evaluations and a seed, and returns estimate, error and diagnostics."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import vegas

from hepflows.applications.integration import FlowIntegrator, Integrand
from hepflows.applications.integration.integrator import Method


@dataclass(frozen=True)
class Outcome:
    """One integration."""

    mean: float
    sdev: float
    seconds: float
    neval: int
    training: float = 0.0
    ess: float = float("nan")
    efficiency: float = float("nan")
    khat: float = float("nan")
    reliable: bool = True
    method: str = ""


def ours(case: Integrand, neval: int, seed: int, method: Method) -> Outcome:
    """`FlowIntegrator`, training included in the evaluations."""
    started = time.perf_counter()
    result = FlowIntegrator(case.bounds, seed=seed)(case, neval, method=method)
    seconds = time.perf_counter() - started
    return Outcome(
        result.mean, result.sdev, seconds, result.neval, result.seconds["training"], result.ess, result.efficiency,
        result.khat, result.reliable, result.method,
    )  # fmt: skip


def peer(case: Integrand, neval: int, seed: int) -> Outcome:
    """vegas: eight iterations that adapt, with 40 % of the evaluations, then ten that count; its own average of them."""

    @vegas.batchintegrand
    def function(x: np.ndarray) -> np.ndarray:
        return case(x)

    generator = np.random.default_rng(seed)
    started = time.perf_counter()
    integrator = vegas.Integrator([list(bound) for bound in case.bounds], ran_array_generator=generator.random)
    integrator(function, nitn=8, neval=0.4 * neval / 8)
    result = integrator(function, nitn=10, neval=0.6 * neval / 10)
    return Outcome(
        float(result.mean), float(result.sdev), time.perf_counter() - started, neval, reliable=result.Q >= 0.05
    )
