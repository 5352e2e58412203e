"""Precision, recall, density and coverage: whether generated events lie where true ones lie, and reach all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepflows.errors import ConfigError, DataError
from hepflows.metrics.neighbours import nearest, squared_distances
from hepflows.metrics.pairs import checked_pair
from hepflows.training.seeding import numpy_generator

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

NAMES = ("precision", "recall", "density", "coverage")

_HALVES = 10  # half samples behind the errors; the error of an error is then 1 / sqrt(2 * 9) = 24 %
_TIE = 1e-8  # of a squared radius: rounding must not decide whether an event on the edge of a ball lies inside


@dataclass(frozen=True)
class PrdcResult:
    """Precision, recall, density and coverage of a generated sample.

    Args:
        precision: share of the generated events that lie in the ball of a reference event.
        recall: share of the reference events that lie in the ball of a generated event.
        density: number of reference balls around a generated event, divided by k; 1 on average for a perfect
            generator, and above 1 where events crowd in the densest regions.
        coverage: share of the reference balls that hold a generated event.
        precision_error, recall_error, density_error, coverage_error: their standard deviations.
        k: the ball of an event reaches to its k-th nearest neighbour in its own sample.
        n_generated, n_reference: events.
        features: number of features d.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    precision_error: float
    recall_error: float
    density_error: float
    coverage_error: float
    k: int
    n_generated: int
    n_reference: int
    features: int

    @property
    def expected_coverage(self) -> float:
        r"""Coverage of a perfect generator with these counts, :math:`1 - \prod_{i=1}^{k} (n - i) / (n + m - i)`.

        (arXiv:2002.09797) The density of a perfect generator is 1; its precision and recall depend on the
        distribution, see :func:`hepflows.metrics.with_floor`.
        """
        steps = np.arange(1, self.k + 1)
        return float(1.0 - np.prod((self.n_reference - steps) / (self.n_reference + self.n_generated - steps)))

    def to_dict(self) -> dict[str, Any]:
        """All numbers, ready for ``metrics.json``."""
        keys = (*NAMES, *(f"{name}_error" for name in NAMES), "k", "n_generated", "n_reference", "features")
        return {key: getattr(self, key) for key in keys}

    def __str__(self) -> str:
        numbers = ", ".join(
            f"{name} {getattr(self, name):.3f} ± {getattr(self, f'{name}_error'):.3f}" for name in NAMES
        )
        return f"{numbers} (k = {self.k}, {self.n_generated:,} against {self.n_reference:,} events)"


def prdc(generated: ArrayLike, reference: ArrayLike, *, k: int = 5, seed: int) -> PrdcResult:
    r"""Precision and recall (arXiv:1904.06991), density and coverage (arXiv:2002.09797) of a generated sample.

    With :math:`B(x)` the closed ball around an event that reaches to its k-th nearest neighbour in its own sample, for n
    reference events :math:`x_i` and m generated events :math:`y_j`,

    .. math::

        \text{precision} = \frac1m \sum_j \Big[y_j \in \bigcup_i B(x_i)\Big], \quad
        \text{recall} = \frac1n \sum_i \Big[x_i \in \bigcup_j B(y_j)\Big], \\
        \text{density} = \frac{1}{km} \sum_{ij} \big[y_j \in B(x_i)\big], \quad
        \text{coverage} = \frac1n \sum_i \Big[\exists\, j: y_j \in B(x_i)\Big].

    A recall near 0 is the signature of mode collapse; with it the density is far above 1 where there are many features (in
    few it stays near 1, and the coverage falls). All four depend on the numbers of events and on how the features are
    scaled: compare runs of equal counts and features only. The features are taken as they are; the CaloChallenge takes
    the logarithm of the voxel energies to base 10, with 0.1 in the place of zero.

    Distances are exact (see :func:`hepflows.metrics.neighbours.squared_distances`), their number is n^2 + m^2 + nm, and
    memory stays below a few hundred MB beside the samples. The errors are standard deviations over ten half samples, of
    both samples at once: for a mean over events half a sample has, about the whole, the variance that the whole has about
    the truth. (Simulation, Gaussians of 2 to 30 features: quoted over true 0.9 to 1.5, up to 2 where a value is
    within 0.003 of 1.)

    Args:
        generated: (m, d) features.
        reference: (n, d) features.
        k: neighbours, 5 in the CaloChallenge.
        seed: draws the half samples; the four numbers do not depend on it.

    Raises:
        ConfigError: ``k`` below one.
        DataError: a value that is not finite, or fewer than 10 k events in a sample.
        ShapeError: different widths.

    >>> rng = np.random.default_rng(0)
    >>> truth, collapsed = rng.normal(size=(500, 30)), 0.1 * rng.normal(size=(500, 30))
    >>> found = prdc(collapsed, truth, seed=1)
    >>> found.precision > 0.99, found.recall < 0.05, found.density > 10
    (True, True, True)
    """
    if k < 1:
        message = f"the balls of precision and recall need at least one neighbour, but k is {k}: use 5"
        raise ConfigError(message)
    fake, truth = checked_pair(generated, reference)
    if min(len(fake), len(truth)) < 10 * k:
        message = (
            f"precision, recall, density and coverage with k = {k} need {10 * k} events in each sample, but there are "
            f"{len(fake)} generated and {len(truth)} reference events: use more events or a smaller k"
        )
        raise DataError(message)
    rng = numpy_generator(seed, "half samples")
    truth_balls, fake_balls = _Balls(truth, k, rng), _Balls(fake, k, rng)
    found = _count(truth_balls, fake_balls, k)
    errors = found[1:].std(axis=0, ddof=1)
    precision, recall, density, coverage = (float(one) for one in found[0])
    return PrdcResult(
        precision=precision,
        recall=recall,
        density=density,
        coverage=coverage,
        precision_error=float(errors[0]),
        recall_error=float(errors[1]),
        density_error=float(errors[2]),
        coverage_error=float(errors[3]),
        k=k,
        n_generated=len(fake),
        n_reference=len(truth),
        features=truth.shape[1],
    )


class _Balls:
    """A sample with its balls, whole (row 0 of everything below) and in each of its half samples.

    Attributes:
        events: (n, d).
        member: (S, n) whether an event belongs to a half sample.
        radius: (S, n) squared radii.
    """

    def __init__(self, events: Array, k: int, rng: np.random.Generator) -> None:
        self.events = events
        self.member: Mask = np.ones((1 + _HALVES, len(events)), dtype=np.bool_)
        for half in self.member[1:]:
            half[rng.permutation(len(events))[len(events) // 2 :]] = False
        # of so many neighbours at least k belong to a half, but for a chance below 1e-10
        places, distances = nearest(events, min(10 * k + 30, len(events) - 1))
        self.radius = np.empty(self.member.shape)
        for row, half in enumerate(self.member):
            reached = np.cumsum(half[places], axis=1) >= k
            reached[:, -1] = True
            self.radius[row] = distances[np.arange(len(events)), np.argmax(reached, axis=1)]
        self.radius *= 1.0 + _TIE


def _count(truth: _Balls, fake: _Balls, k: int) -> Array:
    """The four numbers (S, 4) of the whole samples and of each pair of half samples."""
    around_fake = np.zeros(fake.member.shape, dtype=np.int64)  # reference balls around each generated event
    inside_truth = np.zeros(truth.member.shape, dtype=np.bool_)  # whether a reference ball holds any
    around_truth = np.zeros(truth.member.shape, dtype=np.bool_)  # whether a generated ball holds the reference event
    largest = [one.radius.max(axis=0) for one in (truth, fake)]
    for rows, block in squared_distances(truth.events, fake.events):
        i, j = np.nonzero(block <= np.maximum(largest[0][rows, None], largest[1]))
        distances, i = block[i, j], i + rows.start
        for half in range(len(truth.member)):
            present = truth.member[half, i] & fake.member[half, j]
            inside = present & (distances <= truth.radius[half, i])
            around_fake[half] += np.bincount(j[inside], minlength=len(fake.events))
            inside_truth[half, i[inside]] = True
            around_truth[half, i[present & (distances <= fake.radius[half, j])]] = True
    n, m = truth.member.sum(axis=1), fake.member.sum(axis=1)
    return np.stack(
        [
            (around_fake > 0).sum(axis=1) / m,
            around_truth.sum(axis=1) / n,
            around_fake.sum(axis=1) / (k * m),
            inside_truth.sum(axis=1) / n,
        ],
        axis=1,
    )
