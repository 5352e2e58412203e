"""An autoregressive bijection of patches whose network is a causal transformer."""

from __future__ import annotations

import torch
from torch import Tensor

from hepflows.bijections.implicit import evaluating
from hepflows.bijections.jacobi import Autoregressive
from hepflows.bijections.univariate import Univariate
from hepflows.errors import ShapeError
from hepflows.transformer import CausalTransformer


class TransformerAutoregressive(Autoregressive):
    r"""The maps of the features of patch ``k`` are parametrised by the patches before it (TarFlow, arXiv:2412.06329).

    .. math:: z_d = g\big(x_d;\, \theta_d(u_0, \dots, u_{k-1}, c)\big) \quad\text{for } d \text{ in patch } k, \qquad
              \mathrm{ladj} = \sum_d \log \frac{\partial g}{\partial x_d}

    The features of one patch do not see each other: one such map leaves them independent given the patches before, and it takes several, in
    alternating directions, to tie them; with a single patch they stay independent. The density takes one pass of the network over all
    patches. The inverse goes patch by patch and keeps the keys and values of those it has passed, so that each token is computed once; it
    is exact up to rounding. Gradients through it come from implicit differentiation, see `hepflows.bijections.implicit`, and their
    iteration settles in at most one step a patch. Dropout acts in the forward direction only, in training.

    Args:
        univariate: the map of one feature.
        net: the network, with ``net.per_feature == univariate.per_feature``.

    Raises:
        ShapeError: the network gives another number of parameters than the map takes.

    Example:
        >>> from hepflows import Affine
        >>> net = CausalTransformer([2, 2, 1], 2, width=16, generator=torch.Generator().manual_seed(0))
        >>> bijection = TransformerAutoregressive(Affine(), net)
        >>> x = torch.linspace(-2, 2, 10).view(2, 5)
        >>> bool(torch.allclose(bijection.inverse(bijection(x)[0])[0], x, atol=1e-5))
        True
    """

    net: CausalTransformer

    def __init__(self, univariate: Univariate, net: CausalTransformer) -> None:
        if net.per_feature != univariate.per_feature:
            message = (
                f"the network gives {net.per_feature} parameters a feature but {type(univariate).__name__} takes "
                f"{univariate.per_feature}: build the CausalTransformer with per_feature={univariate.per_feature}"
            )
            raise ShapeError(message)
        super().__init__(univariate, net, net.features, net.context_features, check=False)

    def _solve(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """The inverse without gradients."""
        with torch.no_grad(), evaluating(self.net):
            cache, ladj = self.net.empty_cache(len(z)), torch.zeros_like(z[:, 0])
            solved = [z[:, :0]]
            for index, latents in enumerate(torch.split(z, self.net.patches, 1)):
                parameters = self.net.step(index, solved[-1], context, cache)
                columns, terms = self.univariate.inverse(latents.T, parameters)
                solved.append(columns.T)
                ladj = ladj + terms.sum(0)
            return torch.cat(solved, 1), ladj
