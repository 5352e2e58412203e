"""Several channels at once: each peak, or each propagator, has a map of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp

from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.maps import Composition, CubeMap
from hepflows.applications.integration.vegas import VegasMap

SMALLEST = 1e-3
"""Channels of a smaller share are dropped."""


class Mixture:
    r"""Points from one of several maps, chosen by a further latent; their density is the sum over all (Kleiss and Pittau, hep-ph/9405257).

    .. math:: q(x) = \sum_k \beta_k\, g_k(x), \qquad \log g_k = \log |\det \partial z / \partial x| \text{ of channel } k.

    It is no bijection: many latents lead to one point. ``inverse`` returns :math:`-\log q` in the place of the Jacobian, which is all
    that a weight needs, and ``log_prob`` takes the place of ``forward``.

    Args:
        channels: what each is made of, in the direction from point to latent: a frame of any maps, and a map of VEGAS.
        shares: :math:`\beta_k`; equal where not given.

    >>> channels = [([], VegasMap.flat(1, 8)), ([], VegasMap(np.array([[0, 0.1, 1.0]])))]
    >>> mixture = Mixture(channels)
    >>> x, ladj = mixture.inverse(np.array([[0.2, 0.5], [0.7, 0.5]]))  # the first from the first channel, the other from the second
    >>> x[:, 0].round(3).tolist(), mixture.log_prob(x).round(3).tolist() == (-ladj).round(3).tolist()
    ([0.5, 0.1], True)
    """

    def __init__(
        self, channels: Sequence[tuple[Sequence[CubeMap], VegasMap]], shares: Sequence[float] | Array | None = None
    ) -> None:
        self.channels = [(list(frame), map_) for frame, map_ in channels]
        self.shares = np.full(len(channels), 1 / len(channels)) if shares is None else np.asarray(shares, float)
        self.maps = [Composition([*frame, map_]) for frame, map_ in channels]
        self.features = 1 + self.maps[0].features

    def inverse(self, z: Array) -> tuple[Array, Array]:
        x, ladj = np.empty((self.features - 1, len(z))).T, np.full(len(z), -np.inf)
        channel = self.channel_of(z)
        for k, map_ in enumerate(self.maps):
            rows = np.flatnonzero(channel == k)
            if len(rows):
                x[rows], ladj[rows] = map_.inverse(z[rows, 1:])
        inside = ladj > -np.inf
        ladj[inside] = -self.log_prob(x[inside])
        return x, ladj

    def channel_of(self, z: Array) -> Array:
        """The number of the channel that each of the latents chooses."""
        edges = np.cumsum(self.shares)[:-1]
        return np.asarray(np.searchsorted(edges, z[:, 0], side="right"))

    def log_prob(self, x: Array) -> Array:
        """Log density (n,) of the points (n, d)."""
        return np.asarray(logsumexp(self.log_densities(x), axis=0, b=self.shares[:, None]))

    def log_densities(self, x: Array) -> Array:
        """Those of each channel, (K, n)."""
        return np.stack([map_.forward(x)[1] for map_ in self.maps])

    def adapted(self, z: Array, x: Array, weights: Array) -> Mixture:
        r"""The mixture after one round: each map adapted to its own points, shares moved to where the variance is made.

        .. math:: \beta_k \to \beta_k \sqrt{W_k}, \qquad W_k = \Big\langle \frac{g_k}{q}\, w^2 \Big\rangle

        Args:
            z: ``(n, d + 1)`` the latents of the round.
            x: ``(n, d)`` their points.
            weights: ``(n,)`` their weights ``f / q``.
        """
        if not weights.any():
            return self
        used = weights > 0
        densities = self.log_densities(x[used])
        log_q = logsumexp(densities, axis=0, b=self.shares[:, None])
        variance = (np.exp(densities - log_q) * np.square(weights[used])).sum(1)
        shares = self.shares * np.sqrt(variance / variance.sum())
        shares /= shares.sum()
        channel = self.channel_of(z)
        kept: list[tuple[Sequence[CubeMap], VegasMap]] = []
        for k, (frame, map_) in enumerate(self.channels):
            rows = channel == k
            if shares[k] > SMALLEST:
                kept.append((frame, map_.adapted(z[rows, 1:], weights[rows]) if rows.any() else map_))
        return Mixture(kept, shares[shares > SMALLEST] / shares[shares > SMALLEST].sum())
