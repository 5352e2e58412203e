"""Real Geant4, in this process: against what is known of this calorimeter, and against itself."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hepflows.applications.calorimeter import Showers, read_showers
from hepflows.applications.calorimeter.simulate import (
    Detector,
    Geant4Engine,
    Gun,
    Spread,
    geant4,
    geant4_data,
    load_detector,
    particle_pdg,
    simulate_showers,
)
from hepflows.applications.calorimeter.simulate.geant4 import _runs, default_physics
from hepflows.errors import ConfigError


def engine(detector: Detector, cache: Path) -> Geant4Engine:
    elements = {z for material in detector.resolved.values() for z in material.elements}
    return Geant4Engine(detector, "em", geant4_data(elements, cache).folder)


def shoot(made: Geant4Engine, particle: str, energy: str, n: int, seed: int = 1, **spreads: str) -> Showers:
    gun = Gun(particle_pdg(particle), Spread.parse(energy, "-e"), **{k: Spread.parse(v, k) for k, v in spreads.items()})
    return made.shoot(gun.draw(n, np.random.default_rng(seed)), seed)


def response(showers: Showers) -> np.ndarray:
    return (showers.voxels.sum(axis=1) + showers.overflow.sum(axis=1)) / (1e3 * showers.energies)


def test_positrons_of_10_gev(cache: Path) -> None:
    """E_tot/E = 0.996 with a spread of 0.005; shares of the layers 0.315, 0.680, 0.0007 as found before with 150 showers."""
    showers = shoot(engine(load_detector("calogan"), cache), "eplus", "10", 25)
    ratio = response(showers)
    assert np.median(ratio) == pytest.approx(0.9965, abs=0.002)  # the mean has a tail of photonuclear losses
    shares = (showers.layer_energies + showers.overflow) / (1e4 * ratio[:, None])
    error = shares.std(axis=0) / 5
    np.testing.assert_array_less(np.abs(shares.mean(axis=0) - [0.313, 0.684, 0.0008]), 3 * error + 0.003)


def test_energy_is_neither_lost_nor_made(cache: Path) -> None:
    ratio = response(shoot(engine(load_detector("calogan"), cache), "gamma", "1", 60))
    assert (ratio <= 1 + 1e-6).all()
    assert ratio.mean() == pytest.approx(0.996, abs=0.004)


def test_argon_alone_sees_the_sampling_fraction(cache: Path) -> None:
    ratio = response(shoot(engine(load_detector("calogan-active"), cache), "eminus", "2", 60))
    assert ratio.mean() == pytest.approx(0.188, abs=0.006)
    assert ratio.std() / ratio.mean() == pytest.approx(0.08 / np.sqrt(2), rel=0.4)


def test_the_seed_says_everything_whatever_was_simulated_before(cache: Path) -> None:
    made = engine(load_detector("calogan"), cache)
    first = shoot(made, "eminus", "0.3:1", 12, seed=5)
    shoot(made, "eminus", "0.5", 7, seed=6)
    np.testing.assert_array_equal(shoot(made, "eminus", "0.3:1", 12, seed=5).voxels, first.voxels)
    primaries = Gun(11, Spread.parse("0.3:1", "-e")).draw(12, np.random.default_rng(5))
    np.testing.assert_array_equal(made.shoot(primaries, 5, 5).voxels, first.voxels[:5])
    assert (shoot(made, "eminus", "0.3:1", 12, seed=7).voxels.sum(axis=1) != first.voxels.sum(axis=1)).all()


def test_direction_and_place(cache: Path) -> None:
    detector = load_detector("calogan")
    fine = [{"cells": [200, 200], "cell_mm": [2, 2], "depth_mm": [0, 48]}]
    made = engine(Detector.from_description({**detector.describe(), "layers": fine}), cache)
    showers = shoot(made, "eminus", "2", 40, theta="0.4", phi="2", x="-20", y="15")
    layer, values = made._detector.geometry.layers[0], showers.voxels.sum(axis=0)
    outward = np.tan(0.4) * 30.0  # deposits of 2 GeV in the first 48 mm lie about 30 mm deep
    x, y = (values @ layer.coordinates[name] / values.sum() for name in "xy")
    assert x == pytest.approx(-20 + outward * np.cos(2), abs=3)
    assert y == pytest.approx(15 + outward * np.sin(2), abs=3)


def test_one_process_has_one_physics(cache: Path) -> None:
    engine(load_detector("calogan"), cache)
    with pytest.raises(
        ConfigError, match="has used Geant4 with the physics 'em', which it keeps: for 'FTFP_BERT' call"
    ):
        Geant4Engine(load_detector("calogan"), "FTFP_BERT", cache)


def test_pions_through_a_material_of_ones_own(tmp_path: Path) -> None:
    detector = Detector.from_description(
        {
            "name": "one block",
            "layers": [{"cells": [1, 1], "cell_mm": [1000, 1000], "depth_mm": [0, 100]}],
            "stack": [{"material": "steel", "mm": 100}],
            "width_mm": 1000,
            "materials": {"steel": {"density": 7.9, "elements": {"Fe": 0.98, "C": 0.02}}},
        }
    )
    n = 300
    simulate_showers(tmp_path / "pions.hdf5", detector, Gun(211, Spread.parse("5", "-e")), n)
    deposits = read_showers(tmp_path / "pions.hdf5", geometry=detector.geometry).voxels[:, 0]
    # most cross as tracks: 1.14 MeV/mm at the minimum, and 10 to 20 % more at this energy
    assert np.median(deposits[deposits < 200]) / 100 == pytest.approx(1.31, abs=0.07)
    crossed = (deposits < 200).mean()
    chance = np.exp(-100 / detector.resolved["steel"].pion_length_mm)
    assert crossed == pytest.approx(chance, abs=3 * np.sqrt(chance * (1 - chance) / n) + 0.03)


def test_a_particle_that_misses_is_refused(cache: Path) -> None:
    with pytest.raises(ConfigError, match="600 mm misses the front face of 'CaloGAN', which ends at 500 mm"):
        shoot(engine(load_detector("calogan"), cache), "eminus", "1", 1, x="600")


def test_runs_are_bounded_and_do_not_depend_on_later_showers() -> None:
    energies = np.random.default_rng(0).uniform(1, 200, 300)
    parts = list(_runs(energies))
    assert [index for part in parts for index in range(part.start, part.stop)] == list(range(300))
    assert all(part.stop - part.start == 1 or energies[part].sum() <= 250 for part in parts)
    fewer = list(_runs(energies[:100]))
    assert fewer[:-1] == parts[: len(fewer) - 1]
    assert max(part.stop - part.start for part in _runs(np.full(200, 0.1))) == 50


def test_physics_by_particle() -> None:
    assert [default_physics(pdg) for pdg in (11, -11, 22, 211, 2212)] == ["em", "em", "em", "FTFP_BERT", "FTFP_BERT"]


def test_variables_of_geant4_itself_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would win over the folder that the file names as its data."""
    monkeypatch.setenv("G4LEDATA", "/nowhere")
    monkeypatch.setenv("G4OTHER", "stays")
    geant4._forget_other_data()
    assert "G4LEDATA" not in os.environ
    assert os.environ["G4OTHER"] == "stays"
