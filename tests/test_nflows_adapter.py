"""nflows models become ours with the same numbers, and ours serve inside nflows."""

from __future__ import annotations

import pytest
import torch
from nflows import transforms
from nflows.distributions.normal import StandardNormal
from nflows.flows.base import Flow as TheirFlow
from nflows.nn.nets import ResidualNet

from hepflows.errors import DomainError
from hepflows.nflows_adapter import from_nflows, to_nflows
from hepflows.zoo import maf

SPLINE = {"num_bins": 8, "tails": "linear", "tail_bound": 5.0}


def their_maf(features: int = 6, context: int | None = 3) -> TheirFlow:
    torch.manual_seed(0)
    parts = []
    for _ in range(3):
        parts += [
            transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
                features, 20, context_features=context, num_blocks=2, use_residual_blocks=False, **SPLINE
            ),
            transforms.RandomPermutation(features),
            transforms.LULinear(features, identity_init=False),
        ]
    return TheirFlow(transforms.CompositeTransform(parts), StandardNormal([features])).double().eval()


def their_coupling() -> TheirFlow:
    torch.manual_seed(0)
    parts = [
        transforms.PiecewiseRationalQuadraticCouplingTransform(
            mask=[(i + block) % 2 for i in range(6)],
            transform_net_create_fn=lambda i, o: ResidualNet(
                i, o, hidden_features=16, context_features=3, num_blocks=1
            ),
            **SPLINE,
        )
        for block in range(3)
    ]
    return TheirFlow(transforms.CompositeTransform(parts), StandardNormal([6])).double().eval()


@pytest.mark.parametrize("build", [their_maf, their_coupling])
def test_same_density_and_same_samples_from_the_same_noise(build, rng: torch.Generator) -> None:
    theirs = build()
    ours = from_nflows(theirs)
    x, context = 2 * torch.randn(30, 6, generator=rng), torch.randn(30, 3, generator=rng)
    with torch.no_grad():
        want = theirs.log_prob(x, context)
        torch.testing.assert_close(ours.log_prob(x, context), want, rtol=1e-9, atol=0)
        z = torch.randn(30, 6, generator=rng)
        torch.testing.assert_close(
            ours.bijection.inverse(z, context)[0], theirs._transform.inverse(z, context)[0], rtol=1e-7, atol=1e-7
        )


def test_inverse_transform_and_no_context(rng: torch.Generator) -> None:
    theirs = their_maf(context=None)
    ours = from_nflows(transforms.InverseTransform(theirs._transform))
    x = torch.randn(9, 6, generator=rng)
    with torch.no_grad():
        torch.testing.assert_close(ours.inverse(x)[0], theirs._transform(x)[0])
    assert ours.context_features == 0


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (transforms.Tanh(), "Tanh"),
        (
            transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(3, 8, use_residual_blocks=False),
            "tails='linear'",
        ),
    ],
)
def test_what_cannot_be_converted_is_named(part: torch.nn.Module, name: str) -> None:
    with pytest.raises(DomainError, match=name):
        from_nflows(part)


def test_ours_inside_theirs(rng: torch.Generator) -> None:
    ours = maf(4, 2, seed=0).double()
    theirs = TheirFlow(to_nflows(ours.bijection), StandardNormal([4])).double()
    x, context = torch.randn(7, 4, generator=rng), torch.randn(7, 2, generator=rng)
    torch.testing.assert_close(theirs.log_prob(x, context), ours.log_prob(x, context))
    assert len(list(theirs.parameters())) == len(list(ours.parameters()))
