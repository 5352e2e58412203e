"""The neutrino from the W-mass constraint: nothing is learnt."""

from __future__ import annotations

import numpy as np

from hepflows.applications.neutrino.events import Array, Events, lepton_momenta
from hepflows.applications.neutrino.kinematics import LEPTON_MASSES, W_MASS, Roots, Rule, solve_w_constraint
from hepflows.errors import DataError


def quadratic(events: Events, *, w_mass: float = W_MASS, rule: Rule = "real") -> Roots:
    """Both longitudinal momenta of the neutrino of each event, the missing momentum taken for its transverse part.

    Args:
        events: events with one lepton.
        w_mass: in GeV.
        rule: for negative discriminants, see `solve_w_constraint`.

    Raises:
        DataError: events with two leptons.
    """
    if events.n_neutrinos != 1:
        message = (
            f"the W-mass constraint needs one lepton an event, but there are {events.n_neutrinos}: leave the method out"
        )
        raise DataError(message)
    masses = np.array(LEPTON_MASSES)[events.flavour[:, 0].astype(np.int64)]
    return solve_w_constraint(
        lepton_momenta(events)[:, 0, 1:], events.missing, lepton_mass=masses, w_mass=w_mass, rule=rule
    )


def nearest(roots: Roots) -> Array:
    """(n, 1, 3) px, py, pz of the neutrino by the usual choice, the root of smaller size."""
    return np.concatenate([roots.transverse, roots.pz[:, :1]], axis=1)[:, None]
