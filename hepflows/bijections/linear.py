"""Linear bijections: permutations and an LU-decomposed matrix."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from hepflows.bijections.base import Bijection
from hepflows.errors import DomainError


class Permutation(Bijection):
    """z_i = x_{order(i)}.

    Args:
        order: (D,) a permutation of 0 .. D - 1.

    >>> Permutation([2, 0, 1])(torch.tensor([[10.0, 11.0, 12.0]]))[0]
    tensor([[12., 10., 11.]])
    """

    order: Tensor
    inverse_order: Tensor

    def __init__(self, order: Sequence[int] | Tensor) -> None:
        indices = torch.as_tensor(list(order), dtype=torch.long)
        super().__init__(len(indices))
        if not torch.equal(indices.sort().values, torch.arange(len(indices))):
            message = f"a Permutation needs each of 0 .. {len(indices) - 1} exactly once"
            raise DomainError(message)
        self.register_buffer("order", indices)
        self.register_buffer("inverse_order", indices.argsort(), persistent=False)

    @classmethod
    def reverse(cls, features: int) -> Permutation:
        """The features in reverse order."""
        return cls(torch.arange(features).flip(0))

    @classmethod
    def random(cls, features: int, generator: torch.Generator | None = None) -> Permutation:
        """A permutation drawn from ``generator``."""
        return cls(torch.randperm(features, generator=generator))

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return x.T[self.order].T, torch.zeros_like(x[:, 0])

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return z.T[self.inverse_order].T, torch.zeros_like(z[:, 0])

    def _load_from_state_dict(self, *args: object, **kwargs: object) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.inverse_order = self.order.argsort()  # the saved order counts, not the one drawn at construction


class LULinear(Bijection):
    r"""z = L U x + b with L unit lower and U upper triangular with a positive diagonal (arXiv:1807.03039).

    .. math:: \mathrm{ladj} = \sum_i \log U_{ii}, \qquad U_{ii} = \epsilon + \mathrm{softplus}(r_i)

    Both directions are exact; the inverse solves two triangular systems. It starts as the identity.

    Args:
        features: number of features.
        epsilon: smallest diagonal element.
    """

    def __init__(self, features: int, epsilon: float = 1e-3) -> None:
        super().__init__(features)
        self.epsilon = epsilon
        self.lower = nn.Parameter(torch.zeros(features, features))
        self.upper = nn.Parameter(torch.zeros(features, features))
        self.diagonal = nn.Parameter(torch.full((features,), 1 - epsilon).expm1().log())
        self.bias = nn.Parameter(torch.zeros(features))

    def _factors(self) -> tuple[Tensor, Tensor, Tensor]:
        diagonal = self.epsilon + softplus(self.diagonal)
        one = torch.eye(self.features, dtype=self.lower.dtype, device=self.lower.device)
        return self.lower.tril(-1) + one, self.upper.triu(1) + diagonal.diag(), diagonal.log().sum()

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        lower, upper, ladj = self._factors()
        return torch.addmm(self.bias.unsqueeze(1), lower, upper @ x.T).T, ladj.expand(x.shape[0])

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        lower, upper, ladj = self._factors()
        y = torch.linalg.solve_triangular(lower, (z - self.bias).T, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, y, upper=True).T, -ladj.expand(z.shape[0])
