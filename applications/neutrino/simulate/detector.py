r"""What a detector of the Delphes kind makes of partons or jets, a lepton and neutrinos.

==============  ==========================================================================================================
jets            partons closer than :math:`\Delta R = 0.4` are one jet; energy times :math:`N(1, s)`,
                :math:`s^2 = 0.05^2 + a^2/E`, :math:`a = 1\,\sqrt{\mathrm{GeV}}` (1.5 beyond :math:`|\eta| = 3`); :math:`\eta,
                \phi + N(0, 0.02)`; kept above 20 GeV and within :math:`|\eta| < 2.5`, both after smearing
b tags          0.70 with a b quark, 0.20 with a c quark, 0.01 otherwise
leptons         transverse momentum times :math:`N(1, 0.015)`
missing         neutrinos (also of b decays) + what the smearing took from jets and leptons + :math:`N(0, 8\,\mathrm{GeV})`
==============  ==========================================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.neutrino.events import MOST_JETS, Array

CONE, PT_CUT, ETA_CUT = 0.4, 20.0, 2.5
TAG_RATES = (0.01, 0.20, 0.70)
"""By flavour: light, charm, bottom."""


@dataclass(frozen=True)
class Reconstructed:
    """Jets (10, n) each, by falling transverse momentum, zero where there is none; missing momentum (2, n)."""

    pt: Array
    eta: Array
    phi: Array
    energy: Array
    tags: Array
    count: Array
    b_count: Array
    missing: Array


def merge(p: Array, flavour: NDArray[np.int8]) -> None:
    """Make one jet of partons (3, S, n) that are close to each other, in place: the later one goes into the earlier one.

    Args:
        p: momenta, zero where there is no parton.
        flavour: (S, n) 0, 1 or 2; a jet has the heaviest of its partons.
    """
    size = np.hypot(p[0], p[1])
    there = size > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        eta = np.where(there, np.arcsinh(p[2] / size), 0.0)
    phi = np.arctan2(p[1], p[0])
    for i in range(p.shape[1] - 1):
        turn = np.abs(phi[i + 1 :] - phi[i])
        turn = np.minimum(turn, 2 * np.pi - turn)
        near = ((eta[i + 1 :] - eta[i]) ** 2 + turn**2 < CONE**2) & there[i] & there[i + 1 :]
        for j in np.flatnonzero(near.any(axis=1)):
            events = np.flatnonzero(near[j])
            other = i + 1 + j
            p[:, i, events] += p[:, other, events]
            flavour[i, events] = np.maximum(flavour[i, events], flavour[other, events])
            p[:, other, events] = 0.0
            there[other, events] = False


def reconstruct(
    rng: np.random.Generator,
    p: Array,
    flavour: NDArray[np.int8],
    invisible: Array,
    *,
    masses: Array | float = 0.0,
    noise: float = 8.0,
) -> Reconstructed:
    """Smear and select jets, tag them, and find the missing momentum; see the table of the module.

    Args:
        rng: draws.
        p: (3, S, n) momenta of jets, zero where there is none.
        flavour: (S, n) 0 light, 1 charm, 2 bottom.
        invisible: (2, n) transverse momentum of all that is not seen, and what leptons lost in smearing.
        masses: (S, n) of the jets; they take the factor of the energy.
        noise: of the missing momentum, GeV an axis.
    """
    pt = np.hypot(p[0], p[1])
    there = pt > 0
    safe = np.where(there, pt, 1.0)
    eta, phi, energy = np.arcsinh(p[2] / safe), np.arctan2(p[1], p[0]), np.sqrt(pt**2 + p[2] ** 2 + masses**2)
    stochastic = np.where(np.abs(eta) > 3, 1.5**2, 1.0)
    width = np.sqrt(0.05**2 + stochastic / np.where(there, energy, 1.0))
    factor = np.maximum(1 + width * rng.standard_normal(pt.shape), 0.05)
    eta = eta + 0.02 * rng.standard_normal(pt.shape)
    phi = phi + 0.02 * rng.standard_normal(pt.shape)
    pt_seen = pt * factor
    cos, sin = np.cos(phi), np.sin(phi)
    lost = np.stack([(p[0] - pt_seen * cos).sum(0), (p[1] - pt_seen * sin).sum(0)])
    missing = invisible + lost + noise * rng.standard_normal(lost.shape)
    rates = np.array(TAG_RATES)[flavour]
    tagged = rng.random(pt.shape) < rates
    kept = there & (pt_seen > PT_CUT) & (np.abs(eta) < ETA_CUT)
    order = np.argsort(np.where(kept, -pt_seen, 0.0), axis=0, kind="stable")[:MOST_JETS]

    def sorted_jets(values: Array) -> Array:
        chosen = np.take_along_axis(np.where(kept, values, 0.0), order, axis=0)
        return np.pad(chosen, ((0, max(0, MOST_JETS - len(chosen))), (0, 0)))

    return Reconstructed(
        sorted_jets(pt_seen),
        sorted_jets(eta),
        sorted_jets(np.arctan2(sin, cos)),
        sorted_jets(np.hypot(pt_seen * np.cosh(eta), factor * masses)),
        sorted_jets(tagged.astype(np.float64)),
        kept.sum(0).astype(np.float64),
        (kept & tagged).sum(0).astype(np.float64),
        missing,
    )


def smeared_lepton(rng: np.random.Generator, p: Array) -> tuple[Array, Array]:
    """(4, n) lepton to transverse momentum, pseudorapidity, azimuth, energy, and the transverse momentum (2, n) that smearing took."""
    factor = np.maximum(1 + 0.015 * rng.standard_normal(p.shape[1]), 0.05)
    pt = np.hypot(p[1], p[2])
    seen = np.stack([factor * pt, np.arcsinh(p[3] / pt), np.arctan2(p[2], p[1]), factor * p[0]])
    return seen, (1 - factor) * p[1:3]
