"""The density of the features given the resonant variable: a conditional flow on preprocessed features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hepflows.applications.anomaly.config import DensityConfig
from hepflows.applications.anomaly.events import Array
from hepflows.applications.anomaly.preprocess import Preprocess
from hepflows.bijections import RationalQuadraticSpline
from hepflows.flow import Flow
from hepflows.training.batches import TensorBatches
from hepflows.training.loop import History, Progress, fit
from hepflows.training.objectives import MaximumLikelihood
from hepflows.training.seeding import derive, generator, numpy_generator
from hepflows.zoo import coupling_flow, maf

DTYPE = torch.float32
_CHUNK = 65_536


class Density:
    r"""p(x | m), a spline flow in preprocessed features: :math:`\log p(x|m) = \log q(z(x)|t(m)) + \log|\det dz/dx|`.

    Args:
        features: number d of features.
        config: see `DensityConfig`.
        seed: draws the first weights.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> m, x = rng.uniform(2, 4, 500), rng.normal(size=(500, 2))
        >>> density = Density(2, DensityConfig(blocks=2, training={"epochs": 2}), seed=0)
        >>> history = density.fit(x, m, seed=1)
        >>> density.log_prob(x[:5], m[:5]).shape, density.sample(m[:7], seed=2).shape
        ((5,), (7, 2))
    """

    def __init__(self, features: int, config: DensityConfig, *, seed: int) -> None:
        self.config = config
        univariate = RationalQuadraticSpline(bins=config.bins, bound=5.0)
        recipe = coupling_flow if config.kind == "coupling" else maf
        self.flow: Flow = recipe(
            features,
            1,
            univariate=univariate,
            blocks=config.blocks,
            hidden=tuple(config.hidden),
            seed=derive(seed, "weights"),
        ).to(DTYPE)
        self.preprocess: Preprocess | None = None
        self.centre, self.scale = 0.0, 1.0

    def prepare(self, x: Array, m: Array) -> None:
        """Fit the preprocessing of (n, d) features and (n,) resonant variable."""
        self.preprocess = Preprocess.fit(x, self.config.preprocess)
        self.centre, self.scale = float(m.mean()), float(m.std()) or 1.0

    def fit(
        self,
        x: Array,
        m: Array,
        weights: Array | None = None,
        *,
        seed: int,
        start: Density | None = None,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> History:
        """Maximum likelihood on (n, d) features and (n,) resonant variable; the best epoch on a share of the events is kept.

        With ``start``, a fitted density of the same kind, training goes on from its weights, in its preprocessing.

        Raises:
            TrainingError: the loss is not finite.
        """
        if start is None:
            self.prepare(x, m)
        else:
            self.flow.load_state_dict(start.flow.state_dict())
            self.preprocess, self.centre, self.scale = start.fitted, start.centre, start.scale
        columns = [self.latents_in(x)[0], self.context(m)]
        if weights is not None:
            columns.append(torch.as_tensor(weights / weights.mean(), dtype=DTYPE))
        training, validation = split(len(x), self.config.validation, seed)
        return fit(
            MaximumLikelihood(self.flow),
            TensorBatches(tuple(columns), self.config.training.batch_size, rows=training),
            TensorBatches(tuple(columns), 8192, rows=validation, shuffle=False),
            self.config.training,
            seed=derive(seed, "training"),
            checkpoint=checkpoint,
            progress=progress,
        )

    def log_prob(self, x: Array, m: Array) -> Array:
        """(n,) log density of the features, per unit of each."""
        z, ladj = self.latents_in(x)
        with torch.no_grad():
            return np.asarray(self.flow.log_prob(z, self.context(m)).double().numpy() + ladj, dtype=np.float64)

    def to_latent(self, x: Array, m: Array) -> Array:
        """(n, d) in the base space of the flow, where background is standard normal whatever m."""
        parts = []
        with torch.no_grad():
            for first in range(0, len(x), _CHUNK):
                z, context = self.latents_in(x[first : first + _CHUNK])[0], self.context(m[first : first + _CHUNK])
                parts.append(self.flow.bijection.forward(z, context)[0].double().numpy())
        return np.concatenate(parts) if parts else np.empty_like(x)

    def sample(self, m: Array, *, seed: int) -> Array:
        """(n, d) features, one event for each value of the resonant variable."""
        z = self.flow.sample((), self.context(m), generator=generator(seed, "density"))
        return self.fitted.inverse(z.double().numpy())

    @property
    def fitted(self) -> Preprocess:
        """The preprocessing."""
        if self.preprocess is None:
            message = "the density has not been fitted: call fit first"
            raise RuntimeError(message)
        return self.preprocess

    def latents_in(self, x: Array) -> tuple[Tensor, Array]:
        """What the flow sees of (n, d) features, and log |det dz/dx|."""
        z, ladj = self.fitted.forward(x)
        return torch.as_tensor(z, dtype=DTYPE), ladj

    def context(self, m: Array) -> Tensor:
        """What the flow sees of the resonant variable, (n, 1)."""
        return torch.as_tensor((m - self.centre) / self.scale, dtype=DTYPE)[:, None]

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and a header that `restore` takes."""
        header = {"preprocess": self.fitted.state(), "centre": self.centre, "scale": self.scale}
        return dict(self.flow.state_dict()), header

    def restore(self, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
        """Undo `state`."""
        self.flow.load_state_dict(tensors)
        self.flow.eval()
        self.preprocess = Preprocess.restored(header["preprocess"])
        self.centre, self.scale = header["centre"], header["scale"]


def split(n: int, validation: float, seed: int) -> tuple[Tensor, Tensor]:
    """Rows that train and rows that choose the epoch."""
    order = torch.as_tensor(numpy_generator(seed, "validation").permutation(n))
    size = max(1, round(validation * n))
    return order[size:], order[:size]


def smoothed(values: Array, n: int, low: float, high: float, *, seed: int) -> Array:
    """Draw n values with the density of ``values`` between two edges: a Gaussian kernel, reflected at the edges.

    The width is a fiftieth of the window, close to the 0.01 TeV in 0.4 of CATHODE (arXiv:2109.00546).

    >>> drawn = smoothed(np.full(10, 3.5), 1000, 3.3, 3.7, seed=0)
    >>> bool(abs(drawn.mean() - 3.5) < 0.002), bool((drawn > 3.3).all())
    (True, True)
    """
    rng = numpy_generator(seed, "resonant variable")
    drawn = values[rng.integers(len(values), size=n)] + (high - low) / 50 * rng.standard_normal(n)
    drawn = np.where(drawn < low, 2 * low - drawn, drawn)
    drawn = np.where(drawn > high, 2 * high - drawn, drawn)
    return np.asarray(np.clip(drawn, np.nextafter(low, high), np.nextafter(high, low)), dtype=np.float64)
