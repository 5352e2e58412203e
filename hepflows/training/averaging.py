"""A moving average of the weights: less noisy than the weights of any one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class WeightAverage:
    r"""Exponential moving average of parameters, updated after every step.

    .. math:: \bar\theta_t = d_t\, \bar\theta_{t-1} + (1 - d_t)\, \theta_t, \qquad d_t = \min\Big(d,\, \frac{t}{t + 9}\Big),
              \qquad t = 1, 2, \dots

    The decay starts low, so that the first weights are soon forgotten. With ``d = 0.999`` the average reaches back about 1000 steps.

    Args:
        parameters: what is averaged, by name.
        decay: ``d``, between 0 and 1.

    Example:
        >>> weight = torch.zeros(1)
        >>> average = WeightAverage({"w": weight}, decay=0.5)
        >>> for step in (1.0, 2.0):
        ...     average.update()
        ...     _ = weight.fill_(step)
        >>> with average.applied():
        ...     round(weight.item(), 4)
        0.8182
    """

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        self.parameters, self.decay, self.steps = dict(parameters), decay, 0
        self.values = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters as they are after a step."""
        self.steps += 1
        share = 1 - min(self.decay, self.steps / (self.steps + 9))
        for name, parameter in self.parameters.items():
            self.values[name].lerp_(parameter, share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the parameters are their averages."""
        kept = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(self.values[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, parameter in self.parameters.items():
                    parameter.copy_(kept[name])

    def restore(self, values: Mapping[str, Tensor], steps: int) -> None:
        """Go on from the values and the number of steps that a checkpoint kept."""
        self.steps = steps
        for name, value in self.values.items():
            value.copy_(values[name])
