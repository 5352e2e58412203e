"""What is exported of a flow: the map of noise to samples, or of points to densities. Neither draws anything."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hepflows.flow import Flow
from hepflows.shapes import anchor


class Sampler(nn.Module):
    r"""Noise to samples: :math:`x = f^{-1}(z; c)`.

    ``forward(noise (N, D), context (N, C)) -> x (N, D)``; without a context where the flow has none. The noise is drawn by whoever
    calls, from the base density of the flow: standard normal numbers for a `Gaussian`. An ONNX file so has no state, and
    the same noise gives the same samples everywhere.

    Args:
        flow: couplings and inverse autoregressive flows sample in one pass. Masked autoregressive ones take one step a feature, one
            after the other, and are exported up to `hepflows.export.prepare.MOST_FEATURES` features.

    Example:
        >>> from hepflows.zoo import coupling_flow
        >>> sampler = Sampler(coupling_flow(3, context_features=2))
        >>> noise, context = sampler.example(5, torch.Generator().manual_seed(0))
        >>> sampler(noise, context).shape
        torch.Size([5, 3])
    """

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, noise: Tensor, context: Tensor | None = None) -> Tensor:
        """Noise ``(N, D)`` and context ``(N, C)`` to samples ``(N, D)``."""
        x: Tensor = self.flow.bijection.inverse(noise, context)[0]
        return x

    def example(self, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Noise from the base density and standard normal contexts, ``n`` rows."""
        return (self.flow.base.sample(n, generator), *_contexts(self.flow, n, generator))


class Density(nn.Module):
    r"""Points to log densities: :math:`\log p(x|c) = \log p_0(f(x; c)) + \log |\det \partial f / \partial x|`.

    ``forward(x (N, D), context (N, C)) -> log_prob (N,)``; without a context where the flow has none.

    Args:
        flow: couplings and masked autoregressive flows take one pass; an inverse autoregressive flow takes one step a feature, see
            `Sampler`.

    Example:
        >>> from hepflows.zoo import maf
        >>> density = Density(maf(3))
        >>> density(*density.example(5, torch.Generator().manual_seed(0))).shape
        torch.Size([5])
    """

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Points ``(N, D)`` and context ``(N, C)`` to log densities ``(N,)``."""
        z, ladj = self.flow.bijection(x, context)
        density: Tensor = self.flow.base.log_prob(z) + ladj
        return density

    def example(self, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Samples of the flow itself and standard normal contexts, ``n`` rows."""
        given = _contexts(self.flow, n, generator)
        return (self.flow.sample(() if given else n, *given, generator=generator), *given)


def _contexts(flow: Flow, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    if not flow.context_features:
        return ()
    like = anchor(flow)
    dtype = torch.get_default_dtype() if like is None else like.dtype
    return (torch.randn(n, flow.context_features, generator=generator, dtype=dtype),)
