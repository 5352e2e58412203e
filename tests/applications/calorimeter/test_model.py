"""CaloFlow: preprocessing there and back, conservation, repetition, resumption, and that it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toy_calorimeter import SMALL, TOY, toy_showers

from hepflows.applications.calorimeter import CALOGAN, CaloFlow, Showers, load_config
from hepflows.applications.calorimeter.config import PreprocessConfig
from hepflows.applications.calorimeter.models.caloflow import BLOCK
from hepflows.applications.calorimeter.models.kinds import layerwise_permutations
from hepflows.applications.calorimeter.models.noise import GROUP
from hepflows.applications.calorimeter.models.preprocess import build_preprocess, sum_layers
from hepflows.errors import CheckpointError, ConfigError, DataError, DomainError
from hepflows.kernels import native


@pytest.fixture(autouse=True)
def single_precision() -> None:
    torch.set_default_dtype(torch.float32)


def small(preset: str = "demo", *settings: str) -> CaloFlow:
    return CaloFlow(config=load_config(preset, [*SMALL, *settings]).model, geometry=TOY, seed=1)


@pytest.fixture(scope="module")
def trained() -> CaloFlow:
    model = small()
    model.fit(toy_showers(3000), toy_showers(500, 1), seed=1)
    return model


@pytest.mark.parametrize("kind", ["log", "logit"])
def test_preprocessing_there_and_back(kind: str) -> None:
    showers = toy_showers(500)
    voxels, incident = torch.as_tensor(showers.voxels), torch.as_tensor(showers.energies * 1e3)
    rng = torch.Generator().manual_seed(0)
    preprocess = build_preprocess(TOY, PreprocessConfig(kind=kind))
    preprocess.fit(lambda: [(voxels, incident)], rng)
    noisy, layers = preprocess.dequantise(voxels, rng)
    assert (noisy > 0).all()
    assert (noisy - voxels).abs().max() <= max(float(preprocess.threshold), preprocess.config.noise_mev)
    back = preprocess.layer_energies(preprocess.energy_target(layers, incident), incident)
    torch.testing.assert_close(back, layers, rtol=1e-5, atol=1e-6)
    target = preprocess.voxel_target(noisy, layers)
    assert torch.isfinite(target).all()
    restored = preprocess.voxels(target, layers)
    torch.testing.assert_close(restored, voxels, rtol=2e-5, atol=0.02)
    assert torch.equal(restored == 0, voxels < preprocess.threshold)


def found(voxels: torch.Tensor) -> float:
    preprocess = build_preprocess(TOY, PreprocessConfig(kind="log", threshold_mev=None))
    preprocess.fit(lambda: [(voxels, voxels.sum(1) + 1)], torch.Generator().manual_seed(0))
    return float(preprocess.threshold)


def test_a_threshold_follows_the_showers() -> None:
    """1 keV in a calorimeter of MeV; in one of keV the energy below which 1 % of the filled voxels lie; the cut that the data have."""
    rng = torch.Generator().manual_seed(1)
    voxels = torch.empty(4000, 12, dtype=torch.float64).exponential_(generator=rng)
    voxels[torch.rand(voxels.shape, generator=rng) < 0.3] = 0.0
    assert found(voxels + 0.0) == pytest.approx(1e-3)  # 0.1 % lie below
    for unit in (1e-3, 1e-9):
        held = unit * voxels[voxels > 0]
        assert (held < found(unit * voxels)).double().mean().item() == pytest.approx(0.01, rel=0.05)
    cut = torch.where(voxels < 0.015, 0.0, voxels)
    assert found(cut) == cut[cut > 0].min()
    assert found(torch.zeros(10, 12).double()) == pytest.approx(1e-3)


def test_a_layer_keeps_its_energy_and_no_voxel_below_the_threshold() -> None:
    rng = torch.Generator().manual_seed(2)
    preprocess = build_preprocess(TOY, PreprocessConfig(kind="log", threshold_mev=0.01))
    layers = 10 ** (4 * torch.rand(2000, TOY.n_layers, generator=rng).double() - 3)  # 1 keV to 10 MeV
    drawn = torch.randn(2000, TOY.n_voxels, generator=rng).double() * 2 - 6
    voxels = preprocess.voxels(drawn, layers)
    expected = torch.where(layers < 0.01, 0.0, layers)
    torch.testing.assert_close(torch.stack([voxels[:, part].sum(1) for part in TOY.slices], 1), expected)
    capped = drawn.exp() > torch.cat(
        [layers[:, i : i + 1].expand(-1, 6) for i in range(2)], 1
    )  # equal ones stay together
    assert ((voxels == 0) | (voxels >= 0.01 * (1 - 1e-12)) | capped).all()


@pytest.mark.parametrize("kind", ["log", "logit"])
def test_noise_is_fresh_and_seeded(kind: str) -> None:
    voxels = torch.as_tensor(toy_showers(50).voxels)
    preprocess = build_preprocess(TOY, PreprocessConfig(kind=kind))
    one, two, again = (preprocess.dequantise(voxels, torch.Generator().manual_seed(s))[0] for s in (0, 1, 0))
    assert torch.equal(one, again)
    assert not torch.equal(one, two)


def test_more_energy_than_came_in_can_be_learnt() -> None:
    """A positron annihilates: the voxels of a 1 GeV shower may hold up to 1.022 MeV more than the incident energy."""
    preprocess = build_preprocess(TOY, PreprocessConfig(kind="log"))
    voxels, incident = torch.full((4, 12), 100.1).double(), torch.full((4,), 1200.0).double()
    preprocess.fit(lambda: [(voxels, incident)], torch.Generator().manual_seed(0))
    layers = sum_layers(voxels, TOY)
    back = preprocess.layer_energies(preprocess.energy_target(layers, incident), incident)
    torch.testing.assert_close(back, layers, rtol=1e-6, atol=0)


def test_layers_sum_to_what_the_energy_flow_gave(trained: CaloFlow) -> None:
    showers = trained.sample(400, seed=3)
    assert (showers.voxels >= 0).all()
    total = showers.layer_energies.sum(1)
    assert (total <= 1.01 * 1e3 * showers.energies).all()
    voxels = torch.full((3, 12), 5.0)
    layers = torch.tensor([[10.0, 0.0], [1.0, 7.0], [300.0, 2.0]], dtype=torch.float64)
    rescaled = trained.preprocess.rescale(voxels.double(), layers)
    torch.testing.assert_close(sum_layers(rescaled, TOY), layers, rtol=1e-12, atol=1e-12)


def test_learns_the_toy(trained: CaloFlow) -> None:
    """Means and spreads that the toy fixes, within five errors and a little."""
    truth, generated = toy_showers(4000, seed=9), trained.sample(4000, seed=9)
    for function in (
        lambda s: s.layer_energies.sum(1) / s.energies / 1e3,
        lambda s: s.layer_energies[:, 0] / s.layer_energies.sum(1),
        lambda s: (s.voxels[:, 6:] == 0).mean(1),
        lambda s: s.voxels[:, 1] / s.layer_energies[:, 0],
        lambda s: s.energies,
    ):
        a, b = function(truth), function(generated)
        error = np.sqrt((a.var() + b.var()) / 4000)
        assert abs(a.mean() - b.mean()) < 5 * error + 0.03 * a.std() + 0.1 * abs(a.mean()) * (a.mean() < 0.4)
        assert 0.75 < b.std() / a.std() < 1.25


def test_training_raises_the_likelihood(trained: CaloFlow) -> None:
    held_out = toy_showers(500, seed=5)
    untrained = small()
    untrained.preprocess.load_state_dict(trained.preprocess.state_dict())
    before, after = untrained.log_prob(held_out), trained.log_prob(held_out)
    for gain, (a, b) in zip((0.05, 0.5), zip(before.values(), after.values(), strict=True), strict=True):
        assert (b - a).mean() > gain


def test_densities_take_the_memory_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """And are those of all showers at once: the noise of a block goes on where that of the last one ended."""
    model, showers, sizes = small("paper", "model.precision=float64"), toy_showers(2 * BLOCK + 5), []
    dequantise = model.preprocess.dequantise

    def counted(voxels: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        sizes.append(len(voxels))
        return dequantise(voxels, rng)

    monkeypatch.setattr(model.preprocess, "dequantise", counted)
    found = model.log_prob(showers, seed=3)
    assert sizes == 2 * [BLOCK, BLOCK, 5]
    monkeypatch.setattr("hepflows.applications.calorimeter.models.caloflow.BLOCK", len(showers))
    for name, whole in model.log_prob(showers, seed=3).items():
        np.testing.assert_allclose(found[name], whole, rtol=1e-9)
    assert {name: len(none) for name, none in model.log_prob(showers[:0]).items()} == dict.fromkeys(found, 0)


def test_shower_i_depends_on_the_seed_and_i_alone(trained: CaloFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hepflows.applications.calorimeter.models.caloflow.BLOCK", 20)
    long, short = trained.sample(50, seed=3), trained.sample(33, seed=3)
    # the pure-torch reference rounds by the size of the batch, as the matrix products under it do, and steep slopes magnify that
    tolerance = 1e-5 if native.in_use() != "reference" else 1e-3
    np.testing.assert_allclose(long.voxels[:33], short.voxels, rtol=tolerance, atol=1e-4)
    assert not np.allclose(trained.sample(33, seed=4).voxels, short.voxels)
    assert BLOCK % GROUP == 0


def test_incident_energies_can_be_given(trained: CaloFlow) -> None:
    energies = np.array([5.0, 50.0, 95.0])
    showers = trained.sample(energies, seed=0)
    np.testing.assert_allclose(showers.energies, energies)
    for wrong in ([1.0, -1.0], [np.nan], [[1.0]]):
        with pytest.raises(DomainError, match="positive numbers in GeV"):
            trained.sample(np.array(wrong), seed=0)
    with pytest.raises(DomainError, match="at least 1"):
        trained.sample(0, seed=0)


def test_fixed_energies_are_drawn_as_such() -> None:
    showers = toy_showers(600)
    fixed = Showers(np.repeat([10.0, 20.0, 50.0], 200), showers.voxels, showers.overflow, TOY)
    model = small("demo", "model.shower_flow.training.epochs=1", "model.energy_flow.training.epochs=1")
    model.fit(fixed, fixed[:100], seed=0)
    drawn, counts = np.unique(model.sample(900, seed=0).energies, return_counts=True)
    np.testing.assert_allclose(drawn, [10.0, 20.0, 50.0])
    assert (abs(counts - 300) < 80).all()


def test_save_and_load(trained: CaloFlow, tmp_path: Path) -> None:
    trained.save(tmp_path / "model.safetensors")
    loaded = CaloFlow.load(tmp_path)
    assert loaded.geometry == TOY
    assert loaded.attributes == {"engine": "toy"}
    np.testing.assert_array_equal(loaded.sample(20, seed=1).voxels, trained.sample(20, seed=1).voxels)


def test_files_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        CaloFlow.load(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x04pickle?")
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        CaloFlow.load(tmp_path)


def test_interrupted_training_resumes_to_the_same_model(tmp_path: Path) -> None:
    settings = ("model.shower_flow.training.epochs=3", "model.energy_flow.training.epochs=2")

    def interrupt(done: int, total: int, text: str) -> None:
        if text.startswith("shower flow") and done == 14:
            raise KeyboardInterrupt

    train, validation = toy_showers(900), toy_showers(100, 1)
    broken = small("demo", *settings)
    with pytest.raises(KeyboardInterrupt):
        broken.fit(train, validation, seed=1, checkpoints=tmp_path, progress=interrupt)
    resumed, whole = small("demo", *settings), small("demo", *settings)
    resumed.fit(train, validation, seed=1, checkpoints=tmp_path)
    whole.fit(train, validation, seed=1)
    for (name, a), b in zip(resumed.state_dict().items(), whole.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_paper_preset_is_caloflow() -> None:
    config = load_config("paper").model
    assert (config.energy_flow.blocks, config.shower_flow.blocks) == (6, 8)
    assert config.shower_flow.hidden == [378, 378]
    assert config.shower_flow.training.learning_rate == 1e-4
    assert config.preprocess.kind == "logit"
    assert not config.orient
    model = small("paper", "model.precision=float32")
    model.fit(toy_showers(300), toy_showers(50, 1), seed=0)
    assert len(model.sample(5, seed=0)) == 5


def test_wrong_geometry_and_wrong_kind() -> None:
    with pytest.raises(DataError, match="geometry"):
        small().fit(toy_showers(30), Showers(np.ones(2), np.ones((2, 504)), np.zeros((2, 3)), CALOGAN))
    with pytest.raises(DomainError, match="kind"):
        CaloFlow("student", preset="demo")


def test_permutations_stay_inside_their_layer() -> None:
    for index, order in enumerate(layerwise_permutations(CALOGAN, 0, 3, torch.Generator().manual_seed(0))):
        for part in CALOGAN.slices:
            assert sorted(order[part]) == list(range(part.start, part.stop))
        if index % 2 == 0:
            assert order[:3] == [287, 286, 285]


@pytest.mark.parametrize(
    ("preset", "settings", "words"),
    [
        ("dmeo", [], "no preset 'dmeo': choose one of caloinn, demo, full, icaloflow, paper"),
        ("demo", ["model.shower_flow.blcoks=3"], r"model\.shower_flow\.blcoks"),
        ("demo", ["model.shower_flow.blocks=many"], r"model\.shower_flow\.blocks.*'many'"),
        ("demo", ["model.shower_flow"], "section.name=value"),
        ("demo", ["model.kind.name=3"], "kind is a value, not a section"),
        ("missing.yaml", [], "cannot be read"),
    ],
)
def test_wrong_configurations_name_the_field(preset: str, settings: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(preset, settings)
