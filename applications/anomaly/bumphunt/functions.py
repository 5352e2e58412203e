r"""Smooth spectra with ever more parameters, such as a background has.

``dijet``
    :math:`f(z) = p_0 (1 - z)^{p_1} z^{-(p_2 + p_3 \ln z + p_4 \ln^2 z)}`, z the resonant variable over ``scale``
    (13 TeV by convention), with 3, 4 and 5 parameters.
``exponential``
    :math:`f(t) = \exp(p_0 + p_1 t + p_2 t^2 + ...)`, t from -1 to 1 over the range, with 2 to 5 parameters.

All are log-linear in their parameters, :math:`\ln f = \sum_j p_j g_j`, so that the likelihood of the sidebands has one maximum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepflows.applications.anomaly.events import Array
from hepflows.errors import ConfigError, DataError

FAMILIES = {"dijet": (3, 4, 5), "exponential": (2, 3, 4, 5)}
"""Numbers of parameters that are tried, by family."""


@dataclass(frozen=True)
class Shape:
    """A family and its number of parameters.

    Args:
        family: a key of `FAMILIES`.
        parameters: how many.
        scale: what the resonant variable is divided by in ``dijet``; above the whole spectrum.

    Raises:
        ConfigError: an unknown family.
    """

    family: str
    parameters: int
    scale: float = 13.0

    def __post_init__(self) -> None:
        if self.family not in FAMILIES or self.parameters < 1:
            message = f"there is no function {self.family!r} of {self.parameters} parameters: choose one of {', '.join(FAMILIES)}"
            raise ConfigError(message)

    def design(self, edges: Array) -> Array:
        """(B, P) columns g of the bins between (B + 1,) edges, at their middles.

        Raises:
            DataError: the spectrum reaches beyond the scale.
        """
        return self.columns(0.5 * (edges[1:] + edges[:-1]), edges[0], edges[-1])

    def columns(self, m: Array, low: float, high: float) -> Array:
        """(n, P) columns g at (n,) values of the resonant variable, of a spectrum from ``low`` to ``high``.

        Raises:
            DataError: the spectrum reaches beyond the scale.
        """
        if self.family == "exponential":
            t = (2 * m - low - high) / (high - low)
            return np.asarray(np.polynomial.legendre.legvander(t, self.parameters - 1), dtype=np.float64)
        if not 0 < low < high < self.scale:
            message = (
                f"the dijet function needs a spectrum between 0 and its scale {self.scale:g}, and this one goes from {low:g} to "
                f"{high:g}: set the scale to the collision energy in the unit of the data, or use exponential"
            )
            raise DataError(message)
        log = np.log(m / self.scale)
        columns = [np.ones_like(m), np.log1p(-m / self.scale), log, log**2, log**3]
        return np.stack(columns[: self.parameters], axis=1)
