"""Every kind of CaloFlow learns the toy; conditions, weights and shards do what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from toy_calorimeter import SMALL, SMALL_TRANSFORMER, TOY, toy_showers

from hepflows.applications.calorimeter import CALOGAN, CaloFlow, Geometry, GridLayer, PolarLayer, Showers, load_config
from hepflows.applications.calorimeter.config import CaloFlowConfig
from hepflows.applications.calorimeter.models.conditions import Conditions
from hepflows.applications.calorimeter.models.kinds import layerwise_patches, patch_sizes, spreading_permutations
from hepflows.errors import ConfigError, DataError, DomainError

KINDS = {
    "teacher": [],
    "coupling": ["model.kind=coupling", "model.shower_flow.blocks=4"],
    "coupling joint": ["model.kind=coupling", "model.joint=true", "model.shower_flow.blocks=6"],
    "teacher joint": ["model.joint=true"],
    "inductive": ["model.kind=inductive"],
    "inductive coupling": ["model.kind=inductive", "model.shower_flow.coupling=true", "model.shower_flow.blocks=4"],
    "inductive shared joint": ["model.kind=inductive", "model.joint=true", "model.shower_flow.window=2"],
    "transformer joint": ["model.kind=transformer", "model.joint=true", "model.shower_flow.patch=[3, 2]"],
}


RINGS = Geometry(
    "rings", (PolarLayer((0.0, 1.0, 2.0, 4.0), 1), PolarLayer((0.0, 2.0, 4.0), 10), GridLayer((1, 1), (5.0, 5.0)))
)


@pytest.fixture(autouse=True)
def single_precision() -> None:
    torch.set_default_dtype(torch.float32)


def small(*settings: str) -> CaloFlow:
    transformer = "model.kind=transformer" in settings  # it has other settings than those of demo
    own = SMALL_TRANSFORMER if transformer else SMALL
    config = load_config("transformer" if transformer else "demo", [*own, *settings])
    return CaloFlow(config=config.model, geometry=TOY, seed=1)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_learns_the_toy(name: str, tmp_path: Path) -> None:
    """Means and spreads that the toy fixes, within five errors and a little; and the file makes the same model again."""
    model = small(*KINDS[name])
    model.fit(toy_showers(3000), toy_showers(500, 1), seed=1)
    truth, generated = toy_showers(4000, seed=9), model.sample(4000, seed=9)
    for function in (
        lambda s: s.layer_energies.sum(1) / s.energies / 1e3,
        lambda s: s.layer_energies[:, 0] / s.layer_energies.sum(1),
        lambda s: (s.voxels[:, 6:] == 0).mean(1),
        lambda s: s.voxels[:, 1] / s.layer_energies[:, 0],
    ):
        a, b = function(truth), function(generated)
        error = np.sqrt((a.var() + b.var()) / 4000)
        assert abs(a.mean() - b.mean()) < 5 * error + 0.03 * a.std() + 0.1 * abs(a.mean()) * (a.mean() < 0.4)
        assert 0.75 < b.std() / a.std() < 1.3
    model.save(tmp_path / "model.safetensors")
    again = CaloFlow.load(tmp_path)
    np.testing.assert_array_equal(again.sample(20, seed=1).voxels, model.sample(20, seed=1).voxels)


def test_layers_that_share_a_flow_are_trained_and_written_once(tmp_path: Path) -> None:
    """As in the preset icaloflow."""
    geometry = Geometry("layers", (PolarLayer((0.0, 1.0, 2.0, 4.0), 2),) * 4)
    rng = np.random.default_rng(1)
    showers = Showers(rng.uniform(1, 2, 200), rng.exponential(10.0, (200, 24)), geometry=geometry)
    config = load_config("icaloflow", [*SMALL, "model.shower_flow.training.average=0.9"]).model
    model = CaloFlow(config=config, geometry=geometry, seed=1)
    model.fit(showers, showers, seed=1, checkpoints=tmp_path)
    model.save(tmp_path / "model.safetensors")
    again = CaloFlow.load(tmp_path)
    np.testing.assert_array_equal(again.sample(20, seed=1).voxels, model.sample(20, seed=1).voxels)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        flows = {name.split(".")[3] for name in file.keys() if name.startswith("shower_flow.bijection.")}  # noqa: SIM118
    assert flows == {"0", "1"}  # of four layers


def test_layers_share_a_flow_where_their_cells_allow_it() -> None:
    assert flows(CaloFlow("inductive")) == 3
    with pytest.raises(
        ConfigError, match=r"blocks of 72, 144, 288 features cannot share one flow: set model.shower_flow.share=false"
    ):
        CaloFlow(config=inductive("share=true"))
    geometry = Geometry("layers", (PolarLayer((0.0, 1.0, 2.0, 4.0), 2),) * 4)
    for joint, apart in ((False, 4), (True, 5)):
        for share, expected in (("null", 2), ("true", 2), ("false", apart)):
            config = inductive(f"share={share}").model_copy(update={"joint": joint})
            assert flows(CaloFlow(config=config, geometry=geometry)) == expected


def flows(model: CaloFlow) -> int:
    """How many different ones Flow II of an inductive model has."""
    return len(set(map(id, model.shower_flow.bijection.bijections)))


def inductive(*settings: str) -> CaloFlowConfig:
    """The preset icaloflow, but small."""
    return load_config("icaloflow", [*SMALL, *(f"model.shower_flow.{setting}" for setting in settings)]).model


def test_patches_stay_inside_their_layer() -> None:
    assert patch_sizes(RINGS, 8) == [1, 4, 1]  # of 3, 20 and 1 voxels
    assert patch_sizes(RINGS, [2, 3, 4]) == [1, 3, 1]
    assert patch_sizes(CALOGAN, 24) == [16, 12, 8]
    assert layerwise_patches(RINGS, [2, 3, 1]) == [2, 1, 3, 3, 3, 3, 3, 3, 2, 1]
    assert layerwise_patches(CALOGAN, [12, 12, 8]) == [12] * 36 + [8] * 9
    with pytest.raises(ConfigError, match="patch lists 2 sizes and rings has 3 layers"):
        patch_sizes(RINGS, [2, 20])


ONE_LAYER = Geometry("one layer", (GridLayer((10, 10), (5.0, 5.0)),))


@pytest.mark.parametrize(("geometry", "extra"), [(CALOGAN, 3), (RINGS, 0), (RINGS, 3), (ONE_LAYER, 0)])
@pytest.mark.parametrize("size", [1, 3, 8, 24])
def test_two_voxels_of_a_patch_are_in_different_ones_in_the_next_block(
    geometry: Geometry, extra: int, size: int
) -> None:
    sizes = patch_sizes(geometry, size)
    there, back, again = (torch.tensor(o) for o in spreading_permutations(geometry, extra, sizes, 3))
    n = extra + geometry.n_voxels
    assert torch.equal(there[back], torch.arange(n))
    assert torch.equal(there, again)
    patches = [1] * extra + layerwise_patches(geometry, sizes)
    before = torch.repeat_interleave(torch.arange(len(patches)), torch.tensor(patches))[there]
    cells = torch.tensor([1] * extra + [layer.n_voxels for layer in geometry.layers])
    layer = torch.repeat_interleave(torch.arange(len(cells)), cells)[there]
    for patch, own in zip(torch.split(before, patches[::-1]), torch.split(layer, patches[::-1]), strict=True):
        assert len(own.unique()) == 1
        assert len(patch.unique()) == len(patch)
    assert before[0] >= len(patches) - 2  # what came last comes first; a smaller patch has no voxel of the last column


@pytest.mark.parametrize("geometry", [ONE_LAYER, RINGS])
def test_a_transformer_ties_every_voxel_to_every_other(geometry: Geometry) -> None:
    """Two voxels whose latents never depended on each other would be independent in what is generated."""
    config = load_config("transformer", ["model.shower_flow.blocks=2", "model.shower_flow.width=8"]).model
    flow = CaloFlow(config=config, geometry=geometry, seed=1).shower_flow
    for parameter in flow.parameters():
        parameter.data.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    context = torch.zeros(1, 1 + geometry.n_layers)
    point = torch.linspace(-1, 1, geometry.n_voxels)[None]
    jacobian = torch.autograd.functional.jacobian(lambda x: flow.bijection.forward(x, context)[0][0], point)[:, 0]
    tied = jacobian != 0
    assert (tied | tied.T).all()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("patch=0", r"model\.shower_flow\.patch.*greater than or equal to 1"),
        ("patch=[12, 0, 3]", r"model\.shower_flow\.patch"),
        ("heads=7", "width must be a multiple of heads, got 64 and 7"),
        ("univariate=cubic", r"model\.shower_flow\.univariate.*'spline' or 'affine'"),
        ("hidden=[32]", r"model\.shower_flow\.hidden"),
    ],
)
def test_wrong_settings_of_a_transformer_name_the_field(setting: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config("transformer", [f"model.shower_flow.{setting}"])


def species(n: int, seed: int) -> Showers:
    """Two particles: the second leaves little in the first layer; a third of the events counts for nothing."""
    showers, rng = toy_showers(n, seed), np.random.default_rng(seed)
    pdg, weight = rng.choice([22.0, -11.0], n), rng.choice([0.0, 1.0, 1.0], n)
    voxels = showers.voxels.copy()
    voxels[pdg == 22, :6] *= 0.2
    voxels[weight == 0] *= 0.1  # wrong on purpose: these must not be learnt
    return Showers(showers.energies, voxels, geometry=TOY, columns={"pdg": pdg, "weight": weight})


def test_a_model_of_two_particles_with_weights() -> None:
    model = small("model.conditions=[pdg]", "model.species=[-11, 22]")
    model.fit(species(4000, 1), species(500, 2), seed=1)
    share = {}
    for pdg in (-11, 22):
        generated = model.sample(2000, seed=3, columns={"pdg": pdg})
        assert (generated.columns["pdg"] == pdg).all()
        share[pdg] = (generated.layer_energies[:, 0] / generated.layer_energies.sum(1)).mean()
        response = np.median(generated.layer_energies.sum(1) / generated.energies / 1e3)
        assert response > 0.3  # the showers of no weight have less than 0.1
    assert share[-11] == pytest.approx(0.667, abs=0.05)
    assert share[22] == pytest.approx(0.3, abs=0.06)
    both = model.sample(3000, seed=4)
    assert (both.columns["pdg"] == 22).mean() == pytest.approx(0.5, abs=0.05)
    with pytest.raises(DataError, match=r"knows the particles \[-11, 22\] and not \[211\]"):
        model.sample(10, seed=0, columns={"pdg": 211})
    with pytest.raises(DomainError, match="takes pdg, a number or 10 numbers each, but got 'theta'"):
        model.sample(10, seed=0, columns={"theta": 0.1})


def test_conditions_need_their_columns_and_species() -> None:
    with pytest.raises(DataError, match="conditioned on theta, but the showers have no 'theta'"):
        small("model.conditions=[theta]").fit(toy_showers(100), toy_showers(50, 1))
    with pytest.raises(ConfigError, match=r"give model\.species"):
        small("model.conditions=[pdg]")
    with pytest.raises(DomainError, match="conditioned on the energy alone"):
        small().sample(3, seed=0, energies="10", columns={"pdg": 22})


def test_directions_are_continuous_across_the_turn_of_the_angle() -> None:
    conditions = Conditions(["theta", "phi", "x"])
    columns = {"theta": np.full(3, 0.3), "phi": np.array([-np.pi, np.pi, 0.0]), "x": np.array([1.0, 1.0, 2.0])}
    conditions.fit(columns)
    rows = conditions.encode(columns)
    torch.testing.assert_close(rows[0], rows[1])
    assert (rows[0] - rows[2]).abs().max() > 1
    torch.testing.assert_close(rows.mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", [[], ["model.kind=transformer", "model.shower_flow.univariate=affine"]])
def test_shards_together_are_the_sample_of_one_process(kind: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hepflows.applications.calorimeter.models.caloflow.BLOCK", 20)
    model = small(*kind, "model.conditions=[pdg]", "model.species=[-11, 22]", "model.shower_flow.training.epochs=1")
    model.fit(species(300, 1), species(100, 2), seed=1)
    energies = np.random.default_rng(0).uniform(1, 100, 83)
    for wanted, columns in ((83, None), (energies, {"pdg": np.where(energies > 50, 22.0, -11.0)})):
        whole = model.sample(wanted, seed=5, columns=columns)
        shards = [list(model.iterate_samples(wanted, seed=5, columns=columns, shard=(i, 4))) for i in range(4)]
        together = Showers.concatenate([block for shard in shards for block in shard])
        np.testing.assert_array_equal(together.energies, whole.energies)
        np.testing.assert_array_equal(together.voxels, whole.voxels)
        np.testing.assert_array_equal(together.columns["pdg"], whole.columns["pdg"])
    with pytest.raises(DomainError, match="shard 4 of 4 does not exist: count from 0 to 3"):
        next(model.iterate_samples(83, seed=5, shard=(4, 4)))


def test_an_untrained_model_says_so() -> None:
    with pytest.raises(DomainError, match="has not been trained"):
        small().sample(3, seed=0)
    assert len(small().sample(3, energies="10", seed=0)) == 3


def test_energies_of_a_spread() -> None:
    model = small("model.shower_flow.training.epochs=1")
    model.fit(toy_showers(300), toy_showers(100, 1), seed=1)
    flat = model.sample(4000, seed=1, energies="20:60").energies
    assert 20 <= flat.min() < 20.1 < 59.9 < flat.max() <= 60
    assert abs(flat.mean() - 40) < 5 * 40 / np.sqrt(12 * 4000)
    logs = np.log(model.sample(4000, seed=1, energies="log:1:100").energies)
    assert abs(logs.mean() - np.log(10)) < 5 * np.log(100) / np.sqrt(12 * 4000)
    values, counts = np.unique(model.sample(3000, seed=1, energies="10,20,50").energies, return_counts=True)
    assert values.tolist() == [10, 20, 50]
    assert abs(counts - 1000).max() < 5 * np.sqrt(1000)
    with pytest.raises(DomainError, match="energies 0:3 must be positive"):
        model.sample(10, seed=1, energies="0:3")


def test_a_condition_without_its_column_is_told() -> None:
    model = small("model.conditions=[pdg]", "model.species=[-11, 22]")
    with pytest.raises(DataError, match="conditioned on pdg, but the showers have no 'pdg'"):
        model.fit(toy_showers(50), toy_showers(50), seed=1)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("model.conditions=[theta, theta]", "names one of them twice"),
        ("model.species=[22]", "not conditioned on pdg"),
        ("split={validation: 0.5, test: 0.6}", "leave nothing to train with"),
        ("model.shower_flow.hidden=[0]", "greater than 0"),
    ],
)
def test_senseless_settings_are_told(setting: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config("demo", [setting])


def test_weights_of_any_sign_train_and_those_of_no_sum_do_not() -> None:
    """The last batch of 100 has no weight at all."""
    short = [f"model.{name}.training.epochs=1" for name in ("energy_flow", "shower_flow")]
    model = small("model.conditions=[theta]", *short)
    showers = toy_showers(500)
    weight = np.where(np.arange(500) < 450, 1.0, 0.0)
    weight[::10] = -1.0
    rng = np.random.default_rng(1)
    showers = replace(showers, columns={"weight": weight, "theta": rng.uniform(0, 0.1, 500) + (weight < 0)})
    histories = model.fit(showers, showers, seed=1)
    assert all(np.isfinite(history.train).all() for history in histories.values())
    drawn = model.sample(3000, seed=1).columns["theta"]
    assert drawn.max() < 0.1  # none of negative weight
    assert len(np.unique(drawn)) > 300  # and all others
    for bad in (0.0 * weight, -1.0 - weight):
        with pytest.raises(DataError, match="need a positive, finite sum"):
            model.fit(replace(showers, columns={**showers.columns, "weight": bad}), showers, seed=1)


def test_generated_showers_say_what_they_are_and_what_their_model_saw() -> None:
    model = small("model.conditions=[theta]")
    model.attributes = {
        "seed": "3",
        "energy_spectrum": "1:100 GeV, kinetic",
        "data_tables": "synthesised",
        "particle": "gamma (PDG 22)",
    }
    found = model.sample(2, seed=7, energies="10:20", columns={"theta": 0.1}).attributes
    assert found.pop("engine").endswith("CaloFlow teacher")
    assert found == {
        "energy_spectrum": "10:20 GeV", "conditions": "theta 0.1", "seed": "7", "data_tables": "synthesised",
        "training_seed": "3", "training_energy_spectrum": "1:100 GeV, kinetic", "training_particle": "gamma (PDG 22)",
    }  # fmt: skip
