"""Phase space against closed forms, quadrature, conservation laws and its own inverse."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest

from hepflows.applications.integration.phasespace import (
    Branch,
    BreitWigner,
    InvariantMap,
    PartonFractions,
    PhaseSpace,
    PowerLaw,
    Rambo,
    Sequential,
    mass_squared,
    massless_volume,
    two_body_momentum,
)
from hepflows.applications.integration.phasespace.kinematics import angles, direction
from hepflows.errors import DomainError, ShapeError

W = BreitWigner(80.4, 2.1)

SPACES: dict[str, PhaseSpace] = {
    "two": Rambo(91.0, [0.0, 0.0]),
    "two massive": Rambo(91.0, [5.0, 40.0]),
    "three": Rambo(91.0, [0.0] * 3),
    "six": Rambo(500.0, [0.0] * 6),
    "three massive": Rambo(91.0, [10.0, 20.0, 30.0]),
    "four mixed": Rambo(91.0, [0.0, 5.0, 10.0, 3.0]),
    "chain": Sequential(91.0, Branch(10.0, Branch(20.0, 30.0))),
    "pair": Sequential(200.0, Branch(Branch(0.0, 0.0, W), Branch(0.0, 0.0, W))),
    "deep": Sequential(
        200.0, Branch(Branch(Branch(1.0, 2.0), 5.0, PowerLaw(0.5)), Branch(0.0, 3.0, PowerLaw(1.0, 10.0)))
    ),
}


def points(space: PhaseSpace, n: int = 20_000, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=(n, space.dimension))


def three_body_volume(energy: float, masses: list[float]) -> float:
    """One quadrature over the mass of the last two, with the two-body phase space p / (4 pi M) on either side."""
    first, second, third = masses

    def integrand(m: float) -> float:
        outer = two_body_momentum(energy, first, m) / (4 * np.pi * energy)
        return float(outer * two_body_momentum(m, second, third) / (4 * np.pi * m) * 2 * m / (2 * np.pi))

    return float(quad(integrand, second + third, energy - first, epsabs=0, epsrel=1e-10)[0])


@pytest.mark.parametrize("name", SPACES)
def test_momenta_are_conserved_and_on_shell(name: str) -> None:
    space = SPACES[name]
    p, weight = space.forward(points(space))
    assert np.abs(p.sum(axis=1) - [space.energy, 0, 0, 0]).max() < 1e-12 * space.energy
    assert np.abs(mass_squared(p) - np.square(space.masses)).max() < 1e-12 * space.energy**2
    assert np.all(p[..., 0] >= 0)
    assert np.all(weight > 0)


@pytest.mark.parametrize("name", SPACES)
def test_inverse_undoes_forward(name: str) -> None:
    space = SPACES[name]
    u = points(space)
    p, weight = space.forward(u)
    back, same = space.inverse(p)
    assert np.abs(back - u).max() < 1e-9
    np.testing.assert_allclose(same, weight, rtol=1e-7)
    np.testing.assert_allclose(space.density(p) * weight, 1.0, rtol=1e-7)


@pytest.mark.parametrize("name", SPACES)
def test_corners_of_the_hypercube_give_finite_events(name: str) -> None:
    space = SPACES[name]
    rng = np.random.default_rng(2)
    u = np.concatenate(
        [rng.integers(0, 2, size=(500, space.dimension)).astype(float), np.full((1, space.dimension), 0.5)]
    )
    p, weight = space.forward(u)
    assert np.all(np.isfinite(p))
    assert np.all(np.isfinite(weight))
    assert np.abs(p.sum(axis=1) - [space.energy, 0, 0, 0]).max() < 1e-6 * space.energy
    assert all(np.all(np.isfinite(part)) for part in space.inverse(p))


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8])
def test_massless_weight_is_the_volume(n: int) -> None:
    weight = Rambo(91.0, [0.0] * n).forward(np.full((2, 3 * n - 4), 0.3))[1]
    assert weight == pytest.approx(massless_volume(n, 91.0))


def test_massless_volumes_are_the_known_ones() -> None:
    assert massless_volume(2, 10.0) == pytest.approx(1 / (8 * np.pi), rel=1e-14)
    assert massless_volume(3, 10.0) == pytest.approx(100.0 / (256 * np.pi**3), rel=1e-14)
    # one particle more is one quadrature more, over the mass squared of the others
    more = quad(lambda s: massless_volume(3, s**0.5) * (100 - s) / (8 * np.pi * 100) / (2 * np.pi), 0, 100)[0]
    assert massless_volume(4, 10.0) == pytest.approx(more, rel=1e-10)


@pytest.mark.parametrize(
    "make", [lambda m: Rambo(91.0, m), lambda m: Sequential(91.0, Branch(m[0], Branch(m[1], m[2])))]
)
@pytest.mark.parametrize("masses", [[10.0, 20.0, 30.0], [0.0, 40.0, 1.0], [0.0, 0.0, 90.0]])
def test_massive_volume_is_that_of_quadrature(make: object, masses: list[float]) -> None:
    space = make(masses)  # type: ignore[operator]
    weight = space.forward(points(space))[1]
    error = weight.std() / len(weight) ** 0.5
    assert error < 0.01 * weight.mean()
    assert abs(weight.mean() - three_body_volume(91.0, masses)) < 4 * error


def test_two_body_volume_is_exact() -> None:
    space = SPACES["two massive"]
    expected = two_body_momentum(91.0, 5.0, 40.0) / (4 * np.pi * 91.0)
    np.testing.assert_allclose(space.forward(points(space, 10))[1], expected, rtol=1e-13)


@pytest.mark.parametrize("name", ["three", "six", "four mixed", "chain", "pair"])
def test_directions_are_isotropic(name: str) -> None:
    space = SPACES[name]
    p, weight = space.forward(points(space, 8000))
    keep = np.random.default_rng(3).uniform(size=len(p)) * weight.max() < weight  # to unit weight
    for particle in range(p.shape[1]):
        cosine, azimuth = angles(p[keep, particle, 1:])
        assert kstest(cosine, "uniform", (-1, 2)).pvalue > 1e-4
        assert kstest(azimuth, "uniform", (0, 2 * np.pi)).pvalue > 1e-4


def test_energy_fractions_of_three_massless_particles_are_flat() -> None:
    p, _ = SPACES["three"].forward(points(SPACES["three"]))
    x = 2 * p[..., 0] / 91.0
    # the triangle 0 < x1, x2 < 1 < x1 + x2 has the distribution function x1^2 and, at given x1, a flat x2
    for i, j in ((0, 1), (1, 2), (2, 0)):
        assert kstest(x[:, i], lambda t: t**2).pvalue > 1e-4
        assert kstest((x[:, j] - 1 + x[:, i]) / x[:, i], "uniform").pvalue > 1e-4


def test_all_maps_of_one_phase_space_give_one_integral() -> None:
    """A resonance between the first two particles, integrated with four maps and with two of them as channels."""
    tree = Branch(Branch(0.0, 0.0, W), Branch(0.0, 0.0))
    other = Branch(0.0, Branch(0.0, Branch(0.0, 0.0, PowerLaw(0.3))))
    spaces = [Rambo(200.0, [0.0] * 4), Sequential(200.0, tree), Sequential(200.0, other)]

    def f(p: np.ndarray) -> np.ndarray:
        s = mass_squared(p[:, 0] + p[:, 1])
        return 1 / ((s - 80.4**2) ** 2 + (80.4 * 20) ** 2) * (1 + p[:, 2, 3] ** 2 / p[:, 2, 0] ** 2)

    # quadrature: the second factor averages to 4/3, the other two particles have the flat volume of a pair
    def flat(s: float) -> float:
        rest = quad(lambda t: two_body_momentum(200.0, s**0.5, t**0.5), 0, (200 - s**0.5) ** 2, epsrel=1e-9)[0]
        return float(rest / (4 * np.pi * 200.0) / (8 * np.pi) ** 2 / (2 * np.pi) ** 2)

    edges = [0.0, 80.4**2, 200.0**2]
    truth = sum(
        quad(lambda s: flat(s) * 4 / 3 / ((s - 80.4**2) ** 2 + (80.4 * 20) ** 2), a, b, epsrel=1e-7)[0]
        for a, b in itertools.pairwise(edges)
    )
    samples = [space.forward(points(space, 20_000, seed)) for seed, space in enumerate(spaces)]
    values = [weight * f(p) for p, weight in samples]
    mixed = np.concatenate([p for p, _ in samples[1:]])
    values.append(f(mixed) / (0.5 * spaces[1].density(mixed) + 0.5 * spaces[2].density(mixed)))
    for value in values:
        error = value.std() / len(value) ** 0.5
        assert error < 0.02 * truth
        assert abs(value.mean() - truth) < 4 * error


@pytest.mark.parametrize(
    ("shape", "density"),
    [
        (BreitWigner(80.4, 2.1), lambda s: 1 / ((s - 80.4**2) ** 2 + (80.4 * 2.1) ** 2)),
        (PowerLaw(), lambda s: 1.0),
        (PowerLaw(1.0), lambda s: 1 / s),
        (PowerLaw(0.7, 3.0), lambda s: (s + 3) ** -0.7),
        (PowerLaw(2.0), lambda s: s**-2.0),
    ],
)
def test_invariants_follow_their_density(shape: InvariantMap, density: object) -> None:
    low, high = 30.0**2, 120.0**2
    u = np.linspace(0, 1, 101)
    s, slope = shape.forward(u, np.array(low), np.array(high))
    assert s[0] == pytest.approx(low)
    assert s[-1] == pytest.approx(high)
    total = quad(density, low, high, points=[80.4**2], limit=200)[0]  # type: ignore[arg-type]
    np.testing.assert_allclose(slope * [density(one) for one in s], total, rtol=1e-7)  # type: ignore[operator]
    back, same = shape.inverse(s, np.array(low), np.array(high))
    np.testing.assert_allclose(back, u, atol=1e-11)
    np.testing.assert_allclose(same, slope, rtol=1e-12)


def test_parton_fractions_cover_their_window() -> None:
    window = PartonFractions(100.0, 20.0, 50.0)
    u = points(SPACES["three"])[:, :2]
    x1, x2, weight = window.forward(u)
    np.testing.assert_allclose(window.inverse(x1, x2)[0], u, atol=1e-10)
    np.testing.assert_allclose(window.inverse(x1, x2)[1], weight, rtol=1e-10)
    # the area between the hyperbolas x1 x2 = a and b within the unit square is b - b ln b - (a - a ln a)
    a, b = 0.04, 0.25
    area, error = weight.mean(), weight.std() / len(weight) ** 0.5
    assert abs(area - (b - b * np.log(b) - a + a * np.log(a))) < 4 * error
    # and the mean of x1 over it, from int dx1 dx2 x1 = (b - a) - (b^2 - a^2) / 2 - int of the corner
    first = quad(lambda x: x * (min(b / x, 1) - min(a / x, 1)), a, 1, points=[b])[0]
    value = weight * x1
    assert abs(value.mean() - first) < 4 * value.std() / len(value) ** 0.5


def test_direction_and_angles_are_inverse() -> None:
    rng = np.random.default_rng(5)
    axis, cosine, azimuth = rng.normal(size=(100, 3)), rng.uniform(-1, 1, 100), rng.uniform(0, 2 * np.pi, 100)
    axis[0], axis[1], axis[2] = 0.0, (0, 0, 1), (0, 0, -1)
    rays = direction(cosine, azimuth, axis)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1, rtol=1e-14)
    along = np.einsum("ni,ni->n", rays, axis)
    np.testing.assert_allclose(along[1:], cosine[1:] * np.linalg.norm(axis[1:], axis=1), atol=1e-14)
    back = angles(rays, axis)
    np.testing.assert_allclose(back[0], cosine, atol=1e-13)
    np.testing.assert_allclose(back[1], azimuth, atol=1e-10)


def test_mistakes_are_told() -> None:
    with pytest.raises(DomainError, match="above the sum of the masses"):
        Rambo(10.0, [6.0, 5.0])
    with pytest.raises(DomainError, match="two or more"):
        Rambo(10.0, [6.0])
    with pytest.raises(ShapeError, match=r"\(n, 5\)"):
        Rambo(10.0, [0.0] * 3).forward(np.zeros((2, 4)))
    with pytest.raises(DomainError, match="unit hypercube"):
        Rambo(10.0, [0.0] * 3).forward(np.full((2, 5), np.nan))
    with pytest.raises(DomainError, match="add up"):
        Rambo(10.0, [0.0] * 2).inverse(np.ones((1, 2, 4)))
    with pytest.raises(DomainError, match="power law"):
        Sequential(10.0, Branch(0.0, Branch(0.0, 0.0, PowerLaw(1.0)))).forward(np.full((1, 5), 0.5))
    with pytest.raises(DomainError, match="must rise"):
        PartonFractions(100.0, 50.0, 20.0)
    with pytest.raises(DomainError, match="positive"):
        BreitWigner(91.0, 0.0)
