r"""The frame of an event: turned about the beam and mirrored, so that all events that differ by that alone look the same.

In it the first lepton lies at azimuth zero and at :math:`\eta \ge 0`, and the missing momentum at :math:`p_y \ge 0`. Colliding protons, and
detectors nearly, know neither an azimuth nor a side: a network need not learn it, and events count for more. The posterior goes with the
event; turning and mirroring change no density.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hepflows.applications.neutrino.events import Array, Events


class LeptonFrame:
    """The frames of given events.

    Args:
        events: (n,) events.

    Attributes:
        events: the same in their frames, true neutrinos too.

    Example:
        >>> from hepflows.applications.neutrino import top_pairs
        >>> events = top_pairs(100, seed=1)
        >>> frame = LeptonFrame(events)
        >>> bool((frame.events.leptons[:, 0, 2] == 0).all()), bool((frame.events.missing[:, 1] >= 0).all())
        (True, True)
        >>> bool(np.allclose(frame.back(frame.into(events.neutrinos)), events.neutrinos))
        True
    """

    def __init__(self, events: Events) -> None:
        phi = events.leptons[:, 0, 2]
        self._phi, self._cos, self._sin = phi, np.cos(phi), np.sin(phi)
        self._z = np.where(events.leptons[:, 0, 1] < 0, -1.0, 1.0)
        self._y = np.ones(len(events))
        self._y = np.where(self._turned(*events.missing.T)[1] < 0, -1.0, 1.0)
        self.events = replace(
            events,
            missing=np.stack(self._turned(*events.missing.T), axis=-1),
            leptons=self._objects(events.leptons),
            jets=self._objects(events.jets),
            neutrinos=None if events.neutrinos is None else self.into(events.neutrinos),
        )

    def into(self, neutrinos: Array) -> Array:
        """px, py, pseudorapidity (..., n, L, 3) as the frames have them."""
        px, py, eta = np.moveaxis(neutrinos, (-1, -2), (0, 1))  # (L, ..., n) each
        turned = np.stack([*self._turned(px, py), self._z * eta])
        return np.moveaxis(turned, (0, 1), (-1, -2))

    def back(self, neutrinos: Array) -> Array:
        """Undo `into`."""
        px, py, eta = np.moveaxis(neutrinos, (-1, -2), (0, 1))
        py = self._y * py
        turned = np.stack([self._cos * px - self._sin * py, self._sin * px + self._cos * py, self._z * eta])
        return np.moveaxis(turned, (0, 1), (-1, -2))

    def _turned(self, px: Array, py: Array) -> tuple[Array, Array]:
        return self._cos * px + self._sin * py, self._y * (self._cos * py - self._sin * px)

    def _objects(self, objects: Array) -> Array:
        """(n, k, 4) transverse momentum, pseudorapidity, azimuth within +-pi, energy; rows of zeros stay."""
        pt, eta, phi, energy = np.moveaxis(objects, -1, 0)
        turned = np.remainder(self._y[:, None] * (phi - self._phi[:, None]) + np.pi, 2 * np.pi) - np.pi
        return np.stack([pt, self._z[:, None] * eta, np.where(pt > 0, turned, 0.0), energy], axis=-1)


class LabFrame:
    """Events as they are, for detectors whose sides differ."""

    def __init__(self, events: Events) -> None:
        self.events = events

    def into(self, neutrinos: Array) -> Array:
        """The same."""
        return neutrinos

    def back(self, neutrinos: Array) -> Array:
        """The same."""
        return neutrinos


Frame = LeptonFrame | LabFrame
FRAMES: dict[str, type[Frame]] = {"lepton": LeptonFrame, "lab": LabFrame}
