"""Whether an observation lies where the training observations lay: a network answers everywhere, and knows only there."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

_CHUNK = 1 << 22  # numbers at once
_RIDGE = 1e-3  # of a unit variance: how well a direction in which nothing ever varied is taken to be known
_WIDEST = 2000  # observables beyond which correlations are left out


class OutOfRangeWarning(UserWarning):
    """Observations lie outside of the range of the training: what is said about them is an extrapolation."""


class TrainingRange(nn.Module):
    r"""How far an observation lies from the training observations, in units of the farthest of these.

    .. math:: s(x) = \frac{d(x)}{\max_i d(x_i)}, \qquad d(x)^2 = (t - \bar t)^\top (C + \epsilon)^{-1} (t - \bar t), \qquad
              t = \operatorname{asinh} \frac{x - \mu}{\sigma}

    with the means and standard deviations of the training rows, the covariance ``C`` of their ``t`` and a small ridge: the Mahalanobis
    distance after a transformation that tames long tails. An observation with ``s > 1`` is farther out than every one of the ``n``
    training rows, which happens to an observation of the same distribution with a probability of ``1 / (n + 1)``. The statistic sees
    wrong units, negative energies, other selections and broken correlations; it does not see a gap inside the cloud of the training rows.

    Args:
        features: number D of observables; beyond 2000 their correlations are left out.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> seen = TrainingRange(2).fitted(torch.randn(1000, 2, generator=generator))
        >>> (seen(torch.tensor([[0.0, 0.5], [90.0, 0.0]])) > 1).tolist()
        [False, True]
    """

    mean: Tensor
    scale: Tensor
    centre: Tensor
    whitening: Tensor
    farthest: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.full = features <= _WIDEST
        shape = (features, features) if self.full else (features,)
        for name, size in (
            ("mean", (features,)),
            ("scale", (features,)),
            ("centre", (features,)),
            ("whitening", shape),
        ):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))
        self.register_buffer("farthest", torch.ones((), dtype=torch.float64))

    def fitted(self, x: Tensor) -> TrainingRange:
        """Learn the range of the training rows ``(n, D)``."""
        x = x.double()
        self.mean.copy_(x.mean(0))
        spread = x.std(0)
        # what never varied has no scale of its own: any other value is then far away
        self.scale.copy_(torch.where(spread > 0, spread, x.abs().amax(0).clamp_min(1.0) * 1e-3))
        t = torch.asinh((x - self.mean) / self.scale)
        self.centre.copy_(t.mean(0))
        t = t - self.centre
        if self.full:
            covariance = t.T @ t / len(t)
            covariance.diagonal().add_(_RIDGE)
            values, vectors = torch.linalg.eigh(covariance)
            self.whitening.copy_(vectors / values.clamp_min(_RIDGE).sqrt())
        else:
            self.whitening.copy_((t.square().mean(0) + _RIDGE).rsqrt())
        self.farthest.copy_(self._distances(x).max().clamp_min(1e-12))
        return self

    def forward(self, x: Tensor) -> Tensor:
        """``(..., D)`` observations to ``s`` ``(...)``, in chunks of bounded memory."""
        return self._distances(x.reshape(-1, x.shape[-1])).reshape(x.shape[:-1]) / self.farthest

    def warn(self, rows: Tensor) -> None:
        """Issue an `OutOfRangeWarning` where some of the observations ``(B, *shape)`` lie outside."""
        far = self(rows.flatten(1)) > 1
        count = int(far.sum())
        if count:
            message = (
                f"{count} of {len(rows)} observations lie outside of the range of the training, the first in row "
                f"{int(far.nonzero()[0, 0])}: what is said about them is an extrapolation (see out_of_range)"
            )
            warnings.warn(message, OutOfRangeWarning, stacklevel=4)

    def _distances(self, x: Tensor) -> Tensor:
        parts = []
        for rows in torch.split(x, max(1, _CHUNK // x.shape[-1])):
            t = torch.asinh((rows.double() - self.mean) / self.scale) - self.centre
            parts.append((t @ self.whitening if self.full else t * self.whitening).norm(dim=-1))
        return torch.cat(parts) if parts else x.new_zeros(0, dtype=torch.float64)
