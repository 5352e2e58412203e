from __future__ import annotations

import hashlib
import importlib.util
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
import uproot

from hepflows.applications.calorimeter.data import Showers, iterate_showers, read_showers, write_showers
from hepflows.applications.calorimeter.geometry import CALOGAN, Geometry, GridLayer
from hepflows.errors import ConfigError, DataError, ShapeError

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "data" / "calorimeter"
THIRD_PARTY = Path(os.environ.get("HEPFLOWS_THIRD_PARTY_DATA", ROOT.parent / "shared" / "data")) / "calogan_format"
SIX = Geometry("six layers", tuple(GridLayer((2, index + 1), (1.0, 1.0)) for index in range(6)))

third_party = pytest.mark.skipif(not THIRD_PARTY.exists(), reason="the third-party CaloGAN files are not here")


def simulate(n: int, seed: int = 0, geometry: Geometry = CALOGAN) -> Showers:
    """Numbers that look like showers: sparse voxels that sum to about 99 % of the incident energy."""
    rng = np.random.default_rng(seed)
    energies = rng.uniform(1, 100, n)
    voxels = rng.exponential(size=(n, geometry.n_voxels)) * (rng.random((n, geometry.n_voxels)) < 0.5)
    voxels[:, 0] += 1e-3
    voxels *= 990 * energies[:, None] / voxels.sum(axis=1, keepdims=True)
    return Showers(energies, voxels, rng.exponential(size=(n, geometry.n_layers)), geometry, {"source": f"seed {seed}"})


def assert_same_bits(one: Showers, two: Showers) -> None:
    for name in ("energies", "voxels", "overflow"):
        left, right = getattr(one, name), getattr(two, name)
        assert left.dtype == right.dtype == np.float64
        np.testing.assert_array_equal(left.view(np.uint64), right.view(np.uint64))


# ---- in memory


def test_layers_are_slices_in_c_order() -> None:
    showers = Showers(np.ones(1), np.arange(504.0)[None], np.zeros((1, 3)))
    assert showers.layer(1)[0, 2, 5] == 288 + 2 * 12 + 5
    assert showers.layer(2)[0, 11, 4] == 432 + 11 * 6 + 4
    np.testing.assert_array_equal(showers.layer(-1), showers.layer(2))
    expected = [sum(range(288)), sum(range(288, 432)), sum(range(432, 504))]
    assert showers.layer_energies.tolist() == [expected]


def test_selections_take_everything_along() -> None:
    showers = simulate(20)
    bright = showers.energies > 50
    for index in (slice(3, 9), np.array([7, 1, 1]), bright, [2, 3]):
        chosen = showers[index]
        np.testing.assert_array_equal(chosen.energies, showers.energies[index])
        np.testing.assert_array_equal(chosen.voxels, showers.voxels[index])
        np.testing.assert_array_equal(chosen.overflow, showers.overflow[index])
        assert chosen.attributes == showers.attributes
    assert len(showers[bright]) == bright.sum()


@pytest.mark.parametrize("index", [3, np.array([99]), np.ones(7, bool), (slice(2), slice(2))])
def test_wrong_selections_are_refused(index: object) -> None:
    with pytest.raises(ShapeError, match="20 showers cannot be indexed by"):
        simulate(20)[index]  # type: ignore[index]


def test_concatenate_joins_rows_and_attributes() -> None:
    parts = [simulate(3, seed=1), simulate(2, seed=2), simulate(1, seed=1)]
    whole = Showers.concatenate(parts)
    assert_same_bits(whole[3:5], parts[1])
    assert whole.attributes == {"source": "seed 1 | seed 2"}
    with pytest.raises(ShapeError, match="'CaloGAN' and 'six layers', cannot be joined"):
        Showers.concatenate([simulate(1), simulate(1, geometry=SIX)])
    with pytest.raises(ShapeError, match="no showers to concatenate"):
        Showers.concatenate([])


@pytest.mark.parametrize(
    ("energies", "voxels", "overflow", "part"),
    [
        ((2,), (2, 503), (2, 3), r"voxels of 2 CaloGAN showers must be real numbers of the shape \(2, 504\)"),
        ((2,), (3, 504), (2, 3), r"but are float64 of the shape \(3, 504\)"),
        ((2,), (2, 504), (2, 2), r"the overflow of 2 CaloGAN showers"),
        ((2, 1), (2, 504), (2, 3), r"incident energies must have the shape \(n,\), but have \(2, 1\)"),
    ],
)
def test_shapes_must_fit(energies: tuple[int], voxels: tuple[int], overflow: tuple[int], part: str) -> None:
    with pytest.raises(ShapeError, match=part):
        Showers(np.ones(energies), np.ones(voxels), np.ones(overflow))
    with pytest.raises(ShapeError, match=r"no layer 3: choose one from 0 to 2"):
        simulate(1).layer(3)


# ---- files


@pytest.mark.parametrize("geometry", [CALOGAN, SIX], ids=lambda geometry: geometry.name)
def test_root_and_hdf5_lose_no_bit(geometry: Geometry, tmp_path: Path) -> None:
    showers = simulate(700, geometry=geometry)
    showers.voxels[0, :3] = [5e-324, 0.1 + 0.2, -0.0]
    previous = showers
    for name in ("a.root", "b.hdf5", "c.root", "d.h5"):
        assert write_showers(tmp_path / name, previous, attributes={"step": name}) == 700
        previous = read_showers(tmp_path / name, geometry=geometry)
        assert_same_bits(previous, showers)
        assert previous.attributes == {"source": "seed 0", "step": name}


def test_the_layouts_are_those_of_calogan_to_other_readers(tmp_path: Path) -> None:
    showers = simulate(5)
    write_showers(tmp_path / "a.hdf5", showers)
    with h5py.File(tmp_path / "a.hdf5") as file:
        shapes = {name: (file[name].shape, file[name].dtype) for name in file}
        layers = [file[f"layer_{index}"][:] for index in range(3)]
    wanted = {
        "energy": (5, 1),
        "layer_0": (5, 3, 96),
        "layer_1": (5, 12, 12),
        "layer_2": (5, 12, 6),
        "overflow": (5, 3),
    }
    assert shapes == {name: (shape, np.float64) for name, shape in wanted.items()}
    for index, layer in enumerate(layers):
        np.testing.assert_array_equal(layer, showers.layer(index))
    write_showers(tmp_path / "a.root", showers)
    with uproot.open(tmp_path / "a.root") as file:
        tree = file["fancy_tree"]
        assert tree.keys() == [*(f"cell_{index}" for index in range(507)), "TotalEnergy"]
        assert {branch.typename for branch in tree.branches} == {"double"}
        # layer 1, x bin 2, y bin 5, by the index of CaloGAN's documentation
        np.testing.assert_array_equal(tree[f"cell_{288 + 2 * 12 + 5}"].array(library="np"), layers[1][:, 2, 5])
        np.testing.assert_array_equal(tree["cell_505"].array(library="np"), showers.overflow[:, 1])
        np.testing.assert_array_equal(tree["TotalEnergy"].array(library="np"), showers.energies)


def test_absent_overflow_is_zero(tmp_path: Path) -> None:
    write_showers(tmp_path / "a.hdf5", simulate(5))
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        del file["overflow"]
    assert read_showers(tmp_path / "a.hdf5").overflow.tolist() == [[0.0] * 3] * 5


def test_files_of_one_particle_each_keep_their_species_together(tmp_path: Path) -> None:
    for name, particle in (("a", "eplus (PDG -11)"), ("b", "gamma (PDG 22)"), ("c", "pions")):
        write_showers(tmp_path / f"{name}.hdf5", simulate(3), attributes={"particle": particle})
    files = [tmp_path / f"{name}.hdf5" for name in "abc"]
    assert read_showers(files[:2]).columns["pdg"].tolist() == [-11.0] * 3 + [22.0] * 3
    assert read_showers(files[:1]).columns == {}
    assert read_showers(files).columns == {}  # of the pions nothing is known


@pytest.mark.parametrize("suffix", ["root", "hdf5"])
def test_several_files_are_read_in_order_up_to_n(suffix: str, tmp_path: Path) -> None:
    whole = simulate(12, geometry=SIX)
    for index, rows in enumerate([slice(0, 5), slice(5, 6), slice(6, 12)]):
        write_showers(tmp_path / f"s_t{9 + index}.{suffix}", whole[rows], attributes={"worker": str(index)})
    assert_same_bits(read_showers(tmp_path, geometry=SIX), whole)
    assert read_showers(f"{tmp_path}/*.{suffix}", geometry=SIX).attributes["worker"] == "0 | 1 | 2"
    assert_same_bits(read_showers(list(tmp_path.iterdir()), n=7, geometry=SIX), whole[:7])
    assert [len(part) for part in iterate_showers(tmp_path, chunk=4, n=9, geometry=SIX)] == [4, 1, 1, 3]
    assert len(read_showers(tmp_path, n=1000, geometry=SIX)) == 12


@pytest.mark.parametrize("suffix", ["root", "hdf5"])
def test_units_and_precision_can_be_chosen(suffix: str, tmp_path: Path) -> None:
    showers = simulate(30, geometry=SIX)
    path = tmp_path / f"a.{suffix}"
    write_showers(path, Showers(showers.energies * 1e3, showers.voxels / 1e3, showers.overflow / 1e3, SIX))
    found = read_showers(path, energy_unit="MeV", voxel_unit="GeV", dtype=np.float32, geometry=SIX)
    np.testing.assert_allclose(found.energies, showers.energies, rtol=1e-14)
    np.testing.assert_allclose(found.voxels, showers.voxels, rtol=2e-7)
    np.testing.assert_allclose(found.overflow, showers.overflow, rtol=2e-7)
    assert (found.energies.dtype, found.voxels.dtype, found.overflow.dtype) == (np.float64, np.float32, np.float32)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"energy_unit": "mev"}, "--energy-unit (energy_unit) must be one of eV, keV, MeV, GeV, TeV, but is 'mev'"),
        ({"voxel_unit": "J"}, "--voxel-unit (voxel_unit) must be one of"),
        ({"n": 0}, "must be at least 1 shower"),
        ({"chunk": 0}, "must be at least 1 shower"),
        ({"dtype": np.float16}, "dtype must be float64 or float32, but is float16"),
    ],
)
def test_wrong_options_are_known_before_the_first_chunk(options: dict[str, object], part: str, tmp_path: Path) -> None:
    write_showers(tmp_path / "a.h5", simulate(1))
    with pytest.raises(ConfigError) as caught:
        iterate_showers(tmp_path / "a.h5", **options)  # type: ignore[arg-type]
    assert part in str(caught.value)


@pytest.mark.parametrize("suffix", ["root", "hdf5"])
def test_streaming_keeps_the_memory_flat(suffix: str, tmp_path: Path) -> None:
    block, repeats = simulate(1000, geometry=SIX), 60
    block = Showers(block.energies, np.round(block.voxels), np.round(block.overflow), SIX)  # quick to compress
    size = repeats * (block.voxels.nbytes + block.overflow.nbytes)
    path = tmp_path / f"big.{suffix}"

    def source() -> Iterator[Showers]:
        for _ in range(repeats):
            yield block

    tracemalloc.start()
    try:
        assert write_showers(path, source()) == 1000 * repeats
        parts = iterate_showers(path, chunk=500, geometry=SIX)
        assert sum(part.voxels.sum() for part in parts) == repeats * block.voxels.sum()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size / 4, (peak, size)


# ---- real showers


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_sample", SHIPPED / "make_sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_shipped_sample_is_what_its_card_says() -> None:
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    hdf5, root = (read_showers(SHIPPED / f"eplus.{suffix}") for suffix in ("hdf5", "root"))
    assert_same_bits(hdf5, root)
    assert hdf5.attributes == root.attributes
    assert script().fingerprint(root) in card
    for name in ("eplus.hdf5", "eplus.root"):
        content = (SHIPPED / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() in card
        assert len(content) < 8e6
    assert len(root) == 3000
    ratio = root.voxels.sum(axis=1) / root.energies
    figures = [
        f"mean {ratio.mean():.1f}, median {np.median(ratio):.1f}",
        f"{ratio.min():.1f} to {ratio.max():.1f} MeV/GeV",
    ]
    figures.append(" / ".join(f"{100 * (root.layer(index) == 0).mean():.1f}" for index in range(3)))
    for figure in figures:
        assert figure in card
    # physics: uniform spectrum, deposits that exceed the kinetic energy by no more than two electron masses
    assert abs(root.energies.mean() - 50.5) < 4 * (99 / np.sqrt(12 * 3000))
    assert (root.voxels.sum(axis=1) - 1e3 * root.energies).max() < 2 * 0.51099895


def test_the_script_cuts_a_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = [str(tmp_path / "cut.hdf5"), str(tmp_path / "cut.root")]
    arguments = [str(SHIPPED / "eplus.hdf5"), *outputs, "--n", "20", "--attribute", "note=a=b"]
    assert script().main(arguments) == 0
    assert_same_bits(read_showers(outputs[1]), read_showers(SHIPPED / "eplus.root", n=20))
    assert read_showers(outputs[0]).attributes["note"] == "a=b"
    assert capsys.readouterr().out.count(script().fingerprint(read_showers(outputs[0]))) == 2
    assert script().main([str(SHIPPED / "eplus.hdf5"), str(tmp_path / "more.hdf5"), "--n", "3001"]) == 2
    assert "holds 3000 showers and not 3001" in capsys.readouterr().err
    assert not (tmp_path / "more.hdf5").exists()


@third_party
def test_third_party_hdf5_has_its_measured_figures() -> None:
    showers = read_showers(THIRD_PARTY / "eplus_51.h5")
    assert len(showers) == 51
    deposits, overflow = showers.voxels.sum(axis=1), showers.overflow.sum(axis=1)
    for ratio, limits in ((deposits, (975.6, 997.3)), (deposits + overflow, (976.5, 998.0))):
        values = ratio / showers.energies
        np.testing.assert_allclose([values.min(), values.max()], limits, atol=0.05)
    np.testing.assert_allclose([showers.energies.min(), showers.energies.max()], [1.55, 99.35], atol=0.005)
    np.testing.assert_allclose(np.median(showers.energies), 48.5, atol=0.05)
    layers = [showers.layer(index) for index in range(3)]
    assert [round(100 * (layer == 0).mean()) for layer in layers] == [55, 21, 72]
    assert [round(layer.max()) for layer in layers] == [6313, 22277, 128]
    assert np.round(showers.overflow.max(axis=0)).tolist() == [22, 98, 16]


@third_party
def test_third_party_worker_files_are_read_together(tmp_path: Path) -> None:
    showers = read_showers(THIRD_PARTY / "*.root")
    assert [len(part) for part in iterate_showers(sorted(THIRD_PARTY.glob("*.root")))] == [4, 6]
    total = (showers.voxels.sum(axis=1) + showers.overflow.sum(axis=1)) / showers.energies
    np.testing.assert_allclose([total.min(), total.max()], [992.5, 996.7], atol=0.05)
    np.testing.assert_allclose([showers.energies.min(), showers.energies.max()], [8.28, 90.1], atol=0.01)
    write_showers(tmp_path / "converted.hdf5", showers)
    assert_same_bits(read_showers(tmp_path / "converted.hdf5"), showers)


@third_party
def test_a_folder_with_both_formats_asks_for_one() -> None:
    with pytest.raises(DataError, match="ROOT and HDF5 files are mixed"):
        read_showers(THIRD_PARTY)
