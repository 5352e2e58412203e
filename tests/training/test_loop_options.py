"""Accumulated gradients, averaged weights, what objectives bring with them: each right, and resumed to the same weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from hepflows.errors import TrainingError
from hepflows.student import student_of
from hepflows.training import (
    DiscFlow,
    Distillation,
    History,
    MaximumLikelihood,
    Objective,
    TensorBatches,
    TrainingConfig,
    fit,
)
from hepflows.training.averaging import WeightAverage
from hepflows.zoo import maf


def sample(n: int, seed: int) -> torch.Tensor:
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
    return torch.stack([0.5 * x[:, 0] + 1.0, x[:, 1] * 0.4 + x[:, 0] ** 2 / 2], 1)


def likelihood() -> Objective:
    return MaximumLikelihood(maf(2, blocks=2, hidden=(8, 8), dropout=0.1, seed=0))


def distillation() -> Objective:
    teacher = maf(2, blocks=2, hidden=(8, 8), dropout=0.1, seed=5)
    return Distillation(student_of(teacher, seed=1), teacher)


def discflow() -> Objective:
    return DiscFlow(maf(2, blocks=2, hidden=(8, 8), dropout=0.1, seed=0), start=1, fade=2, hidden=(8,), seed=3)


OBJECTIVES: dict[str, Callable[[], Objective]] = {
    "likelihood": likelihood,
    "distillation": distillation,
    "discflow": discflow,
}
OPTIONS = {"accumulate": [[0, 2], [3, 3]], "average": 0.9, "schedule": "cosine"}


def train(objective: nn.Module, config: TrainingConfig, seed: int = 1, n: int = 160, **options: Any) -> History:
    batches = TensorBatches((sample(n, 0),), config.batch_size)
    return fit(objective, batches, TensorBatches((sample(100, 1),), 50, shuffle=False), config, seed=seed, **options)


def weights(objective: nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in objective.state_dict().values()])


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("keep", ["best", "last"])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path, name: str, keep: str) -> None:
    config = TrainingConfig(epochs=6, batch_size=25, learning_rate=5e-3, keep=keep, **OPTIONS)
    checkpoint, steps = tmp_path / "state.safetensors", 0

    def interrupt(done: int, total: int, text: str) -> None:
        nonlocal steps
        steps += 1
        if steps in (10, 17, 31):  # seven batches an epoch: twice in the second, once in the third
            raise KeyboardInterrupt

    resumed, whole = OBJECTIVES[name](), OBJECTIVES[name]()
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            train(OBJECTIVES[name](), config, checkpoint=checkpoint, checkpoint_seconds=0.0, progress=interrupt)
    history = train(resumed, config, checkpoint=checkpoint)
    uninterrupted = train(whole, config)
    assert torch.equal(weights(resumed), weights(whole))
    assert history.train == uninterrupted.train
    assert history.validation == uninterrupted.validation
    assert history.best_epoch == uninterrupted.best_epoch


@pytest.mark.parametrize("name", OBJECTIVES)
def test_repeats_and_depends_on_the_seed(name: str) -> None:
    config = TrainingConfig(epochs=2, batch_size=40, **OPTIONS)
    state = torch.random.get_rng_state()
    objectives = [OBJECTIVES[name]() for _ in range(3)]
    histories = [train(objective, config, seed) for objective, seed in zip(objectives, (1, 1, 2), strict=True)]
    assert histories[0].train == histories[1].train
    assert torch.equal(weights(objectives[0]), weights(objectives[1]))
    assert not torch.equal(weights(objectives[0]), weights(objectives[2]))
    assert torch.equal(state, torch.random.get_rng_state())


def test_two_batches_a_step_are_one_batch_of_both() -> None:
    flows = []
    for batch_size, accumulate in ((40, []), (20, [[0, 2]])):
        flow = maf(2, blocks=1, hidden=(8,), seed=0)
        config = TrainingConfig(
            epochs=3, batch_size=batch_size, schedule="constant", accumulate=accumulate, clip_norm=0.5
        )
        train(MaximumLikelihood(flow), config)
        flows.append(flow)
    torch.testing.assert_close(weights(flows[0]), weights(flows[1]), rtol=1e-9, atol=1e-12)


class Follow(nn.Module):
    """The gradient of every batch is its mean, so that a step of Adam cannot hide which batches it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(()))
        self.seen: list[float] = []
        self.place.register_hook(lambda gradient: self.seen.append(gradient.item()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.place * x.mean()


def test_the_last_step_of_an_epoch_takes_what_is_left() -> None:
    objective, batches = Follow(), TensorBatches((torch.arange(1.0, 6.0),), 1, shuffle=False)
    steps: list[float] = []
    config = TrainingConfig(epochs=2, schedule="constant", learning_rate=0.1, accumulate=[[0, 2], [1, 4]])
    fit(objective, batches, batches, config, seed=0, progress=lambda *a: steps.append(objective.place.item()))
    # epoch 1: steps after batches 2, 4 and 5; epoch 2: after 4 and 5
    assert [index for index in range(10) if steps[index] != [0.0, *steps][index]] == [1, 3, 4, 8, 9]
    # a batch counts with its share of the step
    assert objective.seen == [0.5, 1.0, 1.5, 2.0, 5.0, 0.25, 0.5, 0.75, 1.0, 5.0]


def test_the_average_is_the_one_of_the_formula() -> None:
    values = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    weight = values[0].clone()
    average, expected = WeightAverage({"w": weight}, 0.6), values[0].clone()
    for t, value in enumerate(values[1:], start=1):
        weight.copy_(value)
        average.update()
        decay = min(0.6, t / (t + 9))
        expected = decay * expected + (1 - decay) * value
    torch.testing.assert_close(average.values["w"], expected)
    with average.applied():
        torch.testing.assert_close(weight, expected)
    assert torch.equal(weight, values[-1])


def test_what_is_validated_and_kept_is_the_average() -> None:
    def final(average: float | None) -> tuple[MaximumLikelihood, History]:
        objective = MaximumLikelihood(maf(2, blocks=1, hidden=(8,), seed=0))
        config = TrainingConfig(epochs=30, batch_size=20, learning_rate=0.03, schedule="constant", average=average)
        return objective, train(objective, config)

    (_, noisy), (averaged, calm) = final(None), final(0.98)
    assert noisy.train == calm.train  # the steps are the same
    with torch.no_grad():
        assert averaged(sample(100, 1)).item() == pytest.approx(min(calm.validation), rel=1e-12)
    # weights that jump about their best place: their average lies nearer to it, and jumps less
    assert min(calm.validation[10:]) < min(noisy.validation[10:])
    assert (
        torch.tensor(calm.validation[10:]).diff().abs().mean()
        < 0.3 * torch.tensor(noisy.validation[10:]).diff().abs().mean()
    )


def test_the_last_weights_can_be_kept() -> None:
    config = TrainingConfig(epochs=60, batch_size=20, learning_rate=3e-2, schedule="constant", keep="last")
    objective = MaximumLikelihood(maf(2, blocks=2, hidden=(16, 16), seed=0))
    history = train(objective, config, n=60)
    assert min(history.validation) < history.validation[-1]
    assert history.best_epoch == 59
    with torch.no_grad():
        assert objective(sample(100, 1)).item() == pytest.approx(history.validation[-1], rel=1e-12)


class Watched(Objective):
    """Records what the loop asks of an objective."""

    def __init__(self) -> None:
        super().__init__()
        self.place, self.other = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(()))
        self.calls: list[tuple[str, int]] = []
        self.draws: list[float] = []
        self.epoch = -1

    def begin_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def forward(self, x: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
        self.calls.append(("loss", self.epoch))
        self.draws.append(torch.rand((), generator=generator).item())
        return (x - self.place).square().sum(-1).mean() + 0.0 * self.other

    def validation(self, x: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
        self.calls.append(("validation", self.epoch))
        self.draws.append(torch.rand((), generator=generator).item())
        return self.place.sum()

    def auxiliary_parameters(self) -> list[nn.Parameter]:
        return [self.other]

    def auxiliary_loss(self, x: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor | None:
        self.calls.append(("auxiliary", self.epoch))
        return None if self.epoch == 0 else (self.other - 7.0).square()


def test_an_objective_may_bring_its_validation_and_a_second_optimiser() -> None:
    objective, batches = Watched(), TensorBatches((sample(40, 0),), 20)
    objective.auxiliary_rate = 0.01
    config = TrainingConfig(epochs=3, schedule="constant", learning_rate=0.1)
    history = fit(objective, batches, batches, config, seed=0)
    epoch = ["auxiliary", "loss"] * 2 + ["validation"] * 2
    assert objective.calls == [(name, number) for number in range(3) for name in epoch]
    assert len(set(objective.draws[:2] + objective.draws[4:6] + objective.draws[8:10])) == 6  # anew in every batch
    assert objective.draws[2:4] == objective.draws[6:8] == objective.draws[10:12]  # the same in every validation
    assert history.best_epoch == 0  # the sum of the places only grows
    assert history.train[2] < history.train[0]
    objective = Watched()
    objective.auxiliary_rate = 0.01
    fit(objective, batches, batches, config.model_copy(update={"keep": "last"}), seed=0)
    assert objective.other.item() == pytest.approx(
        0.04, rel=1e-3
    )  # four steps of Adam at its own rate, none in epoch 1


def test_an_auxiliary_loss_that_is_not_finite_stops_with_one_sentence() -> None:
    objective, batches = Watched(), TensorBatches((sample(40, 0),), 20)
    objective.other.data.fill_(torch.nan)
    with pytest.raises(TrainingError, match="the loss is nan in epoch 1, batch 1"):
        fit(objective, batches, batches, TrainingConfig(epochs=2), seed=0)


@pytest.mark.parametrize("pairs", [[[0, 2], [0, 3]], [[5, 2], [1, 3]], [[0, 0]], [[-1, 2]], [[0, 2, 3]]])
def test_no_such_accumulation(pairs: list[list[int]]) -> None:
    with pytest.raises(ValidationError, match="accumulate"):
        TrainingConfig(accumulate=pairs)


def test_a_schedule_of_accumulation() -> None:
    config = TrainingConfig(accumulate=[[2, 2], [10, 4]])
    assert [config.batches_a_step(epoch) for epoch in (0, 1, 2, 9, 10, 99)] == [1, 1, 2, 2, 4, 4]
    assert TrainingConfig(**config.model_dump(mode="json")) == config
