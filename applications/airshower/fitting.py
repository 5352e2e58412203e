"""Counts fitted by the model itself: the mode of their posterior, the curvature there and the goodness of fit, for a flow to go on from."""

from __future__ import annotations

import torch
from torch import Tensor

from hepflows.applications.airshower.forward import ForwardModel
from hepflows.applications.airshower.prior import Prior
from hepflows.posterior.guess import Guess
from hepflows.posterior.mode import Modes, find_modes
from hepflows.training.seeding import generator

_STARTS = 10_000  # universes, the likeliest of which a fit begins at
_CHUNK = 256
_LEAST = 1e-12  # probability below which a bin tells nothing by its derivatives

GUESS = Guess.width(7)
"""Columns of the guess; one more for each of the ten histograms."""


class Fitter:
    r"""Fits counts: 420 numbers become 45 that say nearly as much (score compression, arXiv:1712.00012).

    The first 35 are a packed `Guess` in the coordinates of `Prior.space`: the mode of the posterior, which `find_modes` finds from the
    likeliest of 10,000 universes, and the expected curvature there,

    .. math:: F = 1 + \sum_g N_g \sum_{i \in g} \frac{1}{p_i} \frac{\partial p_i}{\partial y} \frac{\partial p_i}{\partial y}^\top,

    with the numbers of events :math:`N_g` of the spectrum and of the energy bins of Xmax. The other ten are the roots of the deviances
    of these histograms, by which counts that no universe gives are told.

    Args:
        model: gives probabilities and their derivatives.
        prior: of the parameters.

    Example:
        >>> from hepflows.applications.airshower import ForwardModel, Prior
        >>> model, prior = ForwardModel(), Prior()
        >>> theta = prior.draw(3, generator=torch.Generator().manual_seed(0))
        >>> counts = model.simulate(theta, generator=torch.Generator().manual_seed(1))
        >>> Fitter(model, prior)(counts).shape
        torch.Size([3, 45])
    """

    def __init__(self, model: ForwardModel, prior: Prior) -> None:
        self.model, self.space = model, prior.space()
        self._starts = torch.randn(_STARTS, 7, generator=generator(0, "starts"), dtype=torch.float64)
        self._log_starts = model.probabilities(self.space.inverse(self._starts)).clamp_min(1e-30).log().float()

    def __call__(self, counts: Tensor) -> Tensor:
        """Counts (..., 420) to observables (..., 45)."""
        rows = counts.reshape(-1, counts.shape[-1]).double()
        modes = self.modes(rows)
        return torch.cat([modes.guess.pack(), self._deviances(modes.guess.mean, rows)], 1).reshape(
            *counts.shape[:-1], -1
        )

    def modes(self, counts: Tensor) -> Modes:
        """The largest posteriors for counts (N, 420)."""
        heights = counts.float() @ self._log_starts.T - 0.5 * self._starts.square().sum(1).float()
        totals = self.model.grouped(self.model.summed(counts))

        def evaluate(y: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            parts = [
                self._evaluate(some, counts[at], totals[at])
                for some, at in zip(torch.split(y, _CHUNK), torch.split(rows, _CHUNK), strict=True)
            ]
            value, gradient, curvature = (torch.cat(part) for part in zip(*parts, strict=True))
            return value, gradient, curvature

        return find_modes(evaluate, self._starts[heights.argmax(1)])

    def _evaluate(self, y: Tensor, counts: Tensor, totals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log posterior, its gradient and its expected curvature in the coordinates."""
        theta, slopes = self._parameters(y)
        probabilities, by_theta = self.model.derivatives(theta)
        by_y = torch.bmm(slopes, by_theta) / probabilities.clamp_min(_LEAST).unsqueeze(1)  # of the log probabilities
        value = torch.xlogy(counts, probabilities).sum(1) - 0.5 * y.square().sum(1)
        gradient = torch.bmm(by_y, counts.unsqueeze(2)).squeeze(2) - y
        root = by_y * (totals * probabilities).sqrt().unsqueeze(1)
        return value, gradient, torch.bmm(root, root.mT) + torch.eye(7, dtype=y.dtype)

    def _parameters(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Parameters (N, 8) and their derivatives (N, 7, 8) by the coordinates."""
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            theta = self.space.inverse(y)
            slopes = [torch.autograd.grad(column.sum(), y, retain_graph=True)[0] for column in theta.unbind(1)]
        return theta.detach(), torch.stack(slopes, 2)

    def _deviances(self, y: Tensor, counts: Tensor) -> Tensor:
        """Roots (N, 10) of the deviances from the saturated model."""
        totals = self.model.grouped(self.model.summed(counts))
        expected = totals * self.model.probabilities(self.space.inverse(y))
        return (2 * self.model.summed(torch.xlogy(counts, counts / expected.clamp_min(1e-300)))).clamp_min(0.0).sqrt()
