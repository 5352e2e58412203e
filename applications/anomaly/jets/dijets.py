"""Pairs of jets: the two hardest of an event, with N-subjettiness, where the event has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.events import Array
from hepflows.applications.anomaly.jets.clustering import anti_kt, subjet_axes
from hepflows.applications.anomaly.jets.particles import Particles, transverse
from hepflows.applications.anomaly.jets.subjettiness import subjettiness
from hepflows.errors import ConfigError

AXES = (1, 2, 3)
"""The N of the N-subjettiness that is computed."""


@dataclass(frozen=True)
class JetRules:
    """Which events have a pair of jets.

    Args:
        radius: of the anti-kt algorithm.
        min_pt: of both jets, in GeV.
        max_eta: largest absolute pseudorapidity of both.
        leading_pt: of the harder one, in GeV; the trigger of the LHC Olympics is 1200.
        max_particle_eta: particles beyond it are not clustered.

    Raises:
        ConfigError: a number that is not positive, or a leading jet softer than all.
    """

    radius: float = 1.0
    min_pt: float = 200.0
    max_eta: float = 2.5
    leading_pt: float = 1200.0
    max_particle_eta: float = 5.0

    def __post_init__(self) -> None:
        if not (self.radius > 0 and self.min_pt > 0 and self.max_eta > 0 and self.leading_pt >= self.min_pt):
            message = (
                f"jets of radius {self.radius:g}, pT above {self.min_pt:g} GeV (the leading one {self.leading_pt:g}) and |eta| below "
                f"{self.max_eta:g} cannot be: give positive numbers, the leading one not below the other"
            )
            raise ConfigError(message)


@dataclass(frozen=True)
class Dijets:
    """The two hardest jets of the events that have them.

    Args:
        passed: (n,) which of all events have two jets that pass.
        momenta: (k, 2, 4) px, py, pz, E in GeV of the k that do, the harder jet first.
        taus: (k, 2, 3) tau_1, tau_2 and tau_3 with beta = 1; zero for a jet of no more constituents than axes.
    """

    passed: NDArray[np.bool_]
    momenta: Array
    taus: Array


def find_dijets(particles: Particles, rules: JetRules | None = None) -> Dijets:
    """Cluster events and compute the N-subjettiness of the two hardest jets, on axes from exclusive kt.

    Args:
        particles: of n events.
        rules: see `JetRules`.

    Raises:
        MissingExtraError: FastJet is not installed.
    """
    rules = rules or JetRules()
    particles = _central(particles, rules.max_particle_eta)
    # an empty event has no jets, and FastJet takes none
    filled = np.flatnonzero(particles.lengths > 0)
    passed = np.zeros(len(particles), dtype=bool)
    if not len(filled):
        return Dijets(passed, np.empty((0, 2, 4)), np.empty((0, 2, len(AXES))))
    found, places = anti_kt(Particles(particles.momenta, particles.lengths[filled]), rules.radius, rules.min_pt)
    pt = np.hypot(found.px, found.py)
    kept = np.abs(np.arcsinh(found.pz / pt)) < rules.max_eta
    order = ak.argsort(pt[kept], axis=1, ascending=False)[:, :2]
    pairs = ak.fill_none((ak.num(order) == 2) & (ak.max(pt[kept], axis=1) > rules.leading_pt), False)
    chosen = ak.to_numpy(pairs)
    passed[filled[chosen]] = True
    two = found[kept][order][chosen]
    momenta = np.stack([ak.to_numpy(ak.to_regular(two[name], axis=1)) for name in ("px", "py", "pz", "E")], axis=-1)
    first = np.concatenate([[0], np.cumsum(particles.lengths[filled])[:-1]])[chosen]
    constituents = _constituents(particles.momenta, places[kept][order][chosen], first)
    return Dijets(passed, momenta.reshape(-1, 2, 4), _taus(constituents).reshape(-1, 2, len(AXES)))


def _central(particles: Particles, max_eta: float) -> Particles:
    inside = np.abs(transverse(particles.momenta)[1]) < max_eta
    event = np.repeat(np.arange(len(particles)), particles.lengths)
    return Particles(particles.momenta[inside], np.bincount(event[inside], minlength=len(particles)))


def _constituents(momenta: Array, places: Any, first: NDArray[np.int64]) -> Particles:
    """The constituents of (k * 2) jets, one jet after the other; ``first`` is the place of the first particle of each event."""
    flat = ak.flatten(places, axis=1)
    lengths = ak.to_numpy(ak.num(flat, axis=1)).astype(np.int64)
    rows = np.repeat(np.repeat(first, 2), lengths) + ak.to_numpy(ak.flatten(flat, axis=1))
    return Particles(momenta[rows], lengths)


def _taus(jets: Particles) -> Array:
    """(J, 3) N-subjettiness of J jets."""
    taus = np.zeros((len(jets), len(AXES)))
    jet = np.repeat(np.arange(len(jets)), jets.lengths)
    size = np.minimum(jets.lengths, max(AXES) + 1)
    # jets of few constituents have no subjets beyond them: they are clustered by themselves
    for fewest in range(2, max(AXES) + 2):
        rows = np.flatnonzero(size == fewest)
        if not len(rows):
            continue
        part = Particles(jets.momenta[(size == fewest)[jet]], jets.lengths[rows])
        counts = [count for count in AXES if count < fewest]
        for count, axes in zip(counts, subjet_axes(part, counts), strict=True):
            taus[rows, AXES.index(count)] = subjettiness(*transverse(part.momenta), part.lengths, axes)
    return taus
