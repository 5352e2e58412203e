"""Jets of particles by fastjet, with their flavour from ghosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.neutrino.events import Array
from hepflows.applications.neutrino.simulate.detector import CONE
from hepflows.errors import MissingExtraError

_GHOST = 1e-18
"""Factor on the momentum of a hadron that only marks the jet in which it lies (arXiv:0802.1188)."""
LEAST_PT, MOST = 5.0, 16


def fastjet() -> Any:
    """The module.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import fastjet
    except ImportError as error:
        message = "jets need fastjet: pip install 'hepflows[pythia]'"
        raise MissingExtraError(message) from error
    return fastjet


def cluster(particles: Array, hadrons: Array, flavours: Sequence[int]) -> tuple[Array, NDArray[np.int8]]:
    """Anti-kt jets of radius 0.4 above 5 GeV of one event (arXiv:0802.1189), by falling transverse momentum.

    Args:
        particles: (m, 4) px, py, pz, energy of what a calorimeter sees.
        hadrons: (k, 4) hadrons with a charm or bottom quark, which are added as ghosts.
        flavours: 1 (charm) or 2 (bottom) of each of them.

    Returns:
        (J, 4) px, py, pz, energy of at most 16 jets, and (J,) the heaviest flavour inside, 0 where there is none.
    """
    library = fastjet()
    jets_of = library.JetDefinition(library.antikt_algorithm, CONE)
    inputs = [library.PseudoJet(*map(float, p)) for p in particles]
    for p, flavour in zip(hadrons, flavours, strict=True):
        ghost = library.PseudoJet(*(float(_GHOST * component) for component in p))
        ghost.set_user_index(int(flavour))
        inputs.append(ghost)
    for plain in inputs[: len(particles)]:
        plain.set_user_index(0)
    sequence = library.ClusterSequence(inputs, jets_of)
    found = library.sorted_by_pt(sequence.inclusive_jets(LEAST_PT))[:MOST]
    momenta = np.array([[jet.px(), jet.py(), jet.pz(), jet.e()] for jet in found]).reshape(-1, 4)
    heaviest = [max((one.user_index() for one in jet.constituents()), default=0) for jet in found]
    return momenta, np.array(heaviest, dtype=np.int8)
