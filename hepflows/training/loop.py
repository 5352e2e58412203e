"""The training loop: epochs, validation, the best weights, a checkpoint that a killed run resumes from."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from hepflows.errors import CheckpointError, DomainError, TrainingError
from hepflows.training.batches import Batches
from hepflows.training.checkpoint import (
    flatten_optimizer,
    load_state,
    load_tensors,
    restore_optimizer,
    save_tensors,
)
from hepflows.training.seeding import generator, seeded_dropout

Progress = Callable[[int, int, str], None]
"""Called with (batches done, batches in all, a short text)."""


class TrainingConfig(BaseModel):
    """How a flow is fitted.

    Attributes:
        epochs: passes over the training set.
        batch_size: events a step.
        learning_rate: of Adam; the peak of a one-cycle or cosine schedule.
        schedule: ``constant``; ``step`` (times ``gamma`` at each of ``milestones``, in epochs); ``cosine`` (down to zero);
            ``onecycle`` (up over the first 30 %, then down, arXiv:1708.07120).
        milestones: epochs of the step schedule.
        gamma: factor of the step schedule.
        weight_decay: decoupled (AdamW).
        clip_norm: largest norm of the gradient, none where null.
    """

    model_config = ConfigDict(extra="forbid")

    epochs: int = Field(50, ge=1)
    batch_size: int = Field(200, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    schedule: Literal["constant", "step", "cosine", "onecycle"] = "onecycle"
    milestones: list[int] = []
    gamma: float = Field(0.5, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float | None = Field(None, gt=0)

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Learning rate of a step, in units of ``learning_rate``."""
        done = step / (self.epochs * steps_per_epoch)
        if self.schedule == "step":
            return self.gamma ** sum(step >= epoch * steps_per_epoch for epoch in self.milestones)
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        if self.schedule == "onecycle":
            if done < 0.3:
                return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * done / 0.3))
            return 1e-3 + 0.999 * 0.5 * (1 + math.cos(math.pi * (done - 0.3) / 0.7))
        return 1.0


@dataclass
class History:
    """Losses epoch by epoch; ``best_epoch`` (from 0) is the one whose weights were kept."""

    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def best_epoch(self) -> int:
        """Epoch of the lowest validation loss."""
        return min(range(len(self.validation)), key=self.validation.__getitem__)


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
) -> History:
    """Minimise ``objective(*batch)`` and leave it with the weights of the best validation epoch, in eval mode.

    All randomness follows from ``seed`` and the number of the epoch. With a ``checkpoint`` file, the state is
    written at the end of an epoch, at most every ``checkpoint_seconds``, and at the end; a later call with the same
    arguments goes on from there and ends with the same weights as an uninterrupted one.

    Args:
        objective: a module that returns a scalar loss.
        batches: training batches.
        validation: validation batches, evaluated without gradients after every epoch, with the same noise each time.
        config: epochs, optimiser, schedule.
        seed: of order, noise and dropout.
        checkpoint: where to keep the state of the training.
        checkpoint_seconds: least time between two checkpoints.
        progress: called after every step.

    Raises:
        TrainingError: the loss is not finite, or the data hold values that the flow cannot take.
        CheckpointError: the checkpoint belongs to another training.
    """
    trainer = _Trainer(objective, config, seed, len(batches))
    if checkpoint is not None and checkpoint.exists():
        trainer.restore(checkpoint)
    started = saved = time.monotonic()
    before = trainer.history.seconds
    for epoch in range(len(trainer.history.train), config.epochs):
        trainer.run_epoch(epoch, batches, validation, progress)
        trainer.history.seconds = before + time.monotonic() - started
        due = epoch == config.epochs - 1 or time.monotonic() - saved > checkpoint_seconds
        if checkpoint is not None and due:
            trainer.save(checkpoint)
            saved = time.monotonic()
    objective.load_state_dict(trainer.best)
    objective.eval()
    return trainer.history


class _Trainer:
    """The state of one training."""

    def __init__(self, objective: nn.Module, config: TrainingConfig, seed: int, steps_per_epoch: int) -> None:
        self.objective, self.config, self.seed = objective, config, seed
        self.steps_per_epoch = steps_per_epoch
        self.history = History()
        self.best: dict[str, Tensor] = copy.deepcopy(objective.state_dict())
        parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(
            parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )

    def run_epoch(self, epoch: int, batches: Batches, validation: Batches, progress: Progress | None) -> None:
        self.objective.train()
        total, events = 0.0, 0
        with seeded_dropout(self.seed, "dropout", epoch):
            for index, batch in enumerate(batches.epoch(generator(self.seed, "batches", epoch))):
                loss = self._step(epoch, index, batch)
                total, events = total + loss * len(batch[0]), events + len(batch[0])
                if progress is not None:
                    done = epoch * self.steps_per_epoch + index + 1
                    text = f"epoch {epoch + 1}/{self.config.epochs}, loss {total / events:.4g}"
                    progress(done, self.config.epochs * self.steps_per_epoch, text)
        self.history.train.append(total / events)
        self.history.validation.append(self._validate(validation))
        if self.history.best_epoch == epoch:
            self.best = copy.deepcopy(self.objective.state_dict())

    def _step(self, epoch: int, index: int, batch: tuple[Tensor, ...]) -> float:
        rate = self.config.rate(epoch * self.steps_per_epoch + index, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * rate
        self.optimizer.zero_grad(set_to_none=True)
        try:
            loss = self.objective(*batch)
        except DomainError as error:
            message = f"epoch {epoch + 1}, batch {index + 1} of the training data: {error}"
            raise TrainingError(message) from error
        if not bool(torch.isfinite(loss)):
            message = (
                f"the loss is {loss.item()} in epoch {epoch + 1}, batch {index + 1}: lower learning_rate or set clip_norm, "
                "and check the training data for extreme values"
            )
            raise TrainingError(message)
        loss.backward()
        if self.config.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.objective.parameters(), self.config.clip_norm)
        self.optimizer.step()
        return float(loss.detach())

    def _validate(self, validation: Batches) -> float:
        self.objective.eval()
        total, events = 0.0, 0
        with torch.no_grad():
            for index, batch in enumerate(validation.epoch(generator(self.seed, "validation"))):
                try:
                    loss = float(self.objective(*batch))
                except DomainError as error:
                    message = f"batch {index + 1} of the validation data: {error}"
                    raise TrainingError(message) from error
                total, events = total + loss * len(batch[0]), events + len(batch[0])
        return total / events

    def _identity(self) -> dict[str, object]:
        return {"config": self.config.model_dump(), "seed": self.seed, "steps_per_epoch": self.steps_per_epoch}

    def save(self, path: Path) -> None:
        tensors = {f"model.{name}": value for name, value in self.objective.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        tensors |= {f"optimizer.{name}": value for name, value in flatten_optimizer(self.optimizer).items()}
        save_tensors(path, tensors, {**self._identity(), "history": vars(self.history)})

    def restore(self, path: Path) -> None:
        tensors, header = load_tensors(path)
        if {key: header.get(key) for key in self._identity()} != self._identity():
            message = f"{path}: this checkpoint belongs to a training with other settings; start a new run"
            raise CheckpointError(message)
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
        for key, value in tensors.items():
            part, name = key.split(".", 1)
            parts[part][name] = value
        load_state(self.objective, parts["model"], path)
        restore_optimizer(self.optimizer, parts["optimizer"])
        self.best = parts["best"]
        self.history = History(**header["history"])
