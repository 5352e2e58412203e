"""What the tests of nflows ask of its transforms, asked of ours."""

from __future__ import annotations

import pytest
import torch
from nflows import transforms
from nflows.distributions.normal import StandardNormal
from nflows.flows.base import Flow as TheirFlow
from nflows.nn.nets import ResidualNet
from nflows_table import CDFS, CONTEXT, COUPLINGS, FEATURES, MASK, NETWORKS, TABLE, build, points

from hepflows.bijections import BatchNorm, Coupling, RationalQuadraticSpline
from hepflows.errors import DomainError
from hepflows.nflows_adapter import from_nflows

NAMES = list(TABLE)
MASKED = [name for name in NAMES if name.startswith("masked")]
KEPT = torch.tensor(MASK) == 0


@pytest.mark.parametrize("name", NAMES)
def test_forward_and_inverse_are_consistent(name: str) -> None:
    ours, (x, context) = from_nflows(build(name)), points(name, 100)
    with torch.no_grad():
        z, ladj = ours(x, context)
        back, back_ladj = ours.inverse(z, context)
    assert z.shape == x.shape
    assert ladj.shape == (100,)
    assert torch.isfinite(z).all()
    assert torch.isfinite(ladj).all()
    torch.testing.assert_close(back, x, rtol=0, atol=1e-9)
    torch.testing.assert_close(back_ladj, -ladj, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_log_determinant_is_that_of_the_jacobian(name: str) -> None:
    ours, (x, context) = from_nflows(build(name)), points(name, 5)
    x, context = x[2:], None if context is None else context[2:]  # the first two stand on an edge
    z, ladj = ours(x, context)
    for function, at, want in ((ours.forward, x, ladj), (ours.inverse, z.detach(), -ladj)):
        for i in range(len(x)):
            row = None if context is None else context[i : i + 1]
            jacobian = torch.autograd.functional.jacobian(lambda y, f=function, c=row: f(y[None], c)[0][0], at[i])
            torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], want[i], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", COUPLINGS)
def test_a_coupling_leaves_the_other_features_alone(kind: str) -> None:
    name = f"coupling {kind}, residual, context"
    ours, (x, context) = from_nflows(build(name)), points(name, 50)
    for function in (ours.forward, ours.inverse):
        z, ladj = function(x, context)
        assert torch.equal(z[:, KEPT], x[:, KEPT])
        assert (z[2:, ~KEPT] - x[2:, ~KEPT]).abs().max() > 0.02
        assert (ladj == 0).all() == (kind == "additive")


@pytest.mark.parametrize("kind", [kind for kind in CDFS if kind in COUPLINGS])
def test_an_unconditional_transform_maps_the_other_features(kind: str) -> None:
    name = f"coupling {kind}, unconditional too"
    ours, (x, context) = from_nflows(build(name)), points(name, 50)
    z, _ = ours(x, context)
    assert (z[2:, KEPT] != x[2:, KEPT]).double().mean() > 0.5
    other, _ = ours(x, context + 1)
    assert torch.equal(z[:, KEPT], other[:, KEPT])


@pytest.mark.parametrize("name", MASKED)
def test_a_feature_depends_on_itself_and_those_before_it(name: str) -> None:
    ours, (x, context) = from_nflows(build(name)), points(name, 30)
    x, context = x[2:], None if context is None else context[2:]
    seen = torch.zeros(FEATURES, FEATURES, dtype=torch.bool)
    for i in range(len(x)):
        row = None if context is None else context[i : i + 1]
        jacobian = torch.autograd.functional.jacobian(lambda y, c=row: ours(y[None], c)[0][0], x[i])
        seen |= jacobian != 0
    assert not seen.triu(1).any()
    assert seen.diagonal().all()
    if "random mask" not in name:
        assert torch.equal(seen, torch.ones_like(seen).tril())  # and on all of them


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("context", [None, CONTEXT])
def test_networks_are_the_same_functions_and_see_earlier_features_only(network: str, context: int | None) -> None:
    torch.manual_seed(0)
    features, options = 10, {"num_blocks": 4, **NETWORKS[network]}
    theirs = transforms.MaskedAffineAutoregressiveTransform(features, 50, context, **options)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    made = from_nflows(theirs).made
    x, c = torch.randn(7, features), None if context is None else torch.randn(7, context)
    want = theirs.autoregressive_net(x, c).view(7, features, 2).flip(2).reshape(7, -1)  # (scale, shift) there
    torch.testing.assert_close(made(x, c), want, rtol=1e-10, atol=1e-12)
    jacobian = torch.autograd.functional.jacobian(lambda y: made(y, c).sum(0), x).sum(1)
    seen = (jacobian != 0).view(features, 2, features).any(1)
    allowed = torch.ones(features, features).tril(-1).bool()
    assert torch.equal(seen, allowed) if network != "random mask" else not (seen & ~allowed).any()


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("permutation")])
def test_permutations_permute(name: str) -> None:
    theirs, (x, _) = build(name), points(name, 20)
    ours = from_nflows(theirs)
    z, ladj = ours(x)
    assert torch.equal(z, x[:, theirs._permutation])
    assert torch.equal(ours.inverse(z)[0], x)
    assert (ladj == 0).all()
    assert (z != x).any()


def test_lu_is_its_matrix() -> None:
    theirs, (x, _) = build("lu"), points("lu", 20)
    with torch.no_grad():
        matrix, inverse, log_determinant = theirs.weight(), theirs.weight_inverse(), theirs.logabsdet()
        z, ladj = from_nflows(theirs)(x)
        back, back_ladj = from_nflows(theirs).inverse(x)
    torch.testing.assert_close(z, x @ matrix.T + theirs.bias)
    torch.testing.assert_close(back, (x - theirs.bias) @ inverse.T)
    torch.testing.assert_close(inverse @ matrix, torch.eye(FEATURES))
    for got in (ladj, -back_ladj, torch.linalg.slogdet(matrix)[1].expand(20)):
        torch.testing.assert_close(got, log_determinant.expand(20))


def test_batch_norm_uses_the_moments_of_the_batch_and_follows_them(rng: torch.Generator) -> None:
    theirs = transforms.BatchNorm(4, momentum=0.3).double()
    ours = from_nflows(theirs)
    norm = BatchNorm(4, momentum=0.3).double()
    for _ in range(5):
        x = (3 + 2 * torch.randn(50, 4, generator=rng)).requires_grad_()
        gradients = []
        for model in (ours, theirs):
            z, ladj = model(x)
            torch.testing.assert_close(z, (x - x.mean(0)) / (x.var(0) + 1e-5).sqrt(), rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(ladj, (-0.5 * (x.var(0) + 1e-5).log()).sum().expand(50))
            gradients += torch.autograd.grad((z**3).sum() + ladj.sum(), x)
        torch.testing.assert_close(*gradients)
        norm(x)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(norm.running_mean, theirs.running_mean)
    # ours starts from a variance of one, nflows from zero
    torch.testing.assert_close(norm.running_var, theirs.running_var + 0.7**5)
    before = ours.running_mean.clone()
    for got, want in zip(ours.eval()(x), theirs.eval()(x), strict=True):
        torch.testing.assert_close(got, want)
    assert torch.equal(ours.running_mean, before)
    torch.testing.assert_close(ours.inverse(ours(x)[0])[0], x)


def test_batch_norm_has_no_inverse_in_training() -> None:
    norm = BatchNorm(3)
    with pytest.raises(DomainError, match=r"no inverse in training.*\.eval\(\)"):
        norm.inverse(torch.zeros(5, 3))
    with pytest.raises(DomainError, match="at least 2 events"):
        norm(torch.zeros(1, 3))
    with pytest.raises(DomainError, match="epsilon in"):
        BatchNorm(3, epsilon=0.0)
    assert norm.eval().inverse(torch.zeros(1, 3))[0].shape == (1, 3)
    torch.testing.assert_close(norm(torch.ones(2, 3))[0], torch.ones(2, 3), rtol=1e-5, atol=0)


def test_a_composite_applies_its_parts_in_order() -> None:
    double = transforms.PointwiseAffineTransform(torch.tensor(0.0), torch.tensor(2.0))
    shift = transforms.PointwiseAffineTransform(torch.tensor(1.0), torch.tensor(1.0))
    x = torch.tensor([[1.0, 10.0]])
    for parts, want in (((double, shift), [[3.0, 21.0]]), ((shift, double), [[4.0, 22.0]])):
        theirs = transforms.CompositeTransform([*parts, transforms.ReversePermutation(2)])
        ours = from_nflows(theirs)
        z, ladj = ours(x)
        assert torch.equal(z, torch.tensor(want).flip(1))
        assert torch.equal(ours.inverse(z)[0], x)
        torch.testing.assert_close(ladj, torch.tensor([2 * 2.0]).log())
        torch.testing.assert_close(ours.inverse(z)[1], -ladj)


def test_an_inverse_transform_swaps_the_directions() -> None:
    theirs, (x, context) = build("composite"), points("composite", 20)
    plain, swapped = from_nflows(theirs), from_nflows(transforms.InverseTransform(theirs))
    with torch.no_grad():
        for one, other in ((plain.forward, swapped.inverse), (plain.inverse, swapped.forward)):
            for got, want in zip(other(x, context), one(x, context), strict=True):
                assert torch.equal(got, want)


@pytest.mark.parametrize("kind", [kind for kind in CDFS if "box" in kind])
def test_splines_without_tails_map_the_unit_interval_and_nothing_else(kind: str) -> None:
    ours = from_nflows(build(f"cdf {kind}"))
    for value in (-1.0, -1e-6, 1.1, 2.0):
        for function in (ours.forward, ours.inverse):
            x = torch.full((10, FEATURES), 0.5)
            x[7, 2] = value
            with pytest.raises(DomainError, match=r"takes values in \[0, 1\] only, got (0\.5 to|-)"):
                function(x)
    for value in (0.0, 1.0):
        for function in (ours.forward, ours.inverse):
            torch.testing.assert_close(function(torch.full((3, FEATURES), value))[0], torch.full((3, FEATURES), value))


@pytest.mark.parametrize("name", [name for name in NAMES if "box" in name and not name.startswith("cdf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # compiled kernels are of single precision
def test_inside_networks_too(name: str, dtype: torch.dtype) -> None:
    ours, (x, context) = from_nflows(build(name, dtype)), points(name, 5, dtype=dtype)
    x[3] = 1.5
    for function in (ours.forward, ours.inverse):
        with pytest.raises(DomainError, match=r"takes values in \[0, 1\] only"):
            function(x, context)


@pytest.mark.parametrize("kind", [kind for kind in CDFS if "box" not in kind])
def test_tails_are_exactly_the_identity(kind: str) -> None:
    ours = from_nflows(build(f"cdf {kind}"))
    x = torch.tensor([-1e6, -7.0, -2.5000001, 2.5000001, 3.0, 1e6])[:, None].expand(-1, FEATURES)
    for function in (ours.forward, ours.inverse):
        z, ladj = function(x)
        assert torch.equal(z, x)
        assert (ladj == 0).all()
    inside, ladj = ours(x / 1e6 + 0.3)
    assert (inside != x / 1e6 + 0.3).any()
    assert (ladj != 0).any()


def test_rational_quadratic_splines_start_as_the_identity_where_asked() -> None:
    for options in ({}, {"tails": "linear", "tail_bound": 2.0}):
        theirs = transforms.PiecewiseRationalQuadraticCDF([3], identity_init=True, **options)
        x = torch.linspace(0, 1, 30).view(10, 3)
        z, ladj = from_nflows(theirs)(x)
        torch.testing.assert_close(z, x, rtol=0, atol=1e-12)
        torch.testing.assert_close(ladj, torch.zeros(10), rtol=0, atol=1e-12)


def test_our_inverse_of_a_linear_spline_is_the_right_one() -> None:
    """nflows moves its last knot by 1e-6 before it inverts; ours undoes the forward that both share."""
    theirs = build("cdf linear box")
    x = torch.linspace(0.9, 0.999, 60).view(10, FEATURES)
    with torch.no_grad():
        z, _ = theirs(x)
        ours_off, theirs_off = ((model.inverse(z)[0] - x).abs().max() for model in (from_nflows(theirs), theirs))
    assert ours_off < 1e-13
    assert 1e-8 < theirs_off < 1e-4


def test_samples_and_their_densities(rng: torch.Generator) -> None:
    theirs = TheirFlow(build("composite"), StandardNormal([FEATURES]))
    ours = from_nflows(theirs)
    context = torch.randn(5, CONTEXT, generator=rng)
    x, log_prob = ours.sample_and_log_prob(7, context, generator=rng)
    assert x.shape == (7, 5, FEATURES)
    assert log_prob.shape == (7, 5)
    with torch.no_grad():
        torch.testing.assert_close(log_prob, ours.log_prob(x, context), rtol=1e-8, atol=1e-8)
        rows = theirs.log_prob(x.flatten(0, 1), context.repeat(7, 1))
        torch.testing.assert_close(log_prob.flatten(), rows, rtol=1e-8, atol=1e-8)
    free = from_nflows(TheirFlow(build("masked affine, residual"), StandardNormal([FEATURES])))
    assert free.sample(7, generator=rng).shape == (7, FEATURES)
    first = ours.sample(4, context, generator=torch.Generator().manual_seed(1))
    again = ours.sample(4, context, generator=torch.Generator().manual_seed(1))
    assert torch.equal(first, again)


def test_masks_decide_which_features_a_coupling_maps() -> None:
    for mask in ([1, 0, 0], [-1, 1, 1], torch.tensor([0.0, 0.5, -2.0])):
        theirs = transforms.AffineCouplingTransform(mask, lambda i, o: ResidualNet(i, o, 8))
        ours = from_nflows(theirs)
        assert isinstance(ours, Coupling)
        assert torch.equal(ours.mapped, theirs.transform_features)
        assert torch.equal(ours.kept, theirs.identity_features)


def test_options_of_splines_are_checked() -> None:
    for options, message in (
        ({"outside": "clamp"}, "outside must be one of"),
        ({"min_width": 0.2}, r"min_width must be between 0 and 1/bins = 0\.125, got 0\.2"),
        ({"min_derivative": 1.0}, "min_derivative must be between 0 and 1"),
        ({"bins": 1}, "at least 2 bins"),
    ):
        with pytest.raises(DomainError, match=message):
            RationalQuadraticSpline(**options)
    spline = RationalQuadraticSpline(minimum=0.01, min_height=0.02)
    assert (spline.min_width, spline.min_height, spline.min_derivative) == (0.01, 0.02, 0.01)
