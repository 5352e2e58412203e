"""The coordinates of the flow: undone exactly, with the right determinant, and normal where nature does as their formulas do."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erf

from hepflows.applications.neutrino import top_pairs
from hepflows.applications.neutrino.coordinates import BROAD, SPREAD, WIDTH, WCoordinates
from hepflows.applications.neutrino.kinematics import W_MASS


@pytest.mark.parametrize("channel", ["semileptonic", "dilepton"])
def test_undone_exactly(channel: str) -> None:
    events = top_pairs(2000, channel=channel, seed=1)
    coordinates = WCoordinates(events)
    y, _ = coordinates.forward(events.neutrinos)
    np.testing.assert_allclose(coordinates.inverse(y), events.neutrinos, rtol=1e-9, atol=1e-9)


def test_any_draw_is_undone() -> None:
    """Also momenta that no W gives, and many draws for each event."""
    events = top_pairs(500, seed=2)
    rng = np.random.default_rng(3)
    y = rng.standard_normal((20, 500, 1, 3)) * [60.0, 60.0, 1.5]
    coordinates = WCoordinates(events)
    neutrinos = coordinates.inverse(y)
    assert np.isfinite(neutrinos).all()
    np.testing.assert_allclose(coordinates.forward(neutrinos)[0], y, rtol=1e-6, atol=1e-6)


def test_the_determinant_is_the_derivative() -> None:
    events = top_pairs(500, seed=4)
    coordinates, step = WCoordinates(events), np.array([0.0, 0.0, 1e-6])
    above, below = (coordinates.forward(events.neutrinos + sign * step)[0][..., 2] for sign in (1, -1))
    _, ladj = coordinates.forward(events.neutrinos)
    np.testing.assert_allclose(np.log((above - below)[:, 0] / 2e-6), ladj, atol=1e-5)


def test_the_share_is_the_integral_of_the_peak() -> None:
    """Against numerical integration of the mass peak over the pseudorapidity."""
    events = top_pairs(20, seed=5)
    coordinates = WCoordinates(events)
    for i, (px, py, eta) in enumerate(events.neutrinos[:, 0]):
        pt, lepton_eta, phi = events.leptons[i, 0, :3]
        b = 2 * pt * np.hypot(np.hypot(px, py), 1.0)
        a = -2 * pt * (np.cos(phi) * px + np.sin(phi) * py) - W_MASS**2

        def peak(x: float, a: float = a, b: float = b) -> float:
            return 1 / ((a + b * np.cosh(x)) ** 2 + (W_MASS * WIDTH) ** 2)

        place = float(np.arccosh(max(1.0, -a / b)))
        d = eta - lepton_eta
        upto = quad(peak, 0, abs(d), points=[min(place, abs(d))], limit=500, epsabs=0, epsrel=1e-10)[0]
        whole = sum(
            quad(peak, *ends, limit=500, epsabs=0, epsrel=1e-10)[0]
            for ends in ((0, place), (place, place + 1), (place + 1, 30))
        )
        expected = (1 - BROAD) * np.sign(d) * upto / whole + BROAD * erf(d / (np.sqrt(2) * SPREAD))
        np.testing.assert_allclose(coordinates._peak(px, py)(d)[0][i, 0], expected, atol=1e-8)


def test_true_neutrinos_are_nearly_normal() -> None:
    """The peak is flat: the coordinate knows neither the mass nor the width of the W any more."""
    events = top_pairs(20_000, seed=6)
    t = WCoordinates(events).forward(events.neutrinos)[0][:, 0, 2]
    assert abs(t.mean()) < 0.05
    assert 0.85 < t.std() < 1.05
    assert np.abs(t).max() < 4
    density = np.histogram(t, np.linspace(-2, 2, 21))[0] / len(t) / 0.2
    assert density.max() < 0.45  # the peaks at +-1 that a rescaled pseudorapidity has are many times higher


def test_far_beyond_all_neutrinos_nothing_is_infinite() -> None:
    events = top_pairs(200, seed=7)
    coordinates = WCoordinates(events)
    far = events.neutrinos.copy()
    far[..., 2] = events.leptons[..., 1] + np.where(np.arange(200) % 2, 40.0, -40.0)[:, None]
    for values in coordinates.forward(far):
        assert np.isfinite(values).all()
    drawn = coordinates.inverse(coordinates.forward(events.neutrinos)[0] * [1, 1, 0] + [0, 0, 9.0])
    assert np.isfinite(drawn).all()
