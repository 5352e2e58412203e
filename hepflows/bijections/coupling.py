"""Coupling bijections: one part of the features is mapped, the other part parametrises the map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hepflows.bijections.base import Bijection
from hepflows.bijections.conditioned import coupled
from hepflows.bijections.univariate import Univariate
from hepflows.errors import ShapeError
from hepflows.nets import MLP


class Coupling(Bijection):
    r"""Map the features with ``mask`` true by parameters that a network computes from the others and the context.

    .. math:: z_B = g\big(x_B;\, \theta(x_A, c)\big), \qquad z_A = x_A

    With `Shift` this is NICE (arXiv:1410.8516), with `Affine` RealNVP (arXiv:1605.08803), with a spline a neural spline
    flow (arXiv:1808.03856, arXiv:1906.04032). Both directions cost one pass of the network.

    Args:
        univariate: the map of one feature.
        mask: (D,) booleans; true features are mapped.
        context_features: width of the context, zero for none.
        hidden: widths of the conditioning network.
        dropout: in its hidden layers, in training.
        net: a network ``(x_A, context) -> (N, B * P)`` of your own instead, the parameters of one feature next to one another.
        generator: draws the initial weights.
    """

    kept: Tensor
    mapped: Tensor

    def __init__(
        self,
        univariate: Univariate,
        mask: Sequence[bool] | Tensor,
        context_features: int = 0,
        *,
        hidden: Sequence[int] = (64, 64),
        dropout: float = 0.0,
        net: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        chosen = torch.as_tensor(mask, dtype=torch.bool)
        super().__init__(len(chosen), context_features)
        self.register_buffer("kept", (~chosen).nonzero().squeeze(1), persistent=False)
        self.register_buffer("mapped", chosen.nonzero().squeeze(1), persistent=False)
        if not len(self.mapped):
            message = "the mask of a Coupling maps no feature: set at least one entry to True"
            raise ShapeError(message)
        if not len(self.kept) and not context_features:
            message = "the mask of a Coupling maps every feature and there is no context: keep at least one feature"
            raise ShapeError(message)
        self.univariate = univariate
        if net is None:
            outputs = len(self.mapped) * univariate.per_feature
            net = MLP(
                len(self.kept),
                outputs,
                hidden,
                context_features=context_features,
                dropout=dropout,
                generator=generator,
            )
            net.start_at(univariate.identity())
        self.net = net

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._apply_to(x, context, inverse=False)

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._apply_to(z, context, inverse=True)

    def _apply_to(self, x: Tensor, context: Tensor | None, *, inverse: bool) -> tuple[Tensor, Tensor]:
        z, ladj = coupled(self.univariate, x.T, self.mapped, self.kept, self.net, context, inverse=inverse)
        return z.T, ladj
