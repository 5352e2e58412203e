"""How many parameters a spectrum needs: F-tests between fits of the sidebands."""

from __future__ import annotations

from typing import Any

from hepflows.applications.anomaly.bumphunt.functions import FAMILIES, Shape
from hepflows.applications.anomaly.bumphunt.likelihood import Fit, fit
from hepflows.applications.anomaly.bumphunt.spectrum import Spectrum
from hepflows.applications.anomaly.regions import Regions
from hepflows.errors import ConfigError, DataError

F_TEST = 0.05
"""One more parameter is taken where the chance to improve as much without need is below this."""


def choose(spectrum: Spectrum, regions: Regions, family: str, scale: float = 13.0) -> tuple[Fit, list[dict[str, Any]]]:
    r"""The fit with the fewest parameters that needs no more, by F-tests.

    .. math:: F = \frac{(D_1 - D_2) / (p_2 - p_1)}{D_2 / (n - p_2)}

    with deviances D and p parameters in n bins.

    Returns:
        The fit, and a row for each that was tried.

    Raises:
        ConfigError: an unknown family.
    """
    from scipy.stats import f

    if family not in FAMILIES:
        message = f"there is no function {family!r}: choose one of {', '.join(FAMILIES)}"
        raise ConfigError(message)
    kept, rows = None, []
    for parameters in FAMILIES[family]:
        try:
            found = fit(spectrum, regions, Shape(family, parameters, scale))
        except DataError:
            if kept is None:
                raise
            break  # no bins left for one more
        row = {
            "parameters": parameters,
            "deviance": found.deviance,
            "free": found.free,
            "p_value": found.p_value,
            "f_test": None,
        }
        rows.append(row)
        if kept is None:
            kept = found
            continue
        gain = (kept.deviance - found.deviance) / (parameters - kept.shape.parameters)
        chance = float(f.sf(gain / (found.deviance / found.free), parameters - kept.shape.parameters, found.free))
        row["f_test"] = chance
        if chance < F_TEST:
            kept = found
    assert kept is not None
    return kept, rows
