"""How this process was started: whether it is one of several of ``torchrun``, and on how many threads. Importing it needs no torch."""

from __future__ import annotations

import os

from hepflows.errors import ConfigError


def launched() -> tuple[int, int]:
    """Number of this process, from 0, and how many there are: (0, 1) where ``torchrun`` did not start it.

    Raises:
        ConfigError: the environment contradicts itself.

    >>> launched()
    (0, 1)
    """
    names = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    if any(name not in os.environ for name in names):  # a batch system may set some of them for purposes of its own
        return 0, 1
    texts = os.environ["RANK"], os.environ["WORLD_SIZE"]
    if not all(text.isdecimal() for text in texts) or not int(texts[0]) < int(texts[1]):
        message = (
            f"RANK={texts[0]} of WORLD_SIZE={texts[1]} in the environment is no process of several: "
            "start with torchrun, which sets both, or unset them"
        )
        raise ConfigError(message)
    return int(texts[0]), int(texts[1])


def use_threads(threads: int | None) -> None:
    """Restrict the processor threads of torch; as many as there are cores where None."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
