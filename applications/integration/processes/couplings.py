r"""Chiral couplings of quarks and leptons to the photon, the Z and a Z', and the amplitudes they make.

.. math:: g^\gamma = e Q, \qquad g^Z_L = \frac{e\,(T_3 - Q \sin^2\theta_W)}{\sin\theta_W \cos\theta_W}, \qquad
    g^Z_R = \frac{-e\, Q \sin^2\theta_W}{\sin\theta_W \cos\theta_W}, \qquad g^{Z'} = \kappa\, g^Z .
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepflows.errors import DomainError

__all__ = ["FERMIONS", "PICOBARN", "Electroweak"]

Array = NDArray[np.float64]

PICOBARN = 0.3893793721e9
"""GeV^-2 in pb."""

FERMIONS: dict[str, tuple[float, float, int]] = {
    "u": (2 / 3, 0.5, 2),
    "d": (-1 / 3, -0.5, 1),
    "e": (-1.0, -0.5, 11),
    "mu": (-1.0, -0.5, 13),
}
"""Charge, weak isospin of the left-handed part, PDG code."""


@dataclass(frozen=True)
class Electroweak:
    r"""Photon, Z and a Z' whose couplings are ``strength`` times those of the Z (sequential for 1, none for 0).

    Args:
        alpha: the electromagnetic coupling :math:`e^2 / 4\pi`.
        sin2: :math:`\sin^2\theta_W`.
        z_mass: of the Z in GeV, as all of the following.
        z_width: of the Z.
        zprime_mass: of the Z'.
        zprime_width: of the Z'.
        strength: :math:`\kappa`.

    Raises:
        DomainError: a number is outside its range.

    >>> standard = Electroweak(strength=0.0)
    >>> rates = standard.chiral_rates("e", "mu", np.array([10.0]))  # far below the Z: the photon alone
    >>> bool(np.allclose(rates, (4 * math.pi * standard.alpha) ** 2, rtol=1e-2))
    True
    """

    alpha: float = 1 / 128.0
    sin2: float = 0.2312
    z_mass: float = 91.1876
    z_width: float = 2.4952
    zprime_mass: float = 1000.0
    zprime_width: float = 30.0
    strength: float = 1.0

    def __post_init__(self) -> None:
        positive = self.alpha, self.z_mass, self.z_width, self.zprime_mass, self.zprime_width
        if not (all(0 < value < math.inf for value in positive) and 0 < self.sin2 < 1 and math.isfinite(self.strength)):
            message = (
                f"couplings, masses and widths must be positive and sin2 between 0 and 1, but got {self}: correct them"
            )
            raise DomainError(message)

    @property
    def poles(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Mass and width of the Z and of the Z'."""
        return (self.z_mass, self.z_width), (self.zprime_mass, self.zprime_width)

    def chiral_rates(self, initial: str, final: str, s: Array) -> Array:
        r""":math:`|A_{ij}|^2` (2, 2, n), i the chirality (left, right) of ``initial``, j that of ``final``.

        .. math:: A_{ij}(s) = \sum_V g_i^V g_j^V \frac{s}{s - M_V^2 + i M_V \Gamma_V}
        """
        total = np.zeros((2, 2, len(s)), dtype=np.complex128)
        for (charged, neutral), (mass, width) in zip(
            ((True, 0.0), (False, 1.0), (False, self.strength)), ((0.0, 0.0), *self.poles), strict=True
        ):
            first, second = (self._couplings(name, photon=charged) for name in (initial, final))
            scale = 1.0 if charged else neutral**2
            total += scale * np.outer(first, second)[:, :, None] * (s / (s - mass**2 + 1j * mass * width))
        return np.asarray(total.real**2 + total.imag**2)

    def _couplings(self, fermion: str, *, photon: bool) -> Array:
        charge, isospin, _ = FERMIONS[fermion]
        e = math.sqrt(4 * math.pi * self.alpha)
        if photon:
            return np.array([e * charge] * 2)
        weak = e / math.sqrt(self.sin2 * (1 - self.sin2))
        return weak * np.array([isospin - charge * self.sin2, -charge * self.sin2])
