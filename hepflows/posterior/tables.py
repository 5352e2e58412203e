"""Tables of parameters and observables as tensors, checked where they come in: what is wrong is said in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from hepflows.errors import ConfigError, DataError
from hepflows.posterior.guess import Guess
from hepflows.posterior.parameters import Bound, Parameters

FEWEST = 100
"""Rows that an estimator is fitted to."""


def floats(x: ArrayLike | Tensor, what: str, dtype: torch.dtype | None = None) -> Tensor:
    """A tensor of finite numbers, of torch's default type where none is given.

    Raises:
        DataError: no numbers, or some that are not finite.

    >>> floats([[1.0, 2.0]], "observables").dtype
    torch.float32
    """
    try:
        values = torch.as_tensor(x if isinstance(x, Tensor) else np.asarray(x, dtype=np.float64)).detach()
        values = values.to(dtype or torch.get_default_dtype())
    except (TypeError, ValueError) as error:
        message = f"the {what} are no table of numbers ({error}): pass an array or a tensor of equal rows"
        raise DataError(message) from None
    if not bool(values.isfinite().all()):
        bad = (~values.isfinite()).nonzero()
        message = (
            f"the {what} hold {len(bad)} values that are missing or not finite, the first at index {tuple(bad[0].tolist())}: "
            "remove these rows, or fill them in and mark them by an observable of its own"
        )
        raise DataError(message)
    return values


def parameters(theta: ArrayLike | Tensor, bounds: Sequence[Bound] | None, simplex: Sequence[int] | None) -> Tensor:
    """Parameters ``(N, P)`` or ``(R, N, P)`` in float64, all of them where they may be.

    Raises:
        DataError: no table, or a value outside of its bounds or of the simplex.
    """
    values = floats(theta, "parameters", torch.float64)
    if values.ndim not in (2, 3):
        message = f"the parameters must be a table (rows, parameters) or (draws, rows, parameters), got the shape {tuple(values.shape)}"
        raise DataError(message)
    ladj = Parameters(values.shape[-1], bounds, simplex)(values)[1]
    outside = (ladj == -torch.inf).nonzero()
    if len(outside):
        message = (
            f"{len(outside)} rows of parameters lie outside of the bounds, the first is row {int(outside[0, -1])} with "
            f"{[float(f'{value:.6g}') for value in values[tuple(outside[0])]]}: widen the bounds or drop these rows"
        )
        raise DataError(message)
    return values


def weights(values: ArrayLike | Tensor | None, rows: int) -> Tensor | None:
    """Weights ``(rows,)`` of mean one, or None where there are none.

    Raises:
        DataError: another number of them, or a sum that is not positive.
    """
    if values is None:
        return None
    weight = floats(values, "weights", torch.float64)
    if weight.shape != (rows,):
        message = f"{rows} rows need one weight each, got the shape {tuple(weight.shape)}"
        raise DataError(message)
    mean = weight.mean()
    if not mean > 0:
        message = f"the weights add up to {float(weight.sum()):.6g}: their sum must be positive"
        raise DataError(message)
    return (weight / mean).to(torch.get_default_dtype())


def check_pairs(theta: Tensor, x: Tensor) -> None:
    """Whether rows of parameters and of observables belong together.

    Raises:
        DataError: different numbers of rows, too few of them, or no table.
    """
    if x.ndim < 2 or len(x) != theta.shape[-2]:
        message = (
            f"parameters {tuple(theta.shape)} and observables {tuple(x.shape)} must be tables with one row a simulation"
        )
        raise DataError(message)
    if len(x) < FEWEST:
        message = f"an estimator needs at least {FEWEST} simulations to learn from, got {len(x)}"
        raise DataError(message)


def guesses(x: Tensor, features: int, *, fresh: bool) -> Guess:
    """The `Guess` that rows of observables ``(N, D)`` begin with, in float64.

    Raises:
        DataError: too few columns.
        ConfigError: observables that get fresh noise, which the guess would not know of.
    """
    width = Guess.width(features)
    if fresh:
        message = "a guess is made from observables as they are: fit without augment, with the noise in the table"
        raise ConfigError(message)
    if x.ndim != 2 or x.shape[1] < width:
        message = f"with guess=True a row of observables begins with the {width} columns of Guess.pack, got the shape {tuple(x.shape)}"
        raise DataError(message)
    return Guess.unpack(x.double(), features)


def held_out(rows: int, share: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows that choose the epoch, at least one, and those that are learnt."""
    order = torch.randperm(rows, generator=rng)
    count = max(1, round(share * rows))
    return order[:count], order[count:]


def names(given: Sequence[str] | None, count: int) -> list[str]:
    """One name a parameter.

    Raises:
        ConfigError: another number of names.
    """
    if given is None:
        return [f"theta_{i}" for i in range(count)]
    if len(given) != count:
        message = f"there are {count} parameters and {len(given)} names: give one each"
        raise ConfigError(message)
    return list(given)


def spread(y: Tensor, space: Parameters, labels: Sequence[str]) -> Tensor:
    """Standard deviations of the coordinates ``(N, features)``.

    Raises:
        DataError: a coordinate that never varies.
    """
    std = y.std(0)
    constant = (~(std > 1e-9 * y.abs().amax(0).clamp_min(1e-30))).nonzero()
    if len(constant):
        index = int(constant[0, 0])
        order = [*space.free, *space.boxed, *space.simplex]
        message = f"parameter {labels[order[index]]!r} is the same in all rows: leave it out"
        raise DataError(message)
    return std


def observations(x: ArrayLike | Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, tuple[int, ...]]:
    """Observations as rows ``(B, *shape)``, and their leading axes.

    Raises:
        DataError: another shape, or values that are not finite.
    """
    values = floats(x, "observations", dtype)
    leading = values.ndim - len(shape)
    if leading < 0 or tuple(values.shape[leading:]) != shape:
        message = f"observations must have the shape (..., {', '.join(map(str, shape))}), got {tuple(values.shape)}"
        raise DataError(message)
    return values.reshape(-1, *shape), tuple(values.shape[:leading])


def points(theta: ArrayLike | Tensor, count: int, batch: tuple[int, ...]) -> Tensor:
    """Parameters ``(*sample, *batch, P)`` in float64; one row stands for all observations.

    Raises:
        DataError: a shape that does not go with the observations.
    """
    values = floats(theta, "parameters", torch.float64)
    leading = tuple(values.shape[:-1])
    if values.ndim and values.shape[-1] == count:
        try:
            both = torch.Size(np.broadcast_shapes(leading, batch))
        except ValueError:
            both = torch.Size((-1,))
        if tuple(both[len(both) - len(batch) :]) == batch:
            return values.expand(*both, count)
    wanted = ", ".join(map(str, (*batch, count)))
    message = f"parameters of shape {tuple(values.shape)} do not go with the observations: expected (..., {wanted})"
    raise DataError(message)
