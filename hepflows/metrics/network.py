"""The classifier itself: features in, one logit out, every random number from its own seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional

from hepflows.errors import ConfigError, ShapeError, TrainingError
from hepflows.metrics.protocol import ClassifierProtocol
from hepflows.metrics.resnet3d import ResNet3d
from hepflows.metrics.roc import auc
from hepflows.nets import Linear, initialise
from hepflows.training.seeding import generator

Array = NDArray[np.float64]
History = dict[str, list[float]]


@dataclass(frozen=True)
class Events:
    """Features (n, d), labels (n,) of zeros and ones, and weights (n,) that average to one in each class."""

    features: Array
    labels: Array
    weights: Array


class Scaler:
    """Makes the inputs of the network from the features, with statistics of the training set.

    Args:
        features: (n, d) the training set.
        kind: see :class:`hepflows.metrics.protocol.ClassifierProtocol`.
        scale: (d,) factors put on the scaled inputs, or None. A small factor makes the network learn from an input
            later: hundreds of noisy features then do not drown a few good ones.

    >>> Scaler(np.array([[0.0], [2.0]]), "standard", None)(np.array([[4.0]]))
    array([[3.]])
    """

    def __init__(self, features: Array, kind: str, scale: Array | None) -> None:
        self._kind = kind
        if kind == "raw":
            return
        centre, width = features.mean(axis=0), features.std(axis=0)
        if kind == "robust":
            low, centre, high = np.quantile(features, [0.16, 0.5, 0.84], axis=0)
            # a voxel that is nearly always empty has no central width: fall back on the deviation
            width = np.where(high - low > 2e-3 * width, (high - low) / 2, width)
        self._centre = centre
        self._factor = 1.0 / np.where(width > 0, width, 1.0)
        self._scale = np.ones(features.shape[1]) if scale is None else np.asarray(scale, dtype=np.float64)

    @classmethod
    def restored(cls, kind: str, state: Mapping[str, Array]) -> Scaler:
        """The scaler whose `state` this is."""
        scaler = cls.__new__(cls)
        scaler._kind = kind
        for name, values in state.items():
            setattr(scaler, f"_{name}", values)
        return scaler

    def state(self) -> dict[str, Array]:
        """The statistics that it holds, by name."""
        if self._kind == "raw":
            return {}
        return {"centre": self._centre, "factor": self._factor, "scale": self._scale}

    def __call__(self, features: Array) -> Array:
        """The inputs of the network, (n, d)."""
        if self._kind == "raw":
            return features
        inputs = (features - self._centre) * self._factor
        return np.asarray((np.arcsinh(inputs) if self._kind == "robust" else inputs) * self._scale)


def checked_scale(scale: ArrayLike, width: int, protocol: ClassifierProtocol) -> Array:
    """Factors (width,) for a `Scaler`, or the error that says why they cannot be used."""
    if protocol.inputs == "raw":
        message = f"the protocol {protocol.name!r} takes its inputs raw and cannot scale them: leave scale out"
        raise ConfigError(message)
    factors = np.asarray(scale, dtype=np.float64)
    if factors.shape != (width,) or not np.isfinite(factors).all():
        message = f"scale must hold one finite factor for each of {width} features, but has the shape {factors.shape}"
        raise ShapeError(message)
    return factors


class Classifier(nn.Module):
    """Fully connected network with LeakyReLU, dropout and one logit.

    Dropout draws from ``source``, not from torch's global state.
    """

    chunk = 10_000  # events a forward pass: 20 MB of activations in 512 units, whatever the sample's size

    def __init__(self, features: int, protocol: ClassifierProtocol, source: torch.Generator) -> None:
        super().__init__()
        widths = [features, *protocol.hidden, 1]
        dtype = getattr(torch, protocol.dtype)
        self.layers = nn.ModuleList(Linear(before, after, dtype=dtype) for before, after in pairwise(widths))
        for layer in self.layers:
            initialise(cast("Linear", layer), source)
        self.dropout = protocol.dropout

    def forward(self, inputs: Tensor, source: torch.Generator | None = None) -> Tensor:
        """Logits (n,) of inputs (n, d); with ``source`` hidden units are dropped, as in training."""
        *hidden, last = self.layers
        for layer in hidden:
            inputs = functional.leaky_relu(layer(inputs))
            if source is not None and self.dropout > 0:
                kept = torch.empty_like(inputs).bernoulli_(1.0 - self.dropout, generator=source)
                inputs = inputs * kept / (1.0 - self.dropout)
        return last(inputs).squeeze(-1)  # type: ignore[no-any-return]


Network = Classifier | ResNet3d


def build(features: int, protocol: ClassifierProtocol, source: torch.Generator) -> Network:
    """The network of a protocol.

    Raises:
        ShapeError: the features are not the incident energy and an image of the protocol's shape.
    """
    if protocol.image is None:
        return Classifier(features, protocol, source)
    voxels = prod(protocol.image)
    if features != 1 + voxels:
        message = (
            f"the protocol {protocol.name!r} takes 1 + {voxels} features, the incident energy and an image of "
            f"{protocol.image} voxels, but there are {features}: use another protocol, or replace its image"
        )
        raise ShapeError(message)
    return ResNet3d(protocol.image, source, dtype=getattr(torch, protocol.dtype))


@dataclass(frozen=True)
class Trained:
    """A trained classifier: :meth:`logits` of any features, and how it got there."""

    network: Network
    scaler: Scaler
    history: History
    epoch: int

    def logits(self, features: Array) -> Array:
        """Logits (n,) of features (n, d); higher means class 1."""
        like = next(self.network.parameters())
        return _logits(self.network, torch.as_tensor(self.scaler(features)).to(like.device, like.dtype))


def train(
    training: Events,
    selection: Events,
    protocol: ClassifierProtocol,
    *,
    seed: int,
    scale: Array | None = None,
    device: torch.device | str = "cpu",
    after_epoch: Callable[[], None] | None = None,
) -> Trained:
    """Train a classifier and keep its best epoch, as the protocol says.

    Args:
        training: events that it learns from.
        selection: events that choose the epoch.
        protocol: the rules.
        seed: draws the first weights, the order of the events and the dropped units.
        scale: see :class:`Scaler`.
        device: where to train. On a processor equal seeds and thread counts give equal bits.
        after_epoch: called after every epoch.

    Raises:
        TrainingError: the loss is no longer finite.
        ShapeError: see :func:`build`.
    """
    scaler = Scaler(training.features, protocol.inputs, scale)
    dtype = getattr(torch, protocol.dtype)
    inputs = torch.as_tensor(scaler(training.features)).to(device, dtype)
    unseen = torch.as_tensor(scaler(selection.features)).to(device, dtype)
    labels, weights = (torch.as_tensor(one).to(device, dtype) for one in (training.labels, training.weights))
    network = build(inputs.shape[1], protocol, generator(seed, "init")).to(device)
    dropped, order = generator(seed, "dropout", device=device), generator(seed, "order")
    history: History = {"train": [], "selection": [], "score": []}
    optimiser = torch.optim.AdamW(
        network.parameters(), protocol.learning_rate, weight_decay=protocol.weight_decay, fused=True
    )
    best, kept, chosen = -np.inf, _copy(network), 0
    for epoch in range(protocol.epochs):
        losses = torch.zeros((), device=device, dtype=dtype)
        for group in optimiser.param_groups:
            group["lr"] = protocol.rate(epoch)
        network.train()
        for rows in _batches(torch.randperm(len(inputs), generator=order).to(device), protocol.batch_size):
            optimiser.zero_grad()
            logits = network(inputs[rows], dropped)
            loss = functional.binary_cross_entropy_with_logits(logits, labels[rows], weights[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            losses += loss.detach() * len(rows)
        score = _record(history, _logits(network, unseen), selection, protocol, float(losses) / len(inputs))
        if score > best:
            best, kept, chosen = score, _copy(network), epoch
        if after_epoch is not None:
            after_epoch()
    network.load_state_dict(kept)
    return Trained(network, scaler, history, chosen)


def _record(history: History, logits: Array, selection: Events, protocol: ClassifierProtocol, loss: float) -> float:
    """Write an epoch into the history and return the number by which epochs are chosen: the higher, the better."""
    if not np.isfinite(loss) or not np.isfinite(logits).all():
        message = (
            f"the loss of the classifier is not finite after epoch {len(history['train']) + 1}: standardise its inputs or "
            f"lower the learning rate of the protocol {protocol.name!r}"
        )
        raise TrainingError(message)
    # ln(1 + e^-z) of the true class, in the form that does not overflow
    losses = np.logaddexp(0.0, np.where(selection.labels > 0.5, -logits, logits))
    mean = float(np.average(losses, weights=selection.weights))
    scores = {
        "accuracy": lambda: float(np.average((logits > 0) == (selection.labels > 0.5), weights=selection.weights)),
        "auc": lambda: auc(logits, selection.labels, selection.weights),
        "loss": lambda: -mean,
        "last": lambda: float(len(history["train"])),
    }
    score = scores[protocol.select]()
    for name, value in (("train", loss), ("selection", mean), ("score", score)):
        history[name].append(value)
    return score


def _batches(order: Tensor, size: int) -> list[Tensor]:
    """Rows of each step. A last event left alone joins the batch before it: it has no variance to be normalised by."""
    parts = list(torch.split(order, size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def _logits(network: Network, inputs: Tensor) -> Array:
    network.eval()
    with torch.no_grad():
        return np.concatenate([network(part).double().cpu().numpy() for part in torch.split(inputs, network.chunk)])


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
