"""Several channels at once: each peak, or each propagator, has a map of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp

from hepflows.applications.integration.channel import Channel
from hepflows.applications.integration.integrand import Array

SMALLEST = 1e-3
"""Channels of a smaller share are dropped."""


class Mixture:
    r"""Points from one of several maps, chosen by a further latent; their density is the sum over all (Kleiss and Pittau, hep-ph/9405257).

    .. math:: q(x) = \sum_k \beta_k\, g_k(x), \qquad \log g_k = \log |\det \partial z / \partial x| \text{ of channel } k.

    It is no bijection: many latents lead to one point. ``inverse`` returns :math:`-\log q` in the place of the Jacobian, which is all
    that a weight needs, and ``log_prob`` takes the place of ``forward``.

    Args:
        channels: one for each peak or propagator.
        shares: :math:`\beta_k`; equal where not given.

    >>> from hepflows.applications.integration.vegas import VegasMap
    >>> mixture = Mixture([Channel([], VegasMap.flat(1, 8)), Channel([], VegasMap(np.array([[0, 0.1, 1.0]])))])
    >>> x, ladj = mixture.inverse(np.array([[0.2, 0.5], [0.7, 0.5]]))  # the first from the first channel, the other from the second
    >>> x[:, 0].round(3).tolist(), mixture.log_prob(x).round(3).tolist() == (-ladj).round(3).tolist()
    ([0.5, 0.1], True)
    """

    def __init__(self, channels: Sequence[Channel], shares: Sequence[float] | Array | None = None) -> None:
        self.channels = list(channels)
        self.shares = np.full(len(channels), 1 / len(channels)) if shares is None else np.asarray(shares, float)
        self.features = 1 + self.channels[0].features

    def inverse(self, z: Array) -> tuple[Array, Array]:
        x, ladj = np.empty((self.features - 1, len(z))).T, np.full(len(z), -np.inf)
        chosen = self.channel_of(z)
        for k, channel in enumerate(self.channels):
            rows = np.flatnonzero(chosen == k)
            if len(rows):
                x[rows], ladj[rows] = channel.inverse(z[rows, 1:])
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
        return np.stack([channel.forward(x)[1] for channel in self.channels])

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
        chosen, kept = self.channel_of(z), []
        for k, channel in enumerate(self.channels):
            rows = chosen == k
            if shares[k] > SMALLEST:
                kept.append(channel.adapted(z[rows, 1:], x[rows], weights[rows]) if rows.any() else channel)
        return Mixture(kept, shares[shares > SMALLEST] / shares[shares > SMALLEST].sum())
