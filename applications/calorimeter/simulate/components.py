"""What a parametrised shower is made of: energies by depth, each with a profile across the axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hepflows.applications.calorimeter.simulate.gun import Primaries
from hepflows.applications.calorimeter.simulate.medium import Medium
from hepflows.applications.calorimeter.simulate.profiles import Lateral, lateral, longitudinal

__all__ = ["Component", "electromagnetic", "pion"]

Array = npt.NDArray[Any]

_UNSEEN = 0.003
"""Mean share that ends in nuclei and escaping particles; exponential. From Geant4 in lead and argon, 10 to 50 GeV."""
_REACH = 8.0  # Moliere radii
_CONVERSION = 9 / 7  # mean depth in X0 at which a photon becomes a pair
_PAIR = 0.75  # whose shower is shaped like one of this share of the energy: together, the maximum lies one X0 later

_INVISIBLE = 0.4  # of the hadronic part: binding energy, neutrons, neutrinos
_CONCENTRATION = 6.0  # of the beta distribution of the electromagnetic share


@dataclass(frozen=True)
class Component:
    """A part of n showers.

    Attributes:
        gev: deposits by slice, (n, slices).
        across: the profile across the axis, arrays of that shape.
        reach_mm: distance from the axis at which the profile, which has no end, is cut.
    """

    gev: Array
    across: Lateral
    reach_mm: float

    def __getitem__(self, rows: slice) -> Component:
        return Component(self.gev[rows], self.across[rows], self.reach_mm)


def electromagnetic(primaries: Primaries, edges_mm: Array, medium: Medium, rng: np.random.Generator) -> list[Component]:
    """Showers of electrons, positrons and photons.

    A photon converts after 9/7 radiation lengths on average; the shower of its pair has the shape of that of an electron of 0.75 times its
    energy, so that its maximum lies one radiation length behind that of an electron (Review of Particle Physics).

    Args:
        primaries: the particles.
        edges_mm: depths between which the deposits are added up, (slices + 1,).
        medium: where they develop.
        rng: source of the fluctuations.
    """
    n = len(primaries)
    photon = abs(primaries.pdg) == 22
    start = rng.exponential(_CONVERSION, n) if photon else np.zeros(n)
    gev = primaries.energies * (1 - np.minimum(rng.exponential(_UNSEEN, n), 1.0))
    depths = medium.at(medium.radiation_lengths, edges_mm) / np.cos(primaries.theta)[:, None] - start[:, None]
    return [_electrons(gev, primaries.energies * (_PAIR if photon else 1.0), depths, medium, rng)]


def pion(primaries: Primaries, edges_mm: Array, medium: Medium, rng: np.random.Generator) -> list[Component]:
    r"""Showers of charged pions and other hadrons, crude: right in kind, not in number.

    A track ionises until it interacts; a share :math:`1 - E^{-0.15}` on average, E in GeV, then goes on as an electromagnetic shower, the
    rest as a gamma distribution in interaction lengths with the shape of Bock, Hansl-Kozanecka and Shah (Nucl. Instrum. Meth. 186
    (1981) 533), 60 % of it visible and much wider.

    Arguments as in `electromagnetic`.
    """
    n, cosine = len(primaries), np.cos(primaries.theta)[:, None]
    start = rng.exponential(1.0, n)[:, None]
    lengths = medium.at(medium.interaction_lengths, edges_mm) / cosine
    losses = 1e-3 * medium.at(medium.minimum_mev, edges_mm) / cosine
    # up to the interaction, and to the end of the range
    crossed = np.minimum(
        losses, 1e-3 * np.interp(start * cosine, medium.interaction_lengths, medium.minimum_mev) / cosine
    )
    ionised = np.minimum(crossed, primaries.energies[:, None])
    rest = np.where(start[:, 0] < lengths[:, -1], primaries.energies - ionised[:, -1], 0.0)
    mean = np.clip(1 - np.maximum(primaries.energies, 1.0) ** -0.15, 0.1, 0.9)
    share = rng.beta(_CONCENTRATION * mean, _CONCENTRATION * (1 - mean))
    begin = np.interp(start * cosine, medium.interaction_lengths, medium.radiation_lengths) / cosine
    depths = medium.at(medium.radiation_lengths, edges_mm) / cosine - begin
    light = _electrons(share * rest, np.maximum(share * primaries.energies, 0.5), depths, medium, rng)
    log_e = np.log(np.maximum(primaries.energies, 1.0))[:, None]
    heavy = ((1 - _INVISIBLE) * (1 - share) * rest)[:, None] * np.diff(
        _gamma_cdf(0.62 + 0.32 * log_e, (0.91 - 0.024 * log_e) * np.maximum(lengths - start, 0.0)), axis=1
    )
    length_mm = edges_mm[-1] / medium.interaction_lengths[-1]
    flat = np.ones_like(heavy)
    wide = Lateral(0.5 * flat, 0.1 * length_mm * flat, 0.3 * length_mm * flat)
    return [
        light,
        Component(heavy, wide, 1.5 * length_mm),
        Component(np.diff(ionised, axis=1), Lateral(flat, flat, flat), light.reach_mm),  # a track, 1 mm wide
    ]


def _electrons(gev: Array, shape_gev: Array, depths: Array, medium: Medium, rng: np.random.Generator) -> Component:
    """Showers of ``gev`` with the shape of an electron of ``shape_gev``; ``depths`` (n, slices + 1) from where they start."""
    alpha, maximum = longitudinal(shape_gev, medium, rng)
    depths = np.maximum(depths, 0.0)
    inside = np.diff(_gamma_cdf(alpha[:, None], ((alpha - 1) / maximum)[:, None] * depths), axis=1)
    tau = 0.5 * (depths[:, 1:] + depths[:, :-1]) / maximum[:, None]
    return Component(gev[:, None] * inside, lateral(tau, shape_gev[:, None], medium), _REACH * medium.moliere_mm)


def _gamma_cdf(shape: Array, x: Array) -> Array:
    from scipy.special import gammainc

    return np.asarray(gammainc(shape, x))
