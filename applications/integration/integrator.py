"""Integrate a function by importance sampling: one object, call it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from scipy import stats

from hepflows.applications.integration.annealed import annealed_points
from hepflows.applications.integration.domain import Bounds, Domain
from hepflows.applications.integration.estimators import Estimator, Nets, Round, Strata, combine, covariance
from hepflows.applications.integration.evaluation import Evaluation, Style
from hepflows.applications.integration.flow_map import FlowMap
from hepflows.applications.integration.flow_training import FlowTraining, train
from hepflows.applications.integration.generation import Sample, generate
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.journal import Journal
from hepflows.applications.integration.maps import Composition, CubeMap, InDomain
from hepflows.applications.integration.preparation import Candidate, Preparation, prepare
from hepflows.applications.integration.result import IntegrationResult
from hepflows.applications.integration.sampler import Sampler
from hepflows.applications.integration.selection import ROUNDS, choose
from hepflows.applications.integration.storage import load_sampler, save_sampler
from hepflows.applications.integration.training_points import own_points
from hepflows.applications.integration.verdict import judge
from hepflows.errors import ConfigError
from hepflows.metrics.weights import WeightTally
from hepflows.training.distributed import World
from hepflows.training.seeding import derive

Method = Literal["auto", "vegas", "flow"]
TRAINING_SECONDS, POOR, ENOUGH = 3.0, 0.05, 20_000
"""What the training of a flow takes for each dimension, about; the effective share below which the maps of VEGAS do not do, and the
evaluations that make it worth trying something else then."""


@dataclass(frozen=True)
class _Plan:
    """What a call asks for."""

    neval: int
    rtol: float | None
    method: Method
    training: FlowTraining
    covariance: bool
    kept: Sampler | None
    seed: int


class FlowIntegrator:
    r"""Integrals :math:`I = \int f(x)\,dx = \langle f/q \rangle_q` with a density ``q`` that is adapted to ``f``.

    Args:
        bounds: ``(low, high)`` of each coordinate, infinite ones allowed, or a whole number ``K`` for a discrete coordinate that is summed
            over ``0 .. K - 1``.
        channels: maps of your own from the unit cube to the coordinates, each with ``features``, ``inverse(z) -> (x, log |dx/dz|)`` and
            ``forward(x) -> (z, log |dz/dx|)``, as those of `hepflows.applications.integration.phasespace`: one for each peak or
            propagator. They are mixed with shares that are learned, and each is adapted.
        seed: of all random numbers.
        world: processes that share the calls of the integrand, see `hepflows.training.connect`; all get the same result.

    Example:
        >>> import numpy as np
        >>> integ = FlowIntegrator([(0, 1)] * 2, seed=1)
        >>> result = integ(lambda x: np.exp(-(x**2).sum(1)), neval=20_000)
        >>> abs(result.mean - 0.5577463) < 4 * result.sdev, result.sdev < 1e-5, result.reliable
        (True, True, True)
    """

    def __init__(
        self, bounds: Bounds, *, channels: Sequence[CubeMap] = (), seed: int = 0, world: World | None = None
    ) -> None:
        self.domain = Domain(bounds)
        self.channels = [InDomain(channel, self.domain) for channel in channels]
        self.seed, self.world, self._calls = seed, world, 0
        self._evaluation: Evaluation | None = None
        self._sampler: Sampler | None = None

    def __call__(
        self,
        function: Callable[[Any], Any],
        neval: int = 1_000_000,
        *,
        rtol: float | None = None,
        method: Method = "auto",
        style: Style | None = None,
        training: FlowTraining | None = None,
        covariance: bool = False,
        reuse: bool = False,
        journal: Path | str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> IntegrationResult:
        """Integrate ``function`` with about ``neval`` evaluations, adaptation and training included.

        Args:
            function: takes ``(n, d)`` points, numpy or torch, or one point at a time; returns a number, a vector or a dictionary of them
                for each, real or complex. The first output steers the sampling.
            neval: evaluations in all.
            rtol: stop as soon as the relative error of the first output is below.
            method: ``"vegas"``, ``"flow"``, or ``"auto"``: whatever is expected to pay.
            style: how the function is called, ``"numpy"``, ``"torch"`` or ``"point"``; found out where not given.
            training: how a flow is made and trained, where there is one.
            covariance: whether the result has the covariance of all outputs; without, they cost no more than one.
            reuse: draw through the map of the last call or of the file that was loaded, as it is: for another integrand of nearly the same
                shape, or a smaller error of the same one.
            journal: a file that keeps all values: an integration that was killed and is started again with it calls the function only
                for what is missing, and gives the same result.
            progress: called with the number of evaluations so far.

        Raises:
            CheckpointError: the journal is that of another integration.
            ConfigError: an argument makes no sense.
            DomainError: there is no such loss of the training.
            IntegrandError: the function raised; the message says where.
        """
        if method not in get_args(Method):
            message = f"method must be one of {', '.join(get_args(Method))}, got {method!r}"
            raise ConfigError(message)
        if neval < 2000:
            message = f"an integral with its error needs neval of at least 2000, got {neval}"
            raise ConfigError(message)
        training = training or FlowTraining()
        training.check()  # what is wrong shows now
        seed = derive(self.seed, "call", self._calls)
        self._calls += 1
        plan = _Plan(neval, rtol, method, training, covariance, self._adapted() if reuse else None, seed)
        names = ("neval", "rtol", "method", "covariance", "seed")
        asked = {**{name: getattr(plan, name) for name in names}, "training": asdict(training)}
        identity = {**asked, "reuse": reuse, "bounds": self.domain.bounds}
        with ExitStack() as stack:
            first = self.world is None or self.world.first
            record = stack.enter_context(closing(Journal(journal, identity))) if first and journal is not None else None
            evaluation = Evaluation(
                function, self.domain, style=style, journal=record, world=self.world, progress=progress
            )
            result = self._integrate(evaluation, plan)
        evaluation.journal = None
        return result

    def _integrate(self, evaluation: Evaluation, plan: _Plan) -> IntegrationResult:
        started, neval, seed = time.perf_counter(), plan.neval, plan.seed
        preparation = self._prepared(evaluation, plan)
        trained = time.perf_counter() - started
        chosen, estimator = choose(evaluation, preparation, neval, seed, correlate=plan.covariance)
        rounds = _estimate(estimator, neval - evaluation.calls, plan.rtol)
        self._evaluation, self._sampler = evaluation, estimator.sampler
        name = f"{chosen.name}, {'strata' if isinstance(estimator, Strata) else 'Sobol'}"
        seconds = {"total": time.perf_counter() - started, "integrand": evaluation.seconds, "training": trained}
        return _result(name, evaluation, preparation, estimator, rounds, seconds)

    def _prepared(self, evaluation: Evaluation, plan: _Plan) -> Preparation:
        if plan.kept is not None:
            return Preparation((Candidate("map as it was", plan.kept.map, plan.kept.tally),), None)
        preparation = prepare(evaluation, self.channels, plan.neval, plan.seed)
        flow = plan.method == "flow" or (plan.method == "auto" and _pays(evaluation, preparation, plan.neval))
        return _with_flow(evaluation, preparation, plan) if flow and self.domain.features > 1 else preparation

    def sample(
        self, n: int, *, unweighted: bool = True, overweight: float = 1e-3, function: Callable[[Any], Any] | None = None
    ) -> Sample:
        """Draw ``n`` events, see `hepflows.applications.integration.generation.generate`.

        Args:
            n: number of events.
            unweighted: of equal weight, or with their weights.
            overweight: share of the sum of weights that may lie above the cap; those events keep a weight above one.
            function: the integrand, after `load`; the one integrated last where not given.

        Raises:
            ConfigError: nothing was integrated yet, or an argument makes no sense.
        """
        sampler = self._adapted()
        if n < 1 or not 0 <= overweight < 1:
            message = (
                f"a sample needs at least one event and an overweight share from 0 to below 1, got {n} and {overweight}"
            )
            raise ConfigError(message)
        evaluation = self._evaluation if function is None else Evaluation(function, self.domain)
        if evaluation is None:
            message = "a sampler that was loaded knows no integrand: give it, sample(n, function=f)"
            raise ConfigError(message)
        self._calls += 1
        seed = derive(self.seed, "sample", self._calls)
        return generate(evaluation, sampler, n, unweighted=unweighted, overweight=overweight, seed=seed)

    def log_prob(self, x: Array) -> Array:
        """Log density ``(n,)`` of the sampler at ``x`` (n, d), in the user's coordinates; minus infinity outside the bounds."""
        u, ladj = self.domain.forward(np.asarray(x, dtype=np.float64))
        return np.asarray(self._adapted().log_prob(u) + ladj)

    def save(self, path: Path | str) -> None:
        """Write the adapted sampler, without the integrand, into one safetensors file."""
        header = {"bounds": self.domain.bounds, "seed": self.seed, "calls": self._calls}
        save_sampler(path, self._adapted(), header)

    @classmethod
    def load(cls, path: Path | str) -> FlowIntegrator:
        """Read what `save` wrote.

        Raises:
            CheckpointError: the file is not one of these.
        """
        header, sampler = load_sampler(path)
        integrator = cls(header["bounds"], seed=header["seed"])
        integrator._calls, integrator._sampler = header["calls"], sampler
        return integrator

    def adopt(self, sampler: Sampler) -> None:
        """Take a sampler that was adapted elsewhere, for calls with ``reuse`` and for `sample`."""
        self._sampler = sampler

    def _adapted(self) -> Sampler:
        if self._sampler is None:
            message = "nothing was integrated yet: integrate a function first, integ(f)"
            raise ConfigError(message)
        return self._sampler


def _pays(evaluation: Evaluation, preparation: Preparation, neval: int) -> bool:
    """Whether training a flow takes less time than the evaluations that it may save, or nothing else works."""
    seconds = TRAINING_SECONDS * evaluation.domain.features
    slow = neval * evaluation.seconds / evaluation.calls > seconds
    return slow or (neval >= ENOUGH and preparation.best.tally.effective_share < POOR)


def _with_flow(evaluation: Evaluation, preparation: Preparation, plan: _Plan) -> Preparation:
    """The candidates with a flow upon the best of them, or that alone."""
    frame = preparation.best_map
    map_ = FlowMap(frame.features, shape=plan.training, seed=plan.seed & 0x7FFFFFFF)
    draw = (annealed_points if plan.training.points == "annealed" else own_points)(evaluation, frame, plan.seed)
    tally = train(map_, draw, plan.neval, plan.seed, plan.training, evaluation.world)
    flow = Candidate("flow", Composition([frame, map_]), tally)
    return Preparation((flow,) if plan.method == "flow" else (*preparation.candidates, flow), preparation.landmarks)


def _estimate(estimator: Estimator, neval: int, rtol: float | None) -> list[Round]:
    """Independent rounds until the evaluations are spent or the error is small enough."""
    if isinstance(estimator, Strata):
        n = neval // (ROUNDS + 1)
        estimator.round(n)  # shows where the weights scatter
        estimator.tally = WeightTally()
        sizes = [n] * ROUNDS
    else:
        assert isinstance(estimator, Nets)
        total = neval // estimator.size
        sizes = [(total // ROUNDS + (i < total % ROUNDS)) * estimator.size for i in range(ROUNDS)]
    rounds: list[Round] = []
    for size in sizes:
        rounds.append(estimator.round(size))
        mean, variance, _, dof = combine(rounds)
        if rtol is not None and dof > 0 and math.sqrt(variance[0]) <= rtol * abs(mean[0]):
            break
    return rounds


def _result(
    name: str,
    evaluation: Evaluation,
    preparation: Preparation,
    estimator: Estimator,
    rounds: list[Round],
    seconds: dict[str, float],
) -> IntegrationResult:
    means, variances, chi2, dof = combine(rounds)
    within = sum(part.dof for part in rounds)
    Q = (
        float(stats.f.sf(chi2 / dof, dof, within) if math.isfinite(within) else stats.chi2.sf(chi2, dof))
        if dof
        else 1.0
    )
    tally = estimator.sampler.tally
    size = float(evaluation.leading(means[None])[0])
    cancellation = tally.mean / size if size > 0 else math.inf
    neval = evaluation.calls
    reliable, warnings = judge(estimator.sampler, evaluation, preparation.landmarks, cancellation, Q)
    return IntegrationResult(
        name, means, variances, evaluation.outputs, tuple(rounds), chi2, dof, Q, neval, tally.effective_share, tally.khat,
        tally.largest_share, tally.efficiency(), cancellation, reliable, warnings, seconds, covariance(rounds),
    )  # fmt: skip
