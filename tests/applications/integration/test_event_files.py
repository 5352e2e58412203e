"""Events through files and back."""

from __future__ import annotations

import gzip
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from file_limit import file_limit

from hepflows.applications.integration.event_files import iterate_events, read_events, write_events
from hepflows.applications.integration.events import Events
from hepflows.applications.integration.lhe import Run
from hepflows.applications.integration.processes import drell_yan, ee3j_5d, initial_partons
from hepflows.errors import ConfigError, DataError, ShapeError

Z = 91.1876
RUN = Run((11, -11), (Z / 2, Z / 2), cross_section=41.5, error=0.25, weighted=True, largest=99.0)


def sample(n: int = 500, seed: int = 1) -> Events:
    f = ee3j_5d()
    u = np.random.default_rng(seed).uniform(size=(n, 5))
    codes = np.where(u[:, :1] < 0.5, [1, -1, 21], [2, -2, 21])  # the flavour may differ from event to event
    return Events(f.momenta(u), codes, f(u), {"r": u[:, 0], "number": np.arange(n)})


def same(first: Events, second: Events) -> None:
    np.testing.assert_array_equal(first.momenta, second.momenta)
    np.testing.assert_array_equal(first.pdg, second.pdg)
    np.testing.assert_array_equal(first.weight, second.weight)
    assert set(first.columns) == set(second.columns)
    for name, values in first.columns.items():
        np.testing.assert_array_equal(values, second.columns[name])


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".root"])
def test_events_come_back_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    events, path = sample(), tmp_path / f"events{suffix}"
    chunks = (events[start : start + 70] for start in range(0, 500, 70))
    assert write_events(path, chunks, attributes={"process": "ee3j_5d"}) == 500
    same(read_events(path), events)
    parts = list(iterate_events(path, chunk=64))
    assert max(map(len, parts)) <= 64
    assert sum(map(len, parts)) == 500
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def lines(element: ET.Element) -> list[list[float]]:
    return [[float(word) for word in line.split()] for line in (element.text or "").strip().splitlines()]


@pytest.mark.parametrize("suffix", [".lhe", ".lhe.gz"])
def test_les_houches_files_say_what_was_written(tmp_path: Path, suffix: str) -> None:
    events, path = sample(200), tmp_path / f"events{suffix}"
    chunks = (events[start : start + 90] for start in range(0, 200, 90))
    assert write_events(path, chunks, attributes={"note": "a < b & c"}, run=RUN) == 200
    text = gzip.decompress(path.read_bytes()) if suffix.endswith("gz") else path.read_bytes()
    root = ET.fromstring(text)
    assert root.tag == "LesHouchesEvents"
    assert root.attrib["version"] == "3.0"
    assert "a < b & c" in (root.findtext("header") or "")
    init = root.find("init")
    assert init is not None
    beams, process = lines(init)
    assert beams == [11, -11, Z / 2, Z / 2, 0, 0, 0, 0, -4, 1]
    assert process == [41.5, 0.25, 99.0, 1]
    assert [one.attrib["id"] for one in root.iter("weight")] == ["r", "number"]

    found = root.findall("event")
    assert len(found) == 200
    for index, event in enumerate(found):
        head, *particles = lines(event)
        assert head[:2] == [5, 1]
        assert head[2] == pytest.approx(events.weight[index], rel=1e-14)
        assert head[3] == pytest.approx(Z, rel=1e-13)
        rows = np.array(particles)
        np.testing.assert_array_equal(rows[:, 0], [11, -11, *events.pdg[index]])
        np.testing.assert_array_equal(rows[:, 1], [-1, -1, 1, 1, 1])
        np.testing.assert_array_equal(rows[:, 2:6], [[0, 0, 0, 0]] * 2 + [[1, 2, 0, 0]] * 3)
        p = rows[:, [9, 6, 7, 8]]
        np.testing.assert_allclose(p[2:], events.momenta[index], rtol=1e-14, atol=1e-13)
        np.testing.assert_allclose(p[:2].sum(axis=0), p[2:].sum(axis=0), atol=1e-11)
        np.testing.assert_allclose(rows[:, 10], 0.0, atol=1e-4)  # massless
        weights = {one.attrib["id"]: float(one.text or "") for one in event.iter("wgt")}
        assert weights == pytest.approx({"r": events.columns["r"][index], "number": index}, rel=1e-14)


def test_partons_of_hadrons_carry_their_fractions(tmp_path: Path) -> None:
    f = drell_yan()
    u = np.random.default_rng(2).uniform(size=(20, 4))
    path = tmp_path / "pairs.lhe"
    run = Run((2212, 2212), (6500.0, 6500.0), cross_section=f.truth or 0.0, error=0.0, incoming=(2, -2), scale=Z)
    partons = initial_partons(f.momenta(u), np.random.default_rng(3))
    columns = {f"incoming_{i + 1}": partons[:, i] for i in range(2)}
    write_events(path, Events(f.momenta(u), f.particles, columns=columns), run=run)
    root = ET.parse(path).getroot()
    init = root.find("init")
    assert init is not None
    assert lines(init)[0][8] == 3
    assert not list(root.iter("wgt"))
    assert len(set(partons[:, 0].tolist())) > 1
    for event, momenta, codes in zip(root.findall("event"), f.momenta(u), partons, strict=True):
        head, first, second, *_ = lines(event)
        assert head[2:4] == [1.0, Z]
        total = momenta.sum(axis=0)
        np.testing.assert_array_equal([first[0], second[0]], codes)
        assert first[8] == pytest.approx((total[0] + total[3]) / 2, rel=1e-9)
        assert second[8] == pytest.approx(-(total[0] - total[3]) / 2, rel=1e-9)


def test_equal_events_give_equal_files(tmp_path: Path) -> None:
    for name in ("a.lhe.gz", "b.lhe.gz"):
        write_events(tmp_path / name, sample(50), run=RUN)
    assert (tmp_path / "a.lhe.gz").read_bytes() == (tmp_path / "b.lhe.gz").read_bytes()


@pytest.mark.parametrize("suffix", [".h5", ".root", ".lhe", ".lhe.gz"])
def test_a_failure_leaves_the_old_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"events{suffix}"
    path.write_bytes(b"old")

    def broken() -> Iterator[Events]:
        yield sample(50)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_events(path, broken(), run=RUN if "lhe" in suffix else None)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".lhe", ".lhe.gz"])
def test_a_full_disk_is_told_in_one_sentence(tmp_path: Path, suffix: str) -> None:
    with file_limit(20_000), pytest.raises(DataError, match="could not be written because"):
        write_events(tmp_path / f"events{suffix}", sample(2000), run=RUN)
    assert not list(tmp_path.iterdir())


def test_mistakes_are_told(tmp_path: Path) -> None:
    events = sample(10)
    with pytest.raises(ConfigError, match="give them as run"):
        write_events(tmp_path / "a.lhe", events)
    with pytest.raises(ConfigError, match="belong to LHE files"):
        write_events(tmp_path / "a.h5", events, run=RUN)
    with pytest.raises(DataError, match="no events"):
        write_events(tmp_path / "a.h5", iter([events[:0]]))
    with pytest.raises(DataError, match="no known data format"):
        write_events(tmp_path / "a.txt", events)
    with pytest.raises(DataError, match="must have the same particles"):
        write_events(tmp_path / "a.root", iter([events, Events(events.momenta[:, :2], [1, -1])]))
    across = Events(np.array([[[10.0, 6, 0, 8]]]), [22])
    with pytest.raises(ConfigError, match="along z"):
        write_events(tmp_path / "a.lhe", across, run=RUN)
    with pytest.raises(ConfigError, match="weighted=True"):
        write_events(tmp_path / "a.lhe", events, run=Run((11, -11), (Z / 2, Z / 2), 1.0, 0.0))
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match="not finite"):
        Events(np.full((1, 2, 4), np.nan), [1, -1])
    with pytest.raises(ShapeError, match="one code for each"):
        Events(np.ones((1, 2, 4)), [1])
    with pytest.raises(DataError, match="belongs to the events"):
        Events(np.ones((1, 2, 4)), [1, -1], columns={"E_2": [1.0]})
    with pytest.raises(DataError, match="must hold numbers"):
        Events(np.ones((1, 2, 4)), [1, -1], columns={"name": ["x"]})
    with pytest.raises(ConfigError, match="beams must be positive"):
        Run((11, -11), (0.0, 1.0), 1.0, 0.0)


def test_other_tables_are_refused(tmp_path: Path) -> None:
    from hepflows.io import Field, writer

    for name in ("a.h5", "a.root"):
        with writer(tmp_path / name, [Field("momenta")]) as table:
            table.extend({"momenta": np.ones(3)})
        with pytest.raises(DataError, match="holds no events"):
            read_events(tmp_path / name)
