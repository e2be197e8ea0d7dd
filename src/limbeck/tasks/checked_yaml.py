"""Users' YAML files, read with line numbers and checked against a model, with all faults at once."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from limbeck.errors import ConfigError, near_misses
from limbeck.tasks.trainer_words import word_here

__all__ = ["Place", "fault_messages", "line_of", "load_checked", "one_error", "parse_yaml", "read_yaml", "yaml_faults"]

Place = Callable[[tuple[str | int, ...]], str]
"""Returns the file and line of the value at a path of keys."""

Model = TypeVar("Model", bound=BaseModel)

_MOST_BYTES = 2**20
"""Largest hand-written file. PyYAML takes some ten seconds for this size."""
_MOST_VALUES = 600_000
"""Per file, with aliases expanded. Without aliases no file of `_MOST_BYTES` has more."""
_DEEPEST = 50
_YAML = "tag:yaml.org,2002:"
_LARGEST_NUMBER = 2**63 - 1
_MOST_FAULTS = 20

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = 12


class _Refused(yaml.YAMLError):
    """YAML that PyYAML accepts and we do not, or that makes it fail: line and words of each fault."""

    def __init__(self, *faults: tuple[int, str]) -> None:
        super().__init__("; ".join(words for _, words in faults))
        self.faults = faults


class _BoundedLoader(yaml.SafeLoader):
    """PyYAML's safe loader, hardened against files that hang or crash it. It only raises `yaml.YAMLError`."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._count = self._level = self._height = 0
        self._whole: dict[int, tuple[int, int]] = {}
        """Number of values and levels that an alias of a node expands to, by the node's id."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node, and refuse unbounded growth: depth, aliases of aliases, a node inside itself."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        before, beside = self._count, self._height
        if self._level >= _DEEPEST:
            raise _Refused((line, f"nested more than {_DEEPEST} levels deep"))
        self._level, self._height = self._level + 1, 0
        node = super().compose_node(parent, index)
        self._level -= 1
        if not isinstance(event, yaml.AliasEvent):
            self._whole[id(node)] = (self._count - before + 1, self._height + 1)
        elif id(node) not in self._whole:
            raise _Refused((line, f"the alias *{event.anchor} is inside its own target"))
        count, height = self._whole[id(node)]
        self._count, self._height = before + count, max(beside, height)
        if self._count > _MOST_VALUES or self._level + height > _DEEPEST:
            grown = f"{_MOST_VALUES:,} values" if self._count > _MOST_VALUES else f"{_DEEPEST} levels"
            raise _Refused((line, f"aliases of aliases expand to more than {grown}; write out what you mean"))
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping, and refuse keys that are not strings: ``yes``, ``null`` and dates are not in YAML."""
        for key, _ in node.value:
            if key.tag.removeprefix(_YAML) not in ("str", "int", "merge"):
                what = f"{_cut(key.value)!r} is no word in YAML" if isinstance(key, yaml.ScalarNode) else "it is none"
                raise _Refused((key.start_mark.line + 1, f"expected a word as key, but {what}; put quotes around it"))
        return super().construct_mapping(node, deep=deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Construct a value; refuse false numbers and dates, and characters that no name can hold."""
        line = node.start_mark.line + 1
        try:
            value = super().construct_object(node, deep=deep)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            tag = node.tag.removeprefix(_YAML)
            kind = {"int": "a number", "float": "a number", "timestamp": "a date"}.get(tag, f"'{tag}'")
            words = f"{_short(node.value)} looks like {kind} but is not; put quotes around a text"
            raise _Refused((line, words)) from error
        if isinstance(value, int) and abs(value) > _LARGEST_NUMBER:
            raise _Refused((line, "a number of more than 64 bits"))
        if isinstance(value, str) and "\0" in value:
            raise _Refused((line, f"{_short(value)} holds a NUL character"))
        if isinstance(value, str) and re.search("[\ud800-\udfff]", value):
            raise _Refused((line, f"{_short(value)} holds half of a surrogate pair"))
        return value


def parse_yaml(text: str) -> tuple[Any, yaml.Node | None]:
    """Return the value of a YAML document and its node, which knows lines; the node of an empty one is ``None``.

    Raises:
        yaml.YAMLError: not YAML, several documents, a key given twice, values that cannot be constructed, or more or
            deeper ones than anyone would write.
    """
    loader = _BoundedLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, None
        if twice := [(line, f"key '{key}' is given twice") for key, line in _keys_given_twice(node, set())]:
            raise _Refused(*twice)
        return loader.construct_document(node), node
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise _Refused((loader.line + 1, f"not valid YAML: {error}")) from error
    finally:
        loader.dispose()


def yaml_faults(error: yaml.YAMLError, place: Callable[[int | None], str]) -> list[str]:
    """Return an error of `parse_yaml` as lines; `place` describes the location of a line (from 1, or none)."""
    if isinstance(error, _Refused):
        return [f"{place(line)}: {words}" for line, words in error.faults[:_MOST_FAULTS]]
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    return [f"{place(mark.line + 1 if mark else None)}: not valid YAML: {problem}"]


def read_yaml(path: Path, what: str, keys: str) -> tuple[dict[str, Any], yaml.MappingNode]:
    """Read a YAML mapping with its nodes, which know their lines.

    Args:
        path: the file.
        what: the word for such a file in messages, for example ``run file``.
        keys: what it holds, for the message if it is not a mapping.

    Raises:
        ConfigError: no such file, far too large, not YAML, not a mapping, or a key given twice.
    """
    text = _text_of(path, what)
    try:
        values, node = parse_yaml(text)
    except yaml.YAMLError as error:
        found = yaml_faults(error, lambda line: f"{path}:{line}" if line else f"{path}")
        raise ConfigError("; ".join(found)) from error
    if not isinstance(values, dict) or not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path}: a {what} is a YAML mapping with {keys}")
    return values, node


def _text_of(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError as error:
        others = sorted(p.name for p in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        hint = f"; {near_misses(path.name, others)}" if others else ""
        raise ConfigError(f"there is no {what} {path}{hint}") from error
    except OSError as error:
        raise ConfigError(f"cannot read {what} {path}: {error.strerror or error}") from error
    if len(content) > _MOST_BYTES:
        raise ConfigError(f"cannot read {what} {path}: it is larger than {_MOST_BYTES // 2**20} MiB. Is this it?")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read {what} {path}: {error}") from error


def load_checked(path: Path, model: type[Model], what: str) -> Model:
    """Read a YAML file as a `model`.

    Raises:
        ConfigError: it cannot be read, or has faulty values: all of them, each with file and line.
    """
    values, node = read_yaml(path, what, ", ".join(model.model_fields))
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = fault_messages(error, model, values, lambda loc: f"{path}:{line_of(node, loc)}")
    raise one_error(faults, what)


def one_error(faults: Sequence[str], what: str) -> ConfigError:
    """Combine faults into one error, without repeats."""
    unique = list(dict.fromkeys(faults))
    head = f"{len(unique)} faults in the {what}:\n  " if len(unique) > 1 else ""
    more = [f"and {len(unique) - _MOST_FAULTS:,} more"] if len(unique) > _MOST_FAULTS else []
    return ConfigError(head + "\n  ".join([*unique[:_MOST_FAULTS], *more]))


def fault_messages(
    error: ValidationError,
    model: type[BaseModel],
    values: Mapping[Any, Any],
    place: Place,
    kin: Mapping[str, type[BaseModel]] | None = None,
) -> list[str]:
    """Return pydantic's faults of `values` as lines: location, key, what was expected, what was given.

    Args:
        error: from pydantic.
        model: the expected shape.
        values: what was given.
        place: returns the location.
        kin: other models for such a file, by what selects them, to point out keys that belong there.
    """
    messages = []
    for fault in error.errors():
        loc = _keys_of(fault, values)
        where = place(loc)
        messages.append(f"{where + ': ' if where else ''}{_message(model, loc, fault, kin or {})}")
    return messages


def line_of(node: yaml.Node, loc: tuple[str | int, ...]) -> int:
    """Return the line of the key at `loc`, or of its nearest existing parent."""
    line = node.start_mark.line + 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            # From the end: a mapping's own keys come after merged ones (<<).
            found = next(((k, v) for k, v in reversed(node.value) if k.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = (node.value[part], node.value[part])
        else:
            found = None
        if found is None:
            return line
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _keys_of(fault: Any, values: Any) -> tuple[str | int, ...]:
    """Return the location of a fault without pydantic's additions: the alternative of a union is not a key."""
    found: list[str | int] = []
    *_, last = fault["loc"] or [None]
    for part in fault["loc"]:
        is_item = isinstance(values, list | tuple) and isinstance(part, int) and part < len(values)
        if is_item or (isinstance(values, Mapping) and part in values):
            values = values[part]
            found.append(part)
    return (*found, last) if fault["type"] == "missing" else tuple(found)


def _message(
    model: type[BaseModel], loc: tuple[str | int, ...], fault: Any, kin: Mapping[str, type[BaseModel]]
) -> str:
    name = ".".join(_cut(str(part)) for part in loc)
    if fault["type"] == "extra_forbidden":
        return f"unknown key '{name}'; {_right_word(model, loc, kin)}"
    if fault["type"] == "missing":
        return f"'{name}' is missing"
    message = re.sub(r"^Value error, ", "", fault["msg"])
    # In place of the name of a key's variable, users may have written the key itself.
    got = "" if fault["type"] == "value_error" or "key_env" in loc else f" (got {_short(fault['input'])})"
    if fault["type"] == "string_type" and isinstance(fault["input"], int | float | date):
        got += ": put quotes around a text that looks like one"
    return f"{name}: {message}{got}" if name else message


def _right_word(model: type[BaseModel], loc: tuple[str | int, ...], kin: Mapping[str, type[BaseModel]]) -> str:
    word = _cut(str(loc[-1]))
    if elsewhere := [name for name, other in kin.items() if other is not model and _knows(other, loc)]:
        return f"it belongs to runs with {' or '.join(elsewhere)}"
    known, section = _fields_at(model, loc[:-1]), ".".join(map(str, loc[:-1]))
    # The teacher's fine-tuning has settings of the same names as the training of the student.
    said = re.sub(r"training\.(\w+)", lambda m: f"{section}.{m[1]}" if m[1] in known else m[0], word_here(word, model))
    return said or near_misses(word, known)


def _knows(model: type[BaseModel], loc: Sequence[str | int]) -> bool:
    *sections, word = map(str, loc)
    names = _fields_at(model, sections)
    return word in names and (not sections or sections[0] in model.model_fields)


def _short(value: Any) -> str:
    """Return a value in at most 60 characters."""
    if isinstance(value, int) and abs(value) > _LARGEST_NUMBER:
        return "a number of more than 64 bits"
    return _cut(_SHORT.repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _fields_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """Return the names of the fields of the section at `loc`."""
    for part in loc:
        if str(part) not in model.model_fields:
            continue  # an item of a list or a mapping, whose section is in its annotation
        annotation = model.model_fields[str(part)].annotation
        candidates = [annotation, *get_args(annotation), *(a for arg in get_args(annotation) for a in get_args(arg))]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)


def _keys_given_twice(node: yaml.Node, visited: set[int]) -> Iterator[tuple[str, int]]:
    """Yield keys that a mapping has twice, with their lines; a node with aliases is visited once."""
    if id(node) in visited or isinstance(node, yaml.ScalarNode):
        return
    visited.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield _cut(key.value), key.start_mark.line + 1
                seen.add(key.value)
            yield from _keys_given_twice(value, visited)
    else:
        for item in node.value:
            yield from _keys_given_twice(item, visited)
