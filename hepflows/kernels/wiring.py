"""How the hidden layers below a compiled head hang together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hepflows.errors import ShapeError
from hepflows.kernels.activations import Activation


@dataclass(frozen=True)
class Wiring:
    r"""A fully connected network, or a residual one (arXiv:1906.04032), of layers of which each is a weight and a bias.

    The layers of a fully connected network follow one another, with an activation :math:`a` after each. Of a residual network the first
    gives :math:`u`, and two or three more make a block,

    .. math:: u \leftarrow u + W'' a(W' a(u) + b') + b'' \quad\text{or}\quad u \leftarrow u + (W'' a(W' a(u) + b') + b'')\,\sigma(V c + v).

    Args:
        activation: :math:`a`.
        residual: whether it is a residual network.
        gates: rows of the context :math:`c`, the last ones of the input, where it gates the blocks; zero where it does not.

    Example:
        >>> one = torch.ones(2, 2), torch.zeros(2)
        >>> Wiring(residual=True)(torch.ones(2, 5), *one, *one, *one)[:, 0]  # 2 + 2 (2 (2))
        tensor([10., 10.])
    """

    activation: Activation = torch.relu
    residual: bool = False
    gates: int = 0

    @property
    def block(self) -> int:
        """Layers of a residual block, zero where there are none."""
        return (3 if self.gates else 2) if self.residual else 0

    def sizes(self, inputs: int, units: Sequence[int]) -> list[tuple[int, int]]:
        """Rows and columns that the weights of the layers must have, if they have that many rows and the network takes ``inputs``.

        Raises:
            ShapeError: layers that do not fill a block, or a context that is no part of the input.
        """
        if not self.residual:
            return list(zip(units, [inputs, *units], strict=False))
        if len(units) % self.block != 1 or self.gates > inputs:
            message = (
                f"a residual network takes its context with the input and has one layer and blocks of {self.block}, "
                f"got {len(units)} layers, {inputs} inputs and a context of {self.gates}"
            )
            raise ShapeError(message)
        columns = [inputs, *[units[0]] * (len(units) - 1)]
        if self.gates:
            columns[3::3] = [self.gates] * ((len(units) - 1) // 3)
        return [(units[0], count) for count in columns]

    def __call__(self, h: Tensor, *layers: Tensor) -> Tensor:
        """The last hidden units ``(H, N)`` in pure torch, of an input ``(inputs, N)`` and weights and biases in turn."""
        weights, biases = layers[::2], [bias.unsqueeze(1) for bias in layers[1::2]]
        if not self.residual:
            for weight, bias in zip(weights, biases, strict=True):
                h = self.activation(torch.addmm(bias, weight, h))
            return h
        u, context = torch.addmm(biases[0], weights[0], h), h[len(h) - self.gates :]
        for i in range(1, len(weights), self.block):
            t = torch.addmm(biases[i], weights[i], self.activation(u))
            t = torch.addmm(biases[i + 1], weights[i + 1], self.activation(t))
            u = u + (t * torch.sigmoid(torch.addmm(biases[i + 2], weights[i + 2], context)) if self.gates else t)
        return u


PLAIN = Wiring()
"""Fully connected, with rectified linear units."""
