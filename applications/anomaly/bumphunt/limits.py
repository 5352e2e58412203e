r"""Upper limits by CLs in the asymptotic approximation (arXiv:1007.1727).

.. math:: \mathrm{CL}_s(\mu) = \frac{1 - \Phi(\sqrt{\tilde q_\mu})}{\Phi(\sqrt{\tilde q_{\mu,A}} - \sqrt{\tilde q_\mu})}
          \quad (\tilde q_\mu \leq \tilde q_{\mu,A}), \qquad
          \frac{1 - \Phi\big((\tilde q_\mu + \tilde q_{\mu,A}) / 2 \sqrt{\tilde q_{\mu,A}}\big)}
               {1 - \Phi\big((\tilde q_\mu - \tilde q_{\mu,A}) / 2 \sqrt{\tilde q_{\mu,A}}\big)} \quad \text{beyond,}

with :math:`\tilde q_{\mu,A}` that of the data that background alone would give on average.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepflows.applications.anomaly.bumphunt.fits import Fit
from hepflows.applications.anomaly.bumphunt.spectrum import Spectrum
from hepflows.applications.anomaly.regions import Regions


def upper_limit(spectrum: Spectrum, regions: Regions, free: Fit, *, level: float = 0.95) -> float:
    """The signal events in the window above which CLs is below ``1 - level``.

    Args:
        spectrum: the counts.
        regions: the window.
        free: the fit of the sidebands.
        level: of confidence.
    """
    from scipy.optimize import brentq

    observed = spectrum.observed(regions)
    estimate = max(observed - free.window, 0.0)
    at = Exclusion.of(spectrum, regions, free)
    width = float(np.sqrt(max(observed, 1.0) + free.window_std**2))
    high = estimate + 2.0 * width
    while at.cls(high) > 1.0 - level:
        high = estimate + 2.0 * (high - estimate)
    return float(brentq(lambda signal: at.cls(signal) - (1.0 - level), estimate + 1e-6 * width, high, rtol=1e-6))


@dataclass(frozen=True)
class Exclusion:
    """How well a spectrum excludes signals.

    Args:
        spectrum: the counts.
        regions: the window.
        free: the fit of the sidebands.
        asimov: the counts that background alone would give on average.
        estimate: the most likely signal, not negative.
        best: deviance of the same.
        without: deviance of the average counts without a signal.
    """

    spectrum: Spectrum
    regions: Regions
    free: Fit
    asimov: Spectrum
    estimate: float
    best: float
    without: float

    @classmethod
    def of(cls, spectrum: Spectrum, regions: Regions, free: Fit) -> Exclusion:
        """From the fit of the sidebands."""
        none = spectrum.fitted(regions, free.shape, 0.0)
        excess = spectrum.observed(regions) - free.window
        # the signal cannot be negative: the best fit is then the one without
        best = free.deviance if excess > 0 else none.deviance
        asimov = spectrum.asimov(none, regions)
        without = asimov.fitted(regions, free.shape, 0.0).deviance
        return cls(spectrum, regions, free, asimov, max(excess, 0.0), best, without)

    def cls(self, signal: float) -> float:
        """CLs of a number of signal events in the window."""
        if signal <= self.estimate:
            q = 0.0
        else:
            q = max(self.spectrum.fitted(self.regions, self.free.shape, signal).deviance - self.best, 0.0)
        asimov = self.asimov.fitted(self.regions, self.free.shape, signal).deviance - self.without
        return cls(q, max(asimov, 0.0))


def cls(q: float, q_asimov: float) -> float:
    """CLs of a test statistic, see the module.

    >>> round(cls(0.0, 4.0), 3), round(cls(3.84, 3.84), 3)
    (0.512, 0.05)
    """
    from scipy.stats import norm

    root, root_asimov = np.sqrt(q), np.sqrt(q_asimov)
    if root_asimov < 1e-6:
        return 1.0  # no signal, no evidence against it
    if root <= root_asimov:
        return float(norm.sf(root) / norm.cdf(root_asimov - root))
    both, background = (q + q_asimov) / (2 * root_asimov), (q - q_asimov) / (2 * root_asimov)
    # far out both are zero in floating point
    return float(np.exp(norm.logsf(both) - norm.logsf(background)))
