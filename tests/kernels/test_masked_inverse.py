"""The incremental inverse against the textbook one."""

from __future__ import annotations

import copy

import pytest
import torch

from hepflows.bijections import Affine, MaskedAutoregressive, RationalQuadraticSpline, Univariate
from hepflows.made import MADE, spread_degrees

CASES = [
    (7, (5,), 0, Affine()),
    (7, (16, 16), 2, Affine()),
    (12, (5, 9, 4), 3, RationalQuadraticSpline(6, 4.0)),
    (1, (3, 3), 2, RationalQuadraticSpline(6, 4.0)),
    (9, (40, 30), 0, RationalQuadraticSpline(4, 4.0, free_edges=True)),
]


def build(features: int, hidden: tuple[int, ...], context: int, univariate: Univariate) -> MaskedAutoregressive:
    rng = torch.Generator().manual_seed(3)
    return MaskedAutoregressive(
        univariate, MADE(features, univariate.per_feature, hidden, context_features=context, generator=rng)
    )


@pytest.mark.parametrize(("features", "hidden", "context", "univariate"), CASES)
def test_equals_one_pass_a_feature(
    features: int, hidden: tuple[int, ...], context: int, univariate: Univariate, rng: torch.Generator
) -> None:
    maf = build(features, hidden, context, univariate)
    z = torch.randn(50, features, generator=rng)
    c = torch.randn(50, context, generator=rng) if context else None
    with torch.no_grad():
        x, ladj = maf.inverse(z, c)
        textbook = z
        for _ in range(features):
            parameters = maf.made(textbook, c).view(len(z), features, -1).transpose(1, 2)
            textbook, terms = univariate.inverse(z, parameters)
    torch.testing.assert_close(x, textbook, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ladj, terms.sum(-1), rtol=1e-10, atol=1e-10)


def test_inverse_with_gradients_has_the_same_values_and_right_gradients() -> None:
    maf = build(4, (8, 8), 2, RationalQuadraticSpline(6, 4.0))
    z = torch.tensor([[0.3, -1.2, 2.0, 0.1], [0.0, 0.4, -3.0, 1.0]], requires_grad=True)
    c = torch.tensor([[0.1, 0.2], [-0.4, 1.0]], requires_grad=True)
    with torch.no_grad():
        fast = maf.inverse(z, c)
    slow = maf.inverse(z, c)
    torch.testing.assert_close(fast[0], slow[0])
    assert slow[0].requires_grad
    assert torch.autograd.gradcheck(lambda z, c: maf.inverse(z, c), (z, c), atol=1e-5)


@pytest.mark.parametrize("change", ["step", "load", "dtype", "copy"])
def test_the_inverse_follows_the_weights(change: str, rng: torch.Generator) -> None:
    maf = build(6, (8, 8), 0, Affine())
    x = torch.randn(5, 6, generator=rng)
    with torch.no_grad():
        maf.inverse(x)
        if change == "step":
            for parameter in maf.parameters():
                parameter.add_(0.1)
        elif change == "load":
            maf.load_state_dict({name: 1.1 * value for name, value in maf.state_dict().items()})
        elif change == "dtype":
            maf, x = maf.float(), x.float()
        else:
            maf = copy.deepcopy(maf)
            maf.made.layers[0].weight.mul_(2.0)
        z, _ = maf(x)
        torch.testing.assert_close(maf.inverse(z)[0], x, rtol=1e-4, atol=1e-4)


def test_one_step_for_features_that_see_the_same_units() -> None:
    made = MADE(100, 2, (10, 10))
    assert len(made.staircase().groups) == 10
    assert made.staircase().groups[-1] == (90, 100)


def test_degrees_are_spread_over_all_features() -> None:
    for units, features in ((3, 10), (10, 10), (25, 10), (378, 504)):
        degrees = spread_degrees(units, features)
        assert degrees[0] == 0
        assert degrees.max() < features
        assert features - degrees.max() <= -(-features // units)
        assert (degrees.diff() >= 0).all()


def test_parameters_of_a_feature_see_only_earlier_features() -> None:
    made = MADE(6, 3, (20, 15), activation=torch.tanh, generator=torch.Generator().manual_seed(0))
    jacobian = torch.autograd.functional.jacobian(
        lambda x: made(x)[0].view(6, 3), torch.randn(1, 6)
    ).squeeze()  # (6, 3, 6)
    seen = jacobian.abs().sum(1) > 0
    assert torch.equal(seen, torch.ones(6, 6).tril(-1).bool())


def test_the_first_feature_sees_the_context() -> None:
    """nflows hides the context from the first feature; ours does not."""
    made = MADE(4, 2, (16, 16), context_features=1, generator=torch.Generator().manual_seed(0))
    c = torch.linspace(-2, 2, 9)[:, None]
    first = made(torch.zeros(9, 4), c)[:, :2]
    assert first.std(0).min() > 1e-3
    bends = first.diff(n=2, dim=0).abs().max()
    assert bends > 1e-4, "and not only linearly"
