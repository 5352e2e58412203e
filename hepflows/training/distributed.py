"""Training shared by several processes: each takes its rows of every batch, and their gradients are added."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hepflows.errors import DataError, HepflowsError, TrainingError
from hepflows.launch import launched

_MESSAGE_BYTES = 2000


class World:
    r"""The processes that share a training; this class is one process that trains alone, `connect` makes the others.

    A loss is a fraction of sums over events, :math:`L = \sum_i a_i / \sum_i b_i`, for example of :math:`a_i = - w_i \log p(x_i)` and
    :math:`b_i = w_i`. Process r of R holds the rows r, r + R, ... of each batch. Its gradient is that of its part of the numerator over
    the denominator of all, so that **the sum of the gradients of all processes is the gradient of the whole batch**, whatever the weights,
    however uneven the parts. Equal sums make equal steps: every process has the same weights at any time.

    Attributes:
        rank: number of this process, from 0.
        size: how many processes there are.

    Example:
        >>> world = World()
        >>> world.size, world.sum(1.0, 2.0)
        (1, [1.0, 2.0])
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def first(self) -> bool:
        """Whether this is the process that speaks and writes files."""
        return self.rank == 0

    @property
    def stream(self) -> tuple[int | str, ...]:
        """Names of the random numbers of this process, see `hepflows.training.seeding`: the first one draws those of one process."""
        return () if self.first else ("process", self.rank)

    def rows(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The part of a batch that falls to this process; empty where there are fewer events than processes.

        Raises:
            DataError: the tensors of the batch are of different lengths.
        """
        return batch

    def sum(self, *numbers: float) -> list[float]:
        """Sums over all processes, the same in each."""
        return list(numbers)

    def add(self, tensor: Tensor) -> Tensor:
        """The sum of a tensor over all processes, the same in each: rows that one of them computed and that are zero in the others."""
        return tensor

    def adopt(self, tensors: Sequence[Tensor]) -> bool:
        """Take over the values of the first process; returns whether they were the same in every process."""
        return True

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace the gradients by their sums over all processes."""

    def agree(self, error: Exception | None) -> None:
        """Raise in every process if there is an error in any of them, with the message of the first that has one.

        Raises:
            TrainingError: another process has an error; where this one has it, it is raised as it is.
        """
        if error is not None:
            raise error

    @contextmanager
    def together(self) -> Iterator[None]:
        """All processes come out of the block, or it raises in all of them: what a user did wrong leaves no process waiting."""
        found: Exception | None = None
        try:
            yield
        except (HepflowsError, OSError) as error:
            found = error
        self.agree(found)


class _Processes(World):
    """Several processes, by ``torch.distributed``."""

    def rows(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if len({len(tensor) for tensor in batch}) > 1:
            message = (
                f"the tensors of a batch have the lengths {[len(tensor) for tensor in batch]}: "
                "training in several processes needs one row of each for every event"
            )
            raise DataError(message)
        return tuple(tensor[self.rank :: self.size].contiguous() for tensor in batch)

    def sum(self, *numbers: float) -> list[float]:
        values = torch.tensor(numbers, dtype=torch.float64)
        with _connected():
            torch.distributed.all_reduce(values)
        return values.tolist()

    def add(self, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        with _connected():
            torch.distributed.all_reduce(total)
        return total

    def adopt(self, tensors: Sequence[Tensor]) -> bool:
        if not tensors:
            return True
        flat = torch.cat([tensor.detach().flatten().double() for tensor in tensors])
        first = flat.clone()
        with _connected():
            torch.distributed.broadcast(first, 0)
        with torch.no_grad():
            for tensor, values in zip(tensors, torch.split(first, [tensor.numel() for tensor in tensors]), strict=True):
                tensor.copy_(values.view_as(tensor))
        (different,) = self.sum(float(not torch.equal(flat, first)))
        return not different

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        # whether a process has a gradient of a parameter travels along: one that no process has stays without
        grads = [parameter.grad for parameter in parameters]
        have = parameters[0].new_tensor([float(grad is not None) for grad in grads])
        pieces = [
            (torch.zeros_like(parameter) if grad is None else grad).detach().flatten()
            for parameter, grad in zip(parameters, grads, strict=True)
        ]
        flat = torch.cat([have.detach(), *pieces])
        with _connected():
            torch.distributed.all_reduce(flat)
        have, *pieces = torch.split(flat, [len(parameters), *(piece.numel() for piece in pieces)])
        for parameter, piece, exists in zip(parameters, pieces, have.tolist(), strict=True):
            parameter.grad = piece.view_as(parameter).to(parameter.dtype) if exists else None

    def agree(self, error: Exception | None) -> None:
        failed = torch.tensor(self.size if error is None else self.rank)
        with _connected():
            torch.distributed.all_reduce(failed, torch.distributed.ReduceOp.MIN)
        source = int(failed)
        if source == self.size:
            return
        text = str(error).encode()[:_MESSAGE_BYTES] if self.rank == source else b""
        message = torch.zeros(_MESSAGE_BYTES, dtype=torch.uint8)
        message[: len(text)] = torch.frombuffer(bytearray(text), dtype=torch.uint8) if text else 0
        with _connected():
            torch.distributed.broadcast(message, source)
        if error is not None:
            raise error
        raise TrainingError(bytes(message.tolist()).rstrip(b"\0").decode(errors="ignore"))


@contextmanager
def connect() -> Iterator[World]:
    """The world of this process: one process, or those that ``torchrun`` started, connected until the block ends.

    On processors they speak by gloo, tensors on GPUs by NCCL. Where ``torchrun`` did not start this process, nothing is set up.

    Raises:
        ConfigError: the environment contradicts itself.
        TrainingError: the processes do not find one another.

    Example:
        >>> with connect() as world:
        ...     world.rank, world.size
        (0, 1)
    """
    rank, size = launched()
    if size == 1:
        yield World()
        return
    # torch imports this module during a training: imported while connected, the defaults of its functions would keep the connection,
    # whose threads can abort the process when it ends (https://github.com/pytorch/pytorch/pull/179291)
    importlib.import_module("torch.distributed.nn.functional")
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and torch.distributed.is_nccl_available() else "gloo"
    with _connected():
        torch.distributed.init_process_group(backend)
    try:
        yield _Processes(rank, size)
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def _connected() -> Iterator[None]:
    """A lost connection is one sentence."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        reason: Any = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"another process of this training has stopped or cannot be reached ({reason}): see its message, then go on with --resume"
        raise TrainingError(message) from error
