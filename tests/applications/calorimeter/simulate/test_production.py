"""Files of showers: the same whatever happens on the way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from hepflows import cli
from hepflows.applications.calorimeter import read_showers
from hepflows.applications.calorimeter.simulate import FastEngine, Gun, Spread, load_detector, simulate_showers, workers
from hepflows.applications.calorimeter.simulate.engines import Settings
from hepflows.applications.calorimeter.simulate.production import _PARAMETRISED
from hepflows.applications.calorimeter.simulate.shards import ShardFolder
from hepflows.errors import ConfigError, DataError, SimulationError

CALOGAN = load_detector("calogan")


def gun(energy: str = "1:20", particle: int = -11) -> Gun:
    return Gun(particle, Spread.parse(energy, "-e"))


def hears_control_c() -> None:
    """What a shell starts in the background is deaf to it, and so are the children of that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(path: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hepflows.cli", "calorimeter", "simulate", "-o", str(path), *options]
    environment = {name: value for name, value in os.environ.items() if name != "GEANT4_DATA_DIR"}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        preexec_fn=hears_control_c,
    )


def wait_for_shards(path: Path, at_least: int, process: subprocess.Popen[str]) -> None:
    folder = path.with_name(path.name + ".shards")
    while len(list(folder.glob("*.npz"))) < at_least:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("engine", "options", "arguments"),
    [
        ("fast", ["--particle", "gamma", "--energy", "1:20", "-n", "3500"], (gun(particle=22), 3500)),
        ("geant4", ["--particle", "eplus", "--energy", "0.2", "-n", "140"], (gun("0.2"), 140)),
    ],
)
def test_a_killed_simulation_goes_on_to_the_same_bytes(
    tmp_path: Path, engine: str, options: list[str], arguments: tuple[Gun, int]
) -> None:
    path, whole = tmp_path / "killed.hdf5", tmp_path / "whole.hdf5"
    process = start(path, "--engine", engine, "--seed", "4", "--jobs", "2", *options)
    wait_for_shards(path, 2, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not path.exists()
    seen: list[int] = []
    simulate_showers(path, CALOGAN, *arguments, seed=4, engine=engine, jobs=1, update=lambda done, _: seen.append(done))
    assert 0 < seen[0] < seen[-1] == arguments[1]  # it went on
    simulate_showers(whole, CALOGAN, *arguments, seed=4, engine=engine, jobs=3)
    assert path.read_bytes() == whole.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["killed.hdf5", "whole.hdf5"]


def test_control_c_leaves_a_simulation_that_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "showers.hdf5"
    process = start(path, "--engine", "fast", "-n", "200000", "--jobs", "1")
    wait_for_shards(path, 1, process)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 130
    assert f"interrupted: repeat the command to go on, what is done lies in {path}.shards" in said.replace("\n", " ")
    assert "Traceback" not in said
    assert not path.exists()
    assert list((tmp_path / "showers.hdf5.shards").glob("*.npz"))


def test_shower_i_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    for engine, energy, few, many in (("fast", "1:20", 150, 1200), ("geant4", "0.1", 10, 60)):
        for n in (few, many):
            simulate_showers(tmp_path / f"{engine}{n}.hdf5", CALOGAN, gun(energy), n, engine=engine, jobs=2)
        first, whole = read_showers(tmp_path / f"{engine}{few}.hdf5"), read_showers(tmp_path / f"{engine}{many}.hdf5")
        np.testing.assert_array_equal(first.voxels, whole.voxels[:few])
        np.testing.assert_array_equal(first.energies, whole.energies[:few])
        assert len(np.unique(whole.voxels.max(axis=1))) == many  # no shard twice


def test_a_file_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "showers.root"
    assert simulate_showers(path, CALOGAN, gun("0.1"), 3, seed=9, jobs=1) == 3
    said = read_showers(path).attributes
    assert said["engine"] == "Geant4 11.4.0 (calzone 1.2.2)"
    assert said["particle"] == "eplus (PDG -11)"
    assert said["energy_spectrum"] == "0.1 GeV, kinetic"
    assert "not official G4EMLOW" in said["data_tables"]
    assert "no photonuclear reactions below 130 MeV" in said["data_tables"]
    assert said["seed"] == "9"
    assert '"G4_Pb"' in said["detector"]


def test_other_settings_are_refused_and_overwriting_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "showers.hdf5"
    begun = Settings("fast", CALOGAN, gun(), 50, 1, software="another version")
    shards = ShardFolder.beside(path, 50, begun.size)
    with shards.opened(begun.describe()) as missing:
        assert missing == [0]
        shards.write(0, FastEngine(CALOGAN).shoot(gun().draw(50, np.random.default_rng(0)), 1))
    with pytest.raises(
        ConfigError, match=r"other settings \(seed 1, now 2, software another version, now .*--overwrite"
    ):
        simulate_showers(path, CALOGAN, gun(), 50, seed=2, engine="fast")
    simulate_showers(path, CALOGAN, gun(), 50, seed=2, engine="fast", overwrite=True)
    with pytest.raises(ConfigError, match=r"showers.hdf5 is there already: .*--overwrite"):
        simulate_showers(path, CALOGAN, gun(), 50, seed=2, engine="fast")
    assert simulate_showers(path, CALOGAN, gun(), 60, engine="fast", overwrite=True) == 60


def test_nothing_stays_of_a_simulation_that_never_began(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--particle 99: Geant4 knows no such particle: give a PDG number"):
        simulate_showers(
            tmp_path / "a.hdf5", CALOGAN, gun(particle=99), 60, jobs=1
        )  # more shards than processes: none waits
    assert not list(tmp_path.iterdir())


def test_a_process_that_dies_leaves_none_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_MODULE", "hepflows.no_such_module")
    with pytest.raises(SimulationError, match=r"ended with code 1 in shard \d, its last words were: .*no_such_module"):
        simulate_showers(tmp_path / "a.hdf5", CALOGAN, gun(), 5000, engine="fast", jobs=2)
    deadline = time.monotonic() + 20
    while any(thread.name.startswith("ThreadPoolExecutor") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_particle_that_leaves_nothing_is_an_empty_shower(tmp_path: Path) -> None:
    """Neutrinos, and photons in half a millimetre of silicon."""
    path = tmp_path / "a.hdf5"
    assert simulate_showers(path, CALOGAN, gun("1", particle=12), 2, physics="em", jobs=1) == 2
    assert read_showers(path).voxels.sum() == 0.0


def test_a_file_that_is_there_is_kept_also_beside_shards(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    path.write_text("of mine")
    (tmp_path / "a.hdf5.shards").mkdir()
    with pytest.raises(ConfigError, match="is there already: give another name, or say --overwrite"):
        simulate_showers(path, CALOGAN, gun(), 5, engine="fast")
    assert path.read_text() == "of mine"
    (tmp_path / "b.hdf5").mkdir()
    with pytest.raises(ConfigError, match=r"and is a folder: give another name$"):
        simulate_showers(tmp_path / "b.hdf5", CALOGAN, gun(), 5, engine="fast", overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_something_else_is_left_alone(overwrite: bool, tmp_path: Path) -> None:
    folder = tmp_path / "a.hdf5.shards"
    folder.mkdir()
    (folder / "notes.txt").write_text("of mine")
    with pytest.raises(ConfigError, match=r"holds 'notes.txt' and is no folder of shards: move it away"):
        simulate_showers(tmp_path / "a.hdf5", CALOGAN, gun(), 5, engine="fast", overwrite=overwrite)
    assert (folder / "notes.txt").read_text() == "of mine"


def test_other_settings_are_named_one_by_one(tmp_path: Path) -> None:
    folder = ShardFolder.beside(tmp_path / "a.hdf5", 50, 1000)
    with folder.opened(Settings("fast", CALOGAN, gun("1:10"), 50, 1).describe()):
        (folder.path / "00000000.npz").touch()
    said = r"other settings \(gun.energy 1:10, now 2:20, seed 1, now 3\)"
    with (
        pytest.raises(ConfigError, match=said),
        folder.opened(Settings("fast", CALOGAN, gun("2:20"), 50, 3).describe()),
    ):
        pass
    (folder.path / "settings.json").write_text("{")
    with (
        pytest.raises(DataError, match=r"settings.json is damaged .*: say --overwrite to begin again"),
        folder.opened({}),
    ):
        pass


def test_the_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert simulate_showers("~/a.hdf5", CALOGAN, gun(), 5, engine="fast", jobs=1) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["a.hdf5"]


def test_what_a_simulation_writes_is_read_whatever_it_deposits(tmp_path: Path) -> None:
    """On the rim of the front face most of a shower leaks: no unit is wrong."""
    path = tmp_path / "a.hdf5"
    beside = Gun(22, Spread.parse("1:100", "--energy"), x=Spread.parse("450", "--x"))
    simulate_showers(path, CALOGAN, beside, 200, engine="fast", jobs=1)
    showers = read_showers(path)
    assert np.median(showers.voxels.sum(1) / showers.energies) < 200  # of 1000 MeV a GeV


def test_two_simulations_of_one_file_are_refused(tmp_path: Path) -> None:
    settings = Settings("fast", CALOGAN, gun(), 50, 1)
    with (
        ShardFolder.beside(tmp_path / "a.hdf5", 50, settings.size).opened(settings.describe()),
        pytest.raises(ConfigError, match=r"another process is writing into .*a.hdf5.shards: wait for it"),
    ):
        simulate_showers(tmp_path / "a.hdf5", CALOGAN, gun(), 50, engine="fast")


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    path = tmp_path / "showers.hdf5"
    folder = tmp_path / "showers.hdf5.shards"
    folder.mkdir()
    settings = Settings("fast", CALOGAN, gun(), 50, 1, software=_PARAMETRISED)
    (folder / "settings.json").write_text(json.dumps(settings.describe()))
    (folder / "00000000.npz").write_bytes(b"nothing of use")
    with pytest.raises(DataError, match=r"00000000.npz is damaged .*: remove this file and repeat the command"):
        simulate_showers(path, CALOGAN, gun(), 50, engine="fast")
    (folder / "00000000.npz").unlink()
    assert simulate_showers(path, CALOGAN, gun(), 50, engine="fast") == 50


def test_a_geant4_that_aborts_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hepflows.applications.calorimeter.simulate.tables import FOLDERS

    for name in FOLDERS:  # accepted at first sight, and empty
        (tmp_path / "data" / name).mkdir(parents=True)
    monkeypatch.setenv("GEANT4_DATA_DIR", str(tmp_path / "data"))
    with pytest.raises(SimulationError) as caught:
        simulate_showers(tmp_path / "showers.hdf5", CALOGAN, gun("1"), 2, jobs=1)
    said = str(caught.value)
    assert "a process of the simulation was ended by SIGABRT in shard 0, its last words were: " in said
    assert "repeat the command to go on" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--particle", "muon"], "no particle 'muon'"),
        (["--energy", "0"], "must be positive"),
        (["--energy", "x"], "--energy x: give a number"),
        (["--theta", "2"], "pi/2"),
        (["--detector", "atlas"], "no detector 'atlas'"),
        (["--engine", "slow"], "no engine 'slow'"),
        (["--physics", "QGSP"], "no physics 'QGSP'"),
        (["--engine", "fast", "--physics", "em"], "for Geant4 only"),
        (["--engine", "fast", "--particle", "13"], "--particle 13: the fast engine knows eplus, eminus, gamma"),
        (["--engine", "fast", "--energy", "1e-6"], "the fast engine begins at 0.01 GeV"),
        (["--engine", "fast", "--x", "700"], "misses the front face"),
        (["-o", "showers.txt"], "showers.txt"),
        (["--engine", "fast", "--detector", "siw", "-o", "showers.root"], "more than 2000 take too long"),
    ],
)
def test_mistakes_on_the_command_line_cost_a_sentence_and_exit_code_2(
    options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hepflows", "calorimeter", "simulate", "-n", "2", "-o", "a.hdf5", *options])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert words in capsys.readouterr().err.replace("\n", " ")


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hepflows.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "calzone", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hepflows\[geant4\]', or say --engine fast"):
        simulate_showers(tmp_path / "a.hdf5", CALOGAN, gun(), 5)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_showers(tmp_path: Path) -> None:
    def peak_mb(n: int) -> float:
        code = (
            "import resource, sys; from hepflows import cli;"
            f"sys.argv = 'hepflows calorimeter simulate --engine fast -n {n} -j 1 -o {tmp_path}/{n}.hdf5'.split();"
            "import contextlib\nwith contextlib.suppress(SystemExit): cli.main()\n"
            "print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,"
            " resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
        )
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        return max(map(float, said.split("peak")[1].split()))

    assert peak_mb(80_000) < peak_mb(10_000) + 40


@pytest.mark.slow
def test_orphans_end(tmp_path: Path) -> None:
    """Processes whose parent was killed do not go on for themselves."""
    path = tmp_path / "showers.hdf5"
    process = start(path, "--engine", "fast", "-n", "500000", "--jobs", "2")
    wait_for_shards(path, 1, process)
    process.kill()
    process.communicate()
    folder = tmp_path / "showers.hdf5.shards"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        before = len(list(folder.glob("*.npz")))
        time.sleep(1.0)
        if len(list(folder.glob("*.npz"))) == before:
            break
    with contextlib.suppress(FileNotFoundError):
        assert len(list(folder.glob("*.npz"))) == before
