"""The run file, checked completely before anything runs.

Every key is checked by pydantic; unknown keys are errors with a suggestion; all faults are shown
together, each with file and line.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from limbeck.errors import ConfigError, near_misses
from limbeck.recipes.kinds import DEFAULT_KIND, KINDS, kind_called
from limbeck.recipes.own_functions import look_beside
from limbeck.tasks.checked_yaml import (
    Place,
    fault_messages,
    line_of,
    one_error,
    parse_yaml,
    read_yaml,
    yaml_faults,
)
from limbeck.tasks.run_config import NamedRecipe, RunSettings, name_alone
from limbeck.tasks.table import config_of_kind

__all__ = ["load_run_file", "run_config"]


def run_config(values: Mapping[str, Any], where: str = "") -> RunSettings:
    """Check a run given as nested mappings (or section objects).

    Raises:
        ConfigError: all faults at once.
    """
    look_beside(None)
    return _checked(values, lambda loc: where)


def load_run_file(path: Path, overrides: Sequence[str] = ()) -> RunSettings:
    """Read and check a YAML run file.

    Args:
        path: the file.
        overrides: ``section.key=value`` settings that take precedence; the value is YAML.

    Raises:
        ConfigError: no such file, not YAML, a key given twice, or any faulty value, with line numbers.
    """
    values, node = read_yaml(path, "run file", "data, teacher, student, recipe and output")
    look_beside(path)
    set_here = set()
    for override in overrides:
        set_here.add(_apply(values, override))

    def where(loc: tuple[str | int, ...]) -> str:
        for n in range(len(loc), 0, -1):
            if loc[:n] in set_here:
                return "--set"
        return f"{path}:{line_of(node, loc)}"

    return _checked(values, where)


def _checked(values: Mapping[str, Any], where: Place) -> RunSettings:
    kind = _kind(values, where)
    model = config_of_kind(kind)
    faults: list[str] = []
    config: RunSettings | None = None
    try:
        values = model.filled(values)
    except ConfigError as error:
        raise one_error([_at(where(("recipe",)), error)], "run") from error
    try:
        config = model.model_validate(dict(values))
    except ValidationError as error:
        kin = {_said(other): config_of_kind(other) for other in KINDS}
        faults = fault_messages(error, model, values, where, kin)
        faults += _faults_of_the_recipe(model, values, where)
    for place, fill in config.fillings() if config is not None else []:
        try:
            config = fill(config)
        except ConfigError as error:
            faults.append(_at(where(place), error))
    if faults or config is None:
        raise one_error(faults, "run")
    return config


def _kind(values: Mapping[str, Any], where: Place) -> str:
    task = values.get("task")
    kind = task.get("kind", DEFAULT_KIND) if isinstance(task, Mapping) else getattr(task, "kind", DEFAULT_KIND)
    if isinstance(kind, str) and kind in KINDS:
        return kind
    meant = kind_called(str(kind))
    advice = f"here it is called '{meant}'" if meant else near_misses(str(kind), KINDS)
    fault = f"task.kind: there is no kind {reprlib.repr(kind)}; {advice}"
    raise one_error([_at(where(("task", "kind")), fault)], "run")


def _said(kind: str) -> str:
    return f"task.kind: {kind}{' (the default)' if kind == DEFAULT_KIND else ''}"


def _faults_of_the_recipe(model: type[RunSettings], values: Mapping[str, Any], where: Place) -> list[str]:
    """Return the faults of the recipe's arguments, so that faults of other sections do not hide them."""
    section = model.model_fields["recipe"].annotation
    try:
        if isinstance(section, type) and issubclass(section, NamedRecipe):
            section.model_validate(name_alone(values.get("recipe"))).build()
    except ValidationError:
        pass  # reported with the others
    except ConfigError as error:
        return [_at(where(("recipe",)), error)]
    return []


def _at(place: str, fault: object) -> str:
    return f"{place + ': ' if place else ''}{fault}"


def _apply(values: dict[str, Any], override: str) -> tuple[str, ...]:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set takes section.key=value (for example training.num_train_epochs=5), not '{override}'")
    try:
        value, _ = parse_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError("; ".join(yaml_faults(error, lambda line: f"--set {key}"))) from error
    parts = tuple(key.split("."))
    section = values
    for part in parts[:-1]:
        if not isinstance(section.get(part), dict):
            # A shorthand such as `recipe: pkd` becomes a section, so that its arguments can be set.
            section[part] = {"name": section[part]} if isinstance(section.get(part), str) else {}
        section = section[part]
    section[parts[-1]] = value
    return parts
