r"""The cross sections that Geant4 reads from files, from published formulas and xraylib.

Nothing here is official Geant4 data. `hepflows.applications.calorimeter.simulate.tables` writes them in Geant4's formats.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hepflows.applications.calorimeter.simulate.materials import (
    ELECTRON_MASS_MEV,
    FINE_STRUCTURE,
    coulomb_correction,
    standard_weight,
)
from hepflows.errors import MissingExtraError

__all__ = [
    "PHOTOELECTRIC_EDGE_MEV",
    "bremsstrahlung",
    "charged_inelastic",
    "neutron_cross_sections",
    "photoelectric",
    "photoelectric_tail",
    "rayleigh",
]

Array = npt.NDArray[np.float64]

_ALPHA_RE2_MB = 0.57947  # alpha r_e^2
_THOMSON_BARN = 0.6652448
PHOTOELECTRIC_EDGE_MEV = 0.7


def bremsstrahlung(z: int, kinetic_mev: float, fraction: npt.ArrayLike) -> Array:
    r"""Scaled bremsstrahlung cross section :math:`\chi = (\beta^2 / Z^2)\, k\, d\sigma/dk` in millibarn.

    Tsai's screened Bethe-Heitler formula (Rev. Mod. Phys. 46 (1974) 815), with E the total energy and :math:`y = k/E`:

    .. math::
        \chi &= \tfrac{16}{3} \alpha r_e^2 \beta^2 [(1 - y + \tfrac34 y^2) A + \tfrac18 (1 - y) B] \\
        A &= \tfrac14 \varphi_1 - \tfrac13 \ln Z - f(Z) + (\tfrac14 \psi_1 - \tfrac23 \ln Z) / Z, \quad
        B = \varphi_1 - \varphi_2 + (\psi_1 - \psi_2) / Z

    with Tsai's functions of :math:`\gamma = 100 m k Z^{-1/3} / (E (E - k))` and :math:`\epsilon = \gamma Z^{-1/3}`. The Coulomb
    correction f is switched on between total energies of 2 and 50 MeV, which is ours. Against the tables of Seltzer and Berger the
    radiated energy is right within 2 % above 10 MeV in lead and 1 MeV in argon; below, and at the tip of the spectrum, it is too low.

    Args:
        z: atomic number.
        kinetic_mev: kinetic energy T of the electron, in MeV.
        fraction: photon energy over T, 0 to 1.

    >>> bremsstrahlung(82, 100.0, [0.0, 0.5, 0.9]).round(2)
    array([10.97,  7.17,  5.78])
    """
    total = kinetic_mev + ELECTRON_MASS_MEV
    photon = np.clip(np.asarray(fraction, dtype=np.float64) * kinetic_mev, 1e-12, None)
    y = np.clip(photon / total, 0, 1)
    rest = np.clip(total - photon, ELECTRON_MASS_MEV * 1.0001, None)  # of the electron, also where it stops
    gamma = 100 * ELECTRON_MASS_MEV * photon / (total * rest) * z ** (-1 / 3)
    epsilon = gamma * z ** (-1 / 3)
    phi = 16.863 - 2 * np.log(1 + 0.311877 * gamma**2) + 2.4 * np.exp(-0.9 * gamma) + 1.6 * np.exp(-1.5 * gamma)
    psi = 24.34 - 2 * np.log(1 + 13.111641 * epsilon**2) + 2.8 * np.exp(-8 * epsilon) + 1.2 * np.exp(-29.2 * epsilon)
    switch = np.clip(np.log(max(total, 2.0) / 2) / np.log(25), 0, 1)
    nucleus = np.clip(phi / 4 - np.log(z) / 3 - switch * coulomb_correction(z), 0, None)
    electrons = np.clip(psi / 4 - 2 * np.log(z) / 3, 0, None) / z
    slopes = 2 / (3 + 19.5 * gamma + 18 * gamma**2) + 2 / (3 + 120 * epsilon + 1200 * epsilon**2) / z
    beta2 = 1 - (ELECTRON_MASS_MEV / total) ** 2
    return np.asarray(
        16 / 3 * _ALPHA_RE2_MB * beta2 * ((1 - y + 0.75 * y**2) * (nucleus + electrons) + (1 - y) / 8 * slopes)
    )


def photoelectric(z: int, energy_mev: Array) -> Array:
    """Photoelectric cross section of an atom in barn, by xraylib, up to 0.8 MeV."""
    xraylib = _xraylib()
    return np.array([xraylib.CSb_Photo(z, 1e3 * energy) for energy in energy_mev])


def photoelectric_tail(z: int) -> Array:
    r"""Coefficients a_1 ... a_6 of :math:`\sigma(E) = \sum_i a_i / E^i` above 0.7 MeV, in barn MeV^i.

    a_1 is the high-energy limit of the K shell (Sauter, with a correction after Pratt, times 1.22, which is ours); a_2 to a_4 follow
    xraylib between 0.25 and 0.79 MeV in relative least squares.
    """
    a = FINE_STRUCTURE * z
    limit = 1.5 * _THOMSON_BARN * FINE_STRUCTURE**4 * z**5 * ELECTRON_MASS_MEV
    first = limit * np.exp(-np.pi * a + 2 * a**2 * (1 - np.log(a))) * 1.22
    energy = np.geomspace(0.25, 0.79, 40)
    sigma = photoelectric(z, energy)
    powers = np.stack([energy**-2, energy**-3, energy**-4], axis=1)
    middle = np.linalg.lstsq(powers / sigma[:, None], (sigma - first / energy) / sigma, rcond=None)[0]
    return np.array([first, *middle, 0.0, 0.0])


def rayleigh(z: int, energy_mev: Array) -> Array:
    """Rayleigh cross section of an atom in barn, by xraylib, up to 0.8 MeV."""
    xraylib = _xraylib()
    return np.array([xraylib.CSb_Rayl(z, 1e3 * energy) for energy in energy_mev])


def neutron_cross_sections(z: int, energy_mev: Array) -> dict[str, Array]:
    """Neutrons below 20 MeV, in barn: ``inel``, ``el``, ``cap``. A black disc with thresholds, and 1/v capture: crude."""
    disc = _disc(z)
    return {
        "inel": disc * np.clip((energy_mev - 1) / 3, 0, 1) * (z > 1),
        "el": disc * (4 - 2 * np.clip(energy_mev / 5, 0, 1)),
        "cap": 0.2 * np.sqrt(2.5e-8 / energy_mev),
    }


def charged_inelastic(z: int, energy_mev: Array) -> Array:
    """Protons and light ions below 20 MeV, in barn: a black disc behind a Coulomb barrier, crude."""
    return np.asarray(_disc(z) * np.clip((energy_mev - 0.25 * z) / 5, 0, 1) * (z > 1))


def _disc(z: int) -> float:
    """Barn: pi (1.25 fm)^2 A^(2/3)."""
    return float(np.pi * 1.25**2 * round(standard_weight(z)) ** (2 / 3) * 1e-2)


def _xraylib() -> Any:
    try:
        import xraylib
    except ImportError as error:
        message = "tables for Geant4 are made with xraylib, which is not installed: pip install 'hepflows[geant4]'"
        raise MissingExtraError(message) from error
    return xraylib
