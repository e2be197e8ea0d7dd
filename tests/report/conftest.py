"""Records to report on: those that limbeck 0.1 wrote, as records of today, of each kind a full and a bare one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.results.old_records import old_record

from limbeck.report import render_card, render_report
from limbeck.report.use import Use, classifier_use, writer_use
from limbeck.results.record import Results
from limbeck.results.upgrade import upgrade

KINDS = ["classification", "ranking", "generation"]
HOSTILE = [
    "<script>alert(1)</script>",
    "$x_$",
    "\"&'",
    "a|b\n# c",
    "\u202eعربي",
    "nul\x00\x1b[31m",
    "",
    "`" * 5,
    "very long " * 300,
    "{{ 7*7 }}",
]


def record(name: str) -> Results:
    return Results.model_validate(upgrade(old_record(name)))


USES = {
    "classification": classifier_use(),
    "generation": writer_use(),
    "ranking": Use(what="model that ranks", task="text-ranking", command="limbeck predict THIS_FOLDER records.jsonl"),
}


def card_of(results: Results, *words: Any) -> str:
    """The model card of a run, whose student is used as any of its kind."""
    return render_card(results, USES[results.kind], *words)


def changed(results: Results, **fields: Any) -> Results:
    """The record with other fields; those of the run may be among them."""
    of_run = {name: fields.pop(name) for name in list(fields) if name in type(results.run).model_fields}
    run = results.run.model_copy(update=of_run)
    return results.model_copy(update={**fields, "run": run})


def hostile(results: Results) -> Results:
    """The same with texts that break what does not escape them, wherever a user's text may stand."""
    texts = {"label", "text", "text_pair", "gold", "teacher_label", "student_label", "prompt", "reference"}
    labels = next((s.labels for s in results.sections if s.kind == "classes"), [])
    # Different labels stay different, or they would be one class.
    odd = {
        label: HOSTILE[n] if n < len(HOSTILE) else f"{HOSTILE[n % len(HOSTILE)]} {n}" for n, label in enumerate(labels)
    }
    place = iter(range(10**6))

    def walk(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: walk(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [walk(item, key) for item in value]
        if isinstance(value, str) and value in odd:
            return odd[value]
        if isinstance(value, str) and key in texts:
            return HOSTILE[next(place) % len(HOSTILE)]
        return value

    found = walk(json.loads(results.model_dump_json()))
    found["run"]["name"] = HOSTILE[0]
    found["run"]["command"] = f"{HOSTILE[0]} ```"
    found["verdict"], found["warnings"] = HOSTILE, HOSTILE
    for n, system in enumerate(found["systems"]):
        system["title"], system["detail"] = HOSTILE[n % 5] or "x", HOSTILE[-1 - n % 5]
    for section in found["sections"]:
        if section["kind"] == "languages":
            section["names"] = {lang: HOSTILE[n % 5] for n, lang in enumerate(section["names"])}
    for n, curve in enumerate(found["curves"]):
        curve["series"] = f"term/{HOSTILE[n % 2]}"
    return Results.model_validate(found)


@pytest.fixture(scope="session")
def records() -> dict[str, Results]:
    """Records by kind."""
    return {kind: record(kind) for kind in KINDS}


@pytest.fixture(scope="session")
def bare() -> dict[str, Results]:
    """Records by kind that have hardly anything."""
    return {kind: record(f"bare_{kind}") for kind in KINDS}


@pytest.fixture(scope="session")
def pages(records: dict[str, Results]) -> dict[str, str]:
    """Pages by kind, drawn once: drawing takes nearly all of the time."""
    return {kind: render_report(results) for kind, results in records.items()}


@pytest.fixture(scope="session")
def hostile_records(records: dict[str, Results]) -> dict[str, Results]:
    return {kind: hostile(results) for kind, results in records.items()}


@pytest.fixture(scope="session")
def hostile_pages(hostile_records: dict[str, Results]) -> dict[str, str]:
    return {kind: render_report(results) for kind, results in hostile_records.items()}
