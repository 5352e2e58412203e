from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

torch.set_num_threads(1)  # small tensors: a second thread costs more than it brings, and more still on a busy machine


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """Tests compare in float64 unless they ask for less."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(20261123)
