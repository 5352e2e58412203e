"""The user's function: found out how it wants to be called, called in bulk, its bad values counted, its errors told with the point."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch

from hepflows.applications.integration.domain import Domain
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.journal import Journal
from hepflows.applications.integration.outputs import Outputs
from hepflows.errors import ConfigError, IntegrandError
from hepflows.training.distributed import World

Style = Literal["numpy", "torch", "point"]
PROBES = 5
"""Points more than dimensions in the first call, so that their number is unlike the dimension."""


class Evaluation:
    """An integrand on the unit cube, times the Jacobian of its domain.

    Args:
        function: takes ``(n, d)`` points, numpy or torch, or one point ``(d,)`` at a time, and returns a number, a vector or a dictionary
            of them for each, real or complex.
        domain: where it lives.
        style: ``"numpy"``, ``"torch"`` or ``"point"``; tried in this order where not given.
        chunk: points of one call at most.
        journal: keeps all values on disk, and gives those that it has; of the first process only.
        world: processes that share the calls, see `hepflows.training.connect`; each must do all the rest in the same way.
        progress: called with the number of points so far.

    Attributes:
        calls: points evaluated so far.
        invalid: points whose value was not finite, counted as zero.
        example: the first of those, or None.
        seconds: time spent in the function.

    Raises:
        IntegrandError: the function raised, or returned something that is no number.

    >>> evaluation = Evaluation(lambda x: x[0] * x[1], Domain([(0, 1), (0, 2)]))
    >>> evaluation.style, evaluation(np.array([[0.5, 0.5]])).tolist()  # 0.5 * 1.0, times the area of the box
    ('point', [[1.0]])
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        domain: Domain,
        *,
        style: Style | None = None,
        chunk: int = 65536,
        journal: Journal | None = None,
        world: World | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.function, self.domain, self.chunk = function, domain, chunk
        self.journal, self.world, self.progress = journal, world or World(), progress
        self.calls, self.invalid, self.seconds = 0, 0, 0.0
        self.example: Array | None = None
        rng = np.random.default_rng(0)
        probe = domain.inverse(0.01 + 0.98 * rng.random((domain.features + PROBES, domain.features)))[0]
        self.style, self.outputs = self._recognise(probe, style)

    def __call__(self, u: Array) -> Array:
        """``u`` (n, d) of the cube to the values (n, k) of all outputs."""
        x, ladj = self.domain.inverse(u)
        values = np.empty((len(u), self.outputs.size))
        for start in range(0, len(u), self.chunk):
            part = slice(start, start + self.chunk)
            values[part], seconds = self._recorded(x[part])
            self.seconds += seconds
            self.calls += len(x[part])
            if self.progress:
                self.progress(self.calls)
        bad = ~np.isfinite(values).all(1)
        if bad.any():
            self.invalid += int(bad.sum())
            self.example = x[bad][0] if self.example is None else self.example
            values[bad] = 0.0
        return np.asarray(values * np.exp(ladj)[:, None])

    def _recorded(self, x: Array) -> tuple[Array, float]:
        """Values at ``x`` and the seconds they took, from the journal where it has them."""
        known = self.journal.next(x) if self.journal else None
        (recorded,) = self.world.sum(float(known is not None))
        if recorded:  # by the first process, which tells the others
            values, seconds = (np.zeros((len(x), self.outputs.size)), 0.0) if known is None else known
            (seconds,) = self.world.sum(seconds)
            return self.world.add(torch.from_numpy(values)).numpy(), seconds
        started = time.perf_counter()
        values = self._shared(x)
        (seconds,) = self.world.sum((time.perf_counter() - started) / self.world.size)
        if self.journal:
            self.journal.add(x, values, seconds)
        return values, seconds

    def _shared(self, x: Array) -> Array:
        """Values at ``x``, of which each process computes its rows."""
        if self.world.size == 1:
            return self._values(x)
        values = np.zeros((len(x), self.outputs.size))
        rows = slice(self.world.rank, None, self.world.size)
        with self.world.together():
            if len(x[rows]):
                values[rows] = self._values(x[rows])
        return self.world.add(torch.from_numpy(values)).numpy()

    def weights(self, u: Array, ladj: Array) -> Array:
        """Values (n, k) times the Jacobian ``exp(ladj)`` of how ``u`` was drawn; the function is not called where that is zero."""
        inside = ladj > -math.inf
        if inside.all():
            return np.asarray(self(u) * np.exp(ladj)[:, None])
        values = np.zeros((len(u), self.outputs.size))
        if inside.any():
            values[inside] = self(u[inside]) * np.exp(ladj[inside])[:, None]
        return values

    def log_gradient(self, x: Array) -> tuple[Array, Array]:
        """Log of the absolute first output (n,) at ``x`` (n, d) of the user's coordinates, and its gradient (n, d), by torch.

        Minus infinity and zero where the function is zero or not finite. Each point counts as one evaluation; none is in the journal.

        Raises:
            ConfigError: the function is not written in torch, for many points at once.
        """
        started = time.perf_counter()
        points = torch.from_numpy(np.ascontiguousarray(x)).requires_grad_()
        try:
            value = next(iter(value.values())) if isinstance(value := self.function(points), Mapping) else value
            log = value.reshape(len(x), -1)[:, 0].abs().log()
            (gradient,) = torch.autograd.grad(log.sum(), points)
        except Exception as error:
            message = (
                "annealed points need the gradient of the integrand: write it in torch, for points (n, d), with nothing that cuts the "
                f"graph ({type(error).__name__}: {error}), or train on points of its own"
            )
            raise ConfigError(message) from error
        self.calls += len(x)
        self.seconds += time.perf_counter() - started
        values, slopes = log.detach().double().numpy(), gradient.double().numpy()
        good = np.isfinite(values) & np.isfinite(slopes).all(1)
        return np.where(good, values, -math.inf), np.where(good[:, None], slopes, 0.0)

    def leading(self, values: Array) -> Array:
        """What steers the sampling: the absolute value of the first output, (n,)."""
        return self.outputs.leading(values)

    def _recognise(self, probe: Array, style: Style | None) -> tuple[Style, Outputs]:
        errors: list[tuple[str, Exception]] = []
        styles: tuple[Style, ...] = ("numpy", "torch", "point") if style is None else (style,)
        for candidate in styles:
            self.style = candidate
            try:
                with np.errstate(all="ignore"):
                    value = self._raw(probe)
                return candidate, Outputs.of(value, len(probe))
            except Exception as error:  # whatever a function raises that was called in a way it does not want
                errors.append((candidate, error))
        reason = "; ".join(f"{name}: {type(error).__name__}: {error}" for name, error in errors)
        message = (
            f"the integrand could not be evaluated at {_point(probe[0])} ({reason}): it must take points (n, {self.domain.features}) "
            "or one point at a time and return a number for each"
        )
        raise IntegrandError(message) from errors[-1][1]

    def _raw(self, x: Array) -> Any:
        if self.style == "numpy":
            return self.function(x)
        if self.style == "torch":
            return self.function(torch.from_numpy(np.ascontiguousarray(x)))
        return [self.function(point) for point in x]

    def _values(self, x: Array) -> Array:
        try:
            with np.errstate(all="ignore"):
                return self.outputs.flatten(self._raw(x), len(x))
        except Exception as error:
            point, reason = self._culprit(x, error)
            message = f"the integrand raised {type(reason).__name__} at {point}: {reason}"
            raise IntegrandError(message) from reason

    def _culprit(self, x: Array, error: Exception) -> tuple[str, Exception]:
        """The first point that fails alone, by bisection."""
        while len(x) > 1:
            half = len(x) // 2
            for part in (x[:half], x[half:]):
                try:
                    self.outputs.flatten(self._raw(part), len(part))
                except Exception as inner:
                    x, error = part, inner
                    break
            else:
                return f"one of {len(x)} points, but at none of them alone,", error
        return _point(x[0]), error


def _point(x: Array) -> str:
    return "x = (" + ", ".join(f"{value:.6g}" for value in x) + ")"


def load(reference: str) -> Callable[[Any], Any]:
    """The function that ``module:name`` names, from the current folder or an installed package.

    Raises:
        ConfigError: there is no such module or name, or the module raises when it is imported.
    """
    import importlib
    import sys

    module, separator, name = reference.partition(":")
    if not separator:
        message = f"{reference!r}: name the integrand as module:function, for example mymodule:f"
        raise ConfigError(message)
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        message = f"{reference!r}: {error}; the module must lie in the current folder or be installed"
        raise ConfigError(message) from error
    except Exception as error:  # whatever a module raises while it is imported
        message = f"{reference!r}: importing {module} raised {type(error).__name__}: {error}; mend the module"
        raise ConfigError(message) from error
    if not callable(function):
        message = f"{reference!r}: {name} is no function"
        raise ConfigError(message)
    return function  # type: ignore[no-any-return]
