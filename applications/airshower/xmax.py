r"""The depth of the shower maximum: a generalised Gumbel distribution (arXiv:1305.2331) with published coefficients.

.. math:: g(X) = \frac{\lambda^\lambda}{\sigma\,\Gamma(\lambda)} \exp\big[-\lambda (z + e^{-z})\big], \qquad
          G(X) = Q\big(\lambda, \lambda e^{-z}\big), \qquad z = \frac{X - \mu}{\sigma}

with the regularised upper incomplete gamma function Q; mean :math:`\mu + \sigma(\ln\lambda - \psi(\lambda))`, variance
:math:`\sigma^2 \psi_1(\lambda)`. With :math:`\ell = \lg(E / 10^{19}\,\mathrm{eV})` they are :math:`\mu = p_0 + p_1 \ell + p_2 \ell^2`,
:math:`\sigma = p_0 + p_1 \ell` and :math:`\lambda = p_0 + p_1 \ell`, each :math:`p = c_0 + c_1 \ln A + c_2 \ln^2 A`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepflows.errors import ConfigError

Array = NDArray[np.float64]
_Row = tuple[float, float, float]

# mu p0, p1, p2; sigma p0, p1; lambda p0, p1: three coefficients each
COEFFICIENTS: dict[str, tuple[_Row, _Row, _Row, _Row, _Row, _Row, _Row]] = {
    "EPOS-LHC-2013": (
        (775.589, -7.047, -2.427), (57.589, -0.743, 0.214), (-0.820, -0.169, -0.027),
        (29.403, 13.553, -3.154), (0.096, -0.961, 0.150),
        (0.563, 0.711, 0.058), (0.039, 0.067, -0.004),
    ),
    "EPOS-LHC-updated": (
        (775.457, -10.3991, -1.75261), (58.5306, -0.827668, 0.231144), (-1.40781, 0.225624, -0.10008),
        (32.2632, 3.94252, -0.864421), (1.27601, -1.81337, 0.231914),
        (0.641093, 0.219762, 0.171124), (0.0726131, 0.0353188, -0.0131158),
    ),
    "QGSJetII-04-2013": (
        (761.383, -11.719, -1.372), (57.344, -1.731, 0.309), (-0.355, 0.273, -0.137),
        (35.221, 12.335, -2.889), (0.307, -1.147, 0.271),
        (0.673, 0.694, -0.007), (0.060, -0.019, 0.017),
    ),
    "QGSJetII-04-updated": (
        (758.65, -12.3571, -1.24539), (56.5943, -1.01244, 0.228689), (-0.534683, -0.17284, -0.019159),
        (35.4234, 6.75921, -1.46182), (-0.796042, 0.201762, -0.0142452),
        (0.671545, 0.373902, 0.075325), (0.0304335, 0.0473985, -0.000564531),
    ),
    "Sibyll2.3d": (
        (785.852, -15.5994, -1.06906), (60.5929, -0.786014, 0.200728), (-0.689462, -0.294794, 0.0399432),
        (41.0345, -2.17329, -0.306202), (-0.309466, -1.16496, 0.225445),
        (0.799493, 0.235235, 0.00856884), (0.0632135, -0.0012847, 0.000330525),
    ),
    "QGSJetII-2013": (
        (758.444, -10.692, -1.253), (48.892, 0.02, 0.179), (-2.346, 0.348, -0.086),
        (39.033, 7.452, -2.176), (4.390, -1.688, 0.170),
        (0.857, 0.686, -0.040), (0.179, 0.076, -0.0130),
    ),
    "Sibyll2.1-2013": (
        (770.104, -15.873, -0.960), (58.668, -0.124, -0.023), (-1.423, 0.977, -0.191),
        (31.717, 1.335, -0.601), (-1.912, 0.007, 0.086),
        (0.683, 0.278, 0.012), (0.008, 0.051, 0.003),
    ),
    "EPOS1.99-2013": (
        (780.013, -11.488, -1.906), (61.911, -0.098, 0.038), (-0.405, 0.163, -0.095),
        (28.853, 8.104, -1.924), (-0.083, -0.961, 0.215),
        (0.538, 0.524, 0.047), (0.009, 0.023, 0.010),
    ),
}  # fmt: skip
"""Hadronic models. ``-2013``: the tables of the paper; ``-updated`` and Sibyll2.3d: the later values of public code."""


def gumbel_parameters(
    mass: ArrayLike, lg_energy: ArrayLike, model: str = "EPOS-LHC-2013"
) -> tuple[Array, Array, Array]:
    """The parameters mu, sigma (g/cm2) and lambda, for mass numbers and lg(E/eV) that broadcast.

    Raises:
        ConfigError: an unknown model.

    >>> mu, sigma, lam = gumbel_parameters(1, 19.0)
    >>> round(float(mu), 3), round(float(sigma), 3), round(float(lam), 3)
    (775.589, 29.403, 0.563)
    """
    if model not in COEFFICIENTS:
        message = f"there is no Xmax model {model!r}: choose one of {', '.join(COEFFICIENTS)}"
        raise ConfigError(message)
    log_mass = np.log(np.asarray(mass, dtype=np.float64))
    step = np.asarray(lg_energy, dtype=np.float64) - 19.0
    p = [c0 + c1 * log_mass + c2 * log_mass**2 for c0, c1, c2 in COEFFICIENTS[model]]
    return p[0] + p[1] * step + p[2] * step**2, p[3] + p[4] * step, p[5] + p[6] * step


def gumbel_cdf(x: ArrayLike, mass: ArrayLike, lg_energy: ArrayLike, model: str = "EPOS-LHC-2013") -> Array:
    """Probability of a maximum above (less deep than) ``x`` g/cm2; all arguments broadcast."""
    from scipy.special import gammaincc

    mu, sigma, lam = gumbel_parameters(mass, lg_energy, model)
    # beyond exp(700) the probability is zero anyway
    exponent = np.clip(-(np.asarray(x, dtype=np.float64) - mu) / sigma, None, 700.0)
    return np.asarray(gammaincc(lam, lam * np.exp(exponent)))


def gumbel_moments(mass: ArrayLike, lg_energy: ArrayLike, model: str = "EPOS-LHC-2013") -> tuple[Array, Array]:
    """Mean and standard deviation in g/cm2.

    >>> mean, std = gumbel_moments(56, 19.0)
    >>> round(float(mean), 1), round(float(std), 1)
    (711.8, 16.7)
    """
    from scipy.special import digamma, polygamma

    mu, sigma, lam = gumbel_parameters(mass, lg_energy, model)
    return np.asarray(mu + sigma * (np.log(lam) - digamma(lam))), np.asarray(sigma * np.sqrt(polygamma(1, lam)))
