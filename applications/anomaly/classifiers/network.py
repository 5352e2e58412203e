"""A feed-forward network whose best epochs are averaged (arXiv:2109.00546)."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hepflows.applications.anomaly.config import ClassifierConfig
from hepflows.applications.anomaly.events import Array
from hepflows.errors import TrainingError
from hepflows.nets import MLP
from hepflows.training.seeding import derive, generator, numpy_generator

_SCORED = 65_536


class Network:
    """The mean probability of the best epochs of several trainings: binary cross entropy, Adam, standardised features.

    Args:
        config: see `ClassifierConfig`.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        self.config = config
        self._mean, self._std = torch.zeros(1), torch.ones(1)
        self._kept: list[dict[str, Tensor]] = []
        self._width = 0

    def fit(self, x: Array, y: NDArray[np.int64], weights: Array, *, seed: int) -> None:
        """Learn (n, d) events of the classes 0 and 1 with their weights.

        Raises:
            TrainingError: the loss is not finite.
        """
        std = x.std(axis=0)
        self._mean = torch.as_tensor(x.mean(axis=0), dtype=torch.float32)
        self._std = torch.as_tensor(np.where(std > 0, std, 1.0), dtype=torch.float32)
        self._width, self._kept = x.shape[1], []
        columns = (
            self._inputs(x),
            torch.as_tensor(y, dtype=torch.float32),
            torch.as_tensor(weights, dtype=torch.float32),
        )
        for member in range(self.config.members):
            self._kept += self._train(columns, derive(seed, "member", member))

    def _train(self, columns: tuple[Tensor, ...], seed: int) -> list[dict[str, Tensor]]:
        """Weights of the epochs of lowest validation loss."""
        n = len(columns[0])
        order = torch.as_tensor(numpy_generator(seed, "validation").permutation(n))
        size = max(1, round(self.config.validation * n))
        held, rows = order[:size], order[size:]
        network = self._network(generator(seed, "weights"))
        optimizer = torch.optim.Adam(network.parameters(), lr=self.config.rate or 1e-3, fused=True)
        epochs: list[tuple[float, dict[str, Tensor]]] = []
        for epoch in range(self.config.epochs):
            shuffled = rows[torch.randperm(len(rows), generator=generator(seed, "batches", epoch))]
            for batch in torch.split(shuffled, self.config.batch_size):
                optimizer.zero_grad(set_to_none=True)
                _loss(network, tuple(column[batch] for column in columns)).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            with torch.no_grad():
                loss = float(_loss(network, tuple(column[held] for column in columns)))
            if not np.isfinite(loss):
                message = f"the loss of the classifier is {loss} in epoch {epoch + 1}: lower classifier.rate"
                raise TrainingError(message)
            epochs.append((loss, copy.deepcopy(network.state_dict())))
            epochs = sorted(epochs, key=lambda one: one[0])[: self.config.averaged]
        return [state for _, state in epochs]

    def log_odds(self, x: Array) -> Array:
        """(n,) log odds of the mean probability of class 1."""
        network, inputs = self._network(torch.Generator()), self._inputs(x)
        mean = torch.zeros(len(x), dtype=torch.float64)
        with torch.no_grad():
            for state in self._kept:
                network.load_state_dict(state)
                for rows in torch.split(torch.arange(len(x)), _SCORED):
                    mean[rows] += torch.sigmoid(network(inputs[rows])[:, 0].double()) / len(self._kept)
        return np.asarray(torch.logit(mean, eps=1e-12).numpy(), dtype=np.float64)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The weights of every epoch that is averaged."""
        tensors = {f"{i}.{name}": value for i, state in enumerate(self._kept) for name, value in state.items()}
        return {"mean": self._mean, "std": self._std, **tensors}, {"kept": len(self._kept), "width": self._width}

    def restore(self, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
        """Undo `state`."""
        self._width, self._mean, self._std = header["width"], tensors["mean"], tensors["std"]
        self._kept = [
            {name.split(".", 1)[1]: value for name, value in tensors.items() if name.startswith(f"{i}.")}
            for i in range(header["kept"])
        ]

    def _inputs(self, x: Array) -> Tensor:
        return (torch.as_tensor(x, dtype=torch.float32) - self._mean) / self._std

    def _network(self, rng: torch.Generator) -> nn.Module:
        return MLP(self._width, 1, tuple(self.config.hidden), generator=rng).to(torch.float32)


def _loss(network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    x, y, weights = batch
    each = nn.functional.binary_cross_entropy_with_logits(network(x)[:, 0], y, reduction="none")
    return (each * weights).sum() / weights.sum()
