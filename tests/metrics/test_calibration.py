"""Tests of calibration on posteriors that are known: the exact one passes, what is wrong in a known way is flagged."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, norm

from hepflows.errors import DataError, ShapeError
from hepflows.metrics import c2st, hpd_ranks, information_gain, sbc_ranks, simultaneous_band, tarp_ranks, uniformity

PAIRS, DRAWS = 400, 49


def pairs(seed, width=1.0, shift=0.0):
    """theta ~ N(0, 1), x = theta + N(0, 1): the posterior is N(x/2, 1/2)."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(PAIRS, 2))
    x = theta + rng.normal(size=theta.shape)
    mean, std = x / 2 + shift, width * np.sqrt(0.5)
    draws = mean + std * rng.normal(size=(DRAWS, *theta.shape))
    density = [norm.logpdf(values, mean, std).sum(-1) for values in (draws, theta)]
    return theta, x, draws, density


def all_ranks(theta, x, draws, density, seed):
    return {
        "sbc": sbc_ranks(draws, theta, seed=seed)[:, 0],
        "hpd": hpd_ranks(*density, seed=seed),
        "tarp": tarp_ranks(draws, theta, seed=seed),
        "tarp of x": tarp_ranks(draws, theta, observations=x, seed=seed),
    }


def test_exact_posterior_gives_uniform_p_values():
    p_values, inside = {}, []
    for seed in range(25):
        for name, ranks in all_ranks(*pairs(seed), seed).items():
            found = uniformity(ranks)
            p_values.setdefault(name, []).append(found.p_value)
            inside.append(found.inside)
    for name, values in p_values.items():
        assert kstest(values, "uniform").pvalue > 1e-3, name
    assert abs(np.mean(inside) - 0.95) < 4 * np.sqrt(0.95 * 0.05 / len(inside))


@pytest.mark.parametrize("width", [0.7, 1.4])
def test_wrong_width_is_flagged_by_all(width):
    for name, ranks in all_ranks(*pairs(1, width=width), 1).items():
        found = uniformity(ranks)
        assert found.p_value < 1e-3, name
        assert not found.inside, name


def test_narrow_posterior_covers_too_little():
    found = uniformity(hpd_ranks(*pairs(1, width=0.7)[3], seed=1))
    expected = 1 - np.exp(-(0.7**2) * -np.log(1 - 0.68))  # two dimensions: the radius shrinks by the width
    share, error = found.at(0.68)
    assert abs(share - expected) < 4 * error


def test_bias_is_flagged_by_ranks():
    theta, _, draws, _ = pairs(1, shift=0.3)
    assert not uniformity(sbc_ranks(draws, theta, seed=1)[:, 0]).inside


def test_prior_as_posterior_passes_all_but_references_of_x_and_gains_nothing():
    rng = np.random.default_rng(3)
    theta, x, _, _ = pairs(3)
    draws = rng.normal(size=(DRAWS, *theta.shape))
    density = [norm.logpdf(values).sum(-1) for values in (draws, theta)]
    found = {name: uniformity(ranks).inside for name, ranks in all_ranks(theta, x, draws, density, 1).items()}
    assert found == {"sbc": True, "hpd": True, "tarp": True, "tarp of x": False}
    assert information_gain(density[1], norm.logpdf(theta).sum(-1)) == (0.0, 0.0)
    exact = pairs(3)[3][1]
    gain, error = information_gain(exact, norm.logpdf(theta).sum(-1))
    assert abs(gain - np.log(2)) < 4 * error  # half a ln 2 a parameter


def test_band_holds_the_stated_share_of_whole_curves():
    levels = np.arange(1, 50) / 50
    low, high = simultaneous_band(200, levels, seed=1)
    rng = np.random.default_rng(0)
    ecdf = (rng.random((4000, 200, 1)) <= levels).mean(axis=1)
    share = ((ecdf >= low) & (ecdf <= high)).all(axis=1).mean()
    assert 0.935 < share < 0.975  # counts are whole numbers: not 0.95 exactly


def test_ties_are_broken_evenly():
    ranks = sbc_ranks(np.zeros((9, 4000, 1)), np.zeros((4000, 1)), seed=1)[:, 0]
    assert uniformity(ranks).p_value > 1e-3


def test_c2st_of_equal_and_of_shifted_samples():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 250, 2))
    assert abs(c2st(first, second).accuracy - 0.5) < 4 * 0.5 / np.sqrt(500)
    ordered = np.sort(np.random.default_rng(9).normal(size=(1500, 2)), axis=0)[:, :1]  # a longer sample in order
    assert abs(c2st(ordered, second[:, :1]).accuracy - 0.5) < 4 * 0.5 / np.sqrt(2 * len(second))
    shifted = c2st(first, second + np.array([1.5, 0.0]))
    assert abs(shifted.accuracy - norm.cdf(0.75)) < 0.06  # the best that any classifier can do
    assert abs(shifted.auc - norm.cdf(1.5 / np.sqrt(2))) < 0.06


def test_wrong_input_is_one_sentence():
    with pytest.raises(DataError, match="between 0 and 1"):
        uniformity(np.full(50, 2.0))
    with pytest.raises(ShapeError, match=r"draws \(L, N, P\)"):
        sbc_ranks(np.zeros((5, 4)), np.zeros((4, 1)), seed=1)
    with pytest.raises(DataError, match="is NaN"):
        hpd_ranks(np.full((5, 30), np.nan), np.zeros(30), seed=1)
    with pytest.raises(DataError, match="features that vary"):
        c2st(np.zeros((60, 1)), np.zeros((60, 1)))
