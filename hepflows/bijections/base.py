"""What a bijection is, how to chain and how to invert one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from hepflows.errors import ContextError, ShapeError
from hepflows.shapes import by_columns, check_all, flatten


class Bijection(nn.Module):
    r"""An invertible differentiable map from data to latent space.

    ``forward(x, context) -> (z, ladj)`` maps data to latents and ``inverse(z, context) -> (x, ladj)`` back; each returns the
    value and its log |det J| together, and nothing else in the library computes a determinant:

    .. math:: z = f(x; c), \qquad \mathrm{ladj} = \log \left| \det \frac{\partial f}{\partial x} \right|

    Attributes:
        features: dimension ``D`` of data and latents.
        context_features: width ``C`` of the context, zero for none.

    Shapes: ``x`` and ``z`` ``(*sample, *batch, D)``, ``context`` ``(*batch, C)``, ``ladj`` ``(*sample, *batch)``. All events are
    handled at once: for any number of them in bounded memory take the methods of a `Flow`.

    Raises:
        ShapeError: wrong shape, dtype or device.
        ContextError: a context that is missing, unwanted, or of the wrong shape.
        DomainError: NaN or infinity in the input or the context, or a value outside the domain.

    **How to write one.** Subclass, call ``super().__init__(features, context_features)`` and define `_forward` and
    `_inverse` for matrices of one row an event; shapes and context have been checked by then. Then add one row to the table
    in ``tests/helpers/bijection_table.py``: it buys the tests that every bijection passes.

    >>> class Doubling(Bijection):
    ...     def _forward(self, x, context):
    ...         return 2 * x, torch.full_like(x[:, 0], self.features * 0.6931471805599453)
    ...     def _inverse(self, z, context):
    ...         return z / 2, torch.full_like(z[:, 0], -self.features * 0.6931471805599453)
    >>> z, ladj = Doubling(features=3)(torch.ones(5, 3))
    >>> z.shape, ladj.shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    def __init__(self, features: int, context_features: int = 0) -> None:
        super().__init__()
        if features < 1 or context_features < 0:
            message = (
                f"a bijection needs features >= 1 and context_features >= 0, got {features} and {context_features}"
            )
            raise ShapeError(message)
        self.features, self.context_features = features, context_features

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """``(N, D)`` data and ``(N, C)`` context to latents ``(N, D)`` and ``ladj`` ``(N,)``."""
        raise NotImplementedError

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """``(N, D)`` latents and ``(N, C)`` context to data ``(N, D)`` and ``ladj`` ``(N,)`` of the inverse."""
        raise NotImplementedError

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Data to latents: ``(z, ladj)``."""
        rows, context, leading = self._enter(x, context)
        z, ladj = self._forward(rows, context)
        return z.reshape(*leading, self.features), ladj.reshape(leading)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Latents to data: ``(x, ladj)``, with the ladj of the inverse map."""
        rows, context, leading = self._enter(z, context)
        x, ladj = self._inverse(rows, context)
        return x.reshape(*leading, self.features), ladj.reshape(leading)

    def _enter(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor | None, torch.Size]:
        check_all(self, x, context, self.features, self.context_features)
        return flatten(x, context)

    def extra_repr(self) -> str:
        return f"features={self.features}" + (
            f", context_features={self.context_features}" if self.context_features else ""
        )


class Chain(Bijection):
    """Bijections one after the other, the first one next to the data.

    Args:
        bijections: at least one; all of the same ``features``, and each unconditional or of the same context width.
    """

    def __init__(self, bijections: Sequence[Bijection]) -> None:
        if not bijections:
            message = "a Chain needs at least one bijection"
            raise ShapeError(message)
        widths = {bijection.features for bijection in bijections}
        if len(widths) > 1:
            message = f"the bijections of a Chain must have the same number of features, got {sorted(widths)}"
            raise ShapeError(message)
        contexts = {bijection.context_features for bijection in bijections} - {0}
        if len(contexts) > 1:
            message = f"the bijections of a Chain must share one context, got widths {sorted(contexts)}"
            raise ContextError(message)
        super().__init__(widths.pop(), contexts.pop() if contexts else 0)
        self.bijections = nn.ModuleList(bijections)

    @property
    def _parts(self) -> list[Bijection]:
        return cast("list[Bijection]", list(self.bijections))

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        total, context = torch.zeros_like(x[:, 0]), by_columns(context)
        for bijection in self._parts:
            x, ladj = bijection._forward(x, context if bijection.context_features else None)
            total = total + ladj
        return x, total

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        total, context = torch.zeros_like(z[:, 0]), by_columns(context)
        for bijection in reversed(self._parts):
            z, ladj = bijection._inverse(z, context if bijection.context_features else None)
            total = total + ladj
        return z, total


class Inverse(Bijection):
    """A bijection the other way round: its forward is the inverse of the original.

    ``Inverse(MAF)`` is an inverse autoregressive flow (arXiv:1606.04934): fast to sample, slower to evaluate.
    """

    def __init__(self, bijection: Bijection) -> None:
        super().__init__(bijection.features, bijection.context_features)
        self.bijection = bijection

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.bijection._inverse(x, context)

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.bijection._forward(z, context)
