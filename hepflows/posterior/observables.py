"""From observables to the context of a flow: standardised, and summed up by a network where there is one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hepflows.errors import ShapeError
from hepflows.nets import MLP

_CHUNK = 1 << 14  # rows at once


class Observables(nn.Module):
    """What stands between the observables and the flow.

    Without a network of the user the observables are standardised with the moments of the training rows (one that never varies only loses
    its mean) and may go through an `MLP`. A network of the user takes them as they are, and scales them itself.

    Args:
        shape: of one observation, ``(D,)`` for a table.
        summary: widths of the layers of the `MLP`, its output last; none where empty.
        network: a module of the user, ``(N, *shape)`` to ``(N, C)``.
        generator: draws the initial weights.

    Attributes:
        outputs: width C of the context.

    Raises:
        ShapeError: a network that does not return one row an observation.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        summary: Sequence[int],
        network: nn.Module | None,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.own = network is None
        self.register_buffer("mean", torch.zeros(self.shape if self.own else ()))
        self.register_buffer("scale", torch.ones(self.shape if self.own else ()))
        self.network = network
        if network is None:
            if len(self.shape) != 1:
                message = (
                    f"observations of shape {self.shape} need a network of yours: pass embedding=, or flatten them"
                )
                raise ShapeError(message)
            self.outputs = self.shape[0]
            if summary:
                self.outputs = summary[-1]
                self.network = MLP(self.shape[0], summary[-1], summary[:-1], generator=generator)
        else:
            self.outputs = _width(network, self.shape)

    def standardise(self, x: Tensor) -> None:
        """Take the moments of the training rows ``(n, *shape)``; a network of the user does without."""
        if self.own:
            spread = x.double().std(0)
            self.mean.copy_(x.double().mean(0))
            self.scale.copy_(torch.where(spread > 0, spread, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, *shape)`` observables to the context ``(N, C)``, in chunks where no gradient is wanted."""
        if torch.is_grad_enabled() or len(x) <= _CHUNK:
            return self._context(x)
        return torch.cat([self._context(rows) for rows in torch.split(x, _CHUNK)])

    def _context(self, x: Tensor) -> Tensor:
        if self.own:
            x = (x - self.mean) / self.scale
        return x if self.network is None else self.network(x)


def _width(network: nn.Module, shape: tuple[int, ...]) -> int:
    training = network.training
    with torch.no_grad():
        out = network.eval()(torch.zeros(2, *shape))
    network.train(training)
    if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != 2:
        message = f"the embedding must map observations (N, {', '.join(map(str, shape))}) to (N, C), got {getattr(out, 'shape', type(out))}"
        raise ShapeError(message)
    return out.shape[1]
