r"""Electromagnetic shower shapes of Grindhammer and Peters, "The parameterized simulation of electromagnetic showers in homogeneous and
sampling calorimeters" (hep-ex/0001020), appendix A.

Along the axis a gamma distribution in depth t (radiation lengths), with its maximum at T and the shape :math:`\alpha`,

.. math:: f(t) = \frac{\beta (\beta t)^{\alpha - 1} e^{-\beta t}}{\Gamma(\alpha)}, \qquad \beta = (\alpha - 1) / T,

ln T and ln :math:`\alpha` normal and correlated from shower to shower; across it two components,

.. math:: f(r) = p \frac{2 r R_C^2}{(r^2 + R_C^2)^2} + (1 - p) \frac{2 r R_T^2}{(r^2 + R_T^2)^2}.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hepflows.applications.calorimeter.simulate.medium import Medium

__all__ = ["Lateral", "lateral", "longitudinal", "mean_maximum"]

Array = npt.NDArray[Any]

_LEAST_LOG_Y = 2.0  # the fits were made from 1 GeV on; below about 70 MeV the shape of a shower is held


def mean_maximum(energy_gev: npt.ArrayLike, medium: Medium) -> Array:
    r"""Depth of the maximum of the mean shower of an electron in radiation lengths.

    :math:`\ln y - 0.858`, y = E/E_c, in a homogeneous medium; minus 0.59/F_S + 0.53 (1 - e) where only a part is read out.

    >>> from hepflows.applications.calorimeter.simulate.detector import load_detector
    >>> medium = Medium.of(load_detector("calogan"))
    >>> mean_maximum([10.0, 100.0], medium).round(2)
    array([6.14, 8.44])
    """
    return _log_y(energy_gev, medium) - 0.858 - 0.59 / medium.sampling_frequency - 0.53 * (1 - medium.electron_ratio)


def longitudinal(energy_gev: Array, medium: Medium, rng: np.random.Generator) -> tuple[Array, Array]:
    """Shape and maximum of the longitudinal profile of showers of electrons.

    Args:
        energy_gev: (n,).
        medium: where they develop.
        rng: source of their fluctuations.

    Returns:
        alpha and T, each (n,), T in radiation lengths.
    """
    log_y = _log_y(energy_gev, medium)
    homogeneous = np.isinf(medium.sampling_frequency)
    top = log_y - 0.812 - 0.55 / medium.sampling_frequency - 0.69 * (1 - medium.electron_ratio)
    shape = 0.81 + (0.458 + 2.26 / medium.atomic_number) * log_y - 0.476 / medium.sampling_frequency
    if homogeneous:
        sigma_top, sigma_shape = _spread(-1.4 + 1.26 * log_y), _spread(-0.58 + 0.86 * log_y)
        rho = 0.705 - 0.023 * log_y
    else:
        sigma_top, sigma_shape = _spread(-2.5 + 1.25 * log_y), _spread(-0.82 + 0.79 * log_y)
        rho = 0.784 - 0.023 * log_y
    first, second = rng.standard_normal((2, len(log_y)))
    common, opposite = np.sqrt((1 + rho) / 2) * first, np.sqrt((1 - rho) / 2) * second
    log_top = np.log(np.maximum(top, 0.3)) + sigma_top * (common + opposite)
    log_shape = np.log(np.maximum(shape, 1.1)) + sigma_shape * (common - opposite)
    return np.maximum(np.exp(log_shape), 1.05), np.exp(log_top)


@dataclass(frozen=True)
class Lateral:
    """Two components: share of the core, radii of core and tail in mm, arrays of one shape."""

    core: Array
    core_mm: Array
    tail_mm: Array

    def __getitem__(self, rows: slice) -> Lateral:
        return Lateral(self.core[rows], self.core_mm[rows], self.tail_mm[rows])


def lateral(tau: Array, energy_gev: Array, medium: Medium) -> Lateral:
    """The profile across the axis.

    Args:
        tau: depth over that of the maximum.
        energy_gev: of the electron; broadcast against ``tau``.
        medium: where the shower develops.
    """
    z, log_e = medium.atomic_number, np.log(energy_gev)
    core_radius = 0.0251 + 0.00319 * log_e + (0.1162 - 0.000381 * z) * tau
    growth = 0.3585 + 0.0421 * log_e
    # far behind the maximum the fit grows without bound
    late = np.minimum(tau, 5.0) - 0.645
    tail_radius = (0.659 - 0.00309 * z) * (np.exp(-2.59 * late) + np.exp(growth * late))
    place = (0.401 + 0.00187 * z - tau) / (1.313 - 0.0686 * log_e)
    core = (2.632 - 0.00094 * z) * np.exp(place - np.exp(place))
    inverse, missing = 1 / medium.sampling_frequency, 1 - medium.electron_ratio
    core_radius = core_radius - 0.0203 * missing + 0.0397 * inverse * np.exp(-tau)
    tail_radius = tail_radius - 0.14 * missing - 0.495 * inverse * np.exp(-tau)
    core = core + missing * (0.348 - 0.642 * inverse * np.exp(-((tau - 1) ** 2)))
    radius_mm = medium.moliere_mm
    return Lateral(
        np.clip(core, 0.0, 1.0), radius_mm * np.maximum(core_radius, 0.005), radius_mm * np.maximum(tail_radius, 0.05)
    )


def _log_y(energy_gev: npt.ArrayLike, medium: Medium) -> Array:
    return np.maximum(np.log(1e3 * np.asarray(energy_gev) / medium.critical_energy_mev), _LEAST_LOG_Y)


def _spread(inverse: Array) -> Array:
    """1/x, at most 0.5, which the fits reach near 1 GeV."""
    return 1 / np.maximum(inverse, 2.0)
