"""Significance and limits of windows of a spectrum, and the look-elsewhere effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hepflows.applications.anomaly.bumphunt.fits import Fit
from hepflows.applications.anomaly.bumphunt.functions import Shape
from hepflows.applications.anomaly.bumphunt.limits import upper_limit
from hepflows.applications.anomaly.bumphunt.order import choose
from hepflows.applications.anomaly.bumphunt.spectrum import Spectrum
from hepflows.applications.anomaly.bumphunt.unbinned import Points
from hepflows.applications.anomaly.events import Array
from hepflows.applications.anomaly.regions import Regions
from hepflows.errors import ConfigError, DataError, HepflowsError
from hepflows.training.seeding import numpy_generator

LIKELIHOODS = ("binned", "unbinned")


@dataclass(frozen=True)
class Window:
    r"""What was found in one window.

    Args:
        regions: the window.
        observed: events in it.
        expected, expected_std: background from the sidebands, and the error of the fit.
        significance: signed, :math:`\mathrm{sign}(\hat\mu) \sqrt{q_0}`, with q0 the difference in deviance (arXiv:1007.1727).
        p_value: one-sided, of the normal distribution.
        p_toys: the same from pseudo-experiments, with :math:`(k + 1) / (n + 1)`; None without any.
        limit: 95 % CLs upper limit on the signal events in the window.
        shape: the function that the tests chose.
        sideband_p_value: of the fit of the sidebands.
        tried: the functions that were compared.
        spectrum: the data.
        background: (B,) the fit to the sidebands.
    """

    regions: Regions
    observed: int
    expected: float
    expected_std: float
    significance: float
    p_value: float
    p_toys: float | None
    limit: float
    shape: Shape
    sideband_p_value: float
    tried: list[dict[str, Any]] = field(repr=False)
    spectrum: Spectrum = field(repr=False)
    background: Array = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """All numbers, ready for ``metrics.json``."""
        names = (
            "observed", "expected", "expected_std", "significance", "p_value", "p_toys", "limit", "sideband_p_value",
        )  # fmt: skip
        return {
            "window": [self.regions.low, self.regions.high],
            **{name: getattr(self, name) for name in names},
            "function": self.shape.family,
            "parameters": self.shape.parameters,
            "tried": self.tried,
        }


@dataclass(frozen=True)
class BumpHunt:
    """A search for an excess of events in windows of a falling spectrum.

    Args:
        family: ``exponential`` or ``dijet``, see `hepflows.applications.anomaly.bumphunt.functions`.
        bins: bins over the range.
        scale: of ``dijet``, the collision energy in the unit of the data.
        toys: pseudo-experiments of each window and of a scan; none where zero.
        likelihood: "binned", or "unbinned": of every event beside the window, see `hepflows.applications.anomaly.bumphunt.unbinned`.

    Raises:
        ConfigError: an unknown likelihood.

    Example:
        >>> m = 2.0 + np.random.default_rng(0).exponential(0.7, 20_000)
        >>> found = BumpHunt().test(m, Regions(3.3, 3.7), seed=1)
        >>> abs(found.significance) < 3, found.shape.family
        (True, 'exponential')
    """

    family: str = "exponential"
    bins: int = 40
    scale: float = 13.0
    toys: int = 0
    likelihood: str = "binned"

    def __post_init__(self) -> None:
        if self.likelihood not in LIKELIHOODS:
            message = f"there is no likelihood {self.likelihood!r}: choose {' or '.join(LIKELIHOODS)}"
            raise ConfigError(message)

    def sample(self, m: Array, regions: Regions) -> Spectrum:
        """Events of (n,) values as a spectrum of this likelihood."""
        if self.likelihood == "binned":
            return Spectrum.of(m, regions, bins=self.bins)
        return Points.at(m, regions, self.family, bins=self.bins, scale=self.scale)

    def test(self, m: Array, regions: Regions, *, seed: int = 0) -> Window:
        """Fit the sidebands, count the window.

        Args:
            m: (n,) resonant variable of the events that pass a cut, over the whole range.
            regions: the window.
            seed: of the pseudo-experiments.

        Raises:
            DataError: nothing in the window, or too few events beside it.
            TrainingError: a fit does not converge.
        """
        from scipy.stats import norm

        spectrum = self.sample(m, regions)
        free, tried = choose(spectrum, regions, self.family, self.scale)
        z, none = signed(spectrum, regions, free)
        return Window(
            regions,
            int(spectrum.observed(regions)),
            free.window,
            free.window_std,
            z,
            float(norm.sf(z)),
            self._toys(none, spectrum, regions, z, seed) if self.toys else None,
            upper_limit(spectrum, regions, free),
            free.shape,
            free.p_value,
            tried,
            spectrum,
            free.background,
        )

    def scan(self, m: Array, windows: Sequence[Regions], *, seed: int = 0) -> tuple[list[Window], float | None]:
        """Test several windows of one spectrum.

        Returns:
            The windows, and the global p-value: how often background alone, drawn from a fit of the whole spectrum, has a window as
            significant as the best one, by pseudo-experiments; None without any.
        """
        found = [self.test(m, one, seed=seed) for one in windows]
        if not self.toys:
            return found, None
        best = max(found, key=lambda one: one.significance)
        source = self.sample(m, best.regions)
        none = source.fitted(best.regions, best.shape, 0.0)
        rng = numpy_generator(seed, "scan")
        above = 0
        for _ in range(self.toys):
            counts = rng.poisson(none.background)
            drawn = np.repeat(source.edges[:-1], counts) + rng.random(int(counts.sum())) * np.diff(source.edges)[0]
            highest = max(self._significance(drawn, window) for window in found)
            above += highest >= best.significance
        return found, (above + 1) / (self.toys + 1)

    def _toys(self, none: Fit, spectrum: Spectrum, regions: Regions, z: float, seed: int) -> float:
        rng = numpy_generator(seed, "toys", f"{regions.low:g}:{regions.high:g}")
        above = 0
        for _ in range(self.toys):
            above += _signed_or_zero(spectrum.drawn(none, regions, rng), regions, none.shape) >= z
        return (above + 1) / (self.toys + 1)

    def _significance(self, m: Array, window: Window) -> float:
        try:
            return _signed_or_zero(self.sample(m, window.regions), window.regions, window.shape)
        except DataError:
            return 0.0  # nothing in the window


def signed(spectrum: Spectrum, regions: Regions, free: Fit) -> tuple[float, Fit]:
    """The signed significance of a window, and the fit without a signal."""
    none = spectrum.fitted(regions, free.shape, 0.0)
    q = max(none.deviance - free.deviance, 0.0)
    return float(np.sign(spectrum.observed(regions) - free.window) * np.sqrt(q)), none


def sidak(p_value: float, windows: int) -> float:
    """Global p-value of the best of several windows whose selections are independent, 1 - (1 - p)^n.

    >>> round(sidak(0.01, 5), 4)
    0.049
    """
    return float(-np.expm1(windows * np.log1p(-p_value)))


def _signed_or_zero(toy: Spectrum, regions: Regions, shape: Shape) -> float:
    """The significance of a pseudo-experiment; one that cannot be fitted has none."""
    try:
        return signed(toy, regions, toy.fitted(regions, shape))[0]
    except HepflowsError:
        return 0.0
