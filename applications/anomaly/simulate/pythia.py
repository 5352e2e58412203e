"""Events of Pythia 8 (arXiv:2203.11601; extra ``pythia``) as particles, a few hundred at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.events import Array
from hepflows.applications.anomaly.jets import Particles
from hepflows.errors import MissingExtraError, SimulationError

_INVISIBLE = (12, 14, 16)
_BATCH = 100


@dataclass(frozen=True)
class Batch:
    """Some events.

    Args:
        particles: the visible ones of n events.
        pdg: (N,) what they are.
        m_hat: (n,) invariant mass of the hard process in GeV.
        cross_section: of the process in mb, as known after these events.
    """

    particles: Particles
    pdg: NDArray[np.int64]
    m_hat: Array
    cross_section: float


def generate(lines: Sequence[str]) -> Iterator[Batch]:
    """Yield events without end.

    Args:
        lines: settings, see `hepflows.applications.anomaly.simulate.cards`.

    Raises:
        MissingExtraError: Pythia is not installed.
        SimulationError: it refuses the settings, or makes no events.
    """
    pythia = import_pythia().Pythia("", False)
    refused = [line for line in lines if not pythia.readString(line)]
    if refused or not pythia.init():
        message = (
            f"Pythia does not accept {refused[0]!r}" if refused else "Pythia cannot be initialised with these settings"
        )
        raise SimulationError(message)
    while True:
        events = pythia.nextBatch(_BATCH)
        if not len(events):
            message = "Pythia makes no events with these settings: widen the window, or lower --pt-hat"
            raise SimulationError(message)
        yield _batch(events, float(pythia.infoPython().sigmaGen()))


def import_pythia() -> Any:
    """The module of Pythia.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pythia8mc
    except ImportError:
        message = "--engine pythia needs Pythia 8 and FastJet: pip install 'hepflows[pythia]' (there is no wheel: it compiles for minutes)"
        raise MissingExtraError(message) from None
    return pythia8mc


def _batch(events: Any, cross_section: float) -> Batch:
    visible = events.prt[(events.prt.status > 0) & ~_among(events.prt.id, _INVISIBLE)]
    momenta = [ak.to_numpy(ak.flatten(visible.p[name])) for name in ("px", "py", "pz", "e")]
    lengths = ak.to_numpy(ak.num(visible.id)).astype(np.int64)
    particles = Particles(np.stack(momenta, axis=1), lengths)
    pdg = ak.to_numpy(ak.flatten(visible.id)).astype(np.int64)
    return Batch(particles, pdg, ak.to_numpy(events.info.mHat), cross_section)


def _among(pdg: Any, kinds: Sequence[int]) -> Any:
    found = abs(pdg) == kinds[0]
    for kind in kinds[1:]:
        found = found | (abs(pdg) == kind)
    return found
