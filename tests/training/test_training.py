"""The loop finds what it should, repeats itself, and resumes to the same weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hepflows.bijections import Affine
from hepflows.errors import CheckpointError, DataError, TrainingError
from hepflows.flow import Flow
from hepflows.training import MaximumLikelihood, TensorBatches, TrainingConfig, fit
from hepflows.training.loop import History
from hepflows.training.seeding import derive, generator, seeded_dropout
from hepflows.zoo import maf

CONFIG = TrainingConfig(epochs=6, batch_size=50, learning_rate=5e-3, schedule="onecycle")


def sample(n: int, seed: int) -> torch.Tensor:
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
    return torch.stack([0.5 * x[:, 0] + 1.0, x[:, 1] * 0.4 + x[:, 0] ** 2 / 2], 1)


def noisy(batch: tuple[torch.Tensor, ...], rng: torch.Generator) -> tuple[torch.Tensor, ...]:
    return (batch[0] + 0.05 * torch.randn(batch[0].shape, generator=rng),)


def train(config: TrainingConfig = CONFIG, seed: int = 1, **options: object) -> tuple[Flow, History]:
    flow = maf(2, blocks=2, hidden=(16, 16), dropout=0.1, seed=0).double()
    history = fit(
        MaximumLikelihood(flow),
        TensorBatches((sample(400, 0),), config.batch_size, noisy),
        TensorBatches((sample(200, 1),), 200, noisy, shuffle=False),
        config,
        seed=seed,
        **options,
    )
    return flow, history


def weights(flow: Flow) -> torch.Tensor:
    return torch.cat([parameter.flatten() for parameter in flow.parameters()]).detach()


def test_learns_a_density_towards_its_entropy() -> None:
    config = TrainingConfig(epochs=40, batch_size=100, learning_rate=1e-2)
    _, history = train(config)
    # E[-log p] of the noiseless density: two Gaussians of width 0.5 and 0.4; the noise adds a little
    entropy = 2 * 1.4189385 + torch.tensor([0.5, 0.4]).log().sum().item()
    assert entropy - 0.1 < min(history.validation) < entropy + 0.35
    assert history.validation[0] > min(history.validation) + 0.5


def test_repeats_bitwise_and_leaves_the_global_state_alone() -> None:
    state = torch.random.get_rng_state()
    (a, first), (b, second), (c, _) = train(), train(), train(seed=2)
    assert torch.equal(weights(a), weights(b))
    assert first.train == second.train
    assert not torch.equal(weights(a), weights(c))
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("after", [1, 17, 30])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path, after: int) -> None:
    checkpoint, steps = tmp_path / "state.safetensors", 0

    def interrupt(done: int, total: int, text: str) -> None:
        nonlocal steps
        steps += 1
        if steps == after:
            raise KeyboardInterrupt

    options = {"checkpoint": checkpoint, "checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        train(**options, progress=interrupt)
    assert checkpoint.exists() == (after > 8)  # eight batches an epoch
    resumed, history = train(**options)
    whole, uninterrupted = train()
    assert torch.equal(weights(resumed), weights(whole))
    assert history.train == uninterrupted.train
    assert history.validation == uninterrupted.validation


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    checkpoint = tmp_path / "state.safetensors"
    first, _ = train(checkpoint=checkpoint)
    calls: list[int] = []
    second, history = train(checkpoint=checkpoint, progress=lambda *a: calls.append(1))
    assert not calls
    assert torch.equal(weights(first), weights(second))
    assert len(history.train) == CONFIG.epochs


def test_keeps_the_best_epoch() -> None:
    config = TrainingConfig(epochs=60, batch_size=20, learning_rate=3e-2, schedule="constant")
    flow, history = train(config)
    assert history.best_epoch < len(history.validation) - 1
    with torch.no_grad():
        loss = MaximumLikelihood(flow)(*noisy((sample(200, 1),), generator(1, "validation")))
    assert loss.item() == pytest.approx(min(history.validation), rel=1e-12)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "state.safetensors"
    train(checkpoint=checkpoint)
    with pytest.raises(CheckpointError, match="other settings"):
        train(seed=3, checkpoint=checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    with pytest.raises(CheckpointError, match="truncated"):
        train(checkpoint=checkpoint)


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    """In a process of its own whose files may hold 100 kB: the kernel refuses the rest, as a full disk does."""
    code = (
        "import resource, signal, sys, torch\n"
        "from hepflows.errors import DataError\n"
        "from hepflows.training.checkpoint import save_tensors\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: save_tensors(sys.argv[1], {'x': torch.zeros(100_000)}, {})\n"
        "except DataError as error: print(error)\n"
    )
    target = tmp_path / "model.safetensors"
    done = subprocess.run([sys.executable, "-c", code, str(target)], capture_output=True, text=True, check=True)
    assert "could not be written because" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_stops_with_one_sentence() -> None:
    flow = maf(2, seed=0).double()
    flow.bijection.bijections[0].made.output.bias.data[3] = torch.nan
    batches = TensorBatches((sample(100, 0),), 100)
    with pytest.raises(TrainingError, match="the loss is nan in epoch 1, batch 1"):
        fit(MaximumLikelihood(flow), batches, batches, CONFIG, seed=0)


def test_data_that_are_not_finite_stop_with_one_sentence() -> None:
    good, bad = sample(100, 0), sample(100, 0)
    bad[57] = torch.nan

    def batches(x: torch.Tensor) -> TensorBatches:
        return TensorBatches((x,), 50, shuffle=False)

    objective = MaximumLikelihood(maf(2, seed=0).double())
    found = r"holds 2 values that are not finite, the first at index \(7, 0\)"
    with pytest.raises(TrainingError, match=f"epoch 1, batch 2 of the training data: the input {found}"):
        fit(objective, batches(bad), batches(good), CONFIG, seed=0)
    with pytest.raises(TrainingError, match=f"batch 2 of the validation data: the input {found}"):
        fit(objective, batches(good), batches(bad), CONFIG, seed=0)


def test_event_weights() -> None:
    flow = maf(2, seed=0).double()
    x, w = sample(50, 0), torch.rand(50, generator=torch.Generator().manual_seed(0))
    doubled = torch.cat([x, x[:10]])
    repeated = torch.ones(50)
    repeated[:10] = 2.0
    objective = MaximumLikelihood(flow)
    torch.testing.assert_close(objective(x, None, repeated), objective(doubled))
    assert not torch.isclose(objective(x, None, w), objective(x))


def test_negative_weights_cancel_events_in_batches_of_any_sum() -> None:
    """Two Gaussians, the second taken away again by negative weights: in every tenth batch these are the most."""
    rng = torch.Generator().manual_seed(3)
    x = torch.randn(6000, 1, generator=rng).double()
    weight = torch.ones(6000, dtype=torch.float64)
    x[2000:] = 3.0 + 0.5 * torch.randn(4000, 1, generator=rng)
    weight[2000:] = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(2000)
    batches = TensorBatches((x, torch.zeros(6000, 1, dtype=torch.float64), weight), 20)
    signs = [w.sum().sign().item() for _, _, w in batches.epoch(torch.Generator().manual_seed(0))]
    assert {-1.0, 0.0, 1.0} <= set(signs)
    flow = maf(1, 1, univariate=Affine(), blocks=1, hidden=(4,), seed=0).double()
    fit(MaximumLikelihood(flow), batches, batches, TrainingConfig(epochs=10, batch_size=20, learning_rate=1e-2), seed=1)
    drawn = flow.sample(20_000, torch.zeros(1, dtype=torch.float64), generator=torch.Generator().manual_seed(1))
    # 6,000 unit weights of which 2,000 remain: the error of the mean is sqrt(2000 + 4000 * (3**2 + 0.25)) / 2000 = 0.1
    assert drawn.mean().item() == pytest.approx(0.0, abs=0.3)
    assert drawn.std().item() == pytest.approx(1.0, abs=0.3)


def test_schedules() -> None:
    steps = 10
    step = TrainingConfig(epochs=4, schedule="step", milestones=[1, 3], gamma=0.5)
    assert [step.rate(i, steps) for i in (0, 9, 10, 29, 30)] == [1.0, 1.0, 0.5, 0.5, 0.25]
    cycle = [TrainingConfig(epochs=10, schedule="onecycle").rate(i, steps) for i in range(100)]
    assert cycle[0] < 0.1
    assert max(cycle) == pytest.approx(1.0, abs=1e-3)
    assert cycle.index(max(cycle)) == 30
    assert cycle[-1] < 0.01
    assert TrainingConfig(epochs=1, schedule="cosine").rate(5, steps) == pytest.approx(0.5)


def test_batches_cover_every_event_once() -> None:
    batches = TensorBatches((torch.arange(23),), 5)
    assert len(batches) == 5
    seen = torch.cat([x for (x,) in batches.epoch(torch.Generator().manual_seed(0))])
    assert torch.equal(seen.sort().values, torch.arange(23))
    assert not torch.equal(seen, torch.arange(23))
    with pytest.raises(DataError, match="one length"):
        TensorBatches((torch.zeros(3), torch.zeros(4)), 2)


def test_seeds_by_name() -> None:
    names = [(1,), (1, "a"), (1, "b"), (2, "a"), (1, "a", 0), (1, "a", 1)]
    assert len({derive(*name) for name in names}) == len(names)
    with seeded_dropout(1, "x"):
        a = torch.rand(3)
    with seeded_dropout(1, "x"):
        b = torch.rand(3)
    assert torch.equal(a, b)
