"""What is compared of a neutrino: its momentum, the mass that it makes with its lepton, and with lepton and b jet."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.neutrino.events import Array, Events, lepton_momenta
from hepflows.applications.neutrino.kinematics import eta_of, four_momentum, mass, neutrino

NAMES = ("px", "py", "pz", "eta", "m_w", "m_top")
TITLES = {"px": "px", "py": "py", "pz": "pz", "eta": "η", "m_w": "m(l, ν)", "m_top": "m(l, ν, b)"}
UNITS = {"px": "GeV", "py": "GeV", "pz": "GeV", "eta": "", "m_w": "GeV", "m_top": "GeV"}
_LARGEST_ETA = 20.0


def b_jets(events: Events) -> tuple[Array, NDArray[np.bool_]]:
    """The jet that is taken for the b of each lepton's top: (n, L, 4) momenta, and (n,) whether there is one.

    Of the jets with a b tag (of all where none has one) it is the one of smallest mass with the lepton: a rule that does not look at the
    neutrino, so that masses of different neutrinos can be compared.
    """
    jets = four_momentum(*np.moveaxis(events.jets, -1, 0))
    present = events.present
    tagged = (events.tags > 0) & present
    allowed = np.where(tagged.any(axis=1, keepdims=True), tagged, present)
    pair = mass(lepton_momenta(events)[:, :, None] + jets[:, None])
    place = np.where(allowed[:, None], pair, np.inf).argmin(axis=2)
    return np.take_along_axis(jets, place[..., None], axis=1), np.asarray(present.any(axis=1))


class Quantities:
    """Quantities of neutrinos that belong to given events.

    Args:
        events: (n,) the events.
    """

    def __init__(self, events: Events) -> None:
        self._leptons = lepton_momenta(events)
        jets, self.has_jet = b_jets(events)
        self._with_b = self._leptons + jets

    def __call__(self, px: Array, py: Array, pz: Array, eta: Array | None = None) -> dict[str, Array]:
        """Of momenta (..., n, L) in GeV each quantity (..., n, L); the mass of the top is NaN where there is no jet."""
        p = neutrino(px, py, pz)
        top = mass(p + self._with_b)
        return {
            "px": px,
            "py": py,
            "pz": pz,
            "eta": eta_of(px, py, pz) if eta is None else eta,
            "m_w": mass(p + self._leptons),
            "m_top": np.where(self.has_jet[:, None], top, np.nan),
        }

    def of(self, neutrinos: Array) -> dict[str, Array]:
        """The same of neutrinos (..., n, L, 3) given by px, py and pseudorapidity, as flows and files do."""
        px, py, eta = np.moveaxis(neutrinos, -1, 0)
        return self(px, py, np.hypot(px, py) * np.sinh(np.clip(eta, -_LARGEST_ETA, _LARGEST_ETA)), eta)


def half_width(values: Array) -> float:
    """Half of the distance between the quantiles of 16 and 84 %, of what is finite.

    >>> half_width(np.linspace(0, 1, 101)).__round__(2)
    0.34
    """
    low, high = np.quantile(values[np.isfinite(values)], (0.16, 0.84))
    return float(0.5 * (high - low))


def resolution(
    estimate: Mapping[str, Array], truth: Mapping[str, Array], rng: np.random.Generator, *, replicas: int = 30
) -> dict[str, dict[str, float]]:
    """Bias and 68 % half-width of estimate minus truth, quantity by quantity, with errors from a bootstrap of the events.

    Args:
        estimate: (n, L) of each quantity.
        truth: the same.
        rng: of the bootstrap.
        replicas: of it.
    """
    found = {}
    for name in NAMES:
        if name not in estimate:
            continue
        difference = (estimate[name] - truth[name]).ravel()
        difference = difference[np.isfinite(difference)]
        widths = [half_width(rng.choice(difference, len(difference))) for _ in range(replicas)]
        found[name] = {
            "bias": float(difference.mean()),
            "bias_std": float(difference.std(ddof=1) / np.sqrt(len(difference))),
            "median": float(np.median(difference)),
            "width": half_width(difference),
            "width_std": float(np.std(widths, ddof=1)),
            "rmse": float(np.sqrt(np.mean(difference**2))),
        }
    return found
