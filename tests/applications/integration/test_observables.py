"""Event shapes against closed forms, other algorithms and invariances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hepflows.applications.integration.events import Events
from hepflows.applications.integration.observables import durham, invariant_mass, thrust
from hepflows.applications.integration.phasespace import Rambo, massless_volume
from hepflows.applications.integration.pictures import event_shapes
from hepflows.applications.integration.processes import ee3j_2d, ee3j_5d
from hepflows.errors import DomainError, ShapeError


def events(n: int, count: int = 2000, seed: int = 1) -> np.ndarray:
    space = Rambo(100.0, [0.0] * n)
    return space.forward(np.random.default_rng(seed).uniform(size=(count, space.dimension)))[0]


def test_thrust_of_three_partons_is_the_largest_fraction() -> None:
    p = events(3)
    np.testing.assert_allclose(thrust(p), (p[..., 0] / 50.0).max(axis=1), rtol=1e-12)


def test_durham_of_three_partons_is_the_smallest_pair() -> None:
    p = events(3)
    x = p[..., 0] / 50.0
    # y_ij = min(x_i, x_j) / max(x_i, x_j) (1 - x_k)
    pairs = [
        np.minimum(x[:, i], x[:, j]) / np.maximum(x[:, i], x[:, j]) * (1 - x[:, k])
        for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1))
    ]
    np.testing.assert_allclose(durham(p), np.min(pairs, axis=0), rtol=1e-9)


def test_thrust_is_the_maximum_over_axes() -> None:
    """No axis of a fine cover does better, and the best of them does nearly as well."""
    rays = np.random.default_rng(2).normal(size=(20_000, 3))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    for n in (2, 4, 6):
        p = events(n, 20)
        best = np.abs(np.einsum("nij,rj->nir", p[..., 1:], rays)).sum(axis=1).max(axis=1) / 100.0
        assert np.all(best <= thrust(p) + 1e-12)
        assert np.all(best > thrust(p) - 2e-3)


def durham_by_hand(event: np.ndarray, jets: int) -> float:
    particles = [np.array(p) for p in event]
    while True:
        found = []
        for i, j in itertools.combinations(range(len(particles)), 2):
            a, b = particles[i], particles[j]
            cosine = a[1:] @ b[1:] / np.linalg.norm(a[1:]) / np.linalg.norm(b[1:])
            found.append((2 * min(a[0], b[0]) ** 2 * (1 - cosine), i, j))
        y, i, j = min(found)
        if len(particles) == jets:
            return float(y / event[:, 0].sum() ** 2)
        joined = particles[i] + particles[j]
        particles = [p for k, p in enumerate(particles) if k not in (i, j)] + [joined]


@pytest.mark.parametrize(("n", "jets"), [(4, 3), (6, 3), (6, 2), (5, 4)])
def test_durham_clusters_as_one_does_by_hand(n: int, jets: int) -> None:
    p = events(n, 40)
    np.testing.assert_allclose(durham(p, jets), [durham_by_hand(event, jets) for event in p], rtol=1e-8)


@pytest.mark.parametrize("n", [3, 5])
def test_shapes_do_not_depend_on_the_frame_nor_on_the_order(n: int) -> None:
    p = events(n, 200)
    turned = p.copy()
    turned[..., 1:] = p[..., 1:] @ Rotation.random(rng=3).as_matrix().T
    turned = 7.0 * turned[:, ::-1]
    np.testing.assert_allclose(thrust(turned), thrust(p), rtol=1e-12)
    np.testing.assert_allclose(durham(turned), durham(p), rtol=1e-9)
    np.testing.assert_allclose(invariant_mass(turned, [0, 1]), 7 * invariant_mass(p, [n - 1, n - 2]), rtol=1e-9)


def test_a_soft_or_a_collinear_particle_changes_nothing() -> None:
    p = events(3, 200)
    soft = np.concatenate([p, np.full((200, 1, 4), 1e-12) * [1, 0, 0, 1]], axis=1)
    split = np.concatenate([0.3 * p[:, :1], p[:, 1:], 0.7 * p[:, :1]], axis=1)
    for more in (soft, split):
        np.testing.assert_allclose(thrust(more), thrust(p), rtol=1e-9)
        np.testing.assert_allclose(durham(more), durham(p), rtol=1e-9)


def test_known_configurations() -> None:
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    cross = np.concatenate([np.ones((6, 1)), axes], axis=1)[None]  # along the six half axes
    assert thrust(cross)[0] == pytest.approx(1 / np.sqrt(3))
    assert durham(cross[:, [0, 3]], 2)[0] == pytest.approx(1.0)
    assert thrust(cross[:, [0, 3]])[0] == pytest.approx(1.0)
    assert invariant_mass(cross, [0, 1])[0] == pytest.approx(np.sqrt(2))
    assert invariant_mass(cross, range(6))[0] == pytest.approx(6.0)
    assert np.isnan(thrust(np.zeros((1, 3, 4)))[0])


def test_mean_pair_mass_of_flat_phase_space() -> None:
    """<s_ij> = s / (n (n-1) / 2), since all pairs are alike and their squares add up to s."""
    p = events(5, 20_000)
    value = invariant_mass(p, [1, 3]) ** 2
    assert abs(value.mean() - 1e4 / 10) < 4 * value.std() / len(value) ** 0.5
    assert massless_volume(5, 100.0) > 0


def test_share_of_three_jets_follows_the_cut() -> None:
    """The rate above a Durham cut, from events made with a lower one, is that of an integrand with that cut."""
    f, harder = ee3j_5d(0.005), ee3j_5d(0.05)
    u = np.random.default_rng(4).uniform(size=(100_000, 5))
    value = f(u) * (durham(f.momenta(u)) > 0.05)
    assert abs(value.mean() - harder.truth) < 4 * value.std() / len(value) ** 0.5


def test_thrust_distribution_at_leading_order() -> None:
    r"""Against the formula of the textbooks, within one bin: (2 (3T^2 - 3T + 2) / (T (1-T))) ln((2T-1)/(1-T)) - 3 (3T-2)(2-T) / (1-T)."""
    low, high = 0.75, 0.85
    t, w = np.polynomial.legendre.leggauss(20)
    t, w = low + (high - low) * (1 + t) / 2, w * (high - low) / 2
    density = 2 * (3 * t**2 - 3 * t + 2) / (t * (1 - t)) * np.log((2 * t - 1) / (1 - t)) - 3 * (3 * t - 2) * (2 - t) / (
        1 - t
    )
    f = ee3j_2d(0.1)  # a cut that no event of this bin feels
    u = np.random.default_rng(5).uniform(0, 1, size=(200_000, 2))
    value = f(u)
    shapes = thrust(f.momenta(u[value > 0]))
    value[value > 0] *= (shapes > low) & (shapes < high)
    assert abs(value.mean() - w @ density) < 4 * value.std() / len(value) ** 0.5


def test_pictures_show_both_shapes_with_their_counts() -> None:
    f = ee3j_5d()
    u = np.random.default_rng(6).uniform(size=(4000, 5))
    weights = f(u)
    reference = Events(f.momenta(u), f.particles, weights)[weights > 0]
    keep = np.random.default_rng(7).uniform(size=len(u)) * weights.max() < weights
    unweighted = Events(f.momenta(u)[keep], f.particles)
    pictures = event_shapes(reference, {"unweighted": unweighted}, reference_name="weighted", bins=10)
    assert [picture.title for picture in pictures] == ["Thrust.", "Durham resolution."]
    assert f"unweighted {len(unweighted)} ({len(unweighted)})" in pictures[0].caption
    assert all(len(picture.figure.axes) == 2 for picture in pictures)


def test_mistakes_are_told() -> None:
    p = events(3, 2)
    with pytest.raises(ShapeError, match="events, particles, 4"):
        thrust(p[0])
    with pytest.raises(DomainError, match="up to 16"):
        thrust(np.ones((1, 17, 4)))
    with pytest.raises(DomainError, match="between 2 and the 3"):
        durham(p, 4)
    for wrong in ([], [0, 0], [3]):
        with pytest.raises(DomainError, match="different places"):
            invariant_mass(p, wrong)
