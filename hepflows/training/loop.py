"""The training loop: epochs, validation, the best weights, a checkpoint that a killed run resumes from."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from hepflows.errors import CheckpointError, DomainError, TrainingError
from hepflows.training.averaging import WeightAverage
from hepflows.training.batches import Batches
from hepflows.training.checkpoint import (
    flatten_optimizer,
    load_state,
    load_tensors,
    restore_optimizer,
    save_tensors,
)
from hepflows.training.config import TrainingConfig
from hepflows.training.distributed import World
from hepflows.training.objectives import Sums, as_objective, learnt_parameters
from hepflows.training.seeding import generator, seeded_dropout

Progress = Callable[[int, int, str], None]
"""Called with (batches done, batches in all, a short text)."""


@dataclass
class History:
    """Losses epoch by epoch; ``best_epoch`` (from 0) is the one whose weights were kept."""

    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    seconds: float = 0.0
    keep: str = "best"

    @property
    def best_epoch(self) -> int:
        """Epoch of the lowest validation loss, or the last one where that was to be kept."""
        if self.keep == "last":
            return len(self.validation) - 1
        return min(range(len(self.validation)), key=self.validation.__getitem__)

    def stalled(self, patience: int | None) -> bool:
        """Whether the last ``patience`` epochs were all no better than one before them."""
        if patience is None or not self.validation:
            return False
        return len(self.validation) - 1 - self.validation.index(min(self.validation)) >= patience


def fit(
    objective: nn.Module,
    batches: Batches,
    validation: Batches,
    config: TrainingConfig,
    *,
    seed: int,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 20.0,
    progress: Progress | None = None,
    world: World | None = None,
) -> History:
    """Minimise ``objective(*batch)`` and leave it with the weights of the best validation epoch, in eval mode.

    An `Objective` may bring its own validation, random numbers, and a second network that learns beside the first. All randomness follows
    from ``seed`` and the number of the epoch. With a ``checkpoint`` file, the state is written at the end of an epoch, at most every
    ``checkpoint_seconds``, and at the end; a later call with the same arguments goes on from there and ends with the same weights.

    In a ``world`` of several processes, each calls this with the same arguments, and every step is the one that one process would have
    taken, to rounding; with dropout or an objective that draws, one of the same distribution. The first process writes the checkpoint,
    which all must be able to read, and reports progress. The number of processes may change when a training goes on.

    Args:
        objective: an `Objective`, or any module that returns a scalar loss.
        batches: training batches.
        validation: validation batches, evaluated without gradients after every epoch, with the same noise each time.
        config: epochs, optimiser, schedules, averaging.
        seed: of order, noise, dropout and what the objective draws.
        checkpoint: where to keep the state of the training.
        checkpoint_seconds: least time between two checkpoints.
        progress: called after every step.
        world: the processes that share the work, of `hepflows.training.connect`; this one alone where not given.

    Raises:
        TrainingError: all parameters are frozen; the loss is not finite, or the data hold values that the flow cannot take, in any
            process; or one was lost.
        CheckpointError: the checkpoint belongs to another training.
    """
    world = World() if world is None else world
    trainer = _Trainer(objective, config, seed, len(batches), world)
    trainer.start(checkpoint)
    started = saved = time.monotonic()
    before = trainer.history.seconds
    for epoch in range(len(trainer.history.train), config.epochs):
        if trainer.history.stalled(config.patience):
            break
        trainer.run_epoch(epoch, batches, validation, progress if world.first else None)
        trainer.history.seconds = before + time.monotonic() - started
        last = epoch == config.epochs - 1 or trainer.history.stalled(config.patience)
        due = last or time.monotonic() - saved > checkpoint_seconds
        if checkpoint is not None and due and world.first:
            trainer.save(checkpoint)
            saved = time.monotonic()
    objective.load_state_dict(trainer.best)
    objective.eval()
    return trainer.history


class _Trainer:
    """The state of one training."""

    def __init__(
        self, module: nn.Module, config: TrainingConfig, seed: int, batches_per_epoch: int, world: World
    ) -> None:
        self.module, self.config, self.seed, self.batches_per_epoch = module, config, seed, batches_per_epoch
        self.world, self.checked = world, world.size == 1
        world.adopt(list(module.state_dict().values()))
        self.objective = as_objective(module)
        self.history = History(keep=config.keep)
        self.best: dict[str, Tensor] = copy.deepcopy(module.state_dict())
        auxiliary = self.objective.auxiliary_parameters()
        learnt = learnt_parameters(module, apart=auxiliary)
        self.parameters = list(learnt.values())
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        rate = self.objective.auxiliary_rate
        self.auxiliary = torch.optim.Adam(auxiliary, lr=rate, fused=True) if auxiliary else None
        self.average = None if config.average is None else WeightAverage(learnt, config.average)

    def start(self, checkpoint: Path | None) -> None:
        """Go on from a checkpoint, if there is one: the same in every process."""
        with self.world.together():
            if checkpoint is not None and checkpoint.exists():
                self.restore(checkpoint)
        done = len(self.history.train)
        with self.world.together():
            if not self.world.adopt([torch.tensor(done)]):
                message = (
                    f"{checkpoint}: not every process sees the same checkpoint; put the folder where all can read it"
                )
                raise CheckpointError(message)

    def run_epoch(self, epoch: int, batches: Batches, validation: Batches, progress: Progress | None) -> None:
        self.module.train()
        self.objective.begin_epoch(epoch)
        total, events = 0.0, 0
        group, rng = self.config.batches_a_step(epoch), self._generator("objective", epoch)
        with seeded_dropout(self.seed, "dropout", epoch, *self.world.stream):
            for index, batch in enumerate(batches.epoch(generator(self.seed, "batches", epoch))):
                rows = self.world.rows(batch)
                where = f"epoch {epoch + 1}, batch {index + 1}"
                self._auxiliary_step(where, rows, rng)
                first = index - index % group
                size = min(group, self.batches_per_epoch - first)
                if index == first:
                    self.optimizer.zero_grad(set_to_none=True)
                share, loss = self._loss(self.objective.sums, where, rows, rng)
                if share is not None:
                    torch.autograd.backward(share / size)
                if index == first + size - 1:
                    self._step(epoch, index)
                total, events = total + loss * len(batch[0]), events + len(batch[0])
                if progress is not None:
                    done = epoch * self.batches_per_epoch + index + 1
                    text = f"epoch {epoch + 1}/{self.config.epochs}, loss {total / events:.4g}"
                    progress(done, self.config.epochs * self.batches_per_epoch, text)
        self.history.train.append(total / events)
        with nullcontext() if self.average is None else self.average.applied():
            self.history.validation.append(self._validate(validation))
            if self.history.best_epoch == epoch:
                self.best = copy.deepcopy(self.module.state_dict())

    def _generator(self, *names: int | str) -> torch.Generator:
        device = self.parameters[0].device if self.parameters else "cpu"
        return generator(self.seed, *names, *self.world.stream, device=device)

    def _loss(
        self, function: Callable[..., Sums | None], where: str, rows: tuple[Tensor, ...], rng: torch.Generator
    ) -> tuple[Tensor | None, float]:
        """The part of this process in a loss (None: it has none), and the loss itself: finite, or an error in every process."""
        sums, error = None, None
        if len(rows[0]):
            try:
                sums = function(*rows, generator=rng)
            except DomainError as unfit:
                error = TrainingError(f"{where} of the training data: {unfit}")
                error.__cause__ = unfit
        part = (
            (math.nan, math.nan) if error else (0.0, 0.0) if sums is None else (float(sums[0].detach()), float(sums[1]))
        )
        numerator, denominator, parts = self.world.sum(*part, float(sums is not None or error is not None))
        if not parts:
            return None, math.nan
        loss = numerator / denominator if denominator else math.nan
        if not math.isfinite(loss):
            message = f"the loss is {loss} in {where}: lower learning_rate or set clip_norm, and check the training data for extreme values"
            self.world.agree(error)
            self.world.agree(TrainingError(message))
        return None if sums is None else sums[0] / denominator, loss

    def _auxiliary_step(self, where: str, rows: tuple[Tensor, ...], rng: torch.Generator) -> None:
        if self.auxiliary is None:
            return
        self.auxiliary.zero_grad(set_to_none=True)
        share, loss = self._loss(self.objective.auxiliary_sums, where, rows, rng)
        if share is not None:
            torch.autograd.backward(share)
        if math.isfinite(loss):
            self.world.sum_gradients(self.auxiliary.param_groups[0]["params"])
            self.auxiliary.step()

    def _step(self, epoch: int, index: int) -> None:
        rate = self.config.rate(epoch * self.batches_per_epoch + index, self.batches_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * rate
        self.world.sum_gradients(self.parameters)
        if self.config.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        if not self.checked:
            self._check_buffers()

    def _check_buffers(self) -> None:
        """What a module learns from its rows other than by gradients would be another in every process."""
        self.checked = True
        if not self.world.adopt(list(self.module.buffers())):
            message = (
                "a part of the model learns from its own batch, such as BatchNorm does, and would become another in every "
                "process: train it in one process, without torchrun"
            )
            raise TrainingError(message)

    def _validate(self, validation: Batches) -> float:
        """Mean over the events; the processes take turns, batch by batch, since a validation need not be a mean within its batch."""
        self.module.eval()
        total, events = 0.0, 0
        rng = self._generator("objective of the validation")
        with self.world.together(), torch.no_grad():
            for index, batch in enumerate(validation.epoch(generator(self.seed, "validation"))):
                if index % self.world.size != self.world.rank:
                    continue
                try:
                    loss = float(self.objective.validation(*batch, generator=rng))
                except DomainError as error:
                    message = f"batch {index + 1} of the validation data: {error}"
                    raise TrainingError(message) from error
                total, events = total + loss * len(batch[0]), events + len(batch[0])
        whole, count = self.world.sum(total, events)
        return whole / count

    def _identity(self) -> dict[str, object]:
        return {
            "config": self.config.model_dump(mode="json"),
            "seed": self.seed,
            "steps_per_epoch": self.batches_per_epoch,
        }

    def save(self, path: Path) -> None:
        parts = {"model": self.module.state_dict(), "best": self.best, "optimizer": flatten_optimizer(self.optimizer)}
        if self.auxiliary is not None:
            parts["auxiliary"] = flatten_optimizer(self.auxiliary)
        if self.average is not None:
            parts["average"] = self.average.values
        tensors = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
        steps = 0 if self.average is None else self.average.steps
        save_tensors(path, tensors, {**self._identity(), "history": vars(self.history), "averaged": steps})

    def restore(self, path: Path) -> None:
        tensors, header = load_tensors(path)
        if {key: header.get(key) for key in self._identity()} != self._identity():
            message = f"{path}: this checkpoint belongs to a training with other settings; start a new run"
            raise CheckpointError(message)
        names = ("model", "best", "optimizer", "auxiliary", "average")
        parts: dict[str, dict[str, Tensor]] = {name: {} for name in names}
        for key, value in tensors.items():
            part, name = key.split(".", 1)
            parts[part][name] = value
        load_state(self.module, parts["model"], path)
        restore_optimizer(self.optimizer, parts["optimizer"])
        if self.auxiliary is not None:
            restore_optimizer(self.auxiliary, parts["auxiliary"])
        if self.average is not None:
            self.average.restore(parts["average"], header["averaged"])
        self.best = parts["best"]
        self.history = History(**header["history"])
