"""What an integration gives: the number, its error, and whether to believe them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hepflows.applications.integration.estimators import Round
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.outputs import Outputs
from hepflows.errors import DomainError, MissingExtraError


@dataclass(frozen=True)
class IntegrationResult:
    r"""An integral with its error.

    Attributes:
        method: the sampler that the final points came from.
        means: ``(k,)`` estimates of all real columns of the outputs.
        variances: ``(k,)`` their variances.
        outputs: the form of the integrand, in which `mean` and `sdev` give them.
        rounds: the independent rounds, weighted by their size.
        chi2: their scatter against their errors, first output; ``dof`` degrees of freedom.
        Q: probability of a larger ``chi2`` (by the F distribution, as the errors are estimated themselves).
        neval: evaluations of the integrand in all, training included.
        ess: effective sample size over the number of points, :math:`(\sum |w|)^2 / (n \sum w^2)`.
        khat: tail shape of the weights, see `hepflows.metrics.weights.pareto_shape`.
        max_weight_share: what the heaviest event is of the sum.
        efficiency: unweighting efficiency against the 99.9 % quantile.
        cancellation: :math:`\int |f| / |\int f|`, 1 where f has one sign.
        reliable: whether mean and error may be believed.
        warnings: what speaks against it, and what else is worth knowing.
        covariance: ``(k, k)`` of all real columns, where it was asked for.
        seconds: wall time: ``total``, ``integrand``, ``training``.
    """

    method: str
    means: Array
    variances: Array
    outputs: Outputs
    rounds: tuple[Round, ...]
    chi2: float
    dof: int
    Q: float
    neval: int
    ess: float
    khat: float
    max_weight_share: float
    efficiency: float
    cancellation: float
    reliable: bool
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    covariance: Array | None = None

    @property
    def mean(self) -> Any:
        """The integral, in the form of the integrand."""
        return self.outputs.restore(self.means)

    @property
    def sdev(self) -> Any:
        """Its standard error, in the form of the integrand; of a complex number, that of both parts."""
        return self.outputs.restore(np.sqrt(self.variances))

    def __str__(self) -> str:
        entries = [with_error(m, math.sqrt(v)) for m, v in zip(self.means[:4], self.variances[:4], strict=True)]
        number = ", ".join(entries) + (", ..." if len(self.means) > 4 else "")
        flag = "" if self.reliable else ", NOT RELIABLE"
        return f"{number} [method={self.method}, ESS={self.ess:.2g}, Q={self.Q:.2g}{flag}]"

    def summary(self) -> str:
        """The rounds, the diagnostics and the warnings as text."""
        lines = [f"{'round':>5}  {'points':>9}  estimate"]
        for i, part in enumerate(self.rounds, 1):
            lines.append(f"{i:5d}  {part.n:9d}  {with_error(part.mean[0], math.sqrt(part.variance[0]))}")
        lines += [
            f"{'all':>5}  {sum(part.n for part in self.rounds):9d}  {with_error(self.means[0], math.sqrt(self.variances[0]))}",
            f"chi2/dof {self.chi2:.2f}/{self.dof}, Q {self.Q:.2g}; evaluations with training {self.neval}",
            f"ESS {self.ess:.3g}, tail shape {self.khat:.2g}, largest weight {self.max_weight_share:.2g} of the sum",
            f"unweighting efficiency {self.efficiency:.3g}, {'reliable' if self.reliable else 'NOT RELIABLE'}",
            *self.warnings,
        ]
        return "\n".join(lines)

    def gvar(self) -> Any:
        """The result as gvar numbers, in the form of the integrand; correlated where the covariance was asked for.

        Raises:
            MissingExtraError: gvar is not installed.
            DomainError: an output is complex, which gvar does not know.
        """
        if any(entry.is_complex for entry in self.outputs.entries):
            message = (
                "gvar knows no complex numbers: take mean and sdev, or return real and imaginary parts as two outputs"
            )
            raise DomainError(message)
        try:
            import gvar
        except ImportError as error:
            message = "a result as gvar numbers needs the package gvar: pip install gvar"
            raise MissingExtraError(message) from error
        numbers = gvar.gvar(self.means, np.sqrt(self.variances) if self.covariance is None else self.covariance)
        form = self.outputs.restore(numbers)
        return gvar.BufferDict(form) if isinstance(form, dict) else form

    def as_dict(self) -> dict[str, Any]:
        """The content of ``result.json``."""
        names = ("method", "chi2", "dof", "Q", "neval", "ess", "khat", "max_weight_share", "efficiency", "cancellation")
        return {
            "mean": _plain(self.mean),
            "sdev": _plain(self.sdev),
            **{name: getattr(self, name) for name in names},
            "reliable": self.reliable,
            "warnings": list(self.warnings),
            "seconds": self.seconds,
            "rounds": [
                {"n": part.n, "mean": part.mean.tolist(), "sdev": np.sqrt(part.variance).tolist()}
                for part in self.rounds
            ],
        }


def with_error(mean: float, sdev: float) -> str:
    """A number with its error in the last two digits.

    >>> with_error(0.963661, 0.00022), with_error(1.937e-10, 1.2e-14), with_error(27940.6, 12.0)
    ('0.96366(22)', '1.93700(12)e-10', '27941(12)')
    """
    if not (math.isfinite(mean) and math.isfinite(sdev)) or sdev <= 0:
        return f"{mean:.10g}({sdev:.2g})"
    size = max(abs(mean), sdev)
    power = math.floor(math.log10(size))
    shift = power if power < -3 or power > 6 else 0
    digits = max(0, shift - math.floor(math.log10(sdev)) + 1)
    scaled = sdev / 10.0**shift
    error = f"{round(scaled * 10**digits)}" if scaled < 1 or digits == 0 else f"{scaled:.{digits}f}"
    return f"{mean / 10.0**shift:.{digits}f}({error})" + (f"e{shift:+03d}" if shift else "")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, complex):
        return {"real": value.real, "imag": value.imag}
    return value
