"""What a training is told: epochs, optimiser, schedules, averaging."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Count = Annotated[int, Field(ge=1)]
Epoch = Annotated[int, Field(ge=0)]


class TrainingConfig(BaseModel):
    """How a flow is fitted.

    Attributes:
        epochs: passes over the training set.
        batch_size: events a batch.
        learning_rate: of Adam; the peak of a one-cycle or cosine schedule.
        schedule: ``constant``; ``step`` (times ``gamma`` at each of ``milestones``, in epochs); ``cosine`` (down to zero);
            ``onecycle`` (up over the first 30 %, then down, arXiv:1708.07120).
        milestones: epochs of the step schedule.
        gamma: factor of the step schedule.
        weight_decay: decoupled (AdamW).
        clip_norm: largest norm of the gradient, none where null.
        accumulate: pairs ``[epoch, batches]``: from that epoch on, a step follows the mean gradient of so many batches (the last step of
            an epoch, that of the batches which are left). One batch a step before the first pair.
        average: decay of a moving average of the weights, which is then what is validated and kept; none where null.
        keep: the weights that remain, of the ``best`` validation epoch or of the ``last`` one.
        patience: epochs without a better validation after which the training ends; none where null.
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
    accumulate: list[tuple[Epoch, Count]] = []
    average: float | None = Field(None, gt=0, lt=1)
    keep: Literal["best", "last"] = "best"
    patience: int | None = Field(None, ge=1)

    @field_validator("accumulate")
    @classmethod
    def _in_order(cls, pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
        if any(after <= before for (before, _), (after, _) in pairwise(pairs)):
            message = f"the epochs of accumulate must increase, got {[epoch for epoch, _ in pairs]}"
            raise ValueError(message)
        return pairs

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Learning rate after ``step`` of ``steps_per_epoch`` batches an epoch, in units of ``learning_rate``."""
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

    def batches_a_step(self, epoch: int) -> int:
        """How many batches a step of this epoch takes.

        >>> config = TrainingConfig(accumulate=[[0, 2], [10, 4]])
        >>> [config.batches_a_step(epoch) for epoch in (0, 9, 10)]
        [2, 2, 4]
        """
        return next((batches for start, batches in reversed(self.accumulate) if epoch >= start), 1)
