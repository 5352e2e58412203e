"""A Gaussian guess of each posterior, for a flow to correct: where a fit says where and how wide it is, its shape is left to learn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Guess:
    r"""Gaussians :math:`\mathcal N(m, (L L^\top)^{-1})` of the coordinates, one an observation, as a Laplace approximation gives them.

    A flow then works on :math:`z = L^\top (y - m)`, which is a standard normal where the guess is right.

    Args:
        mean: (..., D) in the coordinates of `Parameters`.
        root: (..., D, D) lower triangular L of the inverse covariance.

    Example:
        >>> guess = Guess.of(torch.zeros(3, 2), torch.eye(2).expand(3, 2, 2) * 4)
        >>> guess.into(torch.ones(3, 2))[0]
        tensor([2., 2.])
        >>> columns = guess.pack()
        >>> columns.shape, torch.equal(Guess.unpack(columns, 2).root, guess.root)
        (torch.Size([3, 5]), True)
    """

    mean: Tensor
    root: Tensor

    @classmethod
    def of(cls, mean: Tensor, precision: Tensor) -> Guess:
        """From means (..., D) and inverse covariances (..., D, D)."""
        return cls(mean, torch.linalg.cholesky(precision))

    @staticmethod
    def width(features: int) -> int:
        """Number of columns that `pack` makes of D coordinates."""
        return features + features * (features + 1) // 2

    def pack(self) -> Tensor:
        """(..., D + D (D + 1) / 2) columns for a network: the mean, logarithms of the diagonal, and the rest over the diagonal."""
        diagonal = torch.diagonal(self.root, dim1=-2, dim2=-1)
        row, column = _below(self.mean.shape[-1])
        rest = self.root[..., row, column] / diagonal[..., column]
        return torch.cat([self.mean, diagonal.log(), torch.asinh(rest)], -1)

    @classmethod
    def unpack(cls, columns: Tensor, features: int) -> Guess:
        """What `pack` made columns of; any that come after are not looked at."""
        mean, diagonal, rest = torch.split(
            columns[..., : cls.width(features)], [features, features, features * (features - 1) // 2], -1
        )
        root = torch.diag_embed(diagonal.exp())
        row, column = _below(features)
        root[..., row, column] = torch.sinh(rest) * diagonal.exp()[..., column]
        return cls(mean, root)

    def into(self, y: Tensor) -> Tensor:
        """Coordinates (..., D) to those of the guess."""
        return torch.einsum("...k,...kl->...l", y - self.mean, self.root)

    def back(self, z: Tensor) -> Tensor:
        """Undo `into`."""
        one = torch.eye(z.shape[-1], dtype=self.root.dtype, device=self.root.device)
        inverse = torch.linalg.solve_triangular(self.root, one.expand_as(self.root), upper=False)
        return self.mean + torch.einsum("...k,...kl->...l", z, inverse)

    @property
    def log_det(self) -> Tensor:
        """Of `into`, (...)."""
        return torch.diagonal(self.root, dim1=-2, dim2=-1).log().sum(-1)

    def log_prob(self, y: Tensor) -> Tensor:
        """Log density (...) of the Gaussian itself."""
        normal = -0.5 * self.into(y).square().sum(-1) - 0.5 * math.log(2 * math.pi) * y.shape[-1]
        return normal + self.log_det


def _below(features: int) -> tuple[Tensor, Tensor]:
    row, column = torch.tril_indices(features, features, -1)
    return row, column
