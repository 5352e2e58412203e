r"""A detector of textbook resolution: particles in, smeared particles out.

=================  ======================================================  ===============  =====================================
particle           resolution                                              lost             direction
=================  ======================================================  ===============  =====================================
charged, muons     :math:`\sigma / p_T = 1\,\% \oplus 0.01\,\% \, p_T`     5 %              kept
photon, electron   :math:`\sigma / E = 7\,\% / \sqrt E \oplus 0.7\,\%`     below 0.5 GeV    cells of 0.02 in eta and phi
neutral hadron     :math:`\sigma / E = 100\,\% / \sqrt E \oplus 5\,\%`     below 0.5 GeV    cells of 0.1 in eta and phi
=================  ======================================================  ===============  =====================================

in GeV; charged particles below 0.5 GeV and beyond the tracker, \|eta\| > 2.5, are lost or measured as neutral hadrons. It is the
detector of no experiment: it stands for realism, and against features that are too exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.jets.particles import Particles, transverse

_THRESHOLD = 0.5
_TRACKER = 2.5
_LOST = 0.05
_CHARGED = (13, 211, 321, 2212, 3112, 3222, 3312, 3334)
_SHOWERING = (11, 22)


def smear(particles: Particles, pdg: NDArray[np.int64], rng: np.random.Generator) -> Particles:
    """Measured particles, massless, of (N,) PDG numbers.

    Args:
        particles: of n events.
        pdg: (N,) what they are.
        rng: draws the resolutions.

    >>> event = Particles.massless(np.full(2000, 50.0), np.zeros(2000), np.zeros(2000), np.array([2000]))
    >>> measured = smear(event, np.full(2000, 22), np.random.default_rng(0))
    >>> bool(0.010 < measured.momenta[:, 0].std() / 50 < 0.014)  # 7 % / sqrt(50) and 0.7 %
    True
    """
    pt, eta, phi = transverse(particles.momenta)
    energy = particles.momenta[:, 3]
    kind = np.abs(pdg)
    showering = np.isin(kind, _SHOWERING)
    tracked = np.isin(kind, _CHARGED) & (np.abs(eta) < _TRACKER)
    hadron = ~showering & ~tracked
    root = np.sqrt(np.maximum(energy, 1e-6))
    sigma = np.select(
        [tracked, showering], [np.hypot(0.01, 1e-4 * pt), np.hypot(0.07 / root, 0.007)], np.hypot(1.0 / root, 0.05)
    )
    scale = 1.0 + sigma * rng.standard_normal(len(pt))
    kept = (pt * scale > _THRESHOLD) & ~(tracked & (rng.random(len(pt)) < _LOST))
    cell = np.select([showering, hadron], [0.02, 0.1], 1.0)
    eta, phi = (np.where(tracked, angle, (np.floor(angle / cell) + 0.5) * cell) for angle in (eta, phi))
    event = np.repeat(np.arange(len(particles)), particles.lengths)
    lengths = np.bincount(event[kept], minlength=len(particles))
    return Particles.massless((pt * scale)[kept], eta[kept], phi[kept], lengths)
