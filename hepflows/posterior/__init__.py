"""Posterior inference with conditional flows: p(parameters | observables), learnt from simulated pairs.

The names below are imported on first use, so that importing the package does not wait for torch.
"""

from __future__ import annotations

from typing import Any

from hepflows.lazy import public_name

_PUBLIC = {
    "Adapted": "hepflows.posterior.adaptation",
    "Guess": "hepflows.posterior.guess",
    "Modes": "hepflows.posterior.mode",
    "OutOfRangeWarning": "hepflows.posterior.training_range",
    "Parameters": "hepflows.posterior.parameters",
    "PosteriorConfig": "hepflows.posterior.config",
    "PosteriorEstimator": "hepflows.posterior.estimator",
    "Reweighted": "hepflows.posterior.reweighting",
    "Summary": "hepflows.posterior.summary",
    "TrainingRange": "hepflows.posterior.training_range",
    "find_modes": "hepflows.posterior.mode",
    "refreshed": "hepflows.posterior.refresh",
    "population_monte_carlo": "hepflows.posterior.adaptation",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    return public_name(__name__, _PUBLIC, name)


def __dir__() -> list[str]:
    return list(__all__)
