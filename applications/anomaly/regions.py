"""Signal region and sidebands: cuts on the resonant variable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.events import Array
from hepflows.errors import ConfigError, DataError

FEWEST = 50
"""Events that the signal region and each sideband must hold."""


@dataclass(frozen=True)
class Regions:
    """A window ``low < m < high`` with sidebands on both sides.

    Args:
        low, high: edges of the signal region, themselves outside of it.
        start, stop: outer edges of the sidebands, without end where they are not given.

    Raises:
        ConfigError: edges that do not increase.

    >>> regions = Regions.parse("3.3:3.7")
    >>> m = np.array([3.0, 3.3, 3.5, 4.0])
    >>> regions.signal(m).tolist(), regions.sidebands(m).tolist()
    ([False, False, True, False], [True, True, False, True])
    """

    low: float
    high: float
    start: float = -np.inf
    stop: float = np.inf

    def __post_init__(self) -> None:
        if not self.start < self.low < self.high < self.stop:
            message = (
                f"a signal region from {self.low:g} to {self.high:g} with sidebands from {self.start:g} to {self.stop:g} has edges "
                "that do not increase: give low:high"
            )
            raise ConfigError(message)

    @classmethod
    def parse(cls, text: str, sidebands: str | None = None, *, option: str = "--signal-region") -> Regions:
        """``low:high``, and ``start:stop`` of the sidebands where they end; ``option`` is named in the message.

        Raises:
            ConfigError: not two numbers.
        """
        low, high = _pair(text, option)
        start, stop = (-np.inf, np.inf) if sidebands is None else _pair(sidebands, "--sidebands")
        return cls(low, high, start, stop)

    def signal(self, m: Array) -> NDArray[np.bool_]:
        """Which events lie in the signal region."""
        return (m > self.low) & (m < self.high)

    def sidebands(self, m: Array) -> NDArray[np.bool_]:
        """Which events lie in the sidebands."""
        return ((m >= self.start) & (m <= self.low)) | ((m >= self.high) & (m <= self.stop))

    def check(self, m: Array, name: str) -> None:
        """Refuse regions that the data do not fill.

        Raises:
            DataError: the signal region or a sideband holds fewer than `FEWEST` events.
        """
        counts = {
            f"the signal region ({self.low:g} to {self.high:g})": int(self.signal(m).sum()),
            f"the sideband below {self.low:g}": int(((m >= self.start) & (m <= self.low)).sum()),
            f"the sideband above {self.high:g}": int(((m >= self.high) & (m <= self.stop)).sum()),
        }
        for where, count in counts.items():
            if count < FEWEST:
                found = "no event" if count == 0 else f"only {count} events"
                message = (
                    f"{where} holds {found}, and a search needs {FEWEST}: {name} goes from {m.min():g} to {m.max():g}; "
                    "choose another --signal-region, and check that it is in the unit of the data"
                )
                raise DataError(message)


def _pair(text: str, option: str) -> tuple[float, float]:
    low, _, high = text.partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        message = f"{option} {text}: write it as low:high, for example 3.3:3.7"
        raise ConfigError(message) from None
