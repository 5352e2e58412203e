from __future__ import annotations

import numpy as np
import pytest

from hepflows.applications.neutrino.kinematics import (
    LEPTON_MASSES,
    Rule,
    eta_of,
    four_momentum,
    mass,
    momentum,
    neutrino,
    solve_w_constraint,
)
from hepflows.errors import ConfigError, ShapeError

M_W = 80.38


def decays(n: int, lepton_mass: float, seed: int, w_mass: float = M_W) -> tuple[np.ndarray, np.ndarray]:
    """(n, 4) leptons and neutrinos (E, px, py, pz) of W bosons in flight, exact."""
    rng = np.random.default_rng(seed)
    energy = (w_mass**2 + lepton_mass**2) / (2 * w_mass)
    p = np.sqrt(energy**2 - lepton_mass**2)
    axis = rng.normal(size=(n, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    w = rng.normal(size=(n, 3)) * [60.0, 60.0, 200.0]
    gamma = np.sqrt(1 + (w**2).sum(1) / w_mass**2)
    beta = w / (gamma * w_mass)[:, None]

    def boosted(e: float, q: np.ndarray) -> np.ndarray:
        along = (beta * q).sum(1)
        factor = gamma**2 / (gamma + 1) * along + gamma * e
        return np.concatenate([(gamma * (e + along))[:, None], q + factor[:, None] * beta], axis=1)

    return boosted(energy, p * axis), boosted(p, -p * axis)


@pytest.mark.parametrize("lepton_mass", LEPTON_MASSES)
@pytest.mark.parametrize(("dtype", "typical", "most"), [(np.float64, 1e-14, 1e-7), (np.float32, 1e-6, 1e-2)])
def test_one_root_is_the_truth(lepton_mass: float, dtype: type, typical: float, most: float) -> None:
    lepton, truth = decays(40_000, lepton_mass, seed=1)
    roots = solve_w_constraint(
        lepton[:, 1:].astype(dtype), truth[:, 1:3].astype(dtype), lepton_mass=lepton_mass, w_mass=M_W
    )
    assert roots.pz.dtype == dtype
    error = np.abs(roots.pz - truth[:, 3:]).min(axis=1) / np.abs(truth[:, 3])
    # at the edge of the discriminant half of the digits go
    assert np.median(error) < typical
    assert np.quantile(error, 0.999) < most
    assert roots.real.mean() > (0.999999 if dtype is np.float64 else 0.999)


def test_the_other_sign_of_the_product_is_wrong() -> None:
    lepton, truth = decays(20_000, LEPTON_MASSES[1], seed=2)
    roots = solve_w_constraint(lepton[:, 1:], -truth[:, 1:3], lepton_mass=LEPTON_MASSES[1], w_mass=M_W)
    error = np.abs(roots.pz - truth[:, 3:]).min(axis=1) / np.abs(truth[:, 3])
    assert np.median(error) > 0.5
    assert 1 - roots.real.mean() > 0.05


def smeared(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    lepton, truth = decays(n, LEPTON_MASSES[1], seed)
    return lepton[:, 1:], truth[:, 1:3] + np.random.default_rng(seed).normal(0, 20, (n, 2))


def test_both_roots_have_the_mass_and_the_smaller_one_comes_first() -> None:
    lepton, missing = smeared(20_000, 3)
    roots = solve_w_constraint(lepton, missing, lepton_mass=LEPTON_MASSES[1], w_mass=M_W)
    p_lepton = np.concatenate([np.sqrt((lepton**2).sum(1) + LEPTON_MASSES[1] ** 2)[:, None], lepton], axis=1)
    for column in (0, 1):
        p = neutrino(*roots.transverse.T, roots.pz[:, column])
        np.testing.assert_allclose(mass(p + p_lepton)[roots.real], M_W, rtol=1e-5)
    assert (np.abs(roots.pz[:, 0]) <= np.abs(roots.pz[:, 1]) * (1 + 1e-12)).all()
    np.testing.assert_allclose(roots.components[:, 0], roots.pz.mean(axis=1), rtol=1e-6, atol=1e-9)


def test_no_real_root_exactly_where_the_transverse_mass_exceeds_the_mass() -> None:
    lepton, missing = smeared(20_000, 4)
    m = LEPTON_MASSES[1]
    roots = solve_w_constraint(lepton, missing, lepton_mass=m, w_mass=M_W)
    mt_lepton, pt = np.sqrt((lepton[:, :2] ** 2).sum(1) + m**2), np.hypot(*missing.T)
    transverse = np.sqrt(m**2 + 2 * (mt_lepton * pt - (lepton[:, :2] * missing).sum(1)))
    np.testing.assert_array_equal(roots.real, transverse <= M_W)
    np.testing.assert_array_equal(roots.real, roots.components[:, 1] >= 0)
    assert 0.1 < 1 - roots.real.mean() < 0.4


@pytest.mark.parametrize("rule", ["real", "shrink", "raise"])
def test_rules_for_complex_roots(rule: Rule) -> None:
    lepton, missing = smeared(20_000, 5)
    m = LEPTON_MASSES[1]
    roots = solve_w_constraint(lepton, missing, lepton_mass=m, w_mass=M_W, rule=rule)
    no = ~roots.real
    np.testing.assert_array_equal(roots.pz[no, 0], roots.pz[no, 1])
    np.testing.assert_array_equal(roots.transverse[roots.real], missing[roots.real])
    # the direction of the missing momentum stays
    np.testing.assert_allclose(np.arctan2(*roots.transverse.T), np.arctan2(*missing.T), rtol=1e-9)
    p_lepton = np.concatenate([np.sqrt((lepton**2).sum(1) + m**2)[:, None], lepton], axis=1)
    found = mass(neutrino(*roots.transverse.T, roots.pz[:, 0]) + p_lepton)[no]
    transverse = np.sqrt(
        m**2 + 2 * (np.hypot(np.hypot(*lepton[:, :2].T), m) * np.hypot(*missing.T) - (lepton[:, :2] * missing).sum(1))
    )[no]
    if rule == "shrink":
        np.testing.assert_allclose(found, M_W, rtol=1e-9)
        assert (np.hypot(*roots.transverse[no].T) < np.hypot(*missing[no].T)).all()
    elif rule == "raise":
        np.testing.assert_allclose(found, transverse, rtol=1e-9)
    else:
        assert (found > M_W).all()
        np.testing.assert_allclose(roots.pz[no, 0], roots.components[no, 0])


def test_what_cannot_be_solved_is_refused() -> None:
    lepton, missing = smeared(3, 6)
    with pytest.raises(ConfigError, match="no rule 'guess'"):
        solve_w_constraint(lepton, missing, rule="guess")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="missing momenta"):
        solve_w_constraint(lepton, missing[:2])
    with pytest.raises(ConfigError, match="heavier than the lepton"):
        solve_w_constraint(lepton, missing, w_mass=0.0)


def test_four_momenta_agree_with_their_definitions() -> None:
    rng = np.random.default_rng(7)
    pt, eta, phi, m = (
        rng.uniform(1, 100, 1000),
        rng.normal(0, 2, 1000),
        rng.uniform(-3, 3, 1000),
        rng.uniform(0, 10, 1000),
    )
    p = momentum(pt, eta, phi)
    energy = np.sqrt((p**2).sum(1) + m**2)
    np.testing.assert_allclose(mass(four_momentum(pt, eta, phi, energy)), m, atol=1e-5)
    np.testing.assert_allclose(eta_of(*p.T), eta, rtol=1e-12)
    np.testing.assert_allclose(-np.log(np.tan(np.arccos(p[:, 2] / np.linalg.norm(p, axis=1)) / 2)), eta, atol=1e-9)
