"""What is wrong in a configuration is said in a sentence that names the place and what could stand there."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from hepflows.errors import ConfigError
from hepflows.training.presets import Section, read_preset, validated


class Wide(Section):
    kind: Literal["wide"] = "wide"
    width: int = 3


class Deep(Section):
    kind: Literal["deep"] = "deep"
    depth: int = 3
    parts: list[Wide] = Field([])


class Run(Section):
    flow: Annotated[Wide | Deep, Field(discriminator="kind")] = Wide()
    first: Deep | None = None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"flwo": 1}, "here: flwo: is none of first, flow: perhaps flow is meant"),
        ({"flow": {"kind": "wide", "depth": 1}}, "here: flow.depth: is none of kind, width: give one of these"),
        (
            {"flow": {"kind": "deep", "dept": 1}},
            "here: flow.dept: is none of depth, kind, parts: perhaps depth is meant",
        ),
        ({"first": {"x": {"y": 1}}}, "here: first.x: is none of depth, kind, parts: give one of these"),
        (
            {"first": {"parts": [{}, {"widht": 1}]}},
            "here: first.parts.1.widht: is none of kind, width: perhaps width is meant",
        ),
        (
            {"first": {"depth": "x"}},
            "here: first.depth: Input should be a valid integer, unable to parse string as an integer (got 'x')",
        ),
    ],
)
def test_a_name_that_is_not_known_is_told_those_that_are(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validated(Run, values, "here")
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("model.shower_flow.hidden=[8", r"expected ',' or '\]'"),
        ("model.kind=a: b: c", "mapping values are not allowed here"),
        ("preset=2026-13-45", "month must be in 1..12"),
    ],
)
def test_a_value_that_is_no_yaml_costs_one_sentence(setting: str, why: str) -> None:
    with pytest.raises(ConfigError, match=f"is no value in YAML \\({why}") as caught:
        read_preset("hepflows.applications.calorimeter", "demo", [setting], example="", sections="")
    assert str(caught.value).startswith(f"--set {setting}: ")
    assert "\n" not in str(caught.value)
