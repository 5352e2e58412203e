"""How many parameters a spectrum needs: tests between fits of the sidebands."""

from __future__ import annotations

from typing import Any

from hepflows.applications.anomaly.bumphunt.fits import Fit
from hepflows.applications.anomaly.bumphunt.functions import FAMILIES, Shape
from hepflows.applications.anomaly.bumphunt.spectrum import Spectrum
from hepflows.applications.anomaly.regions import Regions
from hepflows.errors import ConfigError, DataError

NEEDLESS = 0.05
"""One more parameter is taken where the chance to improve as much without need is below this."""


def choose(spectrum: Spectrum, regions: Regions, family: str, scale: float = 13.0) -> tuple[Fit, list[dict[str, Any]]]:
    """The fit with the fewest parameters that needs no more: by F-tests of bins, or the likelihood ratio of events.

    Returns:
        The fit, and a row for each that was tried.

    Raises:
        ConfigError: an unknown family.
    """
    if family not in FAMILIES:
        message = f"there is no function {family!r}: choose one of {', '.join(FAMILIES)}"
        raise ConfigError(message)
    kept, rows = None, []
    for parameters in FAMILIES[family]:
        try:
            found = spectrum.fitted(regions, Shape(family, parameters, scale))
        except DataError:
            if kept is None:
                raise
            break  # no bins left for one more
        chance: float | None = None if kept is None else spectrum.needless(kept, found)
        rows.append(
            {
                "parameters": parameters,
                "deviance": found.misfit,
                "free": found.free,
                "p_value": found.p_value,
                "needless": chance,
            }
        )
        if kept is None or (chance is not None and chance < NEEDLESS):
            kept = found
    assert kept is not None
    return kept, rows
