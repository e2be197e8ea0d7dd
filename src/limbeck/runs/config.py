"""The run file: what the user says, checked at once and completely.

Every key is checked by pydantic; unknown keys are errors with a near miss; all faults are shown
together, each with file and line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from limbeck.data.tasks import Classification
from limbeck.errors import ConfigError, near_misses
from limbeck.recipes.catalogue import build_recipe
from limbeck.runs.language_config import LanguageRunConfig
from limbeck.runs.named_recipe import NamedRecipe, Seeds, name_alone
from limbeck.runs.sections import Data, FromTeacher, Student
from limbeck.runs.text_config import TextRunConfig
from limbeck.stages.stage import Stage, Training
from limbeck.students.adapters import Adapter

__all__ = ["AnyRun", "Data", "FromTeacher", "Recipe", "RunConfig", "Student", "Teacher", "load_run_file", "run_config"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Teacher(_Section):
    """Whom the student learns from: exactly one of `model` and `column`."""

    model: str | None = None
    """A folder in Hugging Face format or a hub name: a fine-tuned classifier, or a pretrained encoder."""
    fine_tune: Training | None = None
    """Fine-tune it on the labelled rows first."""
    column: str | None = None
    """Field of the rows with the label that a teacher gave; there is no model then."""
    confidence: str | None = None
    """Field with how sure the teacher was, from 0 to 1; default: it counts as certain."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for models whose authors you trust."""

    @model_validator(mode="after")
    def _one_kind(self) -> Teacher:
        given = [name for name in ("model", "column") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of model, column (given: {', '.join(given) or 'none'})")
        if self.column is not None and self.fine_tune is not None:
            raise ValueError("fine_tune is for a teacher with a model; labels in a column are final")
        if self.column is None and self.confidence is not None:
            raise ValueError("confidence goes with column, the field with the teacher's label")
        return self


class ClassifierStudent(Student):
    """The small model, and what of it is trained."""

    adapter: Adapter | None = None
    """Train an adapter and the classification head, and leave all else as it is; default: train everything."""


class Recipe(NamedRecipe):
    """A recipe's name and its arguments."""

    def stages(self) -> list[Stage]:
        """Build the stages. Raises `ConfigError` for an unknown name or argument."""
        return build_recipe(self.name, self.arguments)


class RunConfig(_Section):
    """A whole run file."""

    task: Classification = Classification()
    data: Data
    teacher: Teacher
    student: ClassifierStudent
    recipe: Annotated[Recipe, BeforeValidator(name_alone)]
    training: Training = Training()
    seeds: Seeds = [0]
    """One student is trained for each; three or more allow a test over seeds."""
    compare_fine_tuned: bool = True
    """Also train the same student on the labels alone, with the same steps, batches and seeds."""
    compare_random_order: bool = False
    """Of a recipe that orders its rows: also train the same student on them in random order, with the same steps."""
    output: str
    """The run folder."""
    provenance: dict[str, Any] = {}
    """Written by limbeck into run.yaml: versions, hardware, fingerprints. Not read."""

    @model_validator(mode="after")
    def _student_of_a_teacher_without_weights(self) -> RunConfig:
        if self.teacher.model is None and self.student.model is None:
            raise ValueError("student: this teacher has no layers and no tokenizer to take over; give student.model")
        return self


AnyRun = RunConfig | LanguageRunConfig | TextRunConfig


def run_config(values: Mapping[str, Any], where: str = "") -> AnyRun:
    """Check a run given as nested mappings (or section objects).

    Raises:
        ConfigError: all faults at once.
    """
    return _checked(values, lambda loc: where)


def load_run_file(path: Path, overrides: Sequence[str] = ()) -> AnyRun:
    """Read and check a YAML run file.

    Args:
        path: the file.
        overrides: ``section.key=value`` settings that take precedence; the value is YAML.

    Raises:
        ConfigError: no such file, not YAML, a key given twice, or any faulty value, with line numbers.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except FileNotFoundError as error:
        others = sorted(p.name for p in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        hint = f"; {near_misses(path.name, others)}" if others else ""
        raise ConfigError(f"there is no run file {path}{hint}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read run file {path}: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(values, dict) or not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path}: a run file is a YAML mapping with data, teacher, student, recipe and output")
    if twice := list(_keys_given_twice(node)):
        raise ConfigError("; ".join(f"{path}:{line}: key '{key}' is given twice" for key, line in twice))
    set_here = set()
    for override in overrides:
        set_here.add(_apply(values, override))

    def where(loc: tuple[str | int, ...]) -> str:
        for n in range(len(loc), 0, -1):
            if loc[:n] in set_here:
                return "--set"
        return f"{path}:{_line_of(node, loc)}"

    return _checked(values, where)


def _checked(values: Mapping[str, Any], where: Any) -> AnyRun:
    task = values.get("task")
    kind = task.get("kind") if isinstance(task, Mapping) else getattr(task, "kind", None)
    kinds: dict[Any, type[AnyRun]] = {"instructions": LanguageRunConfig, "generation": TextRunConfig}
    model = kinds.get(kind, RunConfig)
    faults: list[str] = []
    config: AnyRun | None = None
    try:
        config = model.model_validate(dict(values))
    except ValidationError as error:
        for fault in error.errors():
            loc = tuple(part for part in fault["loc"] if not _is_union_tag(part))
            place = where(loc)
            faults.append(f"{place + ': ' if place else ''}{_message(model, loc, fault)}")
    try:
        if isinstance(config, LanguageRunConfig | TextRunConfig):
            config = config.spelled_out()
        elif model is RunConfig:
            recipe = config.recipe if config else Recipe.model_validate(_as_mapping(values.get("recipe")))
            recipe.stages()
            if config is not None:
                config = config.model_copy(update={"recipe": recipe.with_defaults()})
    except ValidationError:
        pass  # reported above
    except ConfigError as error:
        place = where(("recipe",))
        faults.append(f"{place + ': ' if place else ''}{error}")
    if faults or config is None:
        unique = list(dict.fromkeys(faults))
        head = f"{len(unique)} faults in the run:\n  " if len(unique) > 1 else ""
        raise ConfigError(head + "\n  ".join(unique))
    return config


def _as_mapping(recipe: Any) -> Any:
    return {"name": recipe} if isinstance(recipe, str) else recipe


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
        if isinstance(part, int):
            continue  # an item of a list, whose section is found in the list's annotation
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


def _line_of(node: yaml.Node, loc: tuple[str | int, ...]) -> int:
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


def _apply(values: dict[str, Any], override: str) -> tuple[str, ...]:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set takes section.key=value (for example training.epochs=5), not '{override}'")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {key}: the value is not valid YAML: {text}") from error
    parts = tuple(key.split("."))
    section = values
    for part in parts[:-1]:
        if not isinstance(section.get(part), dict):
            # A shorthand such as `recipe: pkd` becomes a section, so that its arguments can be set.
            section[part] = {"name": section[part]} if isinstance(section.get(part), str) else {}
        section = section[part]
    section[parts[-1]] = value
    return parts
