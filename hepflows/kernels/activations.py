"""The activation functions that the compiled kernels have."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

Activation = Callable[[Tensor], Tensor]

_ACTIVATIONS: dict[object, int] = {
    functional.relu: 1, torch.relu: 1, nn.ReLU: 1,
    torch.tanh: 2, functional.tanh: 2, nn.Tanh: 2,
    torch.sigmoid: 3, functional.sigmoid: 3, nn.Sigmoid: 3,
    functional.elu: 4,
    functional.leaky_relu: 5,
    functional.silu: 6, nn.SiLU: 6,
    functional.softplus: 7,
}  # fmt: skip
"""Numbers of the activations in kernels.h; a module counts where its class has no options of its own."""


def activation_number(activation: Activation) -> int | None:
    """The kernels' number of an activation, or None where they do not have it."""
    try:
        return _ACTIVATIONS.get(type(activation) if isinstance(activation, nn.Module) else activation)
    except TypeError:  # not hashable
        return None
