"""The tables that stand in for Geant4's: their physics against published numbers, their files against what Geant4 expects."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xraylib

from hepflows.applications.calorimeter.simulate import cross_sections, geant4_data
from hepflows.applications.calorimeter.simulate.tables import APPROXIMATIONS, FOLDERS
from hepflows.errors import ConfigError, DataError

# integral over k/T from 0 to 1 of chi(T, k) in mb, of the tables of Seltzer and Berger (NIST), by the trapezoidal rule on their nodes
SELTZER_BERGER = {
    18: {0.1: 6.1118, 0.5: 4.9129, 1.0: 4.9699, 10.0: 7.2897, 100.0: 9.4206, 1000.0: 10.2612},
    82: {0.1: 6.8194, 0.5: 6.2430, 1.0: 5.8218, 10.0: 6.1401, 100.0: 7.3598, 1000.0: 7.8761},
}
# what the formula gives of them; where it fails is said in every file, and this holds it to what is said
RATIO = {
    18: {0.1: 0.42, 0.5: 0.90, 1.0: 1.00, 10.0: 1.01, 100.0: 1.01, 1000.0: 1.01},
    82: {0.1: 0.34, 0.5: 0.65, 1.0: 0.78, 10.0: 1.00, 100.0: 1.01, 1000.0: 1.02},
}
FRACTIONS = np.array(
    [*np.arange(0, 0.901, 0.05), 0.925, 0.95, 0.97, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99995, 0.99999, 1.0]
)


@pytest.mark.parametrize("z", [18, 82])
@pytest.mark.parametrize("kinetic", [0.1, 0.5, 1.0, 10.0, 100.0, 1000.0])
def test_radiated_energy_against_seltzer_and_berger(z: int, kinetic: float) -> None:
    ours = np.trapezoid(cross_sections.bremsstrahlung(z, kinetic, FRACTIONS), FRACTIONS)
    assert ours / SELTZER_BERGER[z][kinetic] == pytest.approx(RATIO[z][kinetic], abs=0.01)


@pytest.mark.parametrize("z", [6, 18, 82])
def test_bremsstrahlung_gives_the_radiation_length_at_high_energy(z: int) -> None:
    """1/X0 = n integral of k dsigma/dk over E: what defines the radiation length, up to the corrections at the tip (1 %)."""
    from hepflows.applications.calorimeter.simulate.materials import Material, standard_weight

    fractions = np.linspace(0, 1, 2001)
    integral = np.trapezoid(
        cross_sections.bremsstrahlung(z, 1e5, fractions), fractions
    )  # of k dsigma/dk / Z^2, per E, mb
    inverse = 6.02214e23 / standard_weight(z) * z**2 * integral * 1e-27  # cm2/g
    material = Material("any", 1.0, {z: 1.0})
    assert 1 / inverse == pytest.approx(0.1 * material.radiation_length_mm, rel=0.03)


def test_the_photoelectric_tail_goes_on_from_xraylib() -> None:
    for z in (6, 18, 74, 82):
        coefficients = cross_sections.photoelectric_tail(z)
        energy = np.array([0.5, 0.7, 0.79])
        tail = sum(a / energy ** (i + 1) for i, a in enumerate(coefficients))
        np.testing.assert_allclose(tail, [xraylib.CSb_Photo(z, 1e3 * one) for one in energy], rtol=0.02)
    # NIST XCOM, photoelectric absorption of lead at 1 MeV: 1.81e-2 cm2/g = 6.2 b
    assert cross_sections.photoelectric_tail(82).sum() == pytest.approx(6.2, rel=0.05)


def read_vector(path: Path) -> tuple[np.ndarray, np.ndarray]:
    lines = path.read_text().splitlines()
    low, high, count = map(float, lines[0].split())
    assert int(lines[1]) == count == len(lines) - 2
    energy, values = np.array([list(map(float, line.split())) for line in lines[2:]]).T
    np.testing.assert_allclose([energy[0], energy[-1]], [low, high])
    assert (np.diff(energy) > 0).all()
    assert np.isfinite(values).all()
    assert (values >= 0).all()
    return energy, values


def test_files_have_the_formats_that_geant4_reads(cache: Path) -> None:
    data = geant4_data([18, 82], cache)
    assert not data.official
    assert all((data.folder / name).is_dir() for name in FOLDERS)
    em = data.folder / "G4EMLOW8.8"
    rows = [list(map(float, line.split())) for line in (em / "brem_SB/br82").read_text().splitlines()]
    assert rows[0] == [0, 30, 57]
    assert [len(row) for row in rows[1:]] == [30, *[57], *[30] * 57]
    np.testing.assert_allclose(rows[1], FRACTIONS)
    assert np.exp(rows[2])[[0, -1]] == pytest.approx([1e-3, 1e4], rel=1e-5)
    place = np.argmin(np.abs(np.exp(rows[2]) - 100))
    np.testing.assert_allclose(rows[3 + place], cross_sections.bremsstrahlung(82, 100.0, FRACTIONS), rtol=1e-4)

    energy, values = read_vector(em / "epics2017/phot/pe-cs-18.dat")
    assert np.interp(0.1, energy, values / energy**3) == pytest.approx(xraylib.CSb_Photo(18, 100.0), rel=0.01)
    energy, values = read_vector(em / "epics2017/rayl/re-cs-82.dat")
    assert np.interp(0.1, energy, values / energy**2) == pytest.approx(1e-22 * xraylib.CSb_Rayl(82, 100.0), rel=0.01)
    high = (em / "epics2017/phot/pe-high-82.dat").read_text().split()
    assert high[:4] == ["1", "1", "0.7", "0.0001"]
    assert len(high) == 10

    xs = data.folder / "G4PARTICLEXS4.2"
    assert len(list((xs / "gamma").iterdir())) == 94
    for name in ("gamma/inel94", "neutron/inel82", "neutron/el1", "neutron/cap92", "proton/inel26", "alpha/inel6"):
        read_vector(xs / name)


def test_the_data_say_that_they_are_not_official(cache: Path) -> None:
    data = geant4_data([82], cache)
    assert "not official G4EMLOW" in data.description
    assert all(note in data.description for note in APPROXIMATIONS)
    assert any("Not official" in path.read_text() for path in data.folder.glob("*.txt"))


def test_an_element_is_added_and_nothing_is_made_twice(tmp_path: Path) -> None:
    folder = geant4_data([82], tmp_path).folder
    written = folder / "G4EMLOW8.8/brem_SB/br82"
    before = written.stat().st_mtime_ns
    assert geant4_data([26, 82], tmp_path).folder == folder
    assert (folder / "G4EMLOW8.8/brem_SB/br26").exists()
    assert written.stat().st_mtime_ns == before


def test_many_processes_may_make_them_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from hepflows.applications.calorimeter.simulate import geant4_data;"
        "geant4_data([6, 18, 82], pathlib.Path(sys.argv[1]))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GEANT4_DATA_DIR"}
    command = [sys.executable, "-c", code, str(tmp_path)]
    processes = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    alone = geant4_data([6, 18, 82], tmp_path / "alone").folder
    together = geant4_data([], tmp_path).folder
    files = {path.relative_to(alone): path.read_bytes() for path in alone.rglob("*") if path.is_file()}
    assert {path.relative_to(together): path.read_bytes() for path in together.rglob("*") if path.is_file()} == files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", together.name]


def test_official_data_are_used_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "G4EMLOW8.8").mkdir()
    monkeypatch.setenv("GEANT4_DATA_DIR", str(tmp_path))
    data = geant4_data([82])
    assert data.official
    assert data.folder == tmp_path
    assert "GEANT4_DATA_DIR" in data.description
    assert list(tmp_path.rglob("*")) == [tmp_path / "G4EMLOW8.8"]


def test_synthesised_data_stay_so_where_the_variable_names_them(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = geant4_data([82], cache).folder
    monkeypatch.setenv("GEANT4_DATA_DIR", str(folder))
    assert not geant4_data([82]).official
    assert geant4_data([82]).folder == folder


def test_a_wrong_variable_and_a_closed_cache_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="set XDG_CACHE_HOME"):
        geant4_data([82], Path(os.devnull))
    monkeypatch.setenv("GEANT4_DATA_DIR", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"GEANT4_DATA_DIR names .*none, which is no folder"):
        geant4_data([82])


def test_other_official_data_are_another_simulation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    for name, text in (("a", "1"), ("b", "22")):
        (tmp_path / name / FOLDERS[1]).mkdir(parents=True)
        (tmp_path / name / FOLDERS[1] / "br82").write_text(text)
        monkeypatch.setenv("GEANT4_DATA_DIR", str(tmp_path / name))
        told.append(geant4_data([82]).description)
    assert told[0].startswith(
        "a, the folder that GEANT4_DATA_DIR named, used as it was (1 files, sha256 of their names and sizes "
    )
    assert told[0][1:] != told[1][1:]
    (tmp_path / "c").mkdir()
    monkeypatch.setenv("GEANT4_DATA_DIR", str(tmp_path / "c"))
    with pytest.raises(ConfigError, match=r"which holds no G4EMLOW8.8: set it to a folder"):
        geant4_data([82])
