"""What a fit of a spectrum gives."""

from __future__ import annotations

from dataclasses import dataclass

from hepflows.applications.anomaly.bumphunt.functions import Shape
from hepflows.applications.anomaly.events import Array


@dataclass(frozen=True)
class Fit:
    """A fitted spectrum.

    Args:
        shape: the function.
        signal: events of signal in the window that were assumed; None where they were free.
        parameters: (P,) of the columns g of the function, per bin of a binned fit and per part of one of an unbinned fit.
        background: (B,) events of background expected in each bin.
        window: events of background expected in the window.
        window_std: error of the same.
        deviance: -2 ln L; of a binned fit the difference to a perfect one, of an unbinned one up to a constant of the data.
        free: degrees of freedom of the bins.
        misfit: deviance of the bins: of the likelihood itself, or, unbinned, of a histogram made for that.
    """

    shape: Shape
    signal: float | None
    parameters: Array
    background: Array
    window: float
    window_std: float
    deviance: float
    free: int
    misfit: float

    @property
    def p_value(self) -> float:
        """Of the deviance of the bins as a chi-square: small where the function does not describe the data."""
        from scipy.stats import chi2

        return float(chi2.sf(self.misfit, self.free))
