"""The forward model: published moments, conservation, limits that are known without it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from hepflows.applications.airshower.detector import XMAX_EDGES, acceptance, load_detector, smeared_below
from hepflows.applications.airshower.forward import ForwardModel
from hepflows.applications.airshower.prior import NAMES, Prior
from hepflows.applications.airshower.response import load_response
from hepflows.applications.airshower.xmax import COEFFICIENTS, gumbel_cdf, gumbel_moments, gumbel_parameters
from hepflows.errors import ConfigError, DataError, ShapeError

# mean and standard deviation of protons, then of iron, at 10^19 eV in g/cm2
MOMENTS = {
    "EPOS-LHC-2013": (808.2, 59.1, 711.8, 16.7),
    "EPOS-LHC-updated": (806.3, 58.3, 709.3, 17.5),
    "QGSJetII-04-2013": (793.2, 61.2, 697.9, 22.4),
    "QGSJetII-04-updated": (790.7, 61.6, 694.7, 22.8),
    "Sibyll2.3d": (816.3, 62.3, 713.6, 22.8),
    "QGSJetII-2013": (785.2, 56.2, 701.1, 21.3),
    "Sibyll2.1-2013": (798.3, 54.5, 698.1, 22.0),
    "EPOS1.99-2013": (813.7, 60.2, 707.5, 17.7),
}


@pytest.fixture(scope="module")
def model():
    return ForwardModel()


def universe(**changes):
    values = {
        "gamma": 1.0,
        "lg_rcut": 18.7,
        "f_H": 0.2,
        "f_He": 0.2,
        "f_N": 0.2,
        "f_Si": 0.2,
        "f_Fe": 0.2,
        "xmax_shift": 0.0,
    }
    values |= changes
    return torch.tensor([[values[name] for name in NAMES]], dtype=torch.float64)


def pure(name, **changes):
    return universe(**{one: float(one == name) for one in NAMES if one.startswith("f_")}, **changes)


@pytest.mark.parametrize("name", sorted(COEFFICIENTS))
def test_moments_of_xmax_are_the_published_ones(name):
    found = [float(value) for mass in (1, 56) for value in gumbel_moments(mass, 19.0, name)]
    assert found == pytest.approx(MOMENTS[name], abs=0.051)


@pytest.mark.parametrize("mass", [1, 14, 56])
def test_distribution_of_xmax_has_these_moments(mass):
    """Mean and variance by quadrature of the distribution function; and the density is its derivative."""
    lg_energy = 19.4
    mean, std = gumbel_moments(mass, lg_energy)
    below = quad(lambda x: gumbel_cdf(x, mass, lg_energy), 300, mean)[0]
    above = quad(lambda x: 1 - gumbel_cdf(x, mass, lg_energy), mean, 2500, limit=200)[0]
    assert below == pytest.approx(above, rel=1e-4)  # the mean
    second = quad(lambda x: 2 * (x - mean) * (1 - gumbel_cdf(x, mass, lg_energy)), mean, 2500, limit=200)[0]
    second += quad(lambda x: 2 * (mean - x) * gumbel_cdf(x, mass, lg_energy), 300, mean)[0]
    assert second**0.5 == pytest.approx(std, rel=1e-4)


def test_shape_parameters_are_positive():
    energies = np.linspace(17.5, 20.5, 31)
    for name in COEFFICIENTS:
        for mass in (1, 4, 14, 28, 56):
            _, sigma, lam = gumbel_parameters(mass, energies, name)
            assert sigma.min() > 0
            assert lam.min() > 0


def test_acceptance_and_resolution():
    x = np.array([500.0, 598.5, 700.0, 897.6, 1000.0])
    expected = [np.exp(-98.5 / 321.2), 1.0, 1.0, 1.0, np.exp(-102.4 / 149.7)]
    np.testing.assert_allclose(acceptance(x, load_detector().acceptance[0]), expected)
    s1, s2, k = parameters = load_detector().resolution[0]
    variance = quad(lambda d: 2 * d * (1 - smeared_below(np.array(d), parameters)), 0, 500)[0] * 2
    assert variance == pytest.approx(k * s1**2 + (1 - k) * s2**2, rel=1e-5)


@pytest.mark.parametrize("name", ["Gilmore12", "Dominguez11"])
def test_response_conserves_what_it_must(name):
    response = load_response(name)
    matrix, centres = response.matrix, response.centres
    assert matrix.shape == (5, 125, 5, 125)
    arrives, leaves = np.arange(125)[None, None, None, :], np.arange(125)[None, :, None, None]
    assert not matrix[np.broadcast_to(arrives > leaves, matrix.shape)].any()  # nothing gains energy
    for source in range(5):
        assert not matrix[source, :, source + 1 :].any()  # nothing gains mass
    energy = np.einsum("sego,o->se", matrix, 10**centres) / 10**centres
    assert energy.max() < 1.03  # bins of 4.7 %: nothing is made of nothing
    np.testing.assert_allclose(matrix[0, -1, 0].sum(), 1.0, atol=0.01)  # a proton of 10^21 eV arrives above 10^18.5
    assert 15 < matrix[4, -1].sum() < 56  # iron of 10^21 eV breaks up into nucleons


def test_probabilities_of_each_group_add_up_to_one(model):
    theta = Prior().draw(200, generator=torch.Generator().manual_seed(1))
    p = model.probabilities(theta)
    assert bool((p >= 0).all())
    torch.testing.assert_close(p[:, :15].sum(1), torch.ones(200))
    torch.testing.assert_close(p[:, 15:].reshape(200, 9, 45).sum(2), torch.ones(200, 9))


def test_expected_xmax_of_protons_is_that_of_their_distribution(model):
    """Protons alone leave and arrive: the depths are those of the distribution times the acceptance; the resolution is symmetric."""
    p = model.probabilities(pure("f_H", gamma=2.0, lg_rcut=19.6))[0, 15:].reshape(9, 45)
    centres = 0.5 * (XMAX_EDGES[1:] + XMAX_EDGES[:-1])
    for energy_bin in (0, 4):
        lg_energy = 0.5 * load_detector().lg_energy_edges[energy_bin : energy_bin + 2].sum()
        x = np.arange(400.0, 1600.0)
        density = np.diff(gumbel_cdf(np.append(x - 0.5, x[-1] + 0.5), 1, lg_energy)) * acceptance(
            x, load_detector().acceptance[energy_bin]
        )
        mean = (density * x).sum() / density.sum()
        assert float((p[energy_bin] * torch.from_numpy(centres)).sum()) == pytest.approx(mean, abs=1.0)


def test_scale_of_xmax_shifts_all_depths(model):
    centres = torch.from_numpy(0.5 * (XMAX_EDGES[1:] + XMAX_EDGES[:-1]))
    means = [
        (model.probabilities(universe(xmax_shift=shift))[0, 15:].reshape(9, 45) * centres).sum(1)
        for shift in (-1.0, 0.0, 1.0)
    ]
    scale = torch.from_numpy(load_detector().scale)
    torch.testing.assert_close(means[2] - means[1], scale[:, 0], atol=0.05, rtol=0)
    torch.testing.assert_close(means[1] - means[0], scale[:, 1], atol=0.05, rtol=0)


def test_arriving_flux_is_the_sum_over_emission_bins(model):
    """The matrix product against a loop over sources, written down from the formula."""
    theta = universe(gamma=0.7, lg_rcut=18.6)
    response = load_response()
    energy = 10**response.centres
    expected = np.zeros((5, 125))
    for source, charge in enumerate((1, 2, 7, 14, 26)):
        for i, e in enumerate(energy):
            cut = charge * 10**18.6
            weight = 0.2 * (e / 1e19) ** (1 - 0.7) * (1.0 if e <= cut else np.exp(1 - e / cut))
            expected += weight * response.matrix[source, i]
    np.testing.assert_allclose(model.arriving(theta)[0].numpy(), expected[:, 10:85], rtol=1e-9)


def test_likelihood_is_multinomial(model):
    """Against scipy, up to the coefficients that do not depend on the parameters."""
    from scipy.stats import multinomial

    first, second = universe(), universe(gamma=1.3, f_H=0.1, f_Fe=0.3, xmax_shift=-0.5)
    counts = model.simulate(first, generator=torch.Generator().manual_seed(0))[0]
    expected = 0.0
    for sign, theta in ((1, first), (-1, second)):
        p = model.probabilities(theta)[0].numpy()
        groups = [slice(0, 15), *(slice(15 + 45 * i, 60 + 45 * i) for i in range(9))]
        expected += sign * sum(
            multinomial.logpmf(counts[g].numpy(), counts[g].sum().item(), p[g] / p[g].sum()) for g in groups
        )
    both = model.log_likelihood(torch.cat([first, second]), counts)
    assert float(both[0] - both[1]) == pytest.approx(expected, rel=1e-8)


def test_counts_have_the_mean_and_variance_of_poisson(model):
    theta = universe().expand(3000, -1)
    counts, expected = model.simulate(theta, generator=torch.Generator().manual_seed(3)), model.expected(theta[:1])[0]
    enough = expected > 5
    pulls = (counts.mean(0) - expected) / (expected / 3000).sqrt()
    assert float(pulls[enough].abs().max()) < 4.5
    assert float((counts.var(0) / expected)[enough].sub(1).abs().max()) < 0.15


def test_prior_is_normal_in_its_coordinates():
    prior = Prior()
    theta = prior.draw(5000, generator=torch.Generator().manual_seed(2))
    assert float(theta[:, 0].min()) > -2
    assert float(theta[:, 1].max()) < 19.6
    torch.testing.assert_close(theta[:, 2:7].sum(1), torch.ones(5000))
    assert float((theta[:, 2:7].mean(0) - 0.2).abs().max()) < 0.012
    # density: 1/5 x 1/1.6 x 4! x normal
    expected = np.log(24 / (5 * 1.6)) - 0.5 * theta[:, 7].square() - 0.5 * np.log(2 * np.pi)
    torch.testing.assert_close(prior.log_prob(theta), expected)


def test_wrong_input_is_one_sentence(model):
    with pytest.raises(ShapeError, match=r"parameters \(N, 8\)"):
        model.expected(torch.zeros(3, 7))
    with pytest.raises(DataError, match="420 counts"):
        model.log_likelihood(universe(), torch.zeros(419))
    with pytest.raises(ConfigError, match="no Xmax model"):
        gumbel_cdf(700.0, 1, 19.0, "EPOS")
    with pytest.raises(ConfigError, match="no response"):
        load_response("Gilmore")
    with pytest.raises(ConfigError, match="low < high"):
        Prior(gamma=(3, -2))
