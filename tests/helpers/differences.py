"""Gradients against differences."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


def assert_gradients(module: nn.Module, loss: Callable[[], Tensor]) -> None:
    """The gradient of one number of each parameter is what the loss does when it moves."""
    loss().backward()
    for name, parameter in module.named_parameters():
        index = tuple(size // 2 for size in parameter.shape)
        values = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                parameter[index] += step
                values.append(loss().item())
                parameter[index] -= step
        assert parameter.grad is not None, name
        assert parameter.grad[index].item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4, abs=1e-4), name
