"""What a network sees of an event: one row of numbers, and how it is laid out.

Of the event: px and py of the missing momentum; px, py, pseudorapidity, log energy and flavour of each lepton; numbers of jets and of b
jets; where wanted the two components of the quadratic solution, as asinh(c / 50 GeV). Of each of ten jets: px, py, pseudorapidity, log
energy, b tag. At the end one number a jet, 1 where there is one.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hepflows.applications.neutrino.events import MOST_JETS, Array, Events
from hepflows.applications.neutrino.kinematics import W_MASS
from hepflows.applications.neutrino.methods.quadratic import quadratic

JET_FEATURES = 5
_EVENT, _LEPTON = 4, 5


def event_features(leptons: int, *, roots: bool) -> int:
    """Numbers of the event itself.

    >>> event_features(1, roots=False)
    9
    """
    return _EVENT + _LEPTON * leptons + 2 * roots


def rows(events: Events, *, roots: bool = False, w_mass: float = W_MASS) -> Tensor:
    """(n, D) in float32, see the module for the layout.

    Args:
        events: the events.
        roots: whether the components of the quadratic solution are among them.
        w_mass: for these.
    """
    leptons = _objects(events.leptons, events.flavour)
    parts = [events.missing, *np.moveaxis(leptons, 1, 0), events.n_jets[:, None], events.n_bjets[:, None]]
    if roots:
        parts.append(np.arcsinh(quadratic(events, w_mass=w_mass).components / 50.0))
    # in one order, whatever that of the events: nothing that looks at rows can depend on it
    order = np.argsort(-events.jets[..., 0], axis=1, kind="stable")
    tags, present = (np.take_along_axis(one, order, axis=1) for one in (events.tags, events.present))
    jets = _objects(np.take_along_axis(events.jets, order[..., None], axis=1), tags) * present[..., None]
    room = MOST_JETS - present.shape[1]
    jets = np.pad(jets, ((0, 0), (0, room), (0, 0))).reshape(len(events), -1)
    mask = np.pad(present.astype(np.float64), ((0, 0), (0, room)))
    return torch.as_tensor(np.concatenate([*parts, jets, mask], axis=1), dtype=torch.float32)


def targets(events: Events, why: str) -> Array:
    """(n, 3 L) px, py and pseudorapidity of each true neutrino.

    Raises:
        DataError: there are none; ``why`` says who needs them.
    """
    return events.truth(why).reshape(len(events), -1)


def _objects(objects: Array, last: Array) -> Array:
    """(n, k, 4) transverse momentum, pseudorapidity, azimuth, energy and (n, k) one more to (n, k, 5)."""
    pt, eta, phi, energy = np.moveaxis(objects, -1, 0)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), eta, np.log(np.maximum(energy, 1e-3)), last], axis=-1)
