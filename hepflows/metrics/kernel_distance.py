"""Kernel distance of two samples: the maximum mean discrepancy with a polynomial kernel, and KPD, its median over batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepflows.errors import ConfigError, DataError
from hepflows.metrics.pairs import checked_pair, scaled_pair
from hepflows.training.seeding import numpy_generator

Array = NDArray[np.float64]

_BLOCK = 2**22  # kernel values at a time: 32 MB
_SIGMA = (0.16275, 0.83725)  # quantiles of one standard deviation, as in JetNet


@dataclass(frozen=True)
class KernelResult:
    """Kernel physics distance of a generated sample.

    Args:
        value: KPD as published, the median over the batches; it may be negative.
        error: half the range of the central 68 % of the batches, as published: the spread of a single batch.
        unbiased: mean over the batches, an unbiased estimate of the distance of the two distributions.
        unbiased_error: its standard deviation, from the spread of the batches, which share no event.
        batches: number of batches.
        batch_size: events a sample in each batch.
        scaled_down: whether the batches had to be made smaller than asked for, for want of events.
        n_generated, n_reference: events.
        features: number of features d.
        count_factor: by what the four distances were multiplied to carry them to other counts, see :meth:`at_counts_of`.
    """

    value: float
    error: float
    unbiased: float
    unbiased_error: float
    batches: int
    batch_size: int
    scaled_down: bool
    n_generated: int
    n_reference: int
    features: int
    count_factor: float = 1.0

    def at_counts_of(self, other: KernelResult) -> KernelResult:
        """What this pair of samples of one distribution would give in batches of the size of ``other``.

        Only for equal distributions: their distances scatter about zero as the inverse of the batch size.
        """
        factor = self.batch_size / other.batch_size
        numbers = {name: factor * getattr(self, name) for name in ("value", "error", "unbiased", "unbiased_error")}
        return replace(self, **numbers, count_factor=factor * self.count_factor)

    def to_dict(self) -> dict[str, Any]:
        """All numbers, ready for ``metrics.json``."""
        return asdict(self)

    def __str__(self) -> str:
        scaled = ", scaled down for want of events" if self.scaled_down else ""
        return (
            f"KPD {self.value:.3g} ± {self.error:.2g}, mean {self.unbiased:.3g} ± {self.unbiased_error:.2g} "
            f"({self.n_generated:,} against {self.n_reference:,} events, {self.features} features, {self.batches} batches "
            f"of {self.batch_size:,}{scaled})"
        )


def mmd(generated: ArrayLike, reference: ArrayLike, *, degree: int = 4) -> float:
    r"""Unbiased estimate of the squared maximum mean discrepancy with a polynomial kernel (arXiv:1801.01401).

    .. math::

        \mathrm{MMD}^2 = \frac{1}{n(n-1)} \sum_{i \ne j} k(x_i, x_j) + \frac{1}{m(m-1)} \sum_{i \ne j} k(y_i, y_j)
                       - \frac{2}{nm} \sum_{ij} k(x_i, y_j), \qquad k(x, y) = \left(\frac{x \cdot y}{d} + 1\right)^p

    It sees differences in all moments up to the order p, is zero on average for two samples of one distribution, and
    therefore often negative. The features are taken as they are.

    Args:
        generated: (n, d).
        reference: (m, d).
        degree: p, 4 in KPD.

    Raises:
        ShapeError: not (events, features), or different widths.
        DataError: a value that is not finite, or a single event.
        ConfigError: a degree below one.

    >>> mmd([[1.0], [2.0]], [[0.0], [0.0]], degree=1)  # 3 + 1 - 2 * 1
    2.0
    """
    fake, truth = checked_pair(generated, reference)
    if min(len(fake), len(truth)) < 2:
        message = f"MMD needs two events, but the samples have {len(fake)} and {len(truth)}: use more events"
        raise DataError(message)
    if degree < 1:
        message = f"a polynomial kernel needs a degree of at least one, but it is {degree}: use 4"
        raise ConfigError(message)
    return _discrepancy(fake, truth, degree)


def kpd(
    generated: ArrayLike,
    reference: ArrayLike,
    *,
    batch_size: int = 10_000,
    batches: int = 10,
    scale: ArrayLike | None = None,
    seed: int,
) -> KernelResult:
    """Kernel physics distance KPD (arXiv:2211.10295), with the errors that belong to it.

    Each feature is divided by its largest absolute value in the reference; :func:`mmd` of degree 4 is taken in
    ``batches`` batches of ``batch_size`` events of each sample, and KPD is their median. The distribution of a batch about
    zero is skewed, so that the median of equal distributions is a little below zero; ``unbiased``, the mean, is not.

    The batches share no event. (JetNet draws each with replacement from the whole sample: a pair of twins in a batch
    then adds to the sums, and values of equal distributions are too large by about the average of k(x, x) - k(x, x') over
    half the number of events.) Where there are fewer than ``batches * batch_size`` events, the batches are made smaller,
    which leaves the value as it is and makes it less precise, and the result says so. The CaloChallenge takes batches of
    10,000 and quotes KPD times 1000; JetNet's default is 5,000.

    Args:
        generated: (n, d) features.
        reference: (m, d) features.
        batch_size: events of each sample in a batch.
        batches: how many, at least 3.
        scale: (d,) what each feature is divided by, where it is not its largest absolute value in the reference.
        seed: repeats the result.

    Raises:
        ConfigError: less than 3 batches or less than 2 events in one.
        DataError: a value that is not finite, or fewer than 20 events in each batch.
        ShapeError: different widths.

    >>> rng = np.random.default_rng(0)
    >>> truth, generated = rng.normal(size=(2000, 2)), rng.normal(size=(2000, 2))
    >>> same, shifted = kpd(generated, truth, seed=1), kpd(generated + 0.5, truth, seed=1)
    >>> abs(same.unbiased) < 3 * same.unbiased_error, shifted.unbiased > 10 * shifted.unbiased_error
    (True, True)
    """
    if batches < 3 or batch_size < 2:
        message = (
            f"KPD is a median over three batches or more of two events or more, but {batches} batches of {batch_size} were "
            "asked for: use 10 of 10,000"
        )
        raise ConfigError(message)
    fake, truth = scaled_pair(generated, reference, scale)
    events = min(len(fake), len(truth))
    size = min(batch_size, events // batches)
    if size < min(20, batch_size):
        message = (
            f"KPD in {batches} batches needs at least {20 * batches} events in each sample, but the smaller one has "
            f"{events}: use more events, fewer batches, or mmd"
        )
        raise DataError(message)
    rng = numpy_generator(seed, "kernel")
    orders = [rng.permutation(len(one))[: size * batches].reshape(batches, size) for one in (fake, truth)]
    found = np.array([_discrepancy(fake[i], truth[j], 4) for i, j in zip(*orders, strict=True)])
    low, high = np.quantile(found, _SIGMA)
    return KernelResult(
        value=float(np.median(found)),
        error=float(high - low) / 2,
        unbiased=float(found.mean()),
        unbiased_error=float(found.std(ddof=1) / np.sqrt(batches)),
        batches=batches,
        batch_size=size,
        scaled_down=size < batch_size,
        n_generated=len(fake),
        n_reference=len(truth),
        features=fake.shape[1],
    )


def _discrepancy(first: Array, second: Array, degree: int) -> float:
    within = [_within(one, degree) / (len(one) * (len(one) - 1)) for one in (first, second)]
    across = 0.0
    for rows in _blocks(len(first), len(second)):
        across += float(_kernel(first[rows], second, degree).sum())
    return sum(within) - 2.0 * across / (len(first) * len(second))


def _within(events: Array, degree: int) -> float:
    """Sum of the kernel over all ordered pairs of different events; each pair is computed once."""
    total = 0.0
    for rows in _blocks(len(events), len(events)):
        block = _kernel(events[rows], events[rows.start :], degree)
        corner = block[:, : len(block)]  # these events with each other, and with themselves
        total += 2.0 * float(block.sum()) - float(corner.sum()) - float(np.trace(corner))
    return total


def _blocks(rows: int, columns: int) -> Iterator[slice]:
    step = max(1, _BLOCK // columns)
    yield from (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def _kernel(first: Array, second: Array, degree: int) -> Array:
    """Values (n, m) of the kernel."""
    block = first @ second.T
    block /= first.shape[1]
    block += 1.0
    if degree == 4:  # two squares are much faster than a power
        return np.square(np.square(block, out=block), out=block)
    return np.asarray(block**degree)
