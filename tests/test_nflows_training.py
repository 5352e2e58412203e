"""Trained models of nflows as ours, and our bijections trained inside nflows."""

from __future__ import annotations

import copy

import pytest
import torch
from nflows import transforms
from nflows.distributions.normal import StandardNormal
from nflows.flows.base import Flow as TheirFlow

from hepflows.bijections import Coupling, LULinear, Permutation, RationalQuadraticSpline
from hepflows.errors import ContextError
from hepflows.nflows_adapter import from_nflows, to_nflows
from hepflows.zoo import maf


def test_ours_inside_theirs(rng: torch.Generator) -> None:
    ours = maf(4, 2, seed=0).double()
    theirs = TheirFlow(to_nflows(ours.bijection), StandardNormal([4])).double()
    x, context = torch.randn(7, 4, generator=rng), torch.randn(7, 2, generator=rng)
    torch.testing.assert_close(theirs.log_prob(x, context), ours.log_prob(x, context))
    assert len(list(theirs.parameters())) == len(list(ours.parameters()))
    with torch.no_grad():
        assert theirs.sample(3, context).shape == (7, 3, 4)


def test_ours_between_theirs_trains(rng: torch.Generator) -> None:
    """One model of parts of both; a context reaches those that use one, as everywhere in nflows."""
    spline = RationalQuadraticSpline(6, 4.0)
    coupling = Coupling(spline, [True, False, True, False], 2, generator=rng)
    parts = [to_nflows(part) for part in (coupling, Permutation.reverse(4), LULinear(4))]
    masked = transforms.MaskedAffineAutoregressiveTransform(4, 12, context_features=2)
    model = TheirFlow(transforms.CompositeTransform([*parts, masked]), StandardNormal([4])).double()
    context = torch.randn(256, 2, generator=rng)
    x = torch.randn(256, 4, generator=rng).exp() - context.repeat(1, 2)
    twin, weight = copy.deepcopy(model), coupling.net.output.weight.clone()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = -model.log_prob(x, context).mean()
        loss.backward()
        assert all(parameter.grad is not None for parameter in coupling.parameters())
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.5
    assert not torch.equal(coupling.net.output.weight, weight), "the weights are shared"
    with torch.no_grad():
        # a deep copy has weights of its own
        torch.testing.assert_close(-twin.log_prob(x, context).mean(), torch.tensor(losses[0]))
        z, ladj = model._transform(x, context)
        back, back_ladj = model._transform.inverse(z, context)
        torch.testing.assert_close(back, x, rtol=1e-7, atol=1e-7)
        torch.testing.assert_close(back_ladj, -ladj, rtol=1e-7, atol=1e-7)
        ours = from_nflows(model)
        torch.testing.assert_close(ours.log_prob(x, context), model.log_prob(x, context), rtol=1e-9, atol=0)
    with pytest.raises(ContextError, match="pass context="):
        model.log_prob(x)


def showers(n: int, features: int, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Sparse, correlated, bounded numbers on many scales that depend on an energy."""
    context = torch.rand(n, 4, generator=rng)
    profile = torch.linspace(-3, 3, features)
    width = 1 + context[:, :1]
    x = torch.exp(-0.5 * (profile - 2 * context[:, 1:2] + 1) ** 2 / width) * (
        1 + 0.3 * torch.randn(n, features, generator=rng)
    )
    x = torch.where(torch.rand(n, features, generator=rng) < 0.3, 0.01 * torch.rand(n, features, generator=rng), x)
    x = x + 0.2 * torch.randn(n, features, generator=rng).cumsum(1) / features**0.5
    return 4 * (x - x.mean(0)) / x.std(0) / 3, context


def train(model: TheirFlow, x: torch.Tensor, context: torch.Tensor, steps: int) -> list[float]:
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for step in range(steps):
        rows = slice(100 * (step % 20), 100 * (step % 20) + 100)
        optimiser.zero_grad()
        loss = -model.log_prob(x[rows], context[rows]).mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


@pytest.mark.slow
@pytest.mark.parametrize("residual", [False, True])
def test_single_precision_on_a_trained_model_of_504_dimensions(residual: bool, rng: torch.Generator) -> None:
    """log densities and samples in float32 have at most twice the error that nflows makes, against float64."""
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    features = 504
    block = {"hidden_features": 128, "context_features": 4, "num_blocks": 1, "use_residual_blocks": residual}
    spline = {"num_bins": 8, "tails": "linear", "tail_bound": 14.0}
    masked = transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform
    parts = [
        masked(features, **block, **spline),
        transforms.RandomPermutation(features),
        masked(features, **block, **spline),
    ]
    theirs = TheirFlow(transforms.CompositeTransform(parts), StandardNormal([features]))
    x, context = showers(2200, features, rng)
    losses = train(theirs, x[:2000], context[:2000], 60)
    assert losses[-1] < losses[0] - 50, "it has learnt something"
    theirs.eval()
    exact, ours = copy.deepcopy(theirs).double(), from_nflows(theirs)
    exact_ours = from_nflows(exact)
    x, context = x[2000:], context[2000:]
    z = torch.randn(8, features, generator=rng)
    with torch.no_grad():
        truth = exact.log_prob(x.double(), context.double())
        torch.testing.assert_close(exact_ours.log_prob(x.double(), context.double()), truth, rtol=1e-9, atol=0)
        mine, their = ((model.log_prob(x, context) - truth).abs() for model in (ours, theirs))
        assert ours.log_prob(x, context).dtype == torch.float32
        assert mine.mean() <= 2 * their.mean(), (mine.mean(), their.mean())
        assert mine.quantile(0.95) <= 2 * their.quantile(0.95)
        assert mine.max() <= 2 * their.max(), (mine.max(), their.max())
        # one pass a feature in nflows, both in float64 and float32: few events
        c = context[:8]
        samples = exact_ours.bijection.inverse(z.double(), c.double())[0]
        again = exact._transform.inverse(z[:2].double(), c[:2].double())[0]
        torch.testing.assert_close(samples[:2], again, rtol=1e-9, atol=1e-9)
        got, other = ours.bijection.inverse(z, c)[0], theirs._transform.inverse(z, c)[0]
        mine, their = ((value - samples).abs() for value in (got, other))
        assert mine.mean() <= 2 * their.mean(), (mine.mean(), their.mean())
        assert mine.max() <= 2 * their.max(), (mine.max(), their.max())
