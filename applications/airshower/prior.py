"""What is inferred, and what is believed of it before."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hepflows.applications.airshower.species import FRACTIONS
from hepflows.errors import ConfigError
from hepflows.posterior.parameters import Parameters

NAMES = ("gamma", "lg_rcut", *FRACTIONS, "xmax_shift")
"""Spectral index, lg(R_cut/V), the five fractions at the source, and the Xmax scale in units of its uncertainty."""

EDGE = 19.6
"""lg(R_cut/V) above which the cut-off of iron lies beyond the 10^21 eV at which the response ends."""


@dataclass(frozen=True)
class Prior:
    """Uniform index and lg(R_cut/V), fractions uniform on the simplex, a standard normal scale of Xmax.

    Args:
        gamma: limits of the spectral index.
        lg_rcut: limits of lg(R_cut/V); above 19.6 the cut-off of iron, above 19.85 that of silicon is that of the table.

    >>> Prior().draw(3, generator=torch.Generator().manual_seed(0)).shape
    torch.Size([3, 8])
    """

    gamma: tuple[float, float] = (-2.0, 3.0)
    lg_rcut: tuple[float, float] = (18.0, 19.6)

    def __post_init__(self) -> None:
        if not self.gamma[0] < self.gamma[1] or not 17.0 <= self.lg_rcut[0] < self.lg_rcut[1] <= 21.0:
            message = f"a prior needs low < high, and lg_rcut between 17 and 21, got {self.gamma} and {self.lg_rcut}"
            raise ConfigError(message)

    @property
    def bounds(self) -> list[tuple[float, float] | None]:
        """Of the eight parameters, for a `hepflows.PosteriorEstimator`."""
        return [self.gamma, self.lg_rcut, *[None] * 6]

    @property
    def simplex(self) -> list[int]:
        """Columns of the fractions."""
        return list(range(2, 7))

    def space(self) -> Parameters:
        """The map to seven coordinates, in which this prior is a standard normal."""
        return Parameters(len(NAMES), self.bounds, self.simplex)

    def draw(self, n: int, *, generator: torch.Generator) -> Tensor:
        """(n, 8) parameters."""
        return self.space().inverse(torch.randn(n, 7, generator=generator, dtype=torch.float64))

    def log_prob(self, theta: Tensor) -> Tensor:
        """Log density (...) of parameters (..., 8), in all fractions but the last; minus infinity outside."""
        y, ladj = self.space()(theta)
        density: Tensor = -0.5 * y.square().sum(-1) - 3.5 * math.log(2 * math.pi) + ladj
        return density
