"""Pythia's events: weights, shards and files with a source that stands in for Pythia, and Pythia itself where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from anomaly_command import anomaly

from hepflows.applications.anomaly.jets import Particles
from hepflows.applications.anomaly.simulate import production, shards
from hepflows.applications.anomaly.simulate.cards import card
from hepflows.applications.anomaly.simulate.production import Order, simulate_showers
from hepflows.applications.anomaly.simulate.pythia import Batch
from hepflows.applications.anomaly.simulate.shards import Shard, ShardFolder, Shower, make
from hepflows.applications.anomaly.simulate.smearing import smear
from hepflows.applications.anomaly.simulate.weights import balance
from hepflows.errors import ConfigError, SimulationError
from hepflows.io.columns import open_columns

TOTAL, FALL = 2.0, 0.7  # mb and TeV of the process that stands in for QCD


def stand_in(lines: list[str]) -> Iterator[Batch]:
    """Back-to-back pairs of four particles with an exponential spectrum above 2.6 TeV, within the limits of the card."""
    values = dict(line.split(" = ") for line in lines if line.count(" = ") == 1)
    rng = np.random.default_rng(int(values["Random:seed"]))
    low, high = (
        float(values.get(f"PhaseSpace:mHat{end}", other)) / 1e3 for end, other in (("Min", 2600), ("Max", 1e6))
    )
    share = [np.exp(-(edge - 2.6) / FALL) for edge in (low, high)]
    while True:
        m = 2.6 - FALL * np.log(share[0] - rng.random(50) * (share[0] - share[1]))
        if "NewGaugeBoson:ffbar2Wprime = on" in lines:
            m = rng.normal(3.5, 0.03, 50)
        phi = rng.uniform(-3, 3, 50)
        half = np.repeat(1e3 * m / 4 / np.cosh(0.2), 4)
        turn = np.tile([0.1, -0.1, np.pi + 0.1, np.pi - 0.1], 50)
        eta = np.tile([0.2, -0.2, 0.2, -0.2], 50)
        particles = Particles.massless(half, eta, np.repeat(phi, 4) + turn, np.full(50, 4))
        yield Batch(particles, np.full(200, 211), 1e3 * m, TOTAL * (share[0] - share[1]))


def columns(path: Path) -> dict[str, np.ndarray]:
    with open_columns(path) as table:
        return next(table.iterate(table.names, chunk=100_000))


@pytest.fixture
def no_pythia(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastjet")
    monkeypatch.setattr(production, "import_pythia", lambda: None)
    monkeypatch.setattr(ShardFolder, "write", _write)
    monkeypatch.setattr(shards, "SIZE", 200)
    monkeypatch.setattr(production, "SIZE", 200)


def _write(folder: ShardFolder, shard: Shard) -> None:
    with open(folder.path / shard.name, "wb") as file:
        np.savez(file, **make(shard, folder.shower, stand_in))


def test_cards_are_those_of_the_two_processes() -> None:
    background, signal = card("background", 3, pt_hat=900), card("signal", 3, mpi=True)
    assert {"HardQCD:all = on", "PhaseSpace:pTHatMin = 900", "PartonLevel:MPI = off", "Random:seed = 3"} < set(
        background
    )
    assert {"34:m0 = 3500.", "PartonLevel:MPI = on", "34:oneChannel = 1 1. 101 9000101 9000102"} < set(signal)
    assert not any(line.startswith(("HardQCD", "PhaseSpace")) for line in signal)


def test_weights_of_overlapping_samples_give_the_spectrum_back() -> None:
    rng = np.random.default_rng(1)
    plain, low, high = rng.exponential(size=40_000), 1.0, 1.5
    share = np.exp(-low) - np.exp(-high)
    limited = -np.log(np.exp(-low) - rng.random(20_000) * share)
    x = np.concatenate([plain, limited])
    within = (x >= low) & (x <= high)
    w = balance(within, (40_000, 20_000), (5.0, 5.0 * share))
    assert w.mean() == pytest.approx(1.0)
    edges = np.array([0.0, 0.5, 1.0, 1.25, 1.5, 3.0, 20.0])
    found = np.histogram(x, edges, weights=w)[0] / w.sum()
    error = np.sqrt(np.histogram(x, edges, weights=w**2)[0]) / w.sum()
    assert np.abs((found - np.diff(-np.exp(-edges))) / error).max() < 4
    # in the limits there are several times as many events for the same error
    assert within.mean() > 2.5 * share
    np.testing.assert_array_equal(balance(within[:3], (0, 10), (1.0, 1.0)), np.ones(3))


@pytest.mark.usefixtures("no_pythia")
def test_enriched_files_have_the_spectrum_of_plain_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    assert simulate_showers(path, Order(2400, enrich=0.5), Shower(5)) == (2400, round(0.006 * _region(path) / 0.75))
    found = columns(path)
    back = found["label"] == 0
    w = found["weight"][back] / found["weight"][back].sum()
    edges = np.array([2.6, 2.9, 3.3, 3.7, 4.2, 20.0])
    shares, errors = (np.histogram(found["m_hat"][back], edges, weights=one)[0] for one in (w, w**2))
    truth = np.diff(-np.exp(-(edges - 2.6) / FALL))
    assert np.abs((shares - truth) / np.sqrt(errors)).max() < 4
    assert (found["label"] == 1).sum() > 0
    region = (found["mJJ"] > 3.3) & (found["mJJ"] < 3.7)
    # a signal event weighs as much as the background around it
    assert np.unique(found["weight"][~back]) == pytest.approx(found["weight"][back & region].mean())
    np.testing.assert_allclose(found["mJJ"], found["m_hat"], rtol=0.03)
    assert not (tmp_path / "a.hdf5.shards").exists()


def _region(path: Path) -> int:
    found = columns(path)
    return int(((found["label"] == 0) & (found["mJJ"] > 3.3) & (found["mJJ"] < 3.7)).sum())


@pytest.mark.usefixtures("no_pythia")
def test_an_interrupted_simulation_goes_on_to_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order, shower = Order(500, signal=100, enrich=0.3), Shower(7, smeared=True)
    simulate_showers(tmp_path / "whole.hdf5", order, shower)
    calls = []

    def stop(folder: ShardFolder, shard: Shard) -> None:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(shard.name)
        _write(folder, shard)

    monkeypatch.setattr(ShardFolder, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        simulate_showers(tmp_path / "parts.hdf5", order, shower)
    assert calls == ["background_00000.npz", "background_00001.npz"]
    with pytest.raises(ConfigError, match="a simulation with other settings"):
        simulate_showers(tmp_path / "parts.hdf5", order, Shower(8))
    done = []
    monkeypatch.setattr(ShardFolder, "write", lambda folder, shard: (done.append(shard.name), _write(folder, shard)))
    simulate_showers(tmp_path / "parts.hdf5", order, shower)
    assert set(done) == {"enriched_00000.npz", "signal_00000.npz"}
    one, other = columns(tmp_path / "whole.hdf5"), columns(tmp_path / "parts.hdf5")
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.usefixtures("no_pythia")
def test_a_window_keeps_only_what_lies_in_it(tmp_path: Path) -> None:
    shower = Shower(1, window=(3.0, 3.2), enriched=(3.0, 3.2))
    assert simulate_showers(tmp_path / "a.csv", Order(150, enrich=1.0), shower) == (150, 0)
    found = columns(tmp_path / "a.csv")
    assert found["mJJ"].min() > 3.0
    assert found["mJJ"].max() < 3.2
    np.testing.assert_array_equal(found["weight"], 1.0)


def test_what_cannot_be_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastjet")
    monkeypatch.setattr(shards, "_HOPELESS", 4)
    with pytest.raises(SimulationError, match="none of 200 events of the background passes"):
        make(Shard("background", 0, 5), Shower(1, window=(90.0, 91.0)), stand_in)
    for order in ({"background": 0}, {"background": -1}, {"background": 10, "enrich": 1.5}):
        with pytest.raises(ConfigError, match=r"nothing to simulate|share of the background"):
            Order(**order)
    folder = ShardFolder.beside(tmp_path / "a.hdf5", Shower(1))
    (folder.path / "signal_00000.npz").write_bytes(b"PK damaged")
    with pytest.raises(ValueError, match="is damaged"):
        folder.read(Shard("signal", 0, 5))


def test_smeared_particles_have_the_stated_resolution() -> None:
    rng, n = np.random.default_rng(3), 20_000
    event = Particles.massless(np.full(n, 40.0), np.full(n, 0.31), np.full(n, 1.23), np.array([n]))
    for pdg, sigma, cell in ((211, np.hypot(0.01, 0.004), 0), (130, np.hypot(1 / 6.47, 0.05), 0.1)):
        found = smear(event, np.full(n, pdg), rng)
        pt = np.hypot(*found.momenta[:, :2].T)
        assert pt.std() / 40 == pytest.approx(sigma, rel=0.05)
        assert len(pt) / n == pytest.approx(1.0 if cell else 0.95, abs=0.01)
        eta = np.arcsinh(found.momenta[:, 2] / pt)
        np.testing.assert_allclose(eta, 0.35 if cell else 0.31, rtol=1e-9)
    soft = Particles.massless(np.full(100, 0.05), np.zeros(100), np.zeros(100), np.array([60, 40]))
    assert smear(soft, np.full(100, 22), rng).lengths.tolist() == [0, 0]


def test_pythia_makes_both_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastjet")
    pytest.importorskip("pythia8mc")
    path = tmp_path / "dijets.hdf5"
    assert anomaly(
        monkeypatch, "simulate", "--engine", "pythia", "--background", 40, "--signal", 40, "--enrich", 0.5, "-j", 1, "-o", path
    ) == 0  # fmt: skip
    found = columns(path)
    signal = found["label"] == 1
    assert signal.sum() == 40
    # the resonances are where the card puts them
    assert np.median(found["mJJ"][signal]) == pytest.approx(3.5, abs=0.15)
    assert np.median(found["mJ1"][signal]) == pytest.approx(0.106, abs=0.02)
    assert np.median(found["mJ2"][signal]) == pytest.approx(0.49, abs=0.05)
    assert np.median(found["tau21_2"][signal]) < 0.3 < np.median(found["tau21_2"][~signal])
