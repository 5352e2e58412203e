"""The built-in integrands and processes by name."""

from __future__ import annotations

from hepflows.applications.integration.integrand import Integrand
from hepflows.applications.integration.integrands import INTEGRANDS
from hepflows.applications.integration.processes import PROCESSES
from hepflows.errors import ConfigError

_BUILT_IN = {**INTEGRANDS, **PROCESSES}
_ALIASES = {"ee3j": "ee3j_5d"}


def built_in(name: str) -> Integrand:
    """The integrand or process of that name.

    Raises:
        ConfigError: there is none.

    >>> built_in("ee3j").dimension
    5
    """
    make = _BUILT_IN.get(_ALIASES.get(name, name))
    if make is None:
        message = f"there is no built-in integrand {name!r}: choose one of {', '.join(_BUILT_IN)}"
        raise ConfigError(message)
    return make()


def rows() -> list[tuple[str, str, str, str]]:
    """Name, dimension, integral and one line of text of each.

    >>> rows()[0]
    ('gauss2', '2', '0.99918626', 'one Gaussian')
    """
    found = [(name, make()) for name, make in _BUILT_IN.items()]
    return [
        (name, str(one.dimension), "unknown" if one.truth is None else f"{one.truth:.8g}", one.summary)
        for name, one in found
    ]
