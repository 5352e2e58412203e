from __future__ import annotations

import numpy as np
import pytest

from hepflows.applications.calorimeter.simulate import Gun, Spread, particle_pdg
from hepflows.errors import ConfigError

RNG = np.random.default_rng


def test_a_flat_and_a_logarithmic_spectrum_have_their_moments() -> None:
    n = 200_000
    flat = Spread.parse("1:100", "-e").draw(n, RNG(0))
    logarithmic = np.log(Spread.parse("log:1:1000", "-e").draw(n, RNG(0)))
    for values, low, high in ((flat, 1, 100), (logarithmic, 0, np.log(1000))):
        assert values.min() >= low
        assert values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=5 * (high - low) / np.sqrt(12 * n))
        assert values.var() == pytest.approx((high - low) ** 2 / 12, rel=0.02)


def test_a_list_takes_each_equally_often() -> None:
    values, counts = np.unique(Spread.parse("10,20,50", "-e").draw(30_000, RNG(1)), return_counts=True)
    assert values.tolist() == [10, 20, 50]
    assert np.abs(counts - 10_000).max() < 5 * np.sqrt(30_000 * 2 / 9)


def test_a_fixed_value_takes_no_random_numbers() -> None:
    rng = RNG(2)
    assert Spread.parse("50", "-e").draw(3, rng).tolist() == [50, 50, 50]
    assert rng.random() == RNG(2).random()


@pytest.mark.parametrize("text", ["50", "0.1", "1:100", "log:0.1:1000", "10,20,50", "-3:3", "1e-3"])
def test_text_there_and_back(text: str) -> None:
    spread = Spread.parse(text, "--x")
    assert Spread.parse(str(spread), "--x") == spread


@pytest.mark.parametrize(
    "text", ["", "a", "1:", "2:1", "1:2:3", "log:5", "log:0:5", "log:1,2", "nan", "1,inf", "1:nan"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--energy .*: give a number such as 50"):
        Spread.parse(text, "--energy")


def test_particles() -> None:
    assert [particle_pdg(name) for name in ("eplus", "eminus", "gamma", "piplus", "piminus", "2212")] == [
        -11,
        11,
        22,
        211,
        -211,
        2212,
    ]
    with pytest.raises(ConfigError, match="no particle 'electron': give eplus, eminus"):
        particle_pdg("electron")


def test_a_gun_describes_itself() -> None:
    gun = Gun(22, Spread.parse("log:1:1000", "-e"), theta=Spread.parse("0:0.3", "-t"), x=Spread.parse("5", "-x"))
    assert Gun.read(gun.describe()) == gun
    primaries = gun.draw(10, RNG(3))
    columns = gun.columns(primaries)
    assert sorted(columns) == ["phi", "theta", "x"]  # no y, which is zero
    np.testing.assert_array_equal(columns["theta"], primaries.theta)
    assert len(primaries[:4]) == 4


def test_a_further_spread_changes_no_energies() -> None:
    energy = Spread.parse("1:100", "-e")
    plain, tilted = Gun(22, energy), Gun(22, energy, theta=Spread.parse("0:0.3", "-t"))
    np.testing.assert_array_equal(plain.draw(9, RNG(4)).energies, tilted.draw(9, RNG(4)).energies)


@pytest.mark.parametrize(
    ("energy", "theta", "words"),
    [
        ("0:10", "0", "energy must be positive"),
        ("-5", "0", "energy must be positive"),
        ("1", "1.6", r"\[0, pi/2\)"),
        ("1", "-0.1", "pi/2"),
    ],
)
def test_impossible_guns_are_refused(energy: str, theta: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Gun(22, Spread.parse(energy, "-e"), theta=Spread.parse(theta, "-t"))
