"""How trainings went, as pictures of a report."""

from __future__ import annotations

from collections.abc import Mapping

from hepflows.report.curves import losses
from hepflows.report.html import Picture
from hepflows.training.loop import History


def loss_pictures(histories: Mapping[str, History], ylabel: str = "loss (−log likelihood)") -> list[Picture]:
    """Training and validation loss by epoch, one picture a network, by its name.

    >>> [picture.title for picture in loss_pictures({"flow": History([3.0, 2.0], [3.1, 2.2])})]
    ['flow.']
    """
    return [
        Picture(
            losses({"train": one.train, "validation": one.validation}, ylabel=ylabel),
            title=f"{name}.",
            alt=f"loss of {name} by epoch",
        )
        for name, one in histories.items()
    ]
