r"""Upper limits by CLs in the asymptotic approximation (arXiv:1007.1727).

.. math:: \mathrm{CL}_s(\mu) = \frac{1 - \Phi(\sqrt{\tilde q_\mu})}{\Phi(\sqrt{\tilde q_{\mu,A}} - \sqrt{\tilde q_\mu})}
          \quad (\tilde q_\mu \leq \tilde q_{\mu,A}), \qquad
          \frac{1 - \Phi\big((\tilde q_\mu + \tilde q_{\mu,A}) / 2 \sqrt{\tilde q_{\mu,A}}\big)}
               {1 - \Phi\big((\tilde q_\mu - \tilde q_{\mu,A}) / 2 \sqrt{\tilde q_{\mu,A}}\big)} \quad \text{beyond,}

with :math:`\tilde q_{\mu,A}` that of the data that background alone would give on average.
"""

from __future__ import annotations

import numpy as np

from hepflows.applications.anomaly.bumphunt.likelihood import Fit, fit
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

    none = fit(spectrum, regions, free.shape, signal=0.0)
    asimov = spectrum.with_counts(none.background)
    observed = float(spectrum.counts[spectrum.inside(regions)].sum())
    # the signal cannot be negative: the best fit is then the one without
    best = free.deviance if observed > free.window else none.deviance
    estimate = max(observed - free.window, 0.0)

    def excess(signal: float) -> float:
        q = max(fit(spectrum, regions, free.shape, signal).deviance - best, 0.0) if signal > estimate else 0.0
        return cls(q, max(fit(asimov, regions, free.shape, signal).deviance, 0.0)) - (1.0 - level)

    width = np.sqrt(max(observed, 1.0) + free.window_std**2)
    high = estimate + 2.0 * width
    while excess(high) > 0:
        high = estimate + 2.0 * (high - estimate)
    return float(brentq(excess, estimate + 1e-6 * width, high, rtol=1e-6))


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
