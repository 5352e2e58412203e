"""Autoregressive bijections of any network, inverted by Jacobi iteration."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hepflows.bijections.base import Bijection
from hepflows.bijections.conditioned import conditioned
from hepflows.bijections.dependencies import check_autoregressive
from hepflows.bijections.implicit import evaluating, implicit_inverse
from hepflows.bijections.univariate import Univariate
from hepflows.errors import DomainError


class Autoregressive(Bijection):
    r"""An autoregressive map with a network of your own: a causal convolution, a masked transformer, anything.

    .. math:: z_d = g\big(x_d;\, \theta_d(x_{<d}, c)\big), \qquad \mathrm{ladj} = \sum_d \log \frac{\partial g}{\partial x_d}

    where :math:`x_{<d}` are the features before ``d`` in some fixed order, which need not be known.

    The density takes one pass of the network. The inverse is the fixed point of :math:`x \leftarrow g^{-1}(z; \theta(x))`, iterated from
    ``x = z``. After k iterations the first k features are exact, so that there are at most ``D``; where the features depend on one
    another smoothly there are far fewer (Jacobi iteration, arXiv:2002.03629). Events that no longer change are left out. In the end the
    solution is put into the forward map, and by how much it misses ``z`` is checked. Gradients come from
    `hepflows.bijections.implicit`. For a `MADE` take `MaskedAutoregressive`, whose inverse is exact and needs one sweep.

    Args:
        univariate: the map of one feature.
        net: ``(x (N, D), context (N, C) or None) -> (N, D * P)``, the ``P = univariate.per_feature`` parameters of one feature next to one
            another. In the inverse it runs in eval mode.
        features: number of features ``D``.
        context_features: width of the context, zero for none.
        check: whether to make sure that there is such an order when the bijection is built (two passes over ``D`` events, with
            gradients). Without it a network that lets a feature see itself gives wrong densities, which no inverse need notice.

    Raises:
        ShapeError: the network's outputs have another shape.
        DomainError: features depend on one another in a circle; or, from the inverse, the iteration did not arrive at a solution.

    Example:
        >>> from hepflows import MADE, Affine
        >>> net = MADE(3, 2, hidden=(16,), generator=torch.Generator().manual_seed(0))
        >>> bijection = Autoregressive(Affine(), net, features=3)
        >>> x = torch.linspace(-1, 1, 6).view(2, 3)
        >>> bool(torch.allclose(bijection.inverse(bijection(x)[0])[0], x, atol=1e-5))
        True
    """

    def __init__(
        self, univariate: Univariate, net: nn.Module, features: int, context_features: int = 0, *, check: bool = True
    ) -> None:
        super().__init__(features, context_features)
        self.univariate, self.net = univariate, net
        if check:
            with evaluating(net):
                check_autoregressive(net, features, univariate.per_feature, context_features)

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        z, ladj = conditioned(self.univariate, x.T, self.net, x, context)
        return z.T, ladj

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return implicit_inverse(self._solve, self.univariate, self.net, z, context)

    def _solve(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """The inverse without gradients."""
        eps = torch.finfo(z.dtype).eps
        with torch.no_grad(), evaluating(self.net):
            x, rows = z.clone(), torch.arange(len(z), device=z.device)
            done = self._iterate(x, z, context, rows, 0, change=64 * eps)
            misses, ladj = self._verify(x, z, context)
            rows = (misses > eps ** (2 / 3)).nonzero().squeeze(1)
            if len(rows):  # small steps did not mean that these events had arrived: the full number of steps does
                done = self._iterate(x, z, context, rows, done, change=0.0)
                misses, ladj = self._verify(x, z, context)
            worst = misses.max() if len(misses) else misses.sum()
            if not worst <= eps**0.5:
                message = (
                    f"the inverse did not arrive at a solution: after {done} iterations for {self.features} features the forward map of "
                    f"the worst of {len(z)} events misses its latents by {worst:.2g} (relative); the parameters of a feature must depend "
                    "on features before it only, and float64 helps where slopes are steep"
                )
                raise DomainError(message)
            return x, -ladj

    def _iterate(self, x: Tensor, z: Tensor, context: Tensor | None, rows: Tensor, done: int, *, change: float) -> int:
        """Improve the ``rows`` of ``x`` in place until none changes by more than ``change``; returns the iterations done in all."""
        while len(rows) and done < self.features:
            old = x[rows]
            columns, _ = conditioned(
                self.univariate, z[rows].T, self.net, old, None if context is None else context[rows], inverse=True
            )
            new = columns.T
            x[rows] = new
            moves = ((new - old).abs() > change * (1 + new.abs())).any(1)
            rows, done = rows[moves], done + 1
        return done

    def _verify(self, x: Tensor, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """By how much each event misses its latents, in units of what it takes to see it, and the ladj of the forward map."""
        raw = self.net(x, context).T.reshape(self.features, self.univariate.per_feature, len(x))
        reached, terms = self.univariate.forward(x.T, raw)
        scale = 1 + z.T.abs() + terms.exp() * (1 + x.T.abs())
        misses = ((reached - z.T).abs() / scale).amax(0)
        # a latent that is NaN has no solution to miss
        return torch.where(z.isnan().any(1), 0.0, misses.nan_to_num(nan=torch.inf, posinf=torch.inf)), terms.sum(0)
