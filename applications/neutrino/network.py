"""The network that sums up an event: jets as a set, then the event as a whole."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from hepflows.applications.neutrino.config import NetworkConfig, NeutrinoConfig
from hepflows.applications.neutrino.events import MOST_JETS
from hepflows.applications.neutrino.features import JET_FEATURES, event_features
from hepflows.nets import Linear, initialise
from hepflows.sets import DeepSet
from hepflows.training import seeding


class EventNetwork(nn.Module):
    """Rows of `hepflows.applications.neutrino.features.rows` to a summary; the order of the jets does not matter.

    The jets go through a deep set with attention that also sees the event; what comes out and the event's own numbers go through a few
    layers; the event's own numbers are repeated in the summary.

    Args:
        features: numbers of the event itself in a row.
        config: sizes.
        generator: draws the initial weights.

    Attributes:
        outputs: width of the summary.

    Example:
        >>> net = EventNetwork(9, NetworkConfig(context=8), generator=torch.Generator().manual_seed(0))
        >>> net(torch.zeros(3, 9 + 10 * 6)).shape
        torch.Size([3, 17])
    """

    low: Tensor
    high: Tensor
    jet_low: Tensor
    jet_high: Tensor
    mean: Tensor
    scale: Tensor
    jet_mean: Tensor
    jet_scale: Tensor

    def __init__(self, features: int, config: NetworkConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.features, self.outputs = features, features + config.context
        for name, size in (("", features), ("jet_", JET_FEATURES)):
            self.register_buffer(f"{name}mean", torch.zeros(size))
            self.register_buffer(f"{name}scale", torch.ones(size))
            self.register_buffer(f"{name}low", torch.full((size,), -torch.inf))
            self.register_buffer(f"{name}high", torch.full((size,), torch.inf))
        self.jets = DeepSet(
            JET_FEATURES, config.jets, features, hidden=config.jet_hidden, layers=config.jet_layers,
            attention=config.attention, heads=config.heads, generator=generator,
        )  # fmt: skip
        widths = [features + config.jets, *config.hidden, config.context]
        self.layers = nn.ModuleList(Linear(i, o) for i, o in pairwise(widths))
        for layer in self.layers:
            initialise(layer, generator)  # type: ignore[arg-type]

    def standardise(self, rows: Tensor) -> None:
        """Take means, standard deviations and ranges from rows (n, D): of the event, and of the jets that are there."""
        event, jets, mask = self._split(rows.double())
        for name, values in (("", event), ("jet_", jets[mask])):
            if len(values) > 1:
                spread = values.std(0)
                getattr(self, f"{name}mean").copy_(values.mean(0))
                getattr(self, f"{name}scale").copy_(torch.where(spread > 0, spread, 1.0))
                getattr(self, f"{name}low").copy_(values.amin(0))
                getattr(self, f"{name}high").copy_(values.amax(0))

    def excess(self, rows: Tensor) -> Tensor:
        """(n,) by how many standard deviations a number of the event or of one of its jets passes what was seen; zero inside."""
        event, jets, mask = self._split(rows)
        beyond = torch.maximum(self.low - event, event - self.high) / self.scale
        jet_beyond = torch.maximum(self.jet_low - jets, jets - self.jet_high) / self.jet_scale
        jet_beyond = torch.where(mask[..., None], jet_beyond, -torch.inf).flatten(1)
        return torch.cat([beyond, jet_beyond], 1).amax(1).clamp_min(0.0)

    def forward(self, rows: Tensor) -> Tensor:
        event, jets, mask = self._split(rows)
        event = (event - self.mean) / self.scale
        h = torch.cat([event, self.jets((jets - self.jet_mean) / self.jet_scale, mask, event)], dim=1)
        for layer in self.layers:
            h = functional.leaky_relu(layer(h), 0.1)
        return torch.cat([event, h], dim=1)

    def _split(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        event, jets, mask = torch.split(rows, [self.features, MOST_JETS * JET_FEATURES, MOST_JETS], dim=1)
        return event, jets.reshape(-1, MOST_JETS, JET_FEATURES), mask > 0.5


def event_network(config: NeutrinoConfig, seed: int) -> EventNetwork:
    """The network that a configuration asks for, its first weights drawn from a seed."""
    features = event_features(config.leptons, roots=config.roots)
    return EventNetwork(features, config.network, generator=seeding.generator(seed, "event network"))
