"""The integrals of the processes against other ways of calculating them, and against plain Monte Carlo."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import dblquad, quad, simpson, trapezoid

from hepflows.applications.integration.integrand import Integrand
from hepflows.applications.integration.phasespace import PartonFractions, PowerLaw, Rambo, mass_squared
from hepflows.applications.integration.processes import (
    PROCESSES,
    cascade,
    drell_yan,
    drell_yan_partonic,
    ee3j_2d,
    ee3j_5d,
    initial_partons,
    vector_pair,
    vector_pair_flat,
)
from hepflows.applications.integration.processes.couplings import PICOBARN, Electroweak
from hepflows.applications.integration.processes.lepton_pairs import parton_density, total_rate
from hepflows.applications.integration.processes.three_jets import durham_truth, jade_truth
from hepflows.applications.integration.processes.vector_pairs import matrix_element
from hepflows.errors import DomainError


def monte_carlo(f: Integrand, n: int, seed: int = 7) -> tuple[float, float]:
    low, high = np.array(f.bounds).T
    x = np.random.default_rng(seed).uniform(low, high, (n, f.dimension))
    values = f(x) * np.prod(high - low)
    return float(values.mean()), float(values.std() / n**0.5)


# with parameters for which plain sampling has a small, finite variance
@pytest.mark.parametrize(
    ("f", "n", "precise"),
    [
        (ee3j_2d(0.05), 100_000, 0.02),
        (ee3j_5d(), 100_000, 0.01),
        (drell_yan_partonic(), 20_000, 0.01),
        (drell_yan(theory=Electroweak(z_width=20.0, zprime_width=200.0)), 100_000, 0.02),
        (vector_pair(), 20_000, 0.01),
        (vector_pair(correlation=-1.0), 20_000, 0.01),
        (vector_pair(energy=150.0, first=(80.0, 2.0), second=(40.0, 3.0)), 20_000, 0.01),
        (vector_pair_flat(first=(80.0, 20.0), second=(60.0, 30.0)), 60_000, 0.02),
        (cascade(3, power=0.3), 20_000, 0.01),
        (cascade(5, power=0.3), 20_000, 0.02),
        (cascade(6, power=0.25), 20_000, 0.02),
    ],
    ids=lambda value: value.name if isinstance(value, Integrand) else "",
)
def test_plain_monte_carlo_agrees(f: Integrand, n: int, precise: float) -> None:
    value, error = monte_carlo(f, n)
    assert error < precise * f.truth
    assert abs(value - f.truth) < 4 * error


@pytest.mark.parametrize("name", PROCESSES)
def test_every_process_is_complete(name: str) -> None:
    f = PROCESSES[name]()
    assert f.name == name
    assert f.summary
    low, high = np.array(f.bounds).T
    rng = np.random.default_rng(4)
    inside = rng.uniform(low, high, (2000, f.dimension))
    corners = np.where(rng.integers(0, 2, (200, f.dimension)) == 1, high, low)
    values, at_corners = f(inside), f(corners)
    assert values.shape == (2000,)
    assert np.all(np.isfinite(values))
    assert np.all(np.isfinite(at_corners))
    assert np.all(values >= 0)
    p = f.momenta(inside)
    assert p.shape == (2000, len(f.particles), 4)
    assert np.all(np.isfinite(f.momenta(corners)))
    # what the particles have together is that of the collision: nothing across the beams, and all particles on shell
    counts = values > 0
    total = p[counts].sum(axis=1)
    assert np.abs(total[:, 1:3]).max() < 1e-12 * total[:, 0].max()
    assert np.abs(mass_squared(p[counts])).max() < 1e-12 * (p[..., 0] ** 2).max()
    if name != "drell_yan":
        assert np.ptp(total[:, 0]) < 1e-12 * total[0, 0]
        assert np.abs(total[:, 3]).max() < 1e-12 * total[0, 0]


@pytest.mark.parametrize(
    ("y", "expected"),
    [(0.001, 73.938830208249), (0.01, 27.940636884691), (0.05, 8.647683105626), (0.2, 0.766864414377)],
)
def test_jade_cut_has_the_known_integral(y: float, expected: float) -> None:
    assert jade_truth(y) == pytest.approx(expected, rel=1e-11)
    nested = quad(
        lambda a: quad(lambda b: ((1 - a) ** 2 + (1 - b) ** 2) / (a * b), y, 1 - a - y, epsrel=1e-10)[0],
        y,
        1 - 2 * y,
        epsrel=1e-9,
    )[0]
    assert nested == pytest.approx(expected, rel=1e-8)


def test_durham_cut_has_the_known_integral() -> None:
    assert durham_truth(0.005) == pytest.approx(16.7153423658, rel=1e-11)


@pytest.mark.parametrize("y", [0.0005, 0.05, 0.2, 0.3])
def test_durham_integral_agrees_with_a_grid(y: float) -> None:
    """The midpoint rule over the integrand itself, at an angle factor of one: another way to the allowed region."""
    n = 2000
    # logarithmic coordinates in both denominators, down to where the cut allows nothing
    least = y / 2
    t = (np.arange(n) + 0.5) / n * math.log(1 / least)
    a, b = np.meshgrid(least * np.exp(t), least * np.exp(t), indexing="ij")
    x1, x2, x3 = 1 - a, 1 - b, a + b

    def resolution(x: np.ndarray, z: np.ndarray, invariant: np.ndarray) -> np.ndarray:
        return np.minimum(x, z) / np.maximum(x, z) * invariant

    allowed = (x3 < 1) & (resolution(x1, x2, 1 - x3) > y) & (resolution(x1, x3, b) > y) & (resolution(x2, x3, a) > y)
    grid = np.where(allowed, x1**2 + x2**2, 0.0).sum() * (math.log(1 / least) / n) ** 2
    assert durham_truth(y) == pytest.approx(grid, rel=3e-3)


def test_three_jets_have_the_momenta_that_their_integrand_means() -> None:
    f = ee3j_5d(energy=100.0)
    u = np.random.default_rng(6).uniform(size=(2000, 5))
    p = f.momenta(u)
    x, c = p[..., 0] / 50.0, p[..., 3] / p[..., 0]
    s = [mass_squared(p[:, i] + p[:, j]) / 1e4 for i, j in ((1, 2), (0, 2), (0, 1))]
    np.testing.assert_allclose(np.stack(s, 1), 1 - x, atol=1e-12)
    weight = (
        0.75 * (x[:, 0] ** 2 * (1 + c[:, 0] ** 2) + x[:, 1] ** 2 * (1 + c[:, 1] ** 2)) / (1 - x[:, 0]) / (1 - x[:, 1])
    )
    kept = f(u) > 0
    np.testing.assert_allclose((weight * x[:, 2])[kept], f(u)[kept], rtol=1e-9)
    np.testing.assert_allclose(c[:, 2], 2 * u[:, 2] - 1, atol=1e-12)


def test_photon_alone_gives_the_textbook_cross_section() -> None:
    theory = Electroweak(strength=0.0)
    s = 3.0**2
    # 4 pi alpha^2 Q^2 / (9 s), up to interference with the Z of order s / M^2
    expected = 4 * math.pi * theory.alpha**2 * (2 / 3) ** 2 / (9 * s) * PICOBARN
    assert total_rate(theory, "u", "mu", np.array([s]))[0] == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("quark", ["u", "d"])
def test_at_its_peak_the_z_gives_the_breit_wigner_of_its_widths(quark: str) -> None:
    theory = Electroweak(alpha=1e-6, z_width=1e-4, strength=0.0)  # so narrow that nothing else counts
    width = {
        name: (4 * math.pi * theory.alpha / (theory.sin2 * (1 - theory.sin2)))
        * theory.z_mass
        / (24 * math.pi)
        * ((isospin - charge * theory.sin2) ** 2 + (charge * theory.sin2) ** 2)
        for name, charge, isospin in (("u", 2 / 3, 0.5), ("d", -1 / 3, -0.5), ("mu", -1.0, -0.5))
    }
    # (2J+1) / (2S+1)^2 4 pi / k^2 with k^2 = s/4; one colour in three, which the partial width sums
    peak = 3 / 4 * 16 * math.pi / theory.z_mass**2 * width[quark] * width["mu"] / theory.z_width**2 / 3 * PICOBARN
    assert total_rate(theory, quark, "mu", np.array([theory.z_mass**2]))[0] == pytest.approx(peak, rel=1e-4)


def test_partonic_integral_is_that_of_quadrature() -> None:
    for energy in (60.0, 91.19, 995.0, 1010.0):
        f = drell_yan_partonic(energy, "d")
        over_angle = quad(lambda c, f=f: 2 * math.pi * f(np.array([[c, 0.3]]))[0], -1, 1)[0]
        assert f.truth == pytest.approx(over_angle, rel=1e-12)


def test_hadronic_integral_is_that_of_another_rule() -> None:
    """Simpson's rule in the logarithm of the mass and the trapezoidal rule in rapidity, steps far below the widths."""
    theory = Electroweak()
    log_s = np.linspace(2 * math.log(60.0), 2 * math.log(1500.0), 4001)
    s = np.exp(log_s)
    largest = math.log(13000.0) - log_s / 2
    y = largest[:, None] * np.linspace(-1, 1, 401)
    x1, x2 = (np.sqrt(s)[:, None] / 13000.0 * np.exp(sign * y) for sign in (1, -1))
    total = np.zeros(len(s))
    for q in ("u", "d"):
        first, second = (parton_density(q, x) for x in (x1, x2))
        anti_first, anti_second = (parton_density(q + "bar", x) for x in (x1, x2))
        total += trapezoid(first * anti_second + anti_first * second, y, axis=1) * total_rate(theory, q, "mu", s)
    expected = simpson(total * s / 13000.0**2, x=log_s)
    assert drell_yan(theory=theory).truth == pytest.approx(expected, rel=1e-5)


def test_another_map_of_the_window_leaves_the_integral() -> None:
    theory = Electroweak(z_width=20.0, zprime_width=200.0)
    plain = drell_yan(theory=theory)
    steep = drell_yan(theory=theory, fractions=PartonFractions(13000.0, 60.0, 1500.0, PowerLaw(1.5)))
    value, error = monte_carlo(steep, 50_000)
    assert abs(value - plain.truth) < 4 * error


def test_lepton_pairs_have_the_mass_and_the_rapidity_of_their_partons() -> None:
    f = drell_yan()
    u = np.random.default_rng(8).uniform(size=(1000, 4))
    x1, x2, _ = PartonFractions(13000.0, 60.0, 1500.0).forward(u[:, :2])
    total = f.momenta(u).sum(axis=1)
    np.testing.assert_allclose(total[:, 0] + total[:, 3], 13000.0 * x1, rtol=1e-10)
    np.testing.assert_allclose(total[:, 0] - total[:, 3], 13000.0 * x2, rtol=1e-10)


def test_partons_are_drawn_with_their_shares() -> None:
    """At one point, against the partonic process and the densities."""
    f, u = drell_yan(), np.array([0.2, 0.7, 0.9, 0.3])
    x1, x2, _ = PartonFractions(13000.0, 60.0, 1500.0).forward(u[None, :2])
    mass, cosine = float(13000.0 * np.sqrt(x1 * x2)[0]), 2 * u[2] - 1
    expected = {}
    for quark, code in (("u", 2), ("d", 1)):
        partonic = drell_yan_partonic(mass, quark)
        for sign in (1, -1):
            first, second = (quark, quark + "bar")[::sign]
            luminosity = float(parton_density(first, x1)[0] * parton_density(second, x2)[0])
            expected[sign * code, -sign * code] = luminosity * float(partonic(np.array([[sign * cosine, 0.0]]))[0])
    drawn = initial_partons(np.repeat(f.momenta(u[None]), 40_000, axis=0), np.random.default_rng(10))
    for codes, rate in expected.items():
        share, found = rate / sum(expected.values()), float(np.all(drawn == codes, axis=1).mean())
        assert abs(found - share) < 4 * math.sqrt(share * (1 - share) / len(drawn))
    assert min(expected.values()) > 0.01 * sum(expected.values())


def test_forward_and_backward_differ_as_the_couplings_say() -> None:
    """Below the Z the leptons go backward, above forward: the sign of the interference of photon and Z."""
    asymmetry = []
    for energy in (70.0, 120.0):
        f = drell_yan_partonic(energy, "u", theory=Electroweak(strength=0.0))
        ahead, behind = f(np.array([[0.5, 0.0], [-0.5, 0.0]]))
        asymmetry.append((ahead - behind) / (ahead + behind))
    assert asymmetry[0] < -0.2
    assert asymmetry[1] > 0.2


@pytest.mark.parametrize(
    ("energy", "first", "second"), [(200.0, (80.0, 20.0), (60.0, 30.0)), (100.0, (91.0, 9.0), (91.0, 9.0))]
)
def test_pair_integral_is_that_of_quadrature(
    energy: float, first: tuple[float, float], second: tuple[float, float]
) -> None:
    def shape(m: float, pole: tuple[float, float]) -> float:
        scale = pole[0] * pole[1]
        return scale / ((m**2 - pole[0] ** 2) ** 2 + scale**2) * 2 * m

    def density(m2: float, m1: float) -> float:
        root = (energy**2 - (m1 + m2) ** 2) * (energy**2 - (m1 - m2) ** 2)
        return shape(m1, first) * shape(m2, second) * math.sqrt(max(root, 0.0)) / energy**2

    total = dblquad(density, 0, energy, 0, lambda m: energy - m, epsabs=0, epsrel=1e-9)[0] / math.pi**2
    assert vector_pair(energy, first, second).truth == pytest.approx(total, rel=1e-8)


def test_narrow_pair_gives_the_velocity() -> None:
    f = vector_pair(240.0, (91.19, 1e-5), (91.19, 1e-5))
    assert f.truth == pytest.approx(math.sqrt(1 - (2 * 91.19 / 240) ** 2), rel=1e-5)


def test_both_maps_of_the_pair_have_one_matrix_element() -> None:
    """And it is the formula, in angles that are found by boosting into the rest frames of the pairs."""
    f = vector_pair(correlation=0.7)
    u = np.random.default_rng(9).uniform(size=(2000, 8))
    p = f.momenta(u)
    pole, scale = 91.1876, 91.1876 * 2.4952
    shape = np.prod([scale / ((mass_squared(p[:, i] + p[:, i + 1]) - pole**2) ** 2 + scale**2) for i in (0, 2)], axis=0)
    production, first, second = 2 * u[:, 2] - 1, 2 * u[:, 4] - 1, 2 * u[:, 6] - 1
    # the second pair flies the other way, and about its own direction the sense of azimuths is turned
    x, y = (np.stack([np.cos(2 * np.pi * u[:, k]), np.sin(2 * np.pi * u[:, k])], 1) for k in (5, 7))
    planes = np.einsum("ni,ni->n", x, y * [1, -1])
    decay = (1 + first**2) * (1 + second**2) + 0.7 * (1 - first**2) * (1 - second**2) * (2 * planes**2 - 1)
    expected = 2048 * np.pi**3 * shape * 0.75 * (1 + production**2) * 9 / 16 * decay
    np.testing.assert_allclose(matrix_element(p, correlation=0.7), expected, rtol=1e-6)
    q = vector_pair_flat(correlation=0.7).momenta(u)
    weight = Rambo(200.0, [0.0] * 4).forward(u)[1]
    np.testing.assert_allclose(vector_pair_flat(correlation=0.7)(u), weight * matrix_element(q, correlation=0.7))


def test_cascade_of_three_is_a_quadrature() -> None:
    # one ratio v with the density 2 (1 - v)
    for power in (0.3, 0.9):
        expected = 2 / ((1 - power) * (2 - power))
        assert cascade(3, power=power).truth == pytest.approx(expected, rel=1e-12)
        assert quad(lambda v: 2 * (1 - v), 0, 1, weight="alg", wvar=(-power, 0))[0] == pytest.approx(expected, rel=1e-9)


def test_mistakes_are_told() -> None:
    for wrong in (
        lambda: ee3j_2d(0.5),
        lambda: ee3j_5d(0.0),
        lambda: drell_yan_partonic(-1.0),
        lambda: drell_yan_partonic(quark="top"),
        lambda: drell_yan(low=10.0, high=5.0),
        lambda: drell_yan(fractions=PartonFractions(13000.0, 50.0, 1500.0)),
        lambda: vector_pair(correlation=2.0),
        lambda: vector_pair_flat(first=(80.0, 0.0)),
        lambda: cascade(5, power=1.0),
        lambda: cascade(2),
        lambda: Electroweak(sin2=1.5),
    ):
        with pytest.raises(DomainError):
            wrong()
