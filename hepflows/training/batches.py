"""Where batches come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from hepflows.errors import DataError


class Batches(Protocol):
    """A source of batches for the training loop. All its randomness comes from the generator of the epoch."""

    def __len__(self) -> int:
        """Batches an epoch."""
        ...

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        """The batches of one epoch: what the objective takes."""
        ...


Transform = Callable[[tuple[Tensor, ...], torch.Generator], tuple[Tensor, ...]]


class TensorBatches:
    """Shuffled batches of tensors, each transformed anew in every epoch.

    Args:
        tensors: one or more tensors of the same length.
        batch_size: events a batch; the last one may be smaller.
        transform: applied to each batch with the generator of the epoch, for example to add fresh noise.
        rows: the events that are meant, all where not given; tensors of a mapped file are read batch by batch.
        shuffle: whether each epoch has its own order.

    Example:
        >>> batches = TensorBatches((torch.arange(5.0),), batch_size=2, shuffle=False)
        >>> [len(x) for (x,) in batches.epoch(torch.Generator())]
        [2, 2, 1]
    """

    def __init__(
        self,
        tensors: tuple[Tensor, ...],
        batch_size: int,
        transform: Transform | None = None,
        *,
        rows: Tensor | None = None,
        shuffle: bool = True,
    ) -> None:
        lengths = {len(tensor) for tensor in tensors}
        if len(lengths) != 1 or 0 in lengths or (rows is not None and not len(rows)):
            message = (
                "training needs tensors of one length and at least one event, got lengths "
                f"{sorted(lengths)}{'' if rows is None else f' and {len(rows)} rows'}"
            )
            raise DataError(message)
        self.tensors, self.batch_size, self.transform, self.shuffle = tensors, batch_size, transform, shuffle
        self.rows = torch.arange(lengths.pop()) if rows is None else rows

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        order = self.rows[torch.randperm(len(self.rows), generator=generator)] if self.shuffle else self.rows
        for rows in torch.split(order, self.batch_size):
            batch = tuple(tensor[rows] for tensor in self.tensors)
            yield batch if self.transform is None else self.transform(batch, generator)
