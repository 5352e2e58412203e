"""``--bounds 0,1 -1,1 0,inf 3``: one option, a value for every coordinate."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from hepflows.errors import ConfigError

if TYPE_CHECKING:
    from hepflows.applications.integration.integrand import Bound

_OPTION = re.compile(r"--|-[a-zA-Z]")
_NEGATIVE = re.compile(r"-(inf|\d|\.\d)", re.IGNORECASE)


class BoundsCommand(TyperCommand):
    """A command whose ``--bounds`` takes all that follows up to the next option, negative numbers too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spread(args))


def spread(arguments: list[str]) -> list[str]:
    """The arguments with an option of its own for every pair of bounds; a ``module:function`` among them is none.

    >>> spread(["f:g", "--bounds", "0,1", "-1,1", "--neval", "1e6"])
    ['f:g', '--bounds=0,1', '--bounds=-1,1', '--neval', '1e6']
    """
    found: list[str] = []
    inside = False
    for argument in arguments:
        option = bool(_OPTION.match(argument)) and not _NEGATIVE.match(argument)
        if option:
            inside = argument == "--bounds"
        if inside and not option and ":" not in argument:
            found.append(f"--bounds={argument}")
        elif not (inside and option):
            found.append(argument)
    return found


def parse_bound(text: str) -> Bound:
    """``"0,1"``, ``"-inf,inf"`` to a pair; ``"3"`` to the number of values of a discrete coordinate.

    Raises:
        ConfigError: it is neither.

    >>> parse_bound("-1,inf"), parse_bound("3")
    ((-1.0, inf), 3)
    """
    parts = text.split(",")
    try:
        if len(parts) == 1:
            return int(text)
        low, high = map(float, parts)
    except ValueError:
        message = f"--bounds {text}: write low,high for each coordinate (inf is allowed), or a whole number for a discrete one"
        raise ConfigError(message) from None
    return low, high
