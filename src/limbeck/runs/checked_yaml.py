"""YAML files of users: read with line numbers, and checked against a model with all faults at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from limbeck.errors import ConfigError, near_misses

__all__ = ["Place", "fault_messages", "line_of", "load_checked", "one_error", "read_yaml"]

Place = Callable[[tuple[str | int, ...]], str]
"""Where the value at a path of keys was given: file and line."""

Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path, what: str, keys: str) -> tuple[dict[str, Any], yaml.MappingNode]:
    """Read a YAML mapping with its nodes, which know their lines.

    Args:
        path: the file.
        what: how messages call such a file, for example ``run file``.
        keys: what it holds, for the message where it is no mapping.

    Raises:
        ConfigError: no such file, not YAML, no mapping, or a key given twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except FileNotFoundError as error:
        others = sorted(p.name for p in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        hint = f"; {near_misses(path.name, others)}" if others else ""
        raise ConfigError(f"there is no {what} {path}{hint}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {what} {path}: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(values, dict) or not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path}: a {what} is a YAML mapping with {keys}")
    if twice := list(_keys_given_twice(node)):
        raise ConfigError("; ".join(f"{path}:{line}: key '{key}' is given twice" for key, line in twice))
    return values, node


def load_checked(path: Path, model: type[Model], what: str) -> Model:
    """Read a YAML file as a `model`.

    Raises:
        ConfigError: it cannot be read, or values are at fault: all of them, each with file and line.
    """
    values, node = read_yaml(path, what, ", ".join(model.model_fields))
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = fault_messages(error, model, lambda loc: f"{path}:{line_of(node, loc)}")
    raise one_error(faults, what)


def one_error(faults: Sequence[str], what: str) -> ConfigError:
    """Put faults into one error, each once."""
    unique = list(dict.fromkeys(faults))
    head = f"{len(unique)} faults in the {what}:\n  " if len(unique) > 1 else ""
    return ConfigError(head + "\n  ".join(unique))


def fault_messages(error: ValidationError, model: type[BaseModel], place: Place) -> list[str]:
    """Return pydantic's faults as lines: where, which key, what was expected, what came."""
    messages = []
    for fault in error.errors():
        loc = tuple(part for part in fault["loc"] if not _is_union_tag(part))
        where = place(loc)
        messages.append(f"{where + ': ' if where else ''}{_message(model, loc, fault)}")
    return messages


def line_of(node: yaml.Node, loc: tuple[str | int, ...]) -> int:
    """Line of the key at `loc`, or of its nearest parent that is there."""
    line = node.start_mark.line + 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = (node.value[part], node.value[part])
        else:
            found = None
        if found is None:
            return line
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _is_union_tag(part: str | int) -> bool:
    """Pydantic puts the alternative of a union into a fault's place; users have no such key."""
    return isinstance(part, str) and (part in ("str", "constrained-int", "int", "float") or "[" in part)


def _message(model: type[BaseModel], loc: tuple[str | int, ...], fault: Any) -> str:
    name = ".".join(str(part) for part in loc)
    if fault["type"] == "extra_forbidden":
        return f"unknown key '{name}'; {near_misses(str(loc[-1]), _fields_at(model, loc[:-1]))}"
    if fault["type"] == "missing":
        return f"'{name}' is missing"
    message = re.sub(r"^Value error, ", "", fault["msg"])
    got = "" if fault["type"] == "value_error" else f" (got {_short(fault['input'])})"
    return f"{name}: {message}{got}" if name else message


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _fields_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """Names of the fields of the section at `loc`."""
    for part in loc:
        if str(part) not in model.model_fields:
            continue  # an item of a list or a mapping, whose section is found in its annotation
        annotation = model.model_fields[str(part)].annotation
        candidates = [annotation, *get_args(annotation), *(a for arg in get_args(annotation) for a in get_args(arg))]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)


def _keys_given_twice(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.value, key.start_mark.line + 1
            seen.add(key.value)
            yield from _keys_given_twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _keys_given_twice(item)
