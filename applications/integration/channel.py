"""A channel: the map of VEGAS in coordinates of its own."""

from __future__ import annotations

from collections.abc import Sequence

from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.maps import Composition, CubeMap
from hepflows.applications.integration.vegas import VegasMap


class Channel(Composition):
    """A frame of any maps, which stay as they are, and a map of VEGAS in it, which adapts.

    Args:
        frame: maps in the direction from point to latent; none for the axes of the cube.
        vegas: the map of each axis of the frame.

    >>> channel = Channel([], VegasMap.flat(dimension=2, bins=4))
    >>> channel.features
    2
    """

    def __init__(self, frame: Sequence[CubeMap], vegas: VegasMap) -> None:
        super().__init__([*frame, vegas])
        self.frame, self.vegas = frame, vegas

    @classmethod
    def fitted(cls, frame: Sequence[CubeMap], x: Array, bins: int) -> Channel:
        """The channel under which points ``x`` (n, d) of equal weight are uniform on each axis of the frame, nearly."""
        z = Composition(frame).forward(x)[0] if frame else x
        return cls(frame, VegasMap.fitted(z, bins, floor=min(0.1, 0.3 / z.shape[1])))

    def adapted(self, z: Array, x: Array, weights: Array) -> Channel:
        """The channel after one round of latents ``z``, points ``x`` and weights, see `VegasMap.adapted`."""
        return Channel(self.frame, self.vegas.adapted(z, weights))
