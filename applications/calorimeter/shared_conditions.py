"""What two samples say of their particles besides the energy, for a classifier that compares them given these."""

from __future__ import annotations

from typing import get_args

import numpy as np

from hepflows.applications.calorimeter.config import Condition
from hepflows.applications.calorimeter.models.conditions import Conditions
from hepflows.applications.calorimeter.showers import Showers, of_known_species


def shared_conditions(first: Showers, second: Showers, *others: Showers | None) -> Conditions | None:
    """The conditions that all samples carry and of which one sample at least has several values, or None.

    A model that mixed up the species, or the directions, would make showers that are right in themselves.

    Args:
        first: a sample.
        second: the sample by whose means and spreads numbers are scaled.
        others: more of them; None stands for no sample.

    >>> showers = Showers(np.ones(2), np.ones((2, 504)), columns={"pdg": np.array([22.0, -11.0]), "x": np.zeros(2)})
    >>> shared_conditions(showers, showers).encode(showers.columns)
    tensor([[0., 1.],
            [1., 0.]], dtype=torch.float64)
    """
    samples = [of_known_species(sample) for sample in (first, second, *others) if sample is not None]
    names = [
        name
        for name in get_args(Condition)
        if all(name in sample.columns for sample in samples)
        and any(np.ptp(sample.columns[name]) > 0 for sample in samples if len(sample))
    ]
    if not names:
        return None
    species = {int(number) for sample in samples for number in sample.columns["pdg"]} if "pdg" in names else set()
    conditions = Conditions(names, sorted(species))
    conditions.fit(samples[1].columns)
    return conditions


def encoded(showers: Showers, conditions: Conditions) -> np.ndarray:
    """``(n, width)`` numbers of these conditions.

    Raises:
        DataError: the showers lack one of them, or are of an unknown species.
    """
    return conditions.encode(of_known_species(showers).columns).numpy()
