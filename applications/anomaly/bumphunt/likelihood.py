r"""The binned Poisson likelihood of a spectrum: bins of the sidebands, and the count of the window.

.. math:: -2 \ln L(\mu, p) = 2 \sum_g \Big[ \nu_g - n_g + n_g \ln \frac{n_g}{\nu_g} \Big], \qquad
          \nu_\mathrm{window} = \mu + \sum_{i \in \mathrm{window}} b_i(p), \quad \nu_g = b_g(p) \text{ beside it,}

the difference to a perfect fit (deviance). The signal :math:`\mu` is a number of events and may be negative. With :math:`\mu` free, the
sidebands alone determine the background.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hepflows.applications.anomaly.bumphunt.fits import Fit
from hepflows.applications.anomaly.bumphunt.functions import Shape
from hepflows.applications.anomaly.bumphunt.spectrum import Spectrum
from hepflows.applications.anomaly.events import Array
from hepflows.applications.anomaly.regions import Regions
from hepflows.errors import DataError, TrainingError

_STEPS = 200
State = tuple[float, Array, Array]
"""-2 ln L, the gradient of ln L, and the information."""


def fit(spectrum: Spectrum, regions: Regions, shape: Shape, signal: float | None = None) -> Fit:
    """Fit the background by maximum likelihood.

    Args:
        spectrum: the counts.
        regions: the window.
        shape: the function.
        signal: events of signal in the window; free where None, so that the sidebands alone are fitted.

    Raises:
        DataError: fewer bins with events than parameters.
        TrainingError: the fit does not converge.

    Example:
        >>> regions, edges = Regions(3.0, 4.0), np.linspace(2.0, 5.0, 31)
        >>> truth = 1e4 * np.exp(-2 * edges[:-1])
        >>> found = fit(Spectrum(edges, truth), regions, Shape("exponential", 2))
        >>> round(float(found.window / truth[10:20].sum()), 6), round(found.deviance, 6)
        (1.0, 0.0)
    """
    inside = spectrum.inside(regions)
    design = shape.design(spectrum.edges)
    # rows: the bins beside the window, then (unless it is free) the window as one
    groups = np.eye(len(inside))[~inside]
    offset = np.zeros(len(groups))
    if signal is not None:
        groups, offset = np.vstack([groups, inside]), np.append(offset, signal)
    n = groups @ spectrum.counts
    filled = int((spectrum.counts[~inside] > 0).sum())
    if filled <= shape.parameters:
        message = (
            f"only {filled} bins beside the window hold events, too few for the {shape.parameters} parameters of the function "
            f"{shape.family}: loosen the cut, or use more bins"
        )
        raise DataError(message)
    # an orthogonal basis on the sidebands: high powers are nearly parallel
    turn = np.linalg.qr(design[~inside])[1]
    basis = np.linalg.solve(turn.T, design.T).T
    start = np.linalg.lstsq(basis[~inside], np.log(spectrum.counts[~inside] + 0.5), rcond=None)[0]
    p, information = _maximum(basis, groups, offset, n, start)
    background = exponential(basis @ p)
    gradient = background[inside] @ basis[inside]
    height = deviance(n, offset + groups @ background)
    return Fit(
        shape,
        signal,
        np.linalg.solve(turn, p),
        background,
        float(background[inside].sum()),
        float(np.sqrt(gradient @ np.linalg.solve(information, gradient))),
        height,
        len(n) - shape.parameters,
        height,
    )


def _maximum(basis: Array, groups: Array, offset: Array, n: Array, p: Array) -> tuple[Array, Array]:
    """Parameters of the largest likelihood, and the information there."""

    def at(p: Array) -> State:
        b = exponential(basis @ p)
        mean = offset + groups @ b
        slope = groups @ (b[:, None] * basis)
        return deviance(n, mean), slope.T @ (n / mean - 1.0), slope.T @ (slope / mean[:, None])

    return climbed(at, p)


def climbed(at: Callable[[Array], State], p: Array) -> tuple[Array, Array]:
    """Fisher scoring, with halved steps where one does not rise.

    Args:
        at: -2 ln L, the gradient of ln L and the information, (P, P), of (P,) parameters.
        p: first parameters.

    Returns:
        The parameters of the largest likelihood, and the information there.

    Raises:
        TrainingError: it does not converge.
    """
    height, gradient, information = at(p)
    for _ in range(_STEPS):
        step = np.linalg.solve(information + 1e-12 * np.trace(information) * np.eye(len(p)), gradient)
        if gradient @ step < 1e-10:
            return p, information
        for halvings in range(40):
            trial = p + step * 0.5**halvings
            found = at(trial)
            if found[0] < height:
                break
        else:
            return p, information  # no better to the last digit
        p, (height, gradient, information) = trial, found
    message = "the fit of the spectrum does not converge: use a function of fewer parameters, or a looser cut"
    raise TrainingError(message)


def deviance(n: Array, mean: Array) -> float:
    """-2 ln L of Poisson counts over that of a perfect fit."""
    if (mean <= 0).any():
        return float("inf")
    logs = n * np.log(np.where(n > 0, n, 1.0) / mean)
    return 2.0 * float(np.sum(mean - n + np.where(n > 0, logs, 0.0)))


def exponential(x: Array) -> Array:
    """The exponential function, kept from overflowing."""
    return np.asarray(np.exp(np.clip(x, -600.0, 600.0)), dtype=np.float64)
