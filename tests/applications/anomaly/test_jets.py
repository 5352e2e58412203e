from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from anomaly_command import anomaly
from pandas_fixed import write_frame

from hepflows.applications.anomaly import Selection, read_events
from hepflows.applications.anomaly.formats import lhco, raw
from hepflows.applications.anomaly.jets import JetRules, Particles, find_dijets, jet_columns, subjettiness
from hepflows.errors import ConfigError, DataError
from hepflows.io.columns import open_columns

RAW = (
    Path(os.environ.get("HEPFLOWS_THIRD_PARTY_DATA", Path(__file__).parents[4] / "shared" / "data"))
    / "lhco_raw"
    / "events_anomalydetection_tiny.h5"
)


def cone(rng: np.random.Generator, n: int, pt: float, eta: float, phi: float, width: float) -> np.ndarray:
    """(n, 3) particles around a direction."""
    share = rng.dirichlet(np.ones(n))
    return np.stack([pt * share, rng.normal(eta, width, n), rng.normal(phi, width, n)], axis=1)


def dijet(rng: np.random.Generator) -> np.ndarray:
    """Two back-to-back jets of two prongs each, and soft particles; phi not wrapped."""
    phi = rng.uniform(-np.pi, np.pi)
    parts = [cone(rng, 6, 800, 0.3, phi, 0.05), cone(rng, 5, 700, 0.6, phi + 0.25, 0.05)]
    parts += [cone(rng, 5, 900, -0.4, phi + np.pi, 0.05), cone(rng, 4, 500, -0.2, phi + np.pi - 0.4, 0.05)]
    parts += [np.stack([rng.uniform(0.2, 2, 8), rng.uniform(-4, 4, 8), rng.uniform(-3, 3, 8)], axis=1)]
    return rng.permutation(np.concatenate(parts))


def massless(events: list[np.ndarray]) -> Particles:
    return Particles.massless(*np.concatenate(events).T, np.array([len(one) for one in events]))


# --- a second implementation, one event and one pair at a time


def rapidity(p: np.ndarray) -> float:
    return 0.5 * np.log((p[3] + p[2]) / (p[3] - p[2]))


def apart(a: np.ndarray, b: np.ndarray) -> float:
    turn = (np.arctan2(a[1], a[0]) - np.arctan2(b[1], b[0]) + np.pi) % (2 * np.pi) - np.pi
    return float((rapidity(a) - rapidity(b)) ** 2 + turn**2)


def recombine(
    momenta: np.ndarray, power: int, radius: float, stop: int | None = None
) -> list[tuple[np.ndarray, list[int]]]:
    """Generalised kt by trying all pairs; the jets, or ``stop`` exclusive ones, and their constituents."""
    left = [(p, [i]) for i, p in enumerate(momenta)]
    jets = []
    while left and (stop is None or len(left) > stop):
        scale = [np.hypot(p[0], p[1]) ** (2 * power) for p, _ in left]
        best, pair = min((one, (i, i)) for i, one in enumerate(scale))
        for i, j in itertools.combinations(range(len(left)), 2):
            distance = min(scale[i], scale[j]) * apart(left[i][0], left[j][0]) / radius**2
            if distance < best:
                best, pair = distance, (i, j)
        i, j = pair
        if i == j:
            jets.append(left.pop(i))
        else:
            (p, a), (q, b) = left[i], left[j]
            left = [one for k, one in enumerate(left) if k not in pair] + [(p + q, a + b)]
    return jets if stop is None else left


def direct_tau(momenta: np.ndarray, count: int) -> float:
    if len(momenta) <= count:
        return 0.0
    total = above = 0.0
    axes = [p for p, _ in recombine(momenta, 1, 10.0, stop=count)]
    for p in momenta:
        pt = np.hypot(p[0], p[1])
        distances = []
        for axis in axes:
            eta = [np.arcsinh(q[2] / np.hypot(q[0], q[1])) for q in (p, axis)]
            turn = (np.arctan2(p[1], p[0]) - np.arctan2(axis[1], axis[0]) + np.pi) % (2 * np.pi) - np.pi
            distances.append(np.hypot(eta[0] - eta[1], turn))
        above, total = above + pt * min(distances), total + pt
    return above / total


def test_subjettiness_of_values_by_hand() -> None:
    # jet 1: 30 on axis, 10 at (0.3, 0.4) of it; jet 2: across phi = pi; jet 3: none
    pt, eta, phi = np.array([30.0, 10.0, 5.0, 5.0]), np.array([0.0, 0.3, 1.0, 1.0]), np.array([0.0, 0.4, 3.1, -3.1])
    axes = np.array([[[0.0, 0.0]], [[1.0, 3.1]], [[0.0, 0.0]]])
    found = subjettiness(pt, eta, phi, np.array([2, 2, 0]), axes)
    np.testing.assert_allclose(found, [10 * 0.5 / 40, 5 * (2 * np.pi - 6.2) / 10, 0.0])
    squared = subjettiness(pt, eta, phi, np.array([2, 2, 0]), axes, beta=2.0, radius=0.5)
    np.testing.assert_allclose(squared[0], 10 * 0.25 / (40 * 0.25))
    two = np.array([[[0.0, 0.0], [0.3, 0.4]]])
    np.testing.assert_allclose(subjettiness(pt[:2], eta[:2], phi[:2], np.array([2]), two), 0.0, atol=1e-12)


def test_jets_and_taus_are_those_of_a_direct_computation() -> None:
    pytest.importorskip("fastjet")
    rng = np.random.default_rng(4)
    events = [dijet(rng) for _ in range(6)]
    found = find_dijets(massless(events), JetRules(leading_pt=400.0))
    assert found.passed.all()
    for i, event in enumerate(events):
        p = massless([event]).momenta
        jets = sorted(recombine(p, -1, 1.0), key=lambda jet: -np.hypot(jet[0][0], jet[0][1]))[:2]
        for j, (momentum, constituents) in enumerate(jets):
            np.testing.assert_allclose(found.momenta[i, j], momentum, rtol=1e-9)
            expected = [direct_tau(p[constituents], count) for count in (1, 2, 3)]
            np.testing.assert_allclose(found.taus[i, j], expected, rtol=1e-9)


def test_events_without_a_pair_and_jets_of_few_particles() -> None:
    pytest.importorskip("fastjet")
    single = np.array([[1500.0, 0.0, 0.0]])
    pair = np.array([[1500.0, 0.0, 0.0], [1000.0, 0.1, 3.0], [400.0, 0.3, 3.1]])
    forward = np.array([[1500.0, 0.0, 0.0], [1400.0, 2.7, 3.0]])
    soft = np.array([[900.0, 0.0, 0.0], [900.0, 0.0, 3.0]])
    beyond = np.array([[1500.0, 0.0, 0.0], [1400.0, 5.5, 3.0]])
    events = [single, pair, np.empty((0, 3)), forward, soft, beyond]
    found = find_dijets(massless(events))
    assert found.passed.tolist() == [False, True, False, False, False, False]
    columns = jet_columns(found)
    assert columns["mj1"][0] == pytest.approx(0.0, abs=1e-3)
    assert columns["tau1j1"][0] == 0  # one particle
    hard = direct_tau(massless([pair[1:]]).momenta, 1)
    assert [columns[f"tau{n}j2"][0] for n in (1, 2, 3)] == pytest.approx([hard, 0.0, 0.0])
    assert not find_dijets(massless([np.empty((0, 3))])).passed.any()
    with pytest.raises(ConfigError, match="cannot be"):
        JetRules(min_pt=300.0, leading_pt=200.0)


def raw_file(path: Path, events: list[np.ndarray], truth: list[int] | None = None) -> Path:
    values = np.zeros((len(events), raw.PARTICLES, 3))
    for row, event in zip(values, events, strict=True):
        row[: len(event)] = event
    flat = values.reshape(len(events), -1)
    columns = {i: flat[:, i] for i in range(flat.shape[1])}
    if truth is not None:
        columns[flat.shape[1]] = np.array(truth, dtype=float)
    write_frame(path, "df", columns, [list(columns)])
    return path


def test_raw_files_are_clustered_in_a_run_and_by_convert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastjet")
    rng = np.random.default_rng(8)
    events = [dijet(rng) for _ in range(9)]
    path = raw_file(tmp_path / "raw.h5", events, [0, 1, 0, 0, 1, 0, 0, 0, 1])
    columns = jet_columns(find_dijets(massless(events)))
    monkeypatch.setattr(raw, "CHUNK", 4)
    names = ("mJ1", "dmJ", "tau21_1", "tau32_2", "tau1j2", "mj1")
    found = read_events(path, Selection("mJJ", names, units="TeV"))
    for name in ("mJJ", *names):
        np.testing.assert_allclose(found.column(name), lhco.derive(name, columns, "TeV"), rtol=1e-12)
    assert found.label is not None
    assert found.label.sum() == 3
    output = tmp_path / "features.hdf5"
    assert anomaly(monkeypatch, "convert", path, "-o", output) == 0
    again = read_events(output, Selection("mJJ", ("mJ1", "dmJ", "tau21_1"), units="TeV"))
    np.testing.assert_array_equal(again.resonance, found.resonance)
    np.testing.assert_array_equal(again.label, found.label)


def test_events_without_jets_are_left_out_by_convert_and_refused_in_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("fastjet")
    rng = np.random.default_rng(9)
    events = [dijet(rng), np.array([[1500.0, 0.0, 0.0]]), dijet(rng)]
    path = raw_file(tmp_path / "raw.h5", events)
    with pytest.raises(
        DataError, match=r"1 events, the first is row 1, have no pair of jets: hepflows anomaly convert"
    ):
        read_events(path, Selection("mJJ", ("mJ1",), units="TeV"))
    assert anomaly(monkeypatch, "convert", path, "-o", tmp_path / "f.root") == 0
    assert "2 events" in capsys.readouterr().out
    with open_columns(tmp_path / "f.root") as table:
        assert "label" not in table.names
        assert next(table.iterate(["event"], chunk=9))["event"].tolist() == [0, 2]
    assert anomaly(monkeypatch, "convert", path, "-o", tmp_path / "g.root", "--leading-pt", 9000) == 2
    assert "none of 3 events has a pair of jets" in capsys.readouterr().err
    assert anomaly(monkeypatch, "convert", tmp_path / "f.root", "-o", tmp_path / "g.root") == 2
    assert "holds no raw particles" in capsys.readouterr().err


def test_what_raw_files_do_not_have(tmp_path: Path) -> None:
    path = raw_file(tmp_path / "raw.h5", [np.array([[np.nan, 0.0, 0.0]])])
    with pytest.raises(DataError, match="from which jets are made, but not 'mass'"):
        read_events(path, Selection("mJJ", ("mass",), units="TeV"))
    with pytest.raises(DataError, match="row 0 has a particle that is not finite"):
        read_events(path, Selection("mJJ", ("mJ1",), units="TeV"))
    with pytest.raises(ConfigError, match="--units TeV or --units GeV"):
        read_events(path, Selection("mJJ", ("mJ1",)))


@pytest.mark.skipif(not RAW.exists(), reason="no third-party data")
def test_real_raw_events_have_the_features_that_were_measured_elsewhere() -> None:
    pytest.importorskip("fastjet")
    pytest.importorskip("blosc2")
    names = ("mJ1", "dmJ", "tau21_1", "tau21_2")
    events = read_events(RAW, Selection("mJJ", names, units="TeV"))
    assert events.label is not None
    assert len(events) == 1000
    # medians of the same construction with FastJet's own loop over events
    for label, expected in ((1, (3.466, 0.109, 0.386, 0.362, 0.203)), (0, (3.039, 0.103, 0.108, 0.622, 0.512))):
        part = events[events.label == label]
        found = [np.median(part.column(name)) for name in ("mJJ", *names)]
        np.testing.assert_allclose(found, expected, atol=6e-4)
