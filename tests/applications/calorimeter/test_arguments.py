"""What a user gets wrong in Python costs one sentence that names the remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from toy_calorimeter import SMALL, TOY

from hepflows.applications.calorimeter import CaloFlow, load_config
from hepflows.errors import ConfigError, DomainError


@pytest.fixture(autouse=True)
def single_precision() -> None:
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def model() -> CaloFlow:
    torch.set_default_dtype(torch.float32)
    return CaloFlow(config=load_config("demo", SMALL).model, geometry=TOY, seed=1)


def test_kinds_and_configurations_that_there_are_not() -> None:
    with pytest.raises(DomainError, match="no CaloFlow of kind 'maf': choose one of teacher, coupling, inductive"):
        CaloFlow("maf")
    with pytest.raises(DomainError, match="of kind 'coupling' in this configuration: use kind='teacher'"):
        CaloFlow("coupling", preset="demo")
    for wrong in (load_config("demo"), {"kind": "teacher"}):
        with pytest.raises(ConfigError, match=r"config is the model section .* give load_config\(...\).model"):
            CaloFlow(config=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("showers", [5.0, "5", None, np.array(5.0)])
def test_a_number_of_showers_is_a_whole_number(showers: Any, model: CaloFlow) -> None:
    with pytest.raises(DomainError, match="how many showers as a whole number, or their energies in GeV as a list"):
        model.sample(showers, energies="10", seed=1)


@pytest.mark.parametrize("energies", [50, 50.0, [10.0, 20.0], np.array([10.0])])
def test_a_list_of_energies_goes_first(energies: Any, model: CaloFlow) -> None:
    with pytest.raises(DomainError, match=r"a text such as '50' or '1:100', or a Spread, .*: a list goes first"):
        model.sample(5, energies=energies, seed=1)


def test_numbers_of_numpy_are_numbers(model: CaloFlow) -> None:
    whole = model.sample(5, energies="10", seed=1)
    np.testing.assert_array_equal(model.sample(np.int64(5), energies="10", seed=1).voxels, whole.voxels)


def test_bins_of_a_least_width_must_fit() -> None:
    for preset, flow in (("demo", "energy_flow"), ("paper", "shower_flow"), ("transformer", "shower_flow")):
        with pytest.raises(ConfigError, match=rf"model\.{flow}\.minimum: must be below 1/bins = 0\.2 \(got 0\.2\)"):
            load_config(preset, [f"model.{flow}.bins=5", f"model.{flow}.minimum=0.2"])
    assert load_config("demo", ["model.shower_flow.bins=5", "model.shower_flow.minimum=0.19"])
