"""What can be set in an inference of sources. Presets stand in ``configs/``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hepflows.applications.airshower.prior import Prior
from hepflows.posterior.config import PosteriorConfig
from hepflows.training.presets import Section, read_preset, validated

PACKAGE = "hepflows.applications.airshower"


class PriorConfig(Section):
    """Limits of the uniform prior.

    Attributes:
        gamma: of the spectral index.
        lg_rcut: of lg(R_cut/V).
    """

    gamma: tuple[float, float] = (-2.0, 3.0)
    lg_rcut: tuple[float, float] = (18.0, 19.6)

    def prior(self) -> Prior:
        """The prior itself."""
        return Prior(self.gamma, self.lg_rcut)


class ChainConfig(Section):
    """The Markov chain on the same likelihood (emcee).

    Attributes:
        datasets: pseudo-data sets that are also given to the chain; none where zero.
        observation: whether the observation itself is.
        walkers: of the ensemble.
        steps: of each walker, the first half of which is dropped.
    """

    datasets: int = Field(0, ge=0)
    observation: bool = False
    walkers: int = Field(64, ge=16)
    steps: int = Field(20_000, ge=100)


class VerdictConfig(Section):
    """How the posterior is judged.

    Attributes:
        universes: new universes for ranks and coverage.
        draws: posterior draws for each.
        posterior: draws of the observation's posterior.
        weighted: draws of the flow that are weighted for the comparison with a chain: so many that a C2ST hardly meets one of them twice.
        c2st: points a sample of each C2ST.
        predictive: universes of the posterior predictive check.
    """

    universes: int = Field(500, ge=20)
    draws: int = Field(200, ge=20)
    posterior: int = Field(20_000, ge=100)
    weighted: int = Field(200_000, ge=100)
    c2st: int = Field(2000, ge=50)
    predictive: int = Field(1000, ge=50)


class AirshowerConfig(Section):
    """An inference of sources.

    Attributes:
        preset: where the values come from.
        response: of the propagation, a name or a file of `hepflows airshower convert`.
        xmax: the hadronic model.
        prior: see `PriorConfig`.
        universes: simulated to learn from.
        observables: what the flow is shown: ``fit``, the mode of the posterior, its curvature and the goodness of fit, see `Fitter`; or
            ``counts``, all 420, with Poisson noise that is new in every epoch.
        refresh: with ``fit``: how many further draws of its posterior each universe gets, by a first flow and the likelihood, before the
            flow learns again, see `hepflows.posterior.refreshed`; none where zero.
        posterior: the flow and its training.
        chain: see `ChainConfig`.
        verdict: see `VerdictConfig`.
    """

    preset: str = "default"
    response: str = "Gilmore12"
    xmax: str = "EPOS-LHC-2013"
    prior: PriorConfig = PriorConfig()
    universes: int = Field(200_000, ge=1000)
    observables: Literal["fit", "counts"] = "fit"
    refresh: int = Field(0, ge=0)
    posterior: PosteriorConfig = PosteriorConfig()
    chain: ChainConfig = ChainConfig()
    verdict: VerdictConfig = VerdictConfig()


def load_config(preset: str = "default", settings: list[str] | None = None) -> AirshowerConfig:
    """A preset, or a YAML file of your own, with single values replaced.

    Args:
        preset: one of the files in ``configs``, or the path of a YAML file.
        settings: ``a.b=value`` replacements, values in YAML.

    Raises:
        ConfigError: no such preset, or a value that cannot be.

    >>> load_config("cinn").posterior.kind
    'affine'
    """
    sections = "sections such as prior and posterior"
    values = read_preset(PACKAGE, preset, settings, example="universes=50000", sections=sections)
    config = validated(AirshowerConfig, values, f"preset {preset}")
    config.prior.prior()
    return config
