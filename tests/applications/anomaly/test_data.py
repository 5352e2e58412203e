from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from pandas_fixed import write_frame

from hepflows.applications.anomaly import Regions, Selection, iterate_events, read_events
from hepflows.applications.anomaly.data import settled
from hepflows.applications.anomaly.formats import lhco
from hepflows.errors import ConfigError, DataError
from hepflows.io.columns import write_columns

RNG = np.random.default_rng(3)
N = 200


def jets() -> dict[str, np.ndarray]:
    """A features file: the first jet is sometimes the lighter one."""
    columns = {name: RNG.normal(0, 1000, N) for name in lhco.COLUMNS if name[0] == "p"}
    columns |= {f"mj{jet}": RNG.uniform(50, 500, N) for jet in (1, 2)}
    columns |= {f"tau{k}j{jet}": RNG.uniform(0, 1, N) for jet in (1, 2) for k in (1, 2, 3)}
    columns["tau1j1"][0] = columns["tau2j1"][0] = 0.0  # too few constituents
    return {name: columns[name].astype(np.float32) for name in lhco.COLUMNS} | {"label": np.arange(N) % 2.0}


def table(path: Path, **columns: np.ndarray) -> Path:
    write_columns(path, iter([columns]))
    return path


def test_benchmark_variables_are_those_of_four_vectors(tmp_path: Path) -> None:
    import vector_sum

    columns = jets()
    path = tmp_path / "events.features.h5"
    write_frame(path, "df", columns, [["label"], list(lhco.COLUMNS)[::-1]])
    names = ("mJ1", "dmJ", "tau21_1", "tau21_2", "dR")
    events = read_events(path, Selection("mJJ", names, units="TeV", key="df"), chunk=37)
    assert events.label is not None
    assert events.label.sum() == N / 2
    for i in range(0, N, 17):
        one = {name: float(columns[name][i]) for name in lhco.COLUMNS}
        expected = vector_sum.benchmark(one)
        found = {"mJJ": events.resonance[i], **{name: events.column(name)[i] for name in names}}
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)
    gev = read_events(path, Selection("mJJ", ("mJ1",), units="GeV"))
    np.testing.assert_allclose(gev.resonance, 1e3 * events.resonance, rtol=1e-12)


def test_units_are_asked_for_where_masses_are_made(tmp_path: Path) -> None:
    write_frame(tmp_path / "f.h5", "df", jets(), [[*lhco.COLUMNS, "label"]])
    with pytest.raises(ConfigError, match="--units TeV or --units GeV"):
        read_events(tmp_path / "f.h5", Selection("mJJ", ("mJ1",)))


@pytest.mark.parametrize("suffix", [".hdf5", ".root", ".csv"])
def test_chunks_change_nothing(tmp_path: Path, suffix: str) -> None:
    m, x, weight = RNG.normal(3, 1, N), RNG.normal(size=N), RNG.uniform(size=N)
    path = table(tmp_path / f"a{suffix}", m=m, x=x, weight=weight, label=np.arange(N) % 3 == 0)
    selection = Selection("m", ("x",), weight="weight")
    whole = read_events(path, selection)
    np.testing.assert_array_equal(whole.resonance, m)
    np.testing.assert_array_equal(whole.weights, weight)
    parts = list(iterate_events(path, selection, chunk=33))
    assert [len(part) for part in parts] == [33] * 6 + [2]
    np.testing.assert_array_equal(np.concatenate([part.features for part in parts]), whole.features)
    assert settled(path, selection).label == "label"


def replaced(name: str, values: object) -> dict[str, np.ndarray]:
    columns = {"m": RNG.normal(3, 1, N), "x": RNG.normal(size=N), "y": RNG.normal(size=N), "label": np.zeros(N)}
    columns[name] = np.where(np.arange(N) == 150, values, columns[name])
    return columns


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (replaced("x", np.nan), "x is not a finite number in 1 events, the first is row 150"),
        (replaced("m", np.inf), "m is not a finite number in 1 events, the first is row 150"),
        (replaced("y", 1e20), "y is 1e.20 in 1 events and about .* missing values"),
        (replaced("label", 2), r"labels must be 1 .* but there are \[2\]"),
        (replaced("label", np.nan), r"labels must be 1 .* but there are \[-1\]"),
        ({**replaced("x", 0.0), "y": np.full(N, 0.25)}, "y has the same value, 0.25, in all 200 events"),
    ],
)
def test_values_that_nothing_can_be_learnt_from(tmp_path: Path, columns: dict[str, np.ndarray], message: str) -> None:
    path = table(tmp_path / "a.hdf5", **columns)
    with pytest.raises(DataError, match=message):
        read_events(path, Selection("m", ("x", "y")), chunk=64)


def test_copies_are_refused(tmp_path: Path) -> None:
    columns = replaced("x", 0.0)
    path = table(tmp_path / "a.hdf5", **{**columns, "y": columns["x"]})
    with pytest.raises(DataError, match="y is a copy of x"):
        read_events(path, Selection("m", ("x", "y")))


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    path = table(tmp_path / "a.hdf5", **replaced("x", 0.0))
    with pytest.raises(DataError, match=r"no column 'z' \(it has 4: "):
        read_events(path, Selection("m", ("x", "z")))
    with pytest.raises(ConfigError, match="'x' twice"):
        Selection("m", ("x", "x"))
    with pytest.raises(ConfigError, match="cannot be a feature"):
        Selection("m", ("m",))
    with pytest.raises(ConfigError, match="at least one feature"):
        Selection("m", ())


def test_objects_are_refused_by_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "o.hdf5", "w") as file:
        file["m"], file["x"] = np.arange(3.0), np.array(["a", "b", "c"], dtype=h5py.string_dtype())
    with pytest.raises(DataError, match="'x' holds objects"):
        read_events(tmp_path / "o.hdf5", Selection("m", ("x",)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3300:3700", r"signal region \(3300 to 3700\) holds no event.*in the unit of the data"),
        ("0:0.4", "sideband below 0 holds no event"),
        ("0.9:2", "sideband above 2 holds no event"),
    ],
)
def test_regions_outside_of_the_data(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Regions.parse(text).check(np.linspace(0.0, 1.0, 1001)[1:], "m")


def test_regions_that_are_none() -> None:
    for text in ("3.3", "a:b", ""):
        with pytest.raises(ConfigError, match="low:high"):
            Regions.parse(text)
    with pytest.raises(ConfigError, match="do not increase"):
        Regions.parse("3.7:3.3")
    regions = Regions.parse("2:3", "1:5")
    m = np.array([0.5, 1.0, 2.0, 2.5, 3.0, 5.0, 5.1])
    assert regions.sidebands(m).tolist() == [False, True, True, False, True, True, False]
    assert regions.signal(m).tolist() == [False, False, False, True, False, False, False]
