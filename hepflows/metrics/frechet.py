"""Fréchet distance of two samples, and FPD, its limit for samples without end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepflows.errors import ConfigError, DataError
from hepflows.metrics.frechet_error import fluctuation, influence_variance
from hepflows.metrics.pairs import checked_pair, scaled_pair
from hepflows.training.seeding import numpy_generator

Array = NDArray[np.float64]
Moments = tuple[Array, Array]

_CHUNK = 2**14  # events a product of matrices: with 500 features 64 MB


@dataclass(frozen=True)
class FrechetResult:
    """Fréchet physics distance of a generated sample.

    Args:
        value: FPD as published, the intercept of the fit. A perfect generator gets not zero but about ``bias``.
        error: its standard deviation: what other samples of the same two distributions would change; for equal ones up to a
            third too large, the more the fewer features vary independently.
        fit_error: of the fit alone, as published: what other draws from these two samples would change, half of ``error`` or
            less.
        unbiased: ``value - bias``, an estimate of the distance of the two distributions; it may be negative.
        unbiased_error: its standard deviation.
        bias: by how much two finite samples are further apart than their distributions.
        slope: of the fit, in units of 1 / N.
        chi2: of the fit, by degree of freedom (number of sizes - 2); far above 1 where the line does not hold.
        sizes: events a sample in each point of the fit.
        replicas: draws a point.
        scaled_down: whether the sizes had to be made smaller than asked for, for want of events.
        n_generated, n_reference: events.
        features: number of features d.
        count_factor: by what all distances were multiplied to carry them to other counts, see :meth:`at_counts_of`.
    """

    value: float
    error: float
    fit_error: float
    unbiased: float
    unbiased_error: float
    bias: float
    slope: float
    chi2: float
    sizes: tuple[int, ...]
    replicas: int
    scaled_down: bool
    n_generated: int
    n_reference: int
    features: int
    count_factor: float = 1.0

    def at_counts_of(self, other: FrechetResult) -> FrechetResult:
        r"""What this pair of samples of one distribution would give with as many events as ``other`` has.

        Only for equal distributions: their distance is all bias, and that goes as :math:`1/n + 1/m`, as does its spread.
        """
        wanted, own = (1.0 / one.n_generated + 1.0 / one.n_reference for one in (other, self))
        names = ("value", "error", "fit_error", "unbiased", "unbiased_error", "bias")
        numbers = {name: wanted / own * getattr(self, name) for name in names}
        return replace(self, **numbers, count_factor=wanted / own * self.count_factor)

    def to_dict(self) -> dict[str, Any]:
        """All numbers, ready for ``metrics.json``."""
        return {**asdict(self), "sizes": list(self.sizes)}

    def __str__(self) -> str:
        scaled = ", scaled down for want of events" if self.scaled_down else ""
        return (
            f"FPD {self.value:.3g} ± {self.error:.2g}, without bias {self.unbiased:.3g} ± {self.unbiased_error:.2g} "
            f"({self.n_generated:,} against {self.n_reference:,} events, {self.features} features, sizes "
            f"{self.sizes[0]:,} to {self.sizes[-1]:,}{scaled})"
        )


def frechet_distance(generated: ArrayLike, reference: ArrayLike) -> float:
    r"""Fréchet distance of the Gaussians with the means and covariances of two samples.

    .. math:: d = |\mu_1 - \mu_2|^2 + \mathrm{Tr}\big(C_1 + C_2 - 2 (C_1 C_2)^{1/2}\big)

    the square of the Wasserstein-2 distance of the two Gaussians (D. C. Dowson and B. V. Landau, J. Multivar. Anal. 12
    (1982) 450; arXiv:1706.08500). The features are taken as they are. Finite samples are further apart than their
    distributions by about c / N: see :func:`fpd`.

    Args:
        generated: (n, d).
        reference: (m, d).

    Raises:
        ShapeError: not (events, features), or different widths.
        DataError: a value that is not finite, or a single event.

    >>> frechet_distance([[0.0], [2.0]], [[3.0], [7.0]])  # means 1, 5 and variances 2, 8
    18.0
    """
    pair = checked_pair(generated, reference)
    if min(map(len, pair)) < 2:
        message = (
            f"a covariance needs two events, but the samples have {len(pair[0])} and {len(pair[1])}: use more events"
        )
        raise DataError(message)
    return gaussian_distance(*(moments(one) for one in pair))


def moments(events: Array, rows: NDArray[np.int64] | None = None) -> Moments:
    """Mean (d,) and covariance (d, d) of the events, or of those in ``rows``, which may repeat."""
    number = len(events) if rows is None else len(rows)
    offset = events[: min(1000, len(events))].mean(axis=0)  # near the mean, so that the squares do not cancel
    total, squares = np.zeros(events.shape[1]), np.zeros((events.shape[1],) * 2)
    for start in range(0, number, _CHUNK):
        part = slice(start, start + _CHUNK)
        values = events[part if rows is None else rows[part]] - offset
        total += values.sum(axis=0)
        squares += values.T @ values
    mean = total / number
    return mean + offset, (squares - number * np.outer(mean, mean)) / (number - 1)


def gaussian_distance(first: Moments, second: Moments) -> float:
    r"""Fréchet distance of two Gaussians, each given by its mean (d,) and its covariance (d, d).

    :math:`\mathrm{Tr}\,(C_1 C_2)^{1/2}` is the sum of the singular values of :math:`C_1^{1/2} C_2^{1/2}`, with square
    roots of the eigenvalues of each covariance: real and accurate where covariances are singular, too.

    >>> gaussian_distance((np.zeros(1), np.eye(1)), (np.ones(1), 4.0 * np.eye(1)))
    2.0
    """
    roots = []
    for _, covariance in (first, second):
        values, vectors = np.linalg.eigh(covariance)
        roots.append(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)
    overlap = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    shift = first[0] - second[0]
    return float(shift @ shift + np.trace(first[1]) + np.trace(second[1]) - 2.0 * overlap)


def fpd(
    generated: ArrayLike,
    reference: ArrayLike,
    *,
    smallest: int = 10_000,
    largest: int = 50_000,
    points: int = 10,
    replicas: int = 20,
    scale: ArrayLike | None = None,
    seed: int,
) -> FrechetResult:
    r"""Fréchet physics distance FPD (arXiv:2211.10295), with its bias and the errors that belong to it.

    Each feature is divided by its largest absolute value in the reference. For each of ``points`` sizes N, equally spaced
    in 1 / N, ``replicas`` pairs of samples of N events are drawn with replacement, and the means of their Fréchet distances
    are fitted with

    .. math:: d(N) = d_\infty + c / N, \qquad \mathrm{FPD} = d_\infty ,

    each point weighted by its error. The extrapolation takes away the bias of the *draws*, not that of the samples
    they are drawn from: FPD is, up to the noise of the draws, the Fréchet distance of the two whole samples, and those are
    further apart than their distributions by c / n (for samples of n events each). The value is defined so in published
    tables, and comparable where the counts agree. What the samples add is measured by drawing samples of their full
    sizes from them; ``unbiased`` has it taken away. The published error is that of the fit, ``fit_error``, and says nothing of
    how the samples fluctuate; ``error`` and ``unbiased_error`` do, see :mod:`hepflows.metrics.frechet_error`.

    The CaloChallenge draws 10,000 to 50,000 events and quotes FPD times 1000; JetNet's default is 20,000 to 50,000. (JetNet
    0.2.5 does not always reach the minimum of its fit, which is bounded at zero: where d is of the order of 1e-3 or less, its
    value may keep some of the bias c / N of the draws. This fit is solved exactly and has no bounds.) Where a sample has
    fewer than ``largest`` events, all sizes are scaled down in proportion, and the result says so.

    Args:
        generated: (n, d) features.
        reference: (m, d) features.
        smallest, largest: events a sample in the first and the last point.
        points: number of sizes, at least 3.
        replicas: draws for each size, at least 2.
        scale: (d,) what each feature is divided by, where it is not its largest absolute value in the reference.
        seed: repeats the result.

    Raises:
        ConfigError: sizes, points or replicas that allow no fit.
        DataError: a value that is not finite, or so few events that the smallest size is below 4 d.
        ShapeError: different widths.

    >>> rng = np.random.default_rng(0)
    >>> truth, shifted = rng.normal(size=(2000, 2)), rng.normal([0.5, 0.0], 1.0, size=(2000, 2))
    >>> found = fpd(shifted, truth, seed=1)
    >>> right = float(0.5 / np.abs(truth[:, 0]).max()) ** 2  # the square of the shift, scaled
    >>> abs(found.unbiased - right) < 3 * found.unbiased_error, found.scaled_down
    (True, True)
    """
    fake, truth = scaled_pair(generated, reference, scale)
    sizes, scaled_down = _sizes(min(len(fake), len(truth)), smallest, largest, points, fake.shape[1])
    if replicas < 2:
        message = f"the error of a point needs two draws, but replicas is {replicas}: use 20"
        raise ConfigError(message)
    rng = numpy_generator(seed, "frechet")

    def draws(n: int, m: int) -> Array:
        """Distances of pairs of samples drawn with replacement."""
        pairs = ((rng.integers(len(fake), size=n), rng.integers(len(truth), size=m)) for _ in range(replicas))
        return np.array([gaussian_distance(moments(fake, i), moments(truth, j)) for i, j in pairs])

    found = [draws(size, size) for size in sizes]
    intercept, slope, error, chi2 = _line(1.0 / np.array(sizes), found)
    whole, known = draws(len(fake), len(truth)), (moments(fake), moments(truth))
    bias = float(whole.mean()) - gaussian_distance(*known)
    events = np.array([(one, one) for one in sizes] + [(len(fake), len(truth))])  # in each kind of draw
    terms = [influence_variance(fake, *known), influence_variance(truth, *reversed(known))]
    variance = error**2 + fluctuation((terms / events).sum(axis=1), (1.0 / events).mean(axis=1), [*found, whole])
    return FrechetResult(
        value=intercept,
        error=float(np.sqrt(variance)),
        fit_error=error,
        unbiased=intercept - bias,
        unbiased_error=float(np.sqrt(variance + whole.var(ddof=1) / replicas)),
        bias=bias,
        slope=slope,
        chi2=chi2,
        sizes=sizes,
        replicas=replicas,
        scaled_down=scaled_down,
        n_generated=len(fake),
        n_reference=len(truth),
        features=fake.shape[1],
    )


def _sizes(events: int, smallest: int, largest: int, points: int, features: int) -> tuple[tuple[int, ...], bool]:
    """Sample sizes equally spaced in 1 / N, and whether they were scaled down."""
    if points < 3 or not 2 <= smallest < largest:
        message = (
            f"a line through d(N) needs three sizes or more from a smaller to a larger one, but there are {points} from "
            f"{smallest} to {largest}: use 10 from 10,000 to 50,000"
        )
        raise ConfigError(message)
    factor = min(1.0, events / largest)
    sizes = np.rint(1.0 / np.linspace(1.0 / (factor * smallest), 1.0 / (factor * largest), points)).astype(int)
    if sizes[0] < 4 * features or len(set(sizes.tolist())) < points:
        needed = int(np.ceil(max(4 * features, 2 * points) * largest / smallest))
        message = (
            f"FPD of {features} features needs about {needed:,} events in each sample, but the smaller one has {events:,}: "
            "use more events, fewer features, or frechet_distance"
        )
        raise DataError(message)
    return tuple(sizes.tolist()), factor < 1.0


def _line(inverse: Array, found: list[Array]) -> tuple[float, float, float, float]:
    """Intercept, slope, error of the intercept and chi-square a degree of freedom of a line through the means.

    The variances are smoothed by a power law in N: single ones, of few draws, are correlated with the means, which are
    skewed, and would pull the line down.
    """
    means = np.array([one.mean() for one in found])
    variances = np.array([one.var(ddof=1) / len(one) for one in found])
    if not variances.min() > 0:  # no fluctuation at all: equal constants
        return float(means[-1]), 0.0, 0.0, 0.0
    power = np.polyfit(np.log(inverse), np.log(variances), 1)
    weights = 1.0 / np.exp(np.polyval(power, np.log(inverse)))
    design = np.stack([np.ones_like(inverse), inverse], axis=1)
    covariance = np.linalg.inv(design.T @ (weights[:, None] * design))
    intercept, slope = covariance @ design.T @ (weights * means)
    residuals = means - intercept - slope * inverse
    chi2 = float(np.sum(weights * residuals**2)) / (len(means) - 2)
    return float(intercept), float(slope), float(np.sqrt(covariance[0, 0])), chi2
