"""A family of integrals: one flow for all values of the parameters, each integral then at the cost of a few thousand points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hepflows.applications.integration.domain import Bounds, Domain
from hepflows.applications.integration.evaluation import Evaluation, Style
from hepflows.applications.integration.flow_map import FlowMap
from hepflows.applications.integration.flow_training import SHARE, FlowTraining, train
from hepflows.applications.integration.generation import Sample
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.integrator import FlowIntegrator
from hepflows.applications.integration.maps import Composition
from hepflows.applications.integration.points import sobol
from hepflows.applications.integration.result import IntegrationResult
from hepflows.applications.integration.sampler import Sampler
from hepflows.applications.integration.storage import load_family, save_family
from hepflows.applications.integration.training_points import Drawn
from hepflows.applications.integration.vegas import VegasMap
from hepflows.errors import ConfigError, DomainError
from hepflows.training.distributed import World
from hepflows.training.seeding import derive

BINS, ROUNDS, ADAPTATION = 256, 4, 0.2
"""Bins of an axis of the map before the flow, its rounds of adaptation, and the share of the evaluations that they take."""
GROUP = 128
"""Points that share one set of parameters: their mean weight is the integral there, about, by which all are divided."""

Function = Callable[[Any, Any], Any]


class FamilyIntegrator:
    r"""Integrals :math:`I(c) = \int f(x; c)\,dx` with a density :math:`q(x | c)` that is learned for all parameters ``c`` at once.

    A mass scan, a cut, a coupling, an energy: `fit` spends its evaluations on all values together, and every integral, and every sample of
    events, at a value that was never seen costs no adaptation. Each has its honest error, whatever the flow has learned.

    Args:
        bounds: of the integral, as those of `FlowIntegrator`.
        parameters: bounds of the parameters, in the same form.
        seed: of all random numbers.

    Example:
        >>> family = FamilyIntegrator([(0, 1)] * 2, parameters=[(0.2, 0.8)], seed=1)
        >>> bump = lambda x, c: np.exp(-40 * ((x - c) ** 2).sum(1))
        >>> result = family.fit(bump, neval=20_000)([0.5], neval=10_000)
        >>> truth = np.pi / 40  # all of it lies inside
        >>> abs(result.mean - truth) < 5 * result.sdev + 1e-4 * truth, result.ess > 0.5
        (True, True)
    """

    def __init__(self, bounds: Bounds, parameters: Bounds, *, seed: int = 0) -> None:
        self.domain, self.parameters, self.seed = Domain(bounds), Domain(parameters), seed
        self._function: Function | None = None
        self._learned: tuple[VegasMap, FlowMap] | None = None

    def fit(
        self,
        function: Function,
        neval: int = 500_000,
        *,
        style: Style | None = None,
        training: FlowTraining | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> FamilyIntegrator:
        """Learn the density of ``function``.

        Args:
            function: takes points ``(n, d)`` and parameters ``(n, k)``, or one point ``(d,)`` with its parameters ``(k,)``, and returns
                numbers as for `FlowIntegrator`.
            neval: evaluations.
            style: how the function is called, found out where not given.
            training: how the flow is made and trained; of its ``points`` only ``"own"`` ones.
            progress: called with the number of evaluations so far.

        Raises:
            ConfigError: an argument makes no sense.
            IntegrandError: the function raised; the message says where.
        """
        how = training or FlowTraining()
        how.check()
        if neval < 5000:
            message = f"a family of integrals needs neval of at least 5000, got {neval}"
            raise ConfigError(message)
        if how.points != "own":
            message = f"a family of integrals learns from points of its own, not from {how.points} ones"
            raise ConfigError(message)
        if self.domain.features < 2:
            message = "a family of integrals needs two coordinates at least, so that one can follow the other"
            raise ConfigError(message)
        k = self.parameters.features
        joint = Domain([*self.parameters.bounds, *self.domain.bounds])
        evaluation = Evaluation(lambda cx: function(cx[..., k:], cx[..., :k]), joint, style=style, progress=progress)
        vegas = VegasMap.flat(self.domain.features, BINS)
        for i in range(ROUNDS):
            drawn, z = self._drawn(evaluation, vegas, None, int(ADAPTATION * neval / ROUNDS), "adapt", i)
            vegas = vegas.adapted(z, drawn.weights)
        flow = FlowMap(self.domain.features, k, how, seed=derive(self.seed, "weights") & 0x7FFFFFFF)

        def draw(map_: FlowMap, n: int, i: int) -> Drawn:
            return self._drawn(evaluation, vegas, map_, n, "flow", i)[0]

        train(flow, draw, int((1 - ADAPTATION) * neval / SHARE), self.seed, how, World())
        self._function, self._learned = function, (vegas, flow)
        return self

    def _drawn(
        self, evaluation: Evaluation, vegas: VegasMap, flow: FlowMap | None, n: int, name: str, i: int
    ) -> tuple[Drawn, Array]:
        """``n`` points with many sets of parameters, the weights of each set divided by their mean; and their latents."""
        groups = -(-n // GROUP)
        v = np.repeat(sobol(groups, self.parameters.features, self.seed, name, "parameters", i), GROUP, 0)[:n]
        z = sobol(n, self.domain.features, self.seed, name, i)
        y, ladj = (z, np.zeros(n)) if flow is None else flow.at(_context(v)).inverse(z)
        u, outer = vegas.inverse(y)
        weights = evaluation.leading(evaluation.weights(np.concatenate([v, u], 1), outer + ladj))
        group = np.arange(n) // GROUP
        mean = np.bincount(group, weights) / np.bincount(group)
        weights = weights / np.where(mean > 0, mean, 1.0)[group]
        return Drawn(y, weights, -ladj, _context(v)), z

    def at(self, values: Sequence[float]) -> FlowIntegrator:
        """The integrator of one integral, adapted: call it with ``reuse=True``.

        Args:
            values: ``(k,)`` of the parameters.

        Raises:
            ConfigError: nothing was fitted yet.
            DomainError: the values lie outside the bounds of the parameters, or are not as many.
        """
        vegas, flow = self._maps()
        c = np.atleast_1d(np.asarray(values, dtype=np.float64))
        if c.shape != (self.parameters.features,):
            message = f"the family has {self.parameters.features} parameters, got values of shape {c.shape}"
            raise DomainError(message)
        v, inside = self.parameters.forward(c[None])
        if not np.isfinite(inside[0]):
            message = f"the parameters {c.tolist()} lie outside the bounds {list(self.parameters.bounds)} of the family"
            raise DomainError(message)
        integrator = FlowIntegrator(self.domain.bounds, seed=derive(self.seed, "at", c.tobytes().hex()))
        integrator.adopt(Sampler(Composition([vegas, flow.at(_context(v)[0])])))
        return integrator

    def __call__(self, values: Sequence[float], neval: int = 20_000, *, rtol: float | None = None) -> IntegrationResult:
        """The integral at ``values`` of the parameters, from about ``neval`` evaluations, or fewer where ``rtol`` is reached.

        Raises:
            ConfigError: nothing was fitted, or the family was loaded and knows no function: take `at`.
            DomainError: the values lie outside the bounds of the parameters.
        """
        integrator = self.at(values)
        return integrator(self.member(values), neval, rtol=rtol, reuse=True)

    def sample(
        self, values: Sequence[float], n: int, *, neval: int = 20_000, unweighted: bool = True, overweight: float = 1e-3
    ) -> Sample:
        """``n`` events at ``values`` of the parameters, after an integral of about ``neval`` evaluations that finds the largest weights.

        Raises:
            ConfigError: nothing was fitted, or an argument makes no sense.
            DomainError: the values lie outside the bounds of the parameters.
        """
        integrator = self.at(values)
        integrator(self.member(values), neval, reuse=True)
        return integrator.sample(n, unweighted=unweighted, overweight=overweight)

    def member(self, values: Sequence[float]) -> Callable[[Any], Any]:
        """The function that was fitted at fixed parameters, a function of the points alone.

        Raises:
            ConfigError: there is none.
        """
        if self._function is None:
            message = "the family knows no function: fit one, or after `load` call at(values)(function, reuse=True)"
            raise ConfigError(message)
        function, c = self._function, np.asarray(values, dtype=np.float64)

        def at(x: Any) -> Any:
            shape = (*x.shape[:-1], len(c))
            given = torch.from_numpy(c).expand(shape) if isinstance(x, torch.Tensor) else np.broadcast_to(c, shape)
            return function(x, given)

        return at

    def save(self, path: Path | str) -> None:
        """Write the density that was learned, without the function, into one safetensors file.

        Raises:
            ConfigError: nothing was fitted yet.
        """
        header = {"bounds": self.domain.bounds, "parameters": self.parameters.bounds, "seed": self.seed}
        save_family(path, Composition(self._maps()), header)

    @classmethod
    def load(cls, path: Path | str) -> FamilyIntegrator:
        """Read what `save` wrote.

        Raises:
            CheckpointError: the file is not one of these.
        """
        header, learned = load_family(path)
        family = cls(header["bounds"], header["parameters"], seed=header["seed"])
        family._learned = learned
        return family

    def _maps(self) -> tuple[VegasMap, FlowMap]:
        if self._learned is None:
            message = "nothing was fitted yet: fit the family to a function first, family.fit(f)"
            raise ConfigError(message)
        return self._learned


def _context(v: Array) -> Array:
    """Parameters on the unit cube as the networks take them, between -1 and 1."""
    return 2 * v - 1
