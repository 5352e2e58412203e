r"""Four-momenta, and the constraint that lepton and neutrino come from a W boson of known mass.

With a massless neutrino whose transverse momentum is :math:`\vec p_T^{\,\nu} = \vec p_T^{\,miss}` and Euclidean products,

.. math::

    m_W^2 = (p_\ell + p_\nu)^2 \;\Rightarrow\; E_\ell E_\nu = \frac{\kappa}{2} + p_z^\ell\, p_z^\nu, \qquad
    \kappa = m_W^2 - m_\ell^2 + 2\,\vec p_T^{\,\ell} \cdot \vec p_T^{\,miss}, \\
    p_z^\nu = \frac{\kappa\, p_z^\ell \pm E_\ell \sqrt{\Delta}}{2\, m_{T\ell}^2}, \qquad
    \Delta = (\kappa - 2 m_{T\ell}\, p_T^\nu)(\kappa + 2 m_{T\ell}\, p_T^\nu), \qquad m_{T\ell}^2 = p_T^{\ell\,2} + m_\ell^2 .

Both roots solve the equation before it was squared. :math:`\Delta < 0` exactly where the transverse mass of lepton and neutrino exceeds
:math:`m_W`: what is done then is a rule that the user chooses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hepflows.errors import ConfigError, ShapeError

Array = NDArray[Any]
Rule = Literal["real", "shrink", "raise"]

W_MASS = 80.38
LEPTON_MASSES = (0.000511, 0.105658)
"""Of electron and muon in GeV, by flavour."""


def momentum(pt: Array, eta: Array, phi: Array) -> Array:
    """Cartesian (px, py, pz), last axis, from transverse momentum, pseudorapidity and azimuth.

    >>> momentum(np.array([2.0]), np.array([0.0]), np.array([0.0])).tolist()
    [[2.0, 0.0, 0.0]]
    """
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1)


def four_momentum(pt: Array, eta: Array, phi: Array, energy: Array) -> Array:
    """(E, px, py, pz), last axis."""
    return np.concatenate([np.asarray(energy)[..., None], momentum(pt, eta, phi)], axis=-1)


def neutrino(px: Array, py: Array, pz: Array) -> Array:
    """Massless (E, px, py, pz), last axis."""
    return np.stack([np.sqrt(px**2 + py**2 + pz**2), px, py, pz], axis=-1)


def mass(p: Array) -> Array:
    r"""Invariant mass of (E, px, py, pz), as :math:`\sqrt{(E - |p|)(E + |p|)}`; zero where that is negative by rounding."""
    size = np.sqrt((p[..., 1:] ** 2).sum(-1))
    return np.asarray(np.sqrt(np.maximum((p[..., 0] - size) * (p[..., 0] + size), 0.0)))


def eta_of(px: Array, py: Array, pz: Array) -> Array:
    r"""Pseudorapidity :math:`\mathrm{asinh}(p_z / p_T)`; of a momentum along the beam the largest number that its size allows."""
    pt = np.hypot(px, py)
    return np.asarray(np.arcsinh(pz / np.maximum(pt, np.finfo(np.float32).tiny)))


@dataclass(frozen=True)
class Roots:
    r"""Solutions of the W-mass constraint.

    Args:
        pz: (n, 2) both longitudinal momenta in GeV, that of smaller size first; twice the same number where the discriminant is negative.
        transverse: (n, 2) px and py of the neutrino, which only the rule ``shrink`` changes.
        real: (n,) whether the discriminant is not negative.
        components: (n, 2) in GeV, :math:`-b/2a` and the signed root of :math:`|\Delta/4a^2|`, negative where there is no real solution:
            what nu-Flows (arXiv:2207.00664) may take as features.
    """

    pz: Array
    transverse: Array
    real: NDArray[np.bool_]
    components: Array


def solve_w_constraint(
    lepton: Array, missing: Array, *, lepton_mass: Array | float = 0.0, w_mass: float = W_MASS, rule: Rule = "real"
) -> Roots:
    r"""Both longitudinal momenta of a neutrino that together with a lepton has the mass of the W.

    Where the discriminant is negative the direction of the missing momentum is kept and

    - ``real`` takes the real part, :math:`p_z = \kappa\, p_z^\ell / 2 m_{T\ell}^2` (nu-Flows); the mass is then not :math:`m_W`,
    - ``shrink`` scales the transverse momentum by :math:`\lambda = (m_W^2 - m_\ell^2) / (m_T^2 - m_\ell^2) < 1`, then
      :math:`p_z = \lambda p_T^\nu p_z^\ell / m_{T\ell}`, so that the mass is :math:`m_W`,
    - ``raise`` keeps it and raises the mass to :math:`m_T`, :math:`p_z = p_T^\nu p_z^\ell / m_{T\ell}`.

    Args:
        lepton: (n, 3) px, py, pz in GeV.
        missing: (n, 2) missing transverse momentum in GeV: with a plus sign, that of the neutrino.
        lepton_mass: (n,) or one number, in GeV.
        w_mass: in GeV.
        rule: for negative discriminants.

    Raises:
        ShapeError: not three and two numbers an event.
        ConfigError: an unknown rule, or a W lighter than the lepton.

    >>> roots = solve_w_constraint(np.array([[30.0, 0.0, 10.0]]), np.array([[-50.0, 5.0]]))
    >>> lepton = np.array([np.sqrt(1000.0), 30.0, 0.0, 10.0])
    >>> [round(float(mass(neutrino(*roots.transverse.T, pz) + lepton)[0]), 6) for pz in roots.pz.T]
    [80.38, 80.38]
    """
    if rule not in get_args(Rule):
        message = f"there is no rule {rule!r} for negative discriminants: choose one of {', '.join(get_args(Rule))}"
        raise ConfigError(message)
    if lepton.ndim != 2 or lepton.shape[1:] != (3,) or missing.shape != (len(lepton), 2):
        message = f"the W constraint needs (n, 3) lepton momenta and (n, 2) missing momenta, got {lepton.shape} and {missing.shape}"
        raise ShapeError(message)
    m2 = np.square(np.asarray(lepton_mass, dtype=lepton.dtype))
    if not w_mass > 0 or (m2 >= w_mass**2).any():
        message = f"the W must be heavier than the lepton, got {w_mass} GeV: give masses in GeV"
        raise ConfigError(message)
    pz = lepton[:, 2]
    pt2 = lepton[:, 0] ** 2 + lepton[:, 1] ** 2
    # mT^2 as a sum, and the discriminant by factors: differences of squares would lose the digits of a boosted lepton
    mt2 = pt2 + m2
    mt, energy, pt_nu = np.sqrt(mt2), np.sqrt(mt2 + pz**2), np.hypot(missing[:, 0], missing[:, 1])
    kappa = w_mass**2 - m2 + 2 * (lepton[:, 0] * missing[:, 0] + lepton[:, 1] * missing[:, 1])
    delta = (kappa - 2 * mt * pt_nu) * (kappa + 2 * mt * pt_nu)
    real = delta >= 0
    centre, spread = kappa * pz / (2 * mt2), energy * np.sqrt(np.abs(delta)) / (2 * mt2)
    # as a quotient the root of smaller size does not suffer from cancellation; its numerator is c = (kappa/2)^2 - E^2 pT_nu^2
    far = centre + np.copysign(spread, centre)
    c = (kappa / 2 - energy * pt_nu) * (kappa / 2 + energy * pt_nu)
    near = np.divide(-c, mt2 * far, out=np.zeros_like(far), where=far != 0)
    transverse = missing.copy()
    lone = centre
    if rule == "shrink":
        # mT^2 - ml^2 = 2 (mTl pT_nu - pTl.pT_nu)
        above = 2 * mt * pt_nu - (kappa - (w_mass**2 - m2))
        scale = np.where(real, 1.0, np.divide(w_mass**2 - m2, above, out=np.ones_like(above), where=~real))
        transverse = missing * scale[:, None]
        lone = scale * pt_nu * pz / mt
    elif rule == "raise":
        lone = pt_nu * pz / mt
    roots = np.where(real[:, None], np.stack([near, far], axis=1), lone[:, None])
    components = np.stack([centre, np.where(real, spread, -spread)], axis=1)
    return Roots(roots, transverse.astype(missing.dtype), real, components)
