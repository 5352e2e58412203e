"""Trainings that several processes share, and one process alone: started by torchrun, or called in a test."""

from __future__ import annotations

import os
import signal
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from hepflows.bases import Gaussian
from hepflows.bijections import BatchNorm, Chain
from hepflows.errors import HepflowsError
from hepflows.flow import Flow
from hepflows.student import student_of
from hepflows.training import (
    DiscFlow,
    Distillation,
    History,
    MaximumLikelihood,
    Objective,
    TensorBatches,
    TrainingConfig,
    World,
    connect,
    fit,
)
from hepflows.zoo import maf

N = 81  # batches of 16: the last has one event, and the second process none of it
CONFIG = TrainingConfig(
    epochs=4, batch_size=16, learning_rate=0.01, schedule="cosine", weight_decay=0.1, clip_norm=0.5, average=0.9,
    accumulate=[[1, 2], [2, 4]],
)  # fmt: skip


def sample(n: int, seed: int) -> Tensor:
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
    return torch.stack([0.5 * x[:, 0] + 1.0, x[:, 1] * 0.4 + x[:, 0] ** 2 / 2], 1)


def context(n: int) -> Tensor:
    return sample(n, 2)[:, :1]


def signs(n: int) -> Tensor:
    """Event weights as of a generator beyond leading order; those of a process may sum to zero where those of a batch do not."""
    return torch.where(torch.arange(n) % 5 == 1, -1.0, 1.0)


def noisy(batch: tuple[Tensor, ...], rng: torch.Generator) -> tuple[Tensor, ...]:
    return batch[0] + 0.05 * torch.randn(batch[0].shape, generator=rng), *batch[1:]


class Likelihood(MaximumLikelihood):
    """Has a parameter that nothing depends on."""

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow)
        self.idle = nn.Parameter(torch.ones(3))


class PlainMean(nn.Module):
    """A module that is no `Objective`; its single precision is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.scale = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.ones(2, dtype=torch.float32))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return (x - context * self.weight * self.scale).square().sum(-1).mean()


def likelihood() -> Objective:
    return Likelihood(maf(2, blocks=2, hidden=(8, 8), context_features=1, seed=0))


class Always(Gaussian):
    """Draws one and the same latent, so that draws can be shared out as the data are."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.anchor.new_full((n, self.features), 0.7)


def distillation() -> Objective:
    teacher = maf(2, blocks=2, hidden=(8, 8), context_features=1, seed=5)
    rng = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=rng)
    student = student_of(teacher, seed=1)
    return Distillation(Flow(student.bijection, Always(2)), teacher)


def discflow() -> Objective:
    flow = maf(2, blocks=2, hidden=(8, 8), context_features=1, seed=0)
    return DiscFlow(Flow(flow.bijection, Always(2)), start=1, fade=2, hidden=(8,), seed=3)


class Drawing(Objective):
    """Notes what it draws, from the generator and as dropout does."""

    def __init__(self) -> None:
        super().__init__()
        self.place, self.drawn = nn.Parameter(torch.zeros(2)), []

    def forward(self, x: Tensor, context: Tensor, *, generator: torch.Generator) -> Tensor:
        if self.training:  # a validation draws the same every time
            self.drawn += [torch.rand(1, generator=generator), torch.rand(1)]
        return (x - self.place).square().mean()


def unseeded() -> Objective:
    objective = likelihood()
    if int(os.environ.get("RANK", 0)) > 0:
        nn.init.normal_(next(objective.parameters()))
    return objective


def normalised() -> Objective:
    flow = maf(2, blocks=1, hidden=(8,), context_features=1, seed=0)
    return MaximumLikelihood(Flow(Chain([BatchNorm(2), flow.bijection]), flow.base))


class NanHere(Objective):
    """Not finite, and only in the second process, for one batch."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor, context: Tensor, **_: object) -> Tensor:
        bad = os.environ.get("RANK") == "1" and bool((x[:, 0] > 1.5).any())
        return (x - self.place).square().mean() * (torch.nan if bad else 1.0)


def data(n: int = N, batch_size: int = CONFIG.batch_size, *more: Tensor) -> tuple[TensorBatches, TensorBatches]:
    held_out = TensorBatches((sample(200, 1), context(200), *(signs(200) for _ in more)), 50, noisy, shuffle=False)
    return TensorBatches((sample(n, 0), context(n), *more), batch_size, noisy), held_out


def broken() -> tuple[TensorBatches, TensorBatches]:
    x = sample(40, 0)
    x[13] = torch.nan  # odd: a row of the second process
    batches = TensorBatches((x, context(40)), 10, shuffle=False)
    return batches, batches


def uneven() -> tuple[TensorBatches, TensorBatches]:
    class Uneven(TensorBatches):
        def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
            for (x,) in super().epoch(generator):
                yield x, x[:1, :1]

    return Uneven((sample(40, 0),), 10), data()[1]


Case = tuple[Callable[[], nn.Module], Callable[[], tuple[TensorBatches, TensorBatches]], dict[str, object]]

CASES: dict[str, Case] = {
    "weights, averages, accumulation": (likelihood, lambda: data(N, 16, signs(N)), {}),
    "fewer events than processes": (likelihood, lambda: data(5, 1), {"batch_size": 1}),
    "initial weights of each process": (unseeded, data, {}),
    "two precisions": (PlainMean, data, {}),
    "distillation": (distillation, data, {}),
    "discflow": (discflow, lambda: data(N, 16, signs(N)), {"keep": "last"}),
    "draws": (Drawing, data, {}),
}
REFUSED: dict[str, Case] = {
    "batch norm": (normalised, data, {}),
    "not finite": (NanHere, data, {}),
    "bad data": (likelihood, broken, {}),
    "uneven tensors": (likelihood, uneven, {}),
}


def train(case: Case, world: World | None = None, **options: object) -> tuple[nn.Module, History]:
    make, batches, settings = case
    objective = make()
    config = CONFIG.model_copy(update=settings)
    return objective, fit(objective, *batches(), config, seed=1, world=world, **options)


def write(path: Path, objective: nn.Module, history: History) -> None:
    losses = {"train": torch.tensor(history.train), "validation": torch.tensor(history.validation)}
    if isinstance(objective, Drawing):
        losses["drawn"] = torch.cat(objective.drawn)
    save_file({**{name: value.contiguous() for name, value in objective.state_dict().items()}, **losses}, path)


def main(job: str, folder: Path) -> None:
    torch.set_default_dtype(torch.float64)
    with connect() as world:
        group = weakref.ref(torch.distributed.group.WORLD)
        run(job, folder, world)
    if job == "cases":
        (folder / f"connected_{world.rank}.txt").write_text(str(group() is not None))


def run(job: str, folder: Path, world: World) -> None:
    if job == "cases":
        for index, case in enumerate(CASES.values()):
            write(folder / f"{index}_{world.rank}.safetensors", *train(case, world))
        for name, case in REFUSED.items():
            try:
                train(case, world)
            except HepflowsError as error:
                (folder / f"{name}_{world.rank}.txt").write_text(str(error))
        return
    case = CASES["weights, averages, accumulation"]
    if job == "killed" and world.rank == 1:
        case = (likelihood, lambda: _deadly(data(N, 16, signs(N))), {})
    done = train(case, world, checkpoint=folder / "state.safetensors", checkpoint_seconds=0.0)
    write(folder / f"{job}_{world.rank}.safetensors", *done)


def _deadly(batches: tuple[TensorBatches, TensorBatches]) -> tuple[TensorBatches, TensorBatches]:
    """As of a node that goes down in the third epoch."""
    transform, seen = batches[0].transform, 0

    def deadly(batch: tuple[Tensor, ...], rng: torch.Generator) -> tuple[Tensor, ...]:
        nonlocal seen
        seen += 1
        if seen > 2 * len(batches[0]) + 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return transform(batch, rng)

    batches[0].transform = deadly
    return batches


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
