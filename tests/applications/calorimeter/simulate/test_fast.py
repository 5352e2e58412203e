"""The parametrised engine: what it must conserve, what theory says of a shower, and the shipped Geant4 sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hepflows.applications.calorimeter import Showers, read_showers
from hepflows.applications.calorimeter.simulate import (
    Detector,
    FastEngine,
    Gun,
    Spread,
    detectors,
    load_detector,
    particle_pdg,
)
from hepflows.applications.calorimeter.simulate.components import electromagnetic, pion
from hepflows.applications.calorimeter.simulate.medium import Medium
from hepflows.applications.calorimeter.simulate.profiles import mean_maximum

GEANT4 = Path(__file__).parents[4] / "data" / "calorimeter" / "eplus.hdf5"


def shower(detector: Detector, particle: str, energy: str, n: int = 500, **spreads: str) -> Showers:
    gun = Gun(particle_pdg(particle), Spread.parse(energy, "-e"), **{k: Spread.parse(v, k) for k, v in spreads.items()})
    return FastEngine(detector).shoot(gun.draw(n, np.random.default_rng(1)), 2)


def block(material: str, mm: float, layers: int, cells: int = 40, cell_mm: float = 10.0) -> Detector:
    """One piece of one material, in many layers."""
    depth = mm / layers
    grid = {"cells": [cells, cells], "cell_mm": [cell_mm, cell_mm]}
    return Detector.from_description(
        {
            "name": material,
            "layers": [{**grid, "depth_mm": [depth * index, depth * (index + 1)]} for index in range(layers)],
            "stack": [{"material": material, "mm": mm}],
            "width_mm": 20_000,
        }
    )


def depths_x0(detector: Detector, showers: Showers) -> np.ndarray:
    """Mean depth of every shower in radiation lengths."""
    medium = Medium.of(detector)
    middle = [np.mean(layer.depth_mm) for layer in detector.geometry.layers]
    energies = showers.layer_energies + showers.overflow
    return energies @ medium.at(medium.radiation_lengths, middle) / energies.sum(axis=1)


@pytest.mark.parametrize("particle", ["eplus", "gamma", "piplus"])
def test_all_that_is_deposited_is_booked(particle: str) -> None:
    detector = block("G4_Pb", 1500.0, 15, cell_mm=30.0)
    engine = FastEngine(detector)
    primaries = Gun(particle_pdg(particle), Spread.parse("1:100", "-e")).draw(200, np.random.default_rng(3))
    make = pion if particle == "piplus" else electromagnetic
    parts = make(primaries, engine._edges, engine._medium, np.random.default_rng(4))
    deposits = 1e3 * sum(part.gev.sum(axis=1) for part in parts)
    showers = engine.shoot(primaries, 4)
    np.testing.assert_allclose(showers.voxels.sum(axis=1) + showers.overflow.sum(axis=1), deposits, rtol=1e-6)
    assert (deposits <= 1e3 * primaries.energies * (1 + 1e-12)).all()
    if particle != "piplus":  # 250 radiation lengths: nothing leaves, what is missing went into nuclei
        assert 1 - np.mean(deposits / primaries.energies) / 1e3 == pytest.approx(0.003, abs=4 * 0.003 / np.sqrt(200))


@pytest.mark.parametrize("material", ["G4_PbWO4", "G4_Pb"])
def test_the_maximum_of_the_mean_profile_lies_where_theory_says(material: str) -> None:
    layers = 80
    length = 30 * Medium.of(block(material, 100.0, 1)).edges_mm[-1]
    length = 30 * length / Medium.of(block(material, length, 1)).radiation_lengths[-1]
    detector = block(material, float(length), layers, cells=1, cell_mm=1e4)
    for energy in (10.0, 100.0):
        showers = shower(detector, "eminus", str(energy), 2000)
        profile, t = showers.layer_energies.mean(axis=0), 30 * (np.arange(layers) + 0.5) / layers
        near = profile > 0.9 * profile.max()
        square, linear, _ = np.polyfit(t[near], profile[near], 2)
        assert -linear / (2 * square) == pytest.approx(float(mean_maximum(energy, Medium.of(detector))), abs=0.3)


def test_depth_grows_with_the_logarithm_of_the_energy_and_photons_come_later() -> None:
    detector = block("G4_Pb", 250.0, 50, cells=1, cell_mm=1e4)
    low, high, photon = (
        depths_x0(detector, shower(detector, particle, energy, 2000)).mean()
        for particle, energy in (("eminus", "10"), ("eminus", "100"), ("gamma", "10"))
    )
    assert high - low == pytest.approx(np.log(10), abs=0.15)
    assert photon - low == pytest.approx(1.0, abs=0.3)  # Review of Particle Physics: t_max = ln y - 0.5 and + 0.5


def test_nine_tenths_lie_within_a_moliere_radius() -> None:
    detector = load_detector("calogan")
    radius = Medium.of(detector).moliere_mm
    rings = [{"r_edges_mm": [0, radius], "n_alpha": 1, "depth_mm": [0, 480]}]
    showers = shower(Detector.from_description({**detector.describe(), "layers": rings}), "eplus", "50", 300)
    contained = showers.voxels.sum() / (showers.voxels.sum() + showers.overflow.sum())
    assert contained == pytest.approx(0.9, abs=0.03)


def test_the_shipped_geant4_showers() -> None:
    """Shares of the layers, their spread, and widths; docs/results/simulation.md has the table."""
    geant4 = read_showers(GEANT4)
    fast = shower(load_detector("calogan"), "eplus", "1:100", 2000)

    def shares(showers: Showers) -> np.ndarray:
        return showers.layer_energies / showers.voxels.sum(axis=1, keepdims=True)

    def width(showers: Showers, layer: int) -> float:
        y, values = showers.geometry.layers[layer].coordinates["y"], showers.voxels[:, showers.geometry.slices[layer]]
        mean = values.sum(axis=0) / values.sum()
        return float(np.sqrt(mean @ y**2 - (mean @ y) ** 2))

    np.testing.assert_allclose(shares(fast).mean(axis=0), shares(geant4).mean(axis=0), atol=0.015)
    np.testing.assert_allclose(shares(fast).std(axis=0), shares(geant4).std(axis=0), rtol=0.3)
    ratio = [showers.voxels.sum() / showers.energies.sum() / 1e3 for showers in (fast, geant4)]
    assert ratio[0] == pytest.approx(ratio[1], abs=0.001)
    assert width(fast, 0) == pytest.approx(width(geant4, 0), rel=0.25)
    assert width(fast, 1) == pytest.approx(width(geant4, 1), rel=0.1)


def test_what_is_read_out_in_part_fluctuates_as_the_sampling_does() -> None:
    detector = load_detector("calogan-active")
    medium = Medium.of(detector)
    share = medium.electron_ratio * medium.read_mev[-1] / medium.minimum_mev[-1]
    for energy in (4.0, 64.0):
        showers = shower(detector, "eminus", str(energy), 1500)
        seen = (showers.voxels.sum(axis=1) + showers.overflow.sum(axis=1)) / (1e3 * energy)
        assert seen.mean() == pytest.approx(share, rel=0.02)
        assert seen.std() / seen.mean() == pytest.approx(medium.resolution / np.sqrt(energy), rel=0.1)


def test_direction_and_place() -> None:
    detector = block("G4_Pb", 120.0, 20, cells=80, cell_mm=5.0)
    showers = shower(detector, "eminus", "50", 400, theta="0.3", phi="1.2", x="30", y="-20")
    energy, layers = showers.voxels.sum(), detector.geometry.layers
    depth = showers.layer_energies.sum(axis=0) @ [np.mean(layer.depth_mm) for layer in layers] / energy  # type: ignore[arg-type]
    x, y = (
        showers.voxels.sum(axis=0) @ np.concatenate([layer.coordinates[name] for layer in layers]) / energy
        for name in "xy"
    )
    assert x == pytest.approx(30 + depth * np.tan(0.3) * np.cos(1.2), abs=0.5)
    assert y == pytest.approx(-20 + depth * np.tan(0.3) * np.sin(1.2), abs=0.5)


def test_a_pion_may_cross_as_a_track() -> None:
    detector = load_detector("calogan")
    medium = Medium.of(detector)
    n = 2000
    showers = shower(detector, "piplus", "20", n)
    seen = showers.voxels.sum(axis=1) + showers.overflow.sum(axis=1)
    track = medium.minimum_mev[-1]
    crossed = np.abs(seen / track - 1) < 1e-3
    chance = np.exp(-medium.interaction_lengths[-1])
    assert crossed.mean() == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / n))
    assert (seen >= 0.99 * np.minimum(track, seen[crossed].min())).sum() >= crossed.sum()


@pytest.mark.parametrize("name", detectors())
@pytest.mark.parametrize("particle", ["gamma", "piminus"])
def test_every_detector_and_the_edges_of_the_energy(name: str, particle: str) -> None:
    detector = load_detector(name)
    for energy in ("0.01", "1000"):
        showers = shower(detector, particle, energy, 20)
        for values in (showers.voxels, showers.overflow):
            assert np.isfinite(values).all()
            assert (values >= 0).all()
        assert not ((showers.voxels > 0) & (showers.voxels < detector.threshold_mev)).any()
        assert showers.voxels.sum() <= 20e3 * float(energy) * max(1.0, 0.04 * detector.scale)


def test_the_seed_says_everything_and_the_first_showers_do_not_depend_on_how_many() -> None:
    engine = FastEngine(load_detector("calogan"))
    primaries = Gun(22, Spread.parse("1:100", "-e")).draw(250, np.random.default_rng(0))
    whole, again, first, other = (
        engine.shoot(primaries, 1), engine.shoot(primaries, 1), engine.shoot(primaries, 1, 120), engine.shoot(primaries, 2),
    )  # fmt: skip
    np.testing.assert_array_equal(whole.voxels, again.voxels)
    np.testing.assert_array_equal(whole.voxels[:120], first.voxels)
    assert len(first) == 120
    assert (whole.voxels.sum(axis=1) != other.voxels.sum(axis=1)).all()
