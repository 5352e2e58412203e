"""Configurations: presets that come with an application, YAML files of the user, single values replaced."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import resources
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from hepflows.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


class Section(BaseModel):
    """A part of a configuration, which takes no names but its own; what a part of it leaves out is as its default has it.

    >>> class Training(Section):
    ...     epochs: int = 50
    ...     rate: float = 1e-3
    >>> class Run(Section):
    ...     training: Training = Training(epochs=5)
    >>> Run.model_validate({"training": {"rate": 0.01}}).training
    Training(epochs=5, rate=0.01)
    """

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _from_the_defaults(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        filled = dict(values)
        for name, field in cls.model_fields.items():
            given, default = values.get(name), field.default
            if isinstance(given, dict) and isinstance(default, BaseModel) and field.annotation is type(default):
                filled[name] = _merged(default.model_dump(exclude_unset=True), given)
        return filled


def presets(package: str) -> list[str]:
    """Names of the presets in the folder ``configs`` of a package."""
    folder = resources.files(package) / "configs"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def read_preset(
    package: str, preset: str, settings: list[str] | None, *, example: str, sections: str
) -> dict[str, Any]:
    """The values of a preset, or of a YAML file of the user, with single ones replaced.

    Args:
        package: whose presets.
        preset: one of `presets`, or the path of a YAML file.
        settings: ``a.b=value`` replacements, values in YAML.
        example: of a replacement, for messages.
        sections: what a file has at its top, for messages.

    Raises:
        ConfigError: no such preset, a file that is none, or a replacement that cannot be.
    """
    values = _read(package, preset, sections)
    for setting in settings or []:
        path, separator, text = setting.partition("=")
        if not separator:
            message = f"--set {setting}: write it as section.name=value, for example {example}"
            raise ConfigError(message)
        section = values
        *parents, name = path.strip().split(".")
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                message = f"--set {setting}: {parent} is a value, not a section"
                raise ConfigError(message)
        section[name] = _value(text, setting)
    return values


def validated(model: type[Model], values: dict[str, Any], where: str) -> Model:
    """A configuration from its values; the message names the first field that is wrong.

    Args:
        model: the configuration.
        values: nested, as from `read_preset`.
        where: they come from, for messages.

    Raises:
        ConfigError: a value that cannot be.

    >>> class Cut(Section):
    ...     least: float
    >>> validated(Cut, {"least": 2}, "preset quick").least
    2.0
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        wrong = first["msg"].removeprefix("Value error, ")
        # a whole section says nothing of what is wrong with it
        got = "" if isinstance(first["input"], dict) else f" (got {first['input']!r})"
        if first["type"] == "extra_forbidden":
            wrong, got = _foreign(str(first["loc"][-1]), _settings(model, first["loc"][:-1])), ""
        message = f"{where}: {_field(first['loc'], values)}: {wrong}{got}"
        raise ConfigError(message) from None


def _foreign(name: str, known: list[str]) -> str:
    """What is wrong with a name that a section does not know."""
    close = get_close_matches(name, known, 1, cutoff=0.7)
    remedy = f"perhaps {close[0]} is meant" if close else "give one of these"
    return f"is none of {', '.join(known)}: {remedy}"


def _settings(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The names that the section at a place of a configuration takes, sorted."""
    sections = [model]
    for part in place:
        inside = [
            one
            for section in sections
            if part in section.model_fields
            for one in _models(section.model_fields[str(part)].annotation)
        ]
        # pydantic names the kind of a section as if it were a level of its own
        of_kind = [one for one in sections if any(field.default == part for field in one.model_fields.values())]
        sections = inside or of_kind or sections
    return sorted({name for section in sections for name in section.model_fields})


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The sections in the type of a field, such as ``A | B | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _field(place: tuple[int | str, ...], values: Any) -> str:
    """The dotted name of a field as it is written; pydantic names the kind of a section as if it were a level of its own."""
    parts = []
    for part, after in zip(place, (*place[1:], None), strict=True):
        if isinstance(values, dict) and part not in values and after in values:
            continue
        parts.append(str(part))
        values = values.get(part) if isinstance(values, dict) else None
    return ".".join(parts)


def _value(text: str, setting: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # a date that there is not is a ValueError
        problem = getattr(error, "problem", None) or str(error)
        message = f"--set {setting}: {text} is no value in YAML ({problem}): mend it, or put it in quotation marks"
        raise ConfigError(message) from None


def _merged(values: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """The values, and over them those of the second, section by section."""
    both = {
        name: _merged(values[name], given) if isinstance(given, dict) and isinstance(values.get(name), dict) else given
        for name, given in over.items()
    }
    return {**values, **both}


def _read(package: str, preset: str, sections: str) -> dict[str, Any]:
    if preset in presets(package):
        text = (resources.files(package) / "configs" / f"{preset}.yaml").read_text()
        return {"preset": preset, **yaml.safe_load(text)}
    if not preset.endswith((".yaml", ".yml")):
        names = ", ".join(presets(package))
        message = f"there is no preset {preset!r}: choose one of {names}, or give the path of a YAML file"
        raise ConfigError(message)
    try:
        with open(preset) as file:
            values = yaml.safe_load(file)
    except (OSError, yaml.YAMLError) as error:
        message = f"{preset}: cannot be read as YAML ({error})"
        raise ConfigError(message) from None
    if not isinstance(values, dict):
        message = f"{preset}: expected a YAML mapping with {sections}"
        raise ConfigError(message)
    return {"preset": preset, **values}
