r"""From energies to what a flow learns, and back.

Both kinds split a shower in two: the layer energies, written as ratios

.. math:: u_0 = \frac{\sum_j E_j}{f E_\mathrm{inc}}, \qquad u_i = \frac{E_{i-1}}{\sum_{j \ge i-1} E_j}

with ``f`` the largest response of the training set (at least 1), all in (0, 1) and taken to the line by a logit; and the
voxels of each layer, given its energy. On the way back the voxels of a layer are rescaled to sum to its energy.

- `LogitPreprocess` is that of CaloFlow (arXiv:2106.05285): uniform noise on every voxel, voxels as fractions of
  the layer energy, logit with a margin alpha.
- `LogPreprocess` takes the logarithm of the voxel energy itself. Empty voxels are spread below a threshold, so that
  "empty" is a bump of its own beside the spectrum and stands at the same place whatever the layer holds. The threshold follows
  the training set where none is given.

All energies here are in MeV, in float64; the flow converts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from hepflows.applications.calorimeter.config import PreprocessConfig
from hepflows.applications.calorimeter.geometry import Geometry

TEN_GEV, HUNDRED_GEV = 1e4, 1e5  # MeV
KEV = 1e-3  # MeV
EMPTIED = 0.01
"""A threshold that follows the training set takes at most so many of the filled voxels for empty."""
MARGIN = 1.1
"""A voxel may hold so many times what it held at most in the training set (``log`` kind)."""


def sum_layers(voxels: Tensor, geometry: Geometry) -> Tensor:
    """``(n, n_voxels)`` voxels to ``(n, n_layers)`` layer energies."""
    return torch.stack([voxels[:, part].sum(1) for part in geometry.slices], 1)


def spread_layers(values: Tensor, geometry: Geometry) -> Tensor:
    """``(n, n_layers)`` numbers to ``(n, n_voxels)``: each voxel gets that of its layer."""
    return torch.cat([values[:, i : i + 1].expand(-1, layer.n_voxels) for i, layer in enumerate(geometry.layers)], 1)


Chunks = Callable[[], Iterable[tuple[Tensor, Tensor]]]
"""A sample that is read a part at a time: each call starts anew and gives (n, n_voxels) voxels and (n,) incident energies, MeV."""


class Moments:
    """Mean and standard deviation of numbers that come in parts (Chan, Golub and LeVeque 1983)."""

    def __init__(self) -> None:
        self.n, self.mean, self.squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, values: Tensor) -> None:
        """Add ``(n, d)`` numbers."""
        n, mean = len(values), values.mean(0)
        total, shift = self.n + n, mean - self.mean
        self.squares = self.squares + ((values - mean) ** 2).sum(0) + shift**2 * (self.n * n / total)
        self.mean, self.n = self.mean + shift * (n / total), total

    def write(self, mean: Tensor, std: Tensor) -> None:
        """Write both; a number that never changes gets a small spread."""
        mean.copy_(self.mean)
        std.copy_((self.squares / max(1, self.n - 1)).sqrt().clamp_min(1e-3))


class Preprocess(nn.Module):
    """What the two kinds share: contexts, ratios of layer energies, the rescaling.

    Attributes:
        threshold: below it a voxel is empty, in MeV.
        max_response: largest (sum of the layers)/(incident energy) that can be generated.
        energy_mean, energy_std: standardise the targets of the energy flow.
        voxel_mean, voxel_std: standardise the targets of the shower flow.
    """

    threshold: Tensor
    max_response: Tensor
    energy_mean: Tensor
    energy_std: Tensor
    voxel_mean: Tensor
    voxel_std: Tensor

    def __init__(self, geometry: Geometry, config: PreprocessConfig) -> None:
        super().__init__()
        self.geometry, self.config = geometry, config
        double = torch.float64
        given = KEV if config.threshold_mev is None else config.threshold_mev
        self.register_buffer("threshold", torch.tensor(given, dtype=double))
        self.register_buffer("max_response", torch.ones((), dtype=double))
        self.register_buffer("energy_mean", torch.zeros(geometry.n_layers, dtype=double))
        self.register_buffer("energy_std", torch.ones(geometry.n_layers, dtype=double))
        self.register_buffer("voxel_mean", torch.zeros(geometry.n_voxels, dtype=double))
        self.register_buffer("voxel_std", torch.ones(geometry.n_voxels, dtype=double))

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *others: Any) -> None:
        state.setdefault(f"{prefix}threshold", self.threshold)  # older files have it in their configuration alone
        super()._load_from_state_dict(state, prefix, *others)

    def fit(self, chunks: Chunks, generator: torch.Generator, orders: Tensor | None = None) -> None:
        """Learn the range of the response and, for the ``log`` kind, means, spreads and largest values of the voxels.

        Args:
            chunks: called for each pass over the training set, gives (n, n_voxels) voxels and (n,) incident energies, MeV.
            generator: draws the noise.
            orders: (k, n_voxels) orientations in which the showers are shown, see `symmetry`.
        """
        response = max(float((voxels.sum(1) / incident).max()) for voxels, incident in chunks())
        # a little above the largest one seen, so that its logit stays finite
        self.max_response.fill_(max(1.0, 1.002 * response))

    def energy_context(self, incident: Tensor) -> Tensor:
        """``(n,)`` incident energies to ``(n, 1)``: log10(E_inc / 10 GeV)."""
        return torch.log10(incident / TEN_GEV).unsqueeze(1)

    def voxel_context(self, incident: Tensor, layers: Tensor) -> Tensor:
        """``(n, 1 + n_layers)``: log10(E_inc / 10 GeV) and log10(E_i / 100 GeV + 1e-8) + 2."""
        return torch.cat([self.energy_context(incident), torch.log10(layers / HUNDRED_GEV + 1e-8) + 2], 1)

    def dequantise(self, voxels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Fresh noise where the data have none: ``(voxels, layer energies)``, all positive."""
        raise NotImplementedError

    def energy_target(self, layers: Tensor, incident: Tensor) -> Tensor:
        """``(n, n_layers)`` layer energies to the logits of their ratios, standardised."""
        remaining = layers.flip(1).cumsum(1).flip(1)
        response = (remaining[:, :1] / incident[:, None] / self.max_response).clamp(1e-9, 1 - 1e-9)
        # logit(a / (a + b)) = log a - log b: no rounding at either end
        ratios = torch.log(layers[:, :-1]) - torch.log(remaining[:, 1:])
        logits = torch.cat([torch.logit(response), ratios], 1)
        return (self.limit(logits) - self.energy_mean) / self.energy_std

    def layer_energies(self, target: Tensor, incident: Tensor) -> Tensor:
        """Undo `energy_target`: ``(n, n_layers)`` energies in MeV."""
        logits = target * self.energy_std + self.energy_mean
        shares = torch.sigmoid(logits)
        remaining = shares[:, 0] * self.max_response * incident
        layers = []
        for share in shares[:, 1:].unbind(1):
            layers.append(share * remaining)
            remaining = remaining - layers[-1]
        return torch.stack([*layers, remaining], 1)

    def limit(self, logits: Tensor) -> Tensor:
        """Where the logits of the layer ratios are cut."""
        return logits

    def voxel_target(self, voxels: Tensor, layers: Tensor) -> Tensor:
        """``(n, n_voxels)`` dequantised voxels to the targets of the shower flow."""
        raise NotImplementedError

    def voxels(self, target: Tensor, layers: Tensor) -> Tensor:
        """Undo `voxel_target`, empty what is below threshold and rescale each layer to its energy."""
        raise NotImplementedError

    def rescale(self, voxels: Tensor, layers: Tensor) -> Tensor:
        """Make the voxels of each layer sum to its energy; a layer without any voxel stays empty."""
        factor = layers / sum_layers(voxels, self.geometry).clamp_min(1e-30)
        return voxels * spread_layers(factor, self.geometry)


class LogitPreprocess(Preprocess):
    """The preprocessing of CaloFlow (arXiv:2106.05285)."""

    def dequantise(self, voxels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        width = self.config.noise_mev + self.config.noise_share * sum_layers(voxels, self.geometry)
        noise = torch.rand(voxels.shape, generator=generator, dtype=voxels.dtype)
        noisy = voxels + spread_layers(width, self.geometry) * noise
        return noisy, sum_layers(noisy, self.geometry)

    def limit(self, logits: Tensor) -> Tensor:
        edge = math.log((1 - self.config.alpha) / self.config.alpha)
        return logits.clamp(-edge, edge)

    def voxel_target(self, voxels: Tensor, layers: Tensor) -> Tensor:
        alpha = self.config.alpha
        share = alpha + (1 - 2 * alpha) * (voxels / spread_layers(layers, self.geometry)).clamp(0, 1)
        return torch.log(share) - torch.log1p(-share)

    def voxels(self, target: Tensor, layers: Tensor) -> Tensor:
        alpha = self.config.alpha
        share = (torch.sigmoid(target) - alpha) / (1 - 2 * alpha)
        voxels = self.rescale(share.abs(), layers)
        return torch.where(voxels < self.threshold, 0.0, voxels)


class LogPreprocess(Preprocess):
    """Logarithms of the voxel energies, with the empty ones spread below a threshold.

    Attributes:
        largest_voxel, largest_share: what each voxel may hold at most, in MeV and as a share of its layer.
    """

    largest_voxel: Tensor
    largest_share: Tensor

    def __init__(self, geometry: Geometry, config: PreprocessConfig) -> None:
        super().__init__(geometry, config)
        self.register_buffer("largest_voxel", torch.full_like(self.voxel_mean, torch.inf))
        self.register_buffer("largest_share", torch.ones_like(self.voxel_mean))

    def fit(self, chunks: Chunks, generator: torch.Generator, orders: Tensor | None = None) -> None:
        super().fit(chunks, generator, orders)
        if self.config.threshold_mev is None:
            self.threshold.fill_(threshold_of(voxels for voxels, _ in chunks()))
        energies, targets = Moments(), Moments()
        self.largest_voxel.zero_()
        self.largest_share.zero_()
        for mean, std in ((self.energy_mean, self.energy_std), (self.voxel_mean, self.voxel_std)):
            mean.zero_()
            std.fill_(1.0)
        for voxels, incident in chunks():
            filled, layers = self.dequantise(voxels, generator)
            shares = filled / spread_layers(layers, self.geometry)
            for values, largest in ((filled, self.largest_voxel), (shares, self.largest_share)):
                torch.maximum(largest, values.amax(0), out=largest)
            energies.add(self.energy_target(layers, incident))
            targets.add(self.voxel_target(filled, layers))
        for largest in (self.largest_voxel, self.largest_share):
            largest.copy_(MARGIN * (largest if orders is None else largest[orders].amax(0)))
        energies.write(self.energy_mean, self.energy_std)
        targets.write(self.voxel_mean, self.voxel_std)

    def _fill(self, energies: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.rand(energies.shape, generator=generator, dtype=energies.dtype)
        below = self.threshold * torch.exp(-self.config.gap - self.config.tail * noise)
        return torch.where(energies < self.threshold, below, energies)

    def dequantise(self, voxels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return self._fill(voxels, generator), self._fill(sum_layers(voxels, self.geometry), generator)

    def voxel_target(self, voxels: Tensor, layers: Tensor) -> Tensor:
        return (torch.log(voxels) - self.voxel_mean) / self.voxel_std

    def voxels(self, target: Tensor, layers: Tensor) -> Tensor:
        # the exponential turns the tail of a flow into a far larger deposit than a rarely hit voxel ever holds
        largest = torch.minimum(self.largest_voxel, self.largest_share * spread_layers(layers, self.geometry))
        voxels = torch.exp(target * self.voxel_std + self.voxel_mean).minimum(largest)
        layers = torch.where(layers < self.threshold, 0.0, layers)
        # twice: what a layer with too much in its voxels loses by the rescaling may fall below; the second one only adds to what is left
        return self._emptied(self._emptied(voxels, layers), layers)

    def _emptied(self, voxels: Tensor, layers: Tensor) -> Tensor:
        """Empty what is below the threshold, but not the brightest voxel of a layer, and rescale."""
        brightest = torch.stack([voxels[:, part].amax(1) for part in self.geometry.slices], 1)
        cut = spread_layers(torch.minimum(brightest, self.threshold), self.geometry)
        return self.rescale(torch.where(voxels < cut, 0.0, voxels), layers)


def threshold_of(samples: Iterable[Tensor]) -> float:
    """A threshold for showers, in MeV: 1 keV, but less where more than 1 % of the filled voxels would be empty, and no less than any holds.

    >>> threshold_of([torch.tensor([[0.0, 2e-8, 5.0]], dtype=torch.float64)])
    2e-08
    >>> threshold_of([torch.tensor([[0.0, 0.015, 5.0]], dtype=torch.float64)])
    0.015
    """
    decades, filled, smallest = torch.zeros(2000, dtype=torch.float64), 0, math.inf
    for voxels in samples:
        held = voxels[voxels > 0]
        filled += held.numel()
        if held.numel():
            smallest = min(smallest, float(held.min()))
            below = torch.log10(held[held < KEV].double())
            decades += torch.histc(below, 2000, -20 + math.log10(KEV), math.log10(KEV))
    if not filled:
        return KEV
    taken = int((decades.cumsum(0) <= EMPTIED * filled).sum())  # bins of a hundredth of a decade
    return max(smallest, KEV * 10 ** ((taken - 2000) / 100))


def build_preprocess(geometry: Geometry, config: PreprocessConfig) -> Preprocess:
    """The preprocessing that a configuration names."""
    return {"logit": LogitPreprocess, "log": LogPreprocess}[config.kind](geometry, config)
