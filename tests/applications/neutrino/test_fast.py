from __future__ import annotations

import numpy as np
import pytest

from hepflows.applications.neutrino.events import check, lepton_momenta
from hepflows.applications.neutrino.kinematics import mass
from hepflows.applications.neutrino.methods.quadratic import quadratic
from hepflows.applications.neutrino.quantities import Quantities
from hepflows.applications.neutrino.simulate import decays
from hepflows.applications.neutrino.simulate.detector import merge, reconstruct
from hepflows.applications.neutrino.simulate.fast import Selection, top_pairs
from hepflows.errors import ConfigError

N = 100_000


def m(p: np.ndarray) -> np.ndarray:
    return mass(p.T)


def test_helicity_angles_follow_the_matrix_element() -> None:
    rng = np.random.default_rng(0)
    top, w = np.full(N, 172.5), np.full(N, 80.385)
    cos = decays.helicity_cosine(rng, top, w)
    f0 = 172.5**2 / (172.5**2 + 2 * 80.385**2)
    # F0 3/4 sin^2 + (1 - F0) 3/8 (1 - cos)^2 has the moments -(1 - F0)/2 and F0/5 + 2 (1 - F0)/5
    assert abs(cos.mean() + (1 - f0) / 2) < 5 * cos.std() / np.sqrt(N)
    assert abs((cos**2).mean() - (2 - f0) / 5) < 5 * (cos**2).std() / np.sqrt(N)
    assert np.abs(cos).max() <= 1


def test_decays_conserve_momentum_and_masses() -> None:
    rng = np.random.default_rng(1)
    top_mass = decays.breit_wigner(rng, N, decays.TOP_MASS, decays.TOP_WIDTH, 150, 195)
    w_mass = decays.breit_wigner(rng, N, decays.W_MASS, decays.W_WIDTH, 40, 120)
    p = rng.normal(0, 100, (3, N))
    top = np.concatenate([np.sqrt((p**2).sum(0) + top_mass**2)[None], p])
    b, lepton, neutrino = decays.decay_top(rng, top, top_mass, w_mass)
    np.testing.assert_allclose(b + lepton + neutrino, top, rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(m(lepton + neutrino), w_mass, rtol=1e-8)
    np.testing.assert_allclose(m(b), decays.B_MASS, rtol=1e-5)
    assert max(m(lepton).max(), m(neutrino).max()) < 1e-3
    # <m_lb^2> = (m_t^2 - m_W^2 + ...)(1 + <cos>)/2 with a massless b; here to the b mass
    expected = 0.5 * (top_mass**2 - w_mass**2) * (1 - (1 - top_mass**2 / (top_mass**2 + 2 * w_mass**2)) / 2)
    assert abs((m(b + lepton) ** 2).mean() / expected.mean() - 1) < 0.01


def test_breit_wigner_has_its_median_and_half_width() -> None:
    x = decays.breit_wigner(np.random.default_rng(2), N, 80.0, 2.0, 1.0, 1000.0)
    # the truncation at 1 and 1000 moves the quantiles of s by less than 1 %
    inside = np.mean(np.abs(x**2 - 80.0**2) < 80.0 * 2.0)
    assert abs(inside - 0.5) < 0.02


def test_events_have_the_neutrino_of_the_w() -> None:
    events = top_pairs(20_000, seed=1)
    check(events, "fast")
    quantities = Quantities(events).of(events.truth("test"))
    w = quantities["m_w"][:, 0]
    assert abs(np.median(w) - 80.4) < 0.1
    low, high = np.quantile(w, (0.16, 0.84))
    assert 1.2 < (high - low) / 2 < 2.5  # width of the W and resolution of the lepton
    # the constraint works on them: with the true transverse momentum one root is near
    missing = events.missing - events.neutrinos[:, 0, :2]
    assert np.abs(missing.mean(axis=0)).max() < 0.5
    assert 10 < missing.std() < 22
    roots = quadratic(events)
    assert 0.15 < 1 - roots.real.mean() < 0.3


def test_two_leptons_come_with_their_neutrinos() -> None:
    events = top_pairs(8000, channel="dilepton", selection=Selection(20.0, 2.5, 2), seed=2)
    assert events.neutrinos is not None
    assert events.leptons.shape == (8000, 2, 4)
    own = Quantities(events).of(events.neutrinos)["m_w"]
    swapped = Quantities(events).of(events.neutrinos[:, ::-1])["m_w"]
    assert np.abs(np.median(own, axis=0) - 80.4).max() < 0.3
    assert np.std(swapped) > 3 * np.std(own)
    total = events.neutrinos[..., :2].sum(axis=1)
    assert np.abs((events.missing - total).mean(axis=0)).max() < 1.0
    assert events.leptons[..., 0].min() > 20.0
    assert events.n_jets.min() >= 2


def test_samples_repeat_and_their_beginning_does_not_depend_on_their_length() -> None:
    one, two = top_pairs(500, seed=3), top_pairs(9000, seed=3)
    np.testing.assert_array_equal(one.jets, two.jets[:500])
    assert not np.array_equal(one.jets, top_pairs(500, seed=4).jets)


def test_unknown_channels_and_impossible_selections_are_refused() -> None:
    with pytest.raises(ConfigError, match="no channel 'hadronic'"):
        top_pairs(10, channel="hadronic", seed=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="at least 1"):
        top_pairs(0, seed=1)


def test_near_partons_become_one_jet() -> None:
    p = np.zeros((3, 3, 1))
    p[:, 0, 0], p[:, 1, 0], p[:, 2, 0] = (50, 0, 0), (30, 3, 1), (-40, 0, 0)
    flavour = np.array([[0], [2], [1]], dtype=np.int8)
    before = p.sum(axis=1)
    merge(p, flavour)
    np.testing.assert_allclose(p.sum(axis=1), before)
    assert p[:, 0, 0].tolist() == [80, 3, 1]
    assert not p[:, 1].any()
    assert flavour[:, 0].tolist() == [2, 2, 1]


def test_the_detector_balances_and_tags_at_its_rates() -> None:
    n = 40_000
    rng = np.random.default_rng(5)
    p = np.zeros((3, 3, n))
    p[0, 0], p[1, 1], p[0, 2] = 80.0, 60.0, -70.0
    flavour = np.repeat(np.array([[2], [1], [0]], dtype=np.int8), n, axis=1)
    invisible = np.zeros((2, n))
    found = reconstruct(rng, p, flavour, invisible, noise=0.0)
    # without noise and with all jets kept, what is missing is what the jets lost
    jets = np.stack([(found.pt * np.cos(found.phi)).sum(0), (found.pt * np.sin(found.phi)).sum(0)])
    np.testing.assert_allclose(
        (jets + found.missing)[:, found.count == 3], p.sum(1)[:2][:, found.count == 3], atol=1e-9
    )
    width = np.sqrt(0.05**2 + 1 / 80.0)
    first = found.pt[(found.tags > 0) & (np.abs(found.phi) < 0.5)]
    assert abs(first.std() / 80.0 - width) < 0.004
    assert abs(found.b_count.mean() - (0.70 + 0.20 + 0.01)) < 0.01
    assert (np.diff(found.pt, axis=0) <= 0).all()


def test_leptons_are_massless_enough() -> None:
    assert mass(lepton_momenta(top_pairs(1000, seed=6))).max() < 0.05
