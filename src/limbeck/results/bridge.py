"""Records that runs still write in an older form, and figures without a record, as records of today."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from limbeck.results.record import Results
from limbeck.results.upgrade import upgrade

__all__ = ["as_results", "classified", "ranked", "written"]

_WORDS = ("name", "created", "limbeck_version", "command", "recipe", "resolved_run")
_LISTS = ("verdict", "warnings", "labels", "curves", "disagreements", "costs", "stage_costs", "comparisons", "english")
_TABLES = ("environment", "data_fingerprints", "kept_by_gate", "language_names")
_EMPTY: dict[str, Any] = {
    **dict.fromkeys(_WORDS, ""),
    **{key: [] for key in _LISTS},
    **{key: {} for key in _TABLES},
    "test_rows": 0,
    "seeds": [0],
}


def as_results(record: BaseModel) -> Results:
    """Return a record of an older format as one of today."""
    return Results.model_validate(upgrade(json.loads(record.model_dump_json())))


def classified(systems: Sequence[BaseModel], comparisons: Sequence[BaseModel], titles: dict[str, str]) -> Results:
    """Return the figures of classifiers."""
    found = [json.loads(system.model_dump_json()) for system in systems]
    for system in found:
        system["title"] = titles[system["name"]]
    labels = [one["label"] for one in found[0]["per_class"]]
    compared = [json.loads(comparison.model_dump_json()) for comparison in comparisons]
    old = {**_EMPTY, "format": "limbeck-results-1", "systems": found, "comparisons": compared, "labels": labels}
    results = Results.model_validate(upgrade(old))
    return results.model_copy(update={"run": results.run.model_copy(update={"rows": {}})})


def written(figures: BaseModel) -> Results:
    """Return the figures of students that write."""
    found = json.loads(figures.model_dump_json())
    extra = {"task": "", "encoder_decoder": False, "decoding": None, "test_tokens": 0}
    old = {**_EMPTY, **extra, "format": "limbeck-generation-1", "figures": found}
    results = Results.model_validate(upgrade(old))
    return results.model_copy(update={"run": results.run.model_copy(update={"rows": {}})})


def ranked(system: BaseModel, names: dict[str, str]) -> Results:
    """Return the figures of a ranking student."""
    found = json.loads(system.model_dump_json())
    langs = {cell["lang"]: cell["resource"] for cell in found["cells"]}
    old = {
        **_EMPTY,
        "format": "limbeck-languages-1",
        "systems": [found],
        "source_language": next((lang for lang, resource in langs.items() if resource == "source"), ""),
        "languages": [lang for lang, resource in langs.items() if resource != "source"],
        "language_names": names,
        "tasks": list(dict.fromkeys(cell["task"] for cell in found["cells"])),
    }
    return Results.model_validate(upgrade(old))
