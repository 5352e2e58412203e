"""The competitors: each takes an integrand, a number of evaluations and a seed, and returns estimate, error and diagnostics."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import vegas

from hepflows.applications.integration import FlowIntegrator, Integrand
from hepflows.applications.integration.flow_training import FlowTraining, Points
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


def ours(case: Integrand, neval: int, seed: int, method: Method, points: Points = "own") -> Outcome:
    """`FlowIntegrator`, training included in the evaluations."""
    started = time.perf_counter()
    result = FlowIntegrator(case.bounds, seed=seed)(case, neval, method=method, training=FlowTraining(points=points))
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


def madnis(case: Integrand, neval: int, seed: int) -> Outcome:
    """madnis with its defaults (Adam at 1e-3, batches of 1024): four tenths of the evaluations train, the rest estimates."""
    import torch
    from madnis.integrator import Integrator

    low, high = (torch.tensor(side, dtype=torch.float64) for side in zip(*case.bounds, strict=True))

    def function(x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(case((low + x * (high - low)).numpy())) * (high - low).prod()

    torch.manual_seed(seed)
    started = time.perf_counter()
    integrator = Integrator(function, dims=len(case.bounds), dtype=torch.float64)
    steps = int(0.4 * neval) // 1024
    integrator.train(steps)
    training = time.perf_counter() - started
    found = integrator.integration_metrics(neval - 1024 * steps)
    return Outcome(found.integral, found.error, time.perf_counter() - started, neval, training)
