"""Changes between two runs in one folder. A setting may change until something in the folder depends on it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.recipes.kinds import DEFAULT_KIND
from limbeck.tasks.baselines import MAIN, numbered
from limbeck.tasks.run_config import STUDENTS, Dependents
from limbeck.tasks.table import config_of_kind

__all__ = ["Change", "changes_of"]

_NOTHING = re.compile(r"(?!)")
_FIGURES = re.compile(r"results\.json")
_OF_DEV_ROWS = re.compile(r"predictions/[^/]+-dev\.npy|results\.json")
"""What depends on development rows without a search: temperatures are fitted on the answers to them."""
_MATTERS_TO_NOTHING = re.compile(
    r"teacher\.(ensemble\.members\.\d+\.)?(pilot$"
    r"|api\.(base_url|key_env|concurrency|timeout_s|tries|requests_per_minute|tokens_per_minute|prices"
    r"|budget_usd|budget_tokens|samples_per_call|limit_field)(\.|$))"
)
"""How many rows are asked first, and where, how fast and at what price: the answers stay the same."""
_WHERE_ROWS_ARE = re.compile(r"data\.(train|test|dev|corpus|on_bad_row)")
"""Rows are identified by their content."""


@dataclass(frozen=True)
class Change:
    """A setting, or rows, that changed."""

    words: str
    """For messages: the setting, its old and its new value."""
    used_by: list[str] | None
    """What in the folder depends on it; ``None``: everything."""

    @property
    def in_full(self) -> str:
        """Return the words, and what depends on it."""
        if not self.used_by:
            return self.words
        more = f" and {len(self.used_by) - 1} more depend" if len(self.used_by) > 1 else " depends"
        return f"{self.words} ({self.used_by[0]}{more} on it)"


def changes_of(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    rows_before: Mapping[str, str],
    rows_after: Mapping[str, str],
    folder: Path,
) -> Iterator[Change]:
    """Yield the differences between two runs, each with the contents of `folder` that depend on it.

    What may differ at any time is left out: how an API is asked, and the paths of unchanged rows.

    Args:
        before: settings of the run in the folder.
        after: settings of the run to continue there.
        rows_before: fingerprints of the recorded rows, by split.
        rows_after: those of the rows read now.
        folder: the run folder.
    """
    rules = config_of_kind((after.get("task") or {}).get("kind", DEFAULT_KIND)).dependents
    there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    first, second = _with_systems(before), _with_systems(after)
    for name, old, new in _differences(first, second):
        files = _files_of(rules, name, old, new, first, second)
        if files is not _NOTHING:
            yield Change(f"{_as_typed(name, after)} was {_shown(old)}, is {_shown(new)}", _matching(files, there))
    for split, sha in rows_after.items():
        if rows_before.get(split) != sha:
            temperature_alone = split == "dev" and not _chooses_on_dev_rows(after)
            files = _OF_DEV_ROWS if temperature_alone else None
            yield Change(f"the {split} rows have changed", _matching(files, there))


def _shown(value: Any) -> Any:
    """Return a value as a user may have typed it: 3, where the setting is 3.0."""
    if value is None:
        return "not set"
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _matching(files: re.Pattern[str] | None, there: list[str]) -> list[str] | None:
    """Return the matching paths, by the folder of their stage."""
    if files is None:
        return None
    found = [(path, match.end()) for path in there if (match := files.match(path))]
    return list(dict.fromkeys(path[: end + len(path[end:].partition("/")[0])] for path, end in found))


def _with_systems(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Group recipe and baselines by the names of their systems."""
    recipes = [values.get("recipe"), *(values.get("baselines") or [])]
    if not all(isinstance(one, Mapping) and "name" in one for one in recipes):
        return values
    others = {name: value for name, value in values.items() if name not in ("recipe", "baselines")}
    names = _names(values)
    return {**others, "main system": names[0], "systems": dict(zip(names, recipes, strict=True))}


def _names(values: Mapping[str, Any]) -> list[str]:
    """Return the names of the systems, the main one first; in a cross-lingual run it has its recipe's name."""
    recipes = [values["recipe"], *(values.get("baselines") or [])]
    main, *others = [str(one["name"]).rpartition(":")[2] for one in recipes]
    return numbered([main, *others]) if "backbone" in values else [MAIN, *numbered(others)]


def _as_typed(name: str, values: Mapping[str, Any]) -> str:
    """Return the name of a setting as in the run file."""
    first, *rest = name.split(".")
    if first != "systems":
        return name
    if not rest:
        return "recipe"
    return ".".join(["recipe" if rest[0] == _names(values)[0] else f"baselines.{rest[0]}", *rest[1:]])


def _files_of(
    rules: Dependents, name: str, old: Any, new: Any, before: Mapping[str, Any], after: Mapping[str, Any]
) -> re.Pattern[str] | None:
    """Return a pattern for the start of paths that depend on a change; ``None``: everything depends on it."""
    if _MATTERS_TO_NOTHING.match(name) or (_WHERE_ROWS_ARE.fullmatch(name) and None not in (old, new)):
        return _NOTHING
    if name == "main system":
        return _FIGURES
    if name == "data.dev" and not _chooses_on_dev_rows(after):
        return _OF_DEV_ROWS
    if name in ("seeds", "data.shots"):  # each of these values has its own stages and predictions
        grown = isinstance(old, list) and isinstance(new, list) and all(value in new for value in old)
        return _FIGURES if grown and (name != "seeds" or old[:1] == new[:1]) else None
    if name.startswith("systems."):
        if _learns_rationales(before) != _learns_rationales(after):
            return None  # such a student reads its prompt differently before training, too
        key, *setting = name.split(".")[1:]
        if key == MAIN:  # the steps of all students follow from it
            return re.compile(STUDENTS + _FIGURES.pattern)
        own = ":" in str(before["systems"].get(key, {}).get("name", ""))
        scores = "" if setting and setting[0] not in ("name", "pairing") and not own else "|teacher-"
        return re.compile(rf"stages/(seed\d+/|\d+-)?{key}-|predictions/(train-{scores})?{key}-|{_FIGURES.pattern}")
    for setting_begins, files in rules:
        if re.match(setting_begins, name):
            return re.compile(files + _FIGURES.pattern)
    return None


def _chooses_on_dev_rows(values: Mapping[str, Any]) -> bool:
    """Whether weights depend on the development rows; otherwise only the temperature is fitted on them."""
    trained = [values.get("training"), (values.get("teacher") or {}).get("fine_tune")]
    judged = any(isinstance(one, Mapping) and one.get("early_stopping") for one in trained)
    return bool(values.get("search")) or judged


def _learns_rationales(values: Mapping[str, Any]) -> bool:
    return any(recipe.get("rationale_weight") for recipe in values["systems"].values())


def _differences(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in {**old, **new}:
            yield from _differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif _is_sections(old) and _is_sections(new) and len(old) == len(new):
        for place, (first, second) in enumerate(zip(old, new, strict=True)):
            yield from _differences(first, second, f"{name}.{place}")
    elif old != new:
        yield name, old, new


def _is_sections(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping) for one in value)
