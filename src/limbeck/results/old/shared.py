"""Common parts of the formats of limbeck 0.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.results.figures import Metric
from limbeck.results.record import Role

__all__ = [
    "CONTROLS",
    "NEW_KEYS",
    "OLD_KEYS",
    "Json",
    "bare",
    "by_seed",
    "comparison_of",
    "dumped",
    "figure_of",
    "mcnemar",
    "named",
    "renamed",
    "shared_fields",
    "system_of",
]

Json = dict[str, Any]

_NAMES = {
    "student_before": "student_init",
    "fine_tuned": "fine_tune",
    "random_order": "anon",
    "most_frequent": "constant",
    "english_model": "teacher",
}
_ROLES: dict[str, Role] = {
    "teacher": "teacher",
    "student_init": "student_init",
    "distilled": "main",
    "fine_tune": "baseline",
    "anon": "baseline",
    "constant": "constant",
}
CONTROLS = ("fine_tune", "transfer")
"""Systems that learnt from labels or completions alone."""
OLD_KEYS = {"kl": "kl_to_teacher_nats", "nll": "nll_nats", "nll_by_row": "nll_by_row_nats"}
"""Current metrics by their old names in generation runs."""
NEW_KEYS = {old: new for new, old in OLD_KEYS.items()}


def shared_fields(old: Json, kind: str, *, recipe: str, seeds: list[int], costs: list[Json]) -> Json:
    """Return the fields that all three formats had."""
    uses = {"train": "train_rows", "labelled": "labelled_rows", "test": "test_rows", "left_out": "left_out_rows"}
    facts = {name.capitalize(): name for name in ("pairing", "prompts", "scorer", "teacher", "student")}
    return {
        "format": "limbeck-results-2",
        "kind": kind,
        "run": {
            **{key: old[key] for key in ("name", "created", "limbeck_version", "command")},
            "recipe": recipe,
            "paper": old.get("paper", ""),
            "seeds": seeds,
            "rows": {use: old[key] for use, key in uses.items() if key in old} | old.get("records", {}),
            "facts": {name: old[key] for name, key in facts.items() if key in old},
            "resolved": old["resolved_run"],
            "environment": old["environment"],
            "data_fingerprints": old["data_fingerprints"],
        },
        "verdict": old["verdict"],
        "warnings": old["warnings"],
        "curves": [renamed(curve) for curve in old["curves"]],
        "costs": [renamed(cost) for cost in costs],
    }


def named(name: str) -> str:
    """Return the current name of a system."""
    return _NAMES.get(name, name)


def renamed(old: Json) -> Json:
    """Return the record with the current name of its system."""
    return {**old, "system": named(old["system"])}


def dumped(metrics: list[Metric]) -> list[Json]:
    """Return metrics as plain JSON."""
    return [metric.model_dump() for metric in metrics]


def system_of(old: Json, recipe: str, layers: int | None = None) -> Json:
    """Return a system of classification or generation."""
    name = named(old["name"])
    return {
        "name": name,
        "title": old["title"],
        "role": _ROLES[name],
        "detail": old["detail"],
        "recipe": recipe if name == "distilled" else name if _ROLES[name] == "baseline" else None,
        "control": name in CONTROLS,
        "layers": layers,
    }


def figure_of(
    system: Json,
    metric: str,
    value: Json,
    rows: int | None = None,
    seeds: Mapping[int, float] | None = None,
    slice: Json | None = None,
) -> Json:
    """Return a figure; `value` also holds its interval."""
    return {
        "system": named(system["name"]),
        "metric": metric,
        "slice": slice or {},
        "budget": system.get("n_target"),
        **value,
        "seeds": dict(seeds or {}),
        "rows": rows,
    }


def bare(value: float | None) -> Any:
    """Return a value without an interval; None without a value."""
    return None if value is None else {"value": value}


def by_seed(seeds: Mapping[int, Json], key: str) -> dict[int, float]:
    """Return one of the values of each seed that has it."""
    return {seed: found[key] for seed, found in seeds.items() if found.get(key) is not None}


def comparison_of(old: Json, seeds: Mapping[str, list[int]]) -> Json:
    """Return a comparison of classification or generation: one difference, with its tests."""
    first, second = seeds.get(old["first"], []), seeds.get(old["second"], [])
    per_seed = old["per_seed_difference"]
    paired = next((found for found in (sorted(first), sorted(second)) if len(found) == len(per_seed)), [])
    tests = [{"name": "bootstrap", "p_value": old["bootstrap_p_value"]}]
    tests += [mcnemar(test) for test in old.get("mcnemar", [])]
    if old["t_test_p_value"] is not None:
        tests.append({"name": "t", "p_value": old["t_test_p_value"]})
    return {
        "first": named(old["first"]),
        "second": named(old["second"]),
        "metric": NEW_KEYS.get(old["metric"], old["metric"]),
        **old["difference"],
        "seeds": dict(zip(paired or range(len(per_seed)), per_seed, strict=True)),
        "tests": tests,
    }


def mcnemar(old: Json) -> Json:
    """Return a McNemar test."""
    details = {key: old[key] for key in ("only_first_right", "only_second_right")}
    return {"name": "mcnemar", "p_value": old["p_value"], "seed": old["seed"], "details": details}
