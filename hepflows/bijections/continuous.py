"""A flow in time: the map is where a velocity field carries a point."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from hepflows.bijections.base import Bijection
from hepflows.errors import DomainError, MissingExtraError
from hepflows.nets import MLP

FREQUENCIES = 3
"""Sines and cosines of the time that the network of a velocity sees."""


class Continuous(Bijection):
    r"""Points move with a velocity from the latents at time 0 to the data at time 1 (arXiv:1806.07366, arXiv:1810.01367).

    .. math:: \frac{dx}{dt} = v(x, t, c), \qquad \log \left| \det \frac{\partial z}{\partial x} \right|
              = - \int_0^1 \mathrm{tr}\, \frac{\partial v}{\partial x}\, dt

    Solved by the fourth-order Runge-Kutta method in equal steps, so that events do not see each other and a result repeats; the trace is
    exact, one derivative for each of ``D`` features. It is trained without solving anything by `hepflows.training.FlowMatching`.

    Args:
        features: dimension ``D``.
        context_features: width of the context, zero for none.
        hidden: widths of the network of the velocity.
        steps: of the solver, each of four velocities.
        generator: draws the initial weights.

    Raises:
        MissingExtraError: torchdiffeq is not installed (``pip install 'hepflows[ode]'``).

    Example:
        >>> bijection = Continuous(3, hidden=(16,), generator=torch.Generator().manual_seed(0))
        >>> x = torch.randn(5, 3)
        >>> z, ladj = bijection(x)
        >>> bool(torch.allclose(bijection.inverse(z)[0], x, atol=1e-4))
        True
    """

    def __init__(
        self,
        features: int,
        context_features: int = 0,
        *,
        hidden: Sequence[int] = (64, 64, 64),
        steps: int = 16,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(features, context_features)
        if steps < 1:
            message = f"the solver of a Continuous bijection needs at least one step, got {steps}"
            raise DomainError(message)
        if importlib.util.find_spec("torchdiffeq") is None:
            message = "continuous flows need torchdiffeq: pip install 'hepflows[ode]'"
            raise MissingExtraError(message)
        self.steps = steps
        self.net = MLP(
            features,
            features,
            hidden,
            context_features=context_features + 1 + 2 * FREQUENCIES,
            activation=functional.silu,
            generator=generator,
        )
        self.net.start_at(torch.zeros(features))

    def velocity(self, x: Tensor, time: Tensor, context: Tensor | None = None) -> Tensor:
        """``x`` (N, D) at ``time`` (N,) with ``context`` (N, C) to the velocity (N, D)."""
        angles = math.pi * time[:, None] * torch.arange(1, FREQUENCIES + 1, dtype=x.dtype, device=x.device)
        seen = [time[:, None], angles.sin(), angles.cos()]
        velocity: Tensor = self.net(x, torch.cat(seen if context is None else [*seen, context], 1))
        return velocity

    def transport(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Latents (N, D) to data (N, D) without the determinant, ``D`` times cheaper than `inverse`."""
        from torchdiffeq import odeint

        def motion(time: Tensor, x: Tensor) -> Tensor:
            return self.velocity(x, time.expand(len(x)), context)

        path: Tensor = odeint(motion, z, self._times(z, 0.0, 1.0), method="rk4", options=self._options())
        return path[-1]

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._solve(x, context, 1.0, 0.0)

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._solve(z, context, 0.0, 1.0)

    def _solve(self, x: Tensor, context: Tensor | None, start: float, end: float) -> tuple[Tensor, Tensor]:
        from torchdiffeq import odeint

        def motion(time: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            return _with_trace(lambda y: self.velocity(y, time.expand(len(y)), context), state[0])

        state = (x, torch.zeros_like(x[:, 0]))
        path, ladj = odeint(motion, state, self._times(x, start, end), method="rk4", options=self._options())
        return path[-1], ladj[-1]

    def _times(self, x: Tensor, start: float, end: float) -> Tensor:
        return torch.tensor([start, end], dtype=x.dtype, device=x.device)

    def _options(self) -> dict[str, float]:
        return {"step_size": 1 / self.steps}


def _with_trace(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """``function(x)`` (N, D) and the trace (N,) of its Jacobian, row by row, by one derivative a feature."""
    wanted = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        value = function(x)
        trace = torch.zeros_like(x[:, 0])
        for i in range(x.shape[1]):
            (slope,) = torch.autograd.grad(value[:, i].sum(), x, retain_graph=True, create_graph=wanted)
            trace = trace + slope[:, i]
    return (value, trace) if wanted else (value.detach(), trace.detach())
