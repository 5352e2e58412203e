"""Incident particles come as in the training set: few energies each with its share, however rare, many as a spectrum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_calorimeter import TOY, toy_showers

from hepflows.applications.calorimeter import CaloFlow, Showers, load_config
from hepflows.applications.calorimeter.models.incident import Incident
from hepflows.applications.calorimeter.spread import Spread
from hepflows.errors import DomainError

N = 400_000


def fitted(energies: np.ndarray, weights: np.ndarray | None = None) -> Incident:
    showers = Showers(energies, np.ones((len(energies), 12)), geometry=TOY)
    if weights is not None:
        showers = replace(showers, columns={"weight": weights})
    incident = Incident([])
    incident.fit(showers, np.arange(len(energies)), torch.Generator().manual_seed(0))
    return incident


def drawn(incident: Incident) -> np.ndarray:
    position = torch.rand(N, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return incident.at(position)[0].numpy()


def assert_shares(energies: np.ndarray, values: np.ndarray, shares: np.ndarray) -> None:
    found, counts = np.unique(energies, return_counts=True)
    np.testing.assert_array_equal(found, values)
    expected = len(energies) * shares
    assert (abs(counts - expected) < 5 * np.sqrt(expected * (1 - shares))).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_a_rare_energy_comes_with_its_share(weighted: bool) -> None:
    """As in dataset 1 of the CaloChallenge: 15 energies, few showers of the largest."""
    values = 0.256 * 2.0 ** np.arange(15)
    counts = np.array([700] * 14 + [5])
    energies, weights = np.repeat(values, counts), None
    shares = counts / counts.sum()
    if weighted:
        each = np.array([1.0, 3.0] * 7 + [2.0])
        weights, shares = np.repeat(each, counts), each * counts / (each * counts).sum()
    assert shares[-1] < 6e-4
    order = np.random.default_rng(1).permutation(len(energies))
    incident = fitted(energies[order], None if weights is None else weights[order])
    assert_shares(drawn(incident), values, shares)
    again = Incident([])
    again.load_state_dict(incident.state_dict())
    np.testing.assert_array_equal(drawn(again), drawn(incident))


def test_what_weighs_nothing_in_sum_is_not_drawn() -> None:
    energies, weights = np.repeat([1.0, 2.0, 3.0, 4.0], 10), np.ones(40)
    weights[10:15] = weights[30:39] = -1.0
    assert_shares(drawn(fitted(energies, weights)), np.array([1.0, 3.0]), np.array([0.5, 0.5]))


def test_a_rare_species_comes_with_its_share_of_the_particles() -> None:
    """3 of 1,000 showers: 15 of the 5,000 particles, whatever the seed."""
    pdg = np.where(np.arange(4000) % 1000 < 3, 22.0, -11.0)
    energies = np.random.default_rng(0).uniform(1, 100, 4000)
    showers = Showers(energies, np.ones((4000, 12)), geometry=TOY, columns={"pdg": pdg})
    for seed in range(5):
        incident = Incident(["pdg"])
        incident.fit(showers, np.arange(4000), torch.Generator().manual_seed(seed))
        found = incident.particles.numpy()
        assert abs((found[:, 1] == 22.0).sum() - 15) <= 1
        quantiles = [np.quantile(one, np.linspace(0.01, 0.99, 50)) for one in (found[:, 0], energies)]
        np.testing.assert_allclose(*quantiles, atol=0.2)


def test_a_hundred_energies_are_a_list_and_more_a_spectrum() -> None:
    for n, listed in ((100, True), (101, False)):
        energies = np.arange(1.0, n + 1)
        incident = fitted(energies)
        assert set(drawn(incident)).issubset(energies) == listed
        if listed:
            assert_shares(drawn(incident), energies, np.full(n, 1 / n))
        (text,) = incident.beyond(incident.asked(np.array([0.5, 200.0])))
        assert text == f"energy 0.5 to 200, trained on 1 to {n}"
        assert incident.beyond(incident.asked(np.array([1.0, n]))) == []


def test_a_model_keeps_its_list_until_it_learns_others() -> None:
    torch.set_default_dtype(torch.float32)
    short = [
        f"model.{flow}.{setting}"
        for flow in ("energy_flow", "shower_flow")
        for setting in ("training.epochs=1", "blocks=1")
    ]
    model = CaloFlow(config=load_config("demo", short).model, geometry=TOY, seed=1)
    showers = toy_showers(300)
    fixed = replace(showers, energies=np.where(np.arange(300) == 7, 99.0, 20.0))
    model.fit(fixed, fixed[:100], seed=0)
    assert_shares(model.sample(4000, seed=0).energies, np.array([20.0, 99.0]), np.array([299, 1]) / 300)
    model.fit(showers, showers[:100], seed=0)
    assert len(np.unique(model.sample(100, seed=0).energies)) == 100


def test_energies_not_given_are_those_of_the_species() -> None:
    incident = Incident(["theta", "pdg"])
    showers = toy_showers(1000)
    pdg = np.where(showers.energies > 30, 22.0, -11.0)
    showers = replace(showers, columns={"theta": np.linspace(0, 0.2, 1000), "pdg": pdg})
    incident.fit(showers, np.arange(1000), torch.Generator().manual_seed(1))
    wanted = np.where(np.arange(600) % 3 == 0, 22.0, -11.0)
    asked = incident.asked(600, {"pdg": wanted})
    energies, columns = asked.particles(0, torch.linspace(0, 0.999, 600, dtype=torch.float64), torch.zeros(600))
    assert ((energies.numpy() > 30) == (wanted == 22)).all()
    assert (columns["pdg"] == wanted).all()
    assert incident.beyond(asked) == []
    (text,) = incident.beyond(incident.asked(10, {"theta": 3.0, "pdg": 22.0}))
    assert text.startswith("theta 3 to 3, trained on 0")
    (text,) = incident.beyond(incident.asked(10, {}, Spread.parse("50:200", "--energy")))
    assert text.startswith("energy 50 to 200, trained on 1.")
    with pytest.raises(DomainError, match="the condition 'theta' must be finite numbers, but got inf"):
        incident.asked(10, {"theta": np.inf})
