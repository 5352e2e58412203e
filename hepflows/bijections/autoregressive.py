"""Masked autoregressive bijection, with an inverse that costs about one pass."""

from __future__ import annotations

import torch
from torch import Tensor

from hepflows.bijections.base import Bijection
from hepflows.bijections.conditioned import conditioned
from hepflows.bijections.univariate import Univariate
from hepflows.errors import ShapeError
from hepflows.kernels import native
from hepflows.kernels.masked_inverse import masked_inverse
from hepflows.made import MADE


class MaskedAutoregressive(Bijection):
    r"""The map of feature ``d`` is parametrised by the features before it (MAF, arXiv:1705.07057).

    .. math:: z_d = g\big(x_d;\, \theta_d(x_1, \dots, x_{d-1}, c)\big), \qquad
              \mathrm{ladj} = \sum_d \log \frac{\partial g}{\partial x_d}

    The density takes one pass of the network. The inverse is exact and takes about one pass as well, see
    `hepflows.kernels.masked_inverse`; where gradients through it are wanted, it falls back on one pass a group of features,
    which autograd can follow. Dropout acts in the forward direction only, in training.

    Args:
        univariate: the map of one feature.
        made: the network, with ``made.per_feature == univariate.per_feature``.

    Example:
        >>> from hepflows.bijections.splines import RationalQuadraticSpline
        >>> spline = RationalQuadraticSpline(bins=8, bound=3.0)
        >>> maf = MaskedAutoregressive(spline, MADE(4, spline.per_feature, generator=torch.Generator().manual_seed(0)))
        >>> x = torch.linspace(-2, 2, 8).view(2, 4)
        >>> z, ladj = maf(x)
        >>> bool(torch.allclose(maf.inverse(z)[0], x, atol=1e-4))
        True
    """

    def __init__(self, univariate: Univariate, made: MADE) -> None:
        super().__init__(made.features, made.context_features)
        if made.per_feature != univariate.per_feature:
            message = (
                f"the network gives {made.per_feature} parameters a feature but {type(univariate).__name__} takes "
                f"{univariate.per_feature}: build the MADE with per_feature={univariate.per_feature}"
            )
            raise ShapeError(message)
        self.univariate, self.made = univariate, made

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        z, ladj = conditioned(self.univariate, x.T, self.made, x, context)
        return z.T, ladj

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        if torch.is_grad_enabled():
            wanted = [z, *self.parameters()] if context is None else [z, context, *self.parameters()]
            if any(tensor.requires_grad for tensor in wanted):
                return self._inverse_with_gradients(z, context)
        made, given = self.made.staircase(), (self.made.terms(context), self.made.units(context))
        spline = self.univariate.spline(inverse=True)
        if spline is not None and native.sweep_covers(made, spline, z):
            x, ladj = native.sweep(z.T, made, spline, *given)
        else:
            x, ladj = masked_inverse(z.T, made, self.univariate.inverse, *given)
        return x.T, ladj

    def _inverse_with_gradients(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Fixed-point sweeps: after the k-th, the first k groups of features are exact and stay so."""
        x, ladj = z, z[:, 0]
        for _ in self.made.staircase().groups:
            columns, ladj = conditioned(self.univariate, z.T, self.made, x, context, inverse=True)
            x = columns.T
        return x, ladj
