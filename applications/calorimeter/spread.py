"""How the energies, directions or places of incident particles are spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hepflows.errors import ConfigError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """How a number is spread over the showers.

    Args:
        kind: ``flat`` or ``log`` between two values, or ``list``, any of them with equal chance.
        values: one number, two bounds, or the list.

    >>> Spread.parse("1:100", "--energy").draw(3, np.random.default_rng(0)).round(1)
    array([64.1, 27.7,  5.1])
    >>> Spread.parse("log:1:1000", "--energy").values
    (1.0, 1000.0)
    """

    kind: Literal["flat", "log", "list"]
    values: tuple[float, ...]

    @classmethod
    def parse(cls, text: str, option: str) -> Spread:
        """From ``50``, ``1:100`` (flat), ``log:1:1000`` (flat in the logarithm) or ``10,20,50`` (a list).

        Raises:
            ConfigError: none of these; the message names the option.
        """
        logarithmic = text.startswith("log:")
        body = text.removeprefix("log:")
        try:
            values = tuple(float(part) for part in body.split(":" if ":" in body else ","))
        except ValueError:
            values = ()
        good = bool(values) and bool(np.isfinite(values).all())
        if ":" in body:
            good = good and len(values) == 2 and values[0] < values[1] and (not logarithmic or values[0] > 0)
        elif logarithmic:
            good = False
        if not good:
            message = f"{option} {text}: give a number such as 50, a range such as 1:100 or log:1:1000, or a list such as 10,20,50"
            raise ConfigError(message)
        return cls("log" if logarithmic else "flat" if ":" in body else "list", values)

    @property
    def fixed(self) -> float | None:
        """The only value there is, or None."""
        return self.values[0] if len(set(self.values)) == 1 else None

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value."""
        return min(self.values), max(self.values)

    def at(self, positions: Array) -> Array:
        """The values at (n,) positions in [0, 1), for instance random ones: the quantiles of the spread."""
        values = np.asarray(self.values)
        if self.kind == "list":
            return np.asarray(values[(positions * len(values)).astype(int)])
        low, high = values if self.kind == "flat" else np.log(values)
        between = low + (high - low) * positions
        return np.asarray(between if self.kind == "flat" else np.exp(between))

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """``n`` values; a fixed one takes no random numbers."""
        return np.full(n, self.fixed) if self.fixed is not None else self.at(rng.random(n))

    def __str__(self) -> str:
        text = (":" if self.kind != "list" else ",").join(repr(value).removesuffix(".0") for value in self.values)
        return f"log:{text}" if self.kind == "log" else text
