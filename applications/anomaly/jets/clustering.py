"""Sequential recombination with FastJet (arXiv:1111.6097; extra ``jets``): many events in one call."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import awkward as ak
import numpy as np

from hepflows.applications.anomaly.events import Array
from hepflows.applications.anomaly.jets.particles import Particles, transverse
from hepflows.errors import MissingExtraError

_ONE_SUBJET = 10.0
"""With so large a radius the beam distance of kt never wins: all constituents end in the exclusive subjets."""


def anti_kt(particles: Particles, radius: float, min_pt: float) -> tuple[Any, Any]:
    """Jets of the anti-kt algorithm (arXiv:0802.1189).

    Args:
        particles: of n events.
        radius: R.
        min_pt: of a jet, in GeV.

    Returns:
        Awkward arrays: n * var * {px, py, pz, E}, and n * var * var * the places of their constituents within the event.

    Raises:
        MissingExtraError: FastJet is not installed.
    """
    fastjet = import_fastjet()
    sequence = fastjet.ClusterSequence(_array(particles), fastjet.JetDefinition(fastjet.antikt_algorithm, radius))
    return sequence.inclusive_jets(min_pt=min_pt), sequence.constituent_index(min_pt=min_pt)


def subjet_axes(jets: Particles, counts: Sequence[int]) -> list[Array]:
    """Exclusive kt subjets of J jets, whose constituents are at least as many as the largest count.

    Args:
        jets: constituents of J jets.
        counts: numbers N of subjets.

    Returns:
        (J, N, 2) pseudorapidity and azimuth of the subjets, for each count.
    """
    fastjet = import_fastjet()
    sequence = fastjet.ClusterSequence(_array(jets), fastjet.JetDefinition(fastjet.kt_algorithm, _ONE_SUBJET))
    axes = []
    for count in counts:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about algorithms without an order; kt has one
            subjets = sequence.exclusive_jets(n_jets=count)
        momenta = [ak.to_numpy(ak.flatten(subjets[name])) for name in ("px", "py", "pz", "E")]
        _, eta, phi = transverse(np.stack(momenta, axis=1))
        axes.append(np.stack([eta, phi], axis=-1).reshape(len(jets), count, 2))
    return axes


def _array(particles: Particles) -> Any:
    columns = {name: particles.momenta[:, i] for i, name in enumerate(("px", "py", "pz", "E"))}
    return ak.unflatten(ak.zip(columns), particles.lengths)


@cache
def import_fastjet() -> Any:
    """The module of FastJet.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import fastjet
    except ImportError:
        message = "clustering jets needs FastJet: pip install 'hepflows[jets]'"
        raise MissingExtraError(message) from None
    with _quiet():  # the banner comes with the first clustering; its reference stands above and in the docs
        one = ak.Array([[{"px": 1.0, "py": 0.0, "pz": 0.0, "E": 1.0}]])
        fastjet.ClusterSequence(one, fastjet.JetDefinition(fastjet.antikt_algorithm, 1.0)).inclusive_jets()
    return fastjet


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what C++ prints on the standard output."""
    sys.stdout.flush()
    kept = os.dup(1)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(nothing)
        os.close(kept)
