"""What users get wrong in rows with entities, numbers or several labels: exit code 2, and what, where and what to do.

Every way in which a row can be wrong is in `tests/data/tagging` and `tests/data/targets`; these are the same checks as
the commands show them, before any model is loaded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., tuple[int, str, str]]

WORDS: dict[str, Any] = {"kind": "token_classification", "words": "words"}
TEXT: dict[str, Any] = {"kind": "token_classification", "text": "text"}
NUMBER: dict[str, Any] = {"kind": "regression"}
LABELS: dict[str, Any] = {"kind": "multi_label"}
GOOD = {
    "words": ["Anna", "sings"], "tags": ["B-PER", "O"], "text": "Anna sings",
    "spans": [{"start": 0, "end": 4, "label": "PER"}], "value": 4.5, "labels": ["calm"],
}  # fmt: skip
ADVICE = "Correct these rows, or set `data.on_bad_row: quarantine` to continue without them."


def span(start: int, end: int) -> dict[str, Any]:
    return {"start": start, "end": end, "label": "PER"}


def write_run(folder: Path, task: dict[str, Any], rows: list[dict[str, Any]], **sections: Any) -> Path:
    """Write rows and a run file; the models that it names are not there."""
    written = [{**row, "text": f"{row['text']} {n}"} for n, row in enumerate(rows)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in written), encoding="utf-8")
    values = {
        "task": task,
        "data": {"train": str(folder / "rows.jsonl")},
        "teacher": {"model": str(folder / "none"), "fine_tune": {}},
        "student": {"from_teacher": {"layers": "first", "keep": 1}},
        "recipe": "kd",
        "output": str(folder / "run"),
        **sections,
    }
    path = folder / "run.yaml"
    path.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in values.items()), encoding="utf-8")
    return path


@pytest.mark.fast_cases(8)
@pytest.mark.parametrize(
    ("task", "changed", "expected"),
    [
        (WORDS, {"tags": ["Q-PER", "O"]}, "field 'tags': tag 'Q-PER' is not in the scheme bio"),
        (WORDS, {"tags": ["S-PER", "O"]}, "field 'tags': tag 'S-PER' is not in the scheme bio"),
        (WORDS, {"tags": ["B-PER"]}, "field 'tags': 1 tags for 2 words"),
        (TEXT, {"spans": [span(0, 99)]}, "field 'spans': span 1 goes from 0 to 99, but the text has 13 characters"),
        (TEXT, {"spans": [span(0, 4), span(2, 6)]}, "field 'spans': spans 0-4 (PER) and 2-6 (PER) overlap"),
        (NUMBER, {"value": "good"}, "field 'value': expected a number, got text: 'good'"),
        (NUMBER, {"value": math.nan}, "field 'value': expected a number, got nan"),
        (NUMBER, {"value": "nan"}, "field 'value': expected a number, got text: 'nan'"),
        (LABELS, {"labels": "none;calm"}, "field 'labels': 'none' (none of the labels) stands next to labels"),
        (
            LABELS,
            {"labels": 3},
            "field 'labels': expected a list of labels, or a text with ';' between them, got a num",
        ),
    ],
)
@pytest.mark.parametrize("name", ["distill", "doctor"])
def test_a_bad_row(
    name: str, task: dict[str, Any], changed: dict[str, Any], expected: str, tmp_path: Path, limbeck: Command
) -> None:
    path = write_run(tmp_path, task, [*[GOOD] * 10, {**GOOD, **changed}, *[GOOD] * 9])
    code, _, said = limbeck(name, str(path))
    assert code == 2
    assert f"1 of 20 rows cannot be used: {tmp_path / 'rows.jsonl'}, line 11, {expected}" in said
    assert said.endswith(ADVICE)
    assert not (tmp_path / "run" / "results.json").exists()


def test_a_tag_of_another_scheme_says_which_scheme_has_it(tmp_path: Path, limbeck: Command) -> None:
    code, _, err = limbeck("distill", str(write_run(tmp_path, WORDS, [{**GOOD, "tags": ["S-PER", "O"]}] * 20)))
    assert (code, "set task.scheme: bioes" in err) == (2, True)
    code, _, err = limbeck("distill", str(write_run(tmp_path, {**WORDS, "scheme": "bilou"}, [GOOD] * 20)))
    assert code == 2
    assert "task.scheme: Input should be 'bio', 'bioes' or 'io' (got 'bilou')" in err


@pytest.mark.parametrize(
    ("task", "changed", "expected"),
    [
        (NUMBER, {}, "'value' is 4.5 in all 18 training rows that have it: there is nothing to learn, and no "),
        (
            NUMBER,
            {"value": None},
            "none of the 18 training rows has an answer in field value. Name a ",
        ),
        (
            LABELS,
            {"labels": []},
            "found no label in 18 training rows. Check task.label and task.separator, ",
        ),
        (LABELS, {"labels": None}, "found no label in 18 training rows."),
        (
            WORDS,
            {"tags": ["O", "O"]},
            "found no entity in 20 training rows; a tagger needs at least one. Check ",
        ),
    ],
)
def test_rows_that_teach_nothing(
    task: dict[str, Any], changed: dict[str, Any], expected: str, tmp_path: Path, limbeck: Command
) -> None:
    code, _, err = limbeck("distill", str(write_run(tmp_path, task, [{**GOOD, **changed}] * 20)))
    assert code == 2
    assert expected in err


@pytest.mark.parametrize(
    ("task", "key", "given"),
    [(WORDS, "tags", "gold"), (LABELS, "label", "topics"), (NUMBER, "value", "price")],
    ids=["tags", "labels", "values"],
)
def test_a_field_of_answers_that_no_row_has_is_answered_with_those_of_the_rows(
    task: dict[str, Any], key: str, given: str, tmp_path: Path, limbeck: Command
) -> None:
    path = write_run(tmp_path, {**task, key: given}, [GOOD] * 20)
    code, _, err = limbeck("distill", str(path))
    assert code == 2
    assert f"No training row has the field '{given}'; fields of the rows: {', '.join(GOOD)}" in err


def test_a_row_without_labels_is_labelled_and_one_without_the_field_is_not(tmp_path: Path, limbeck: Command) -> None:
    rows = [*[GOOD] * 10, *[{**GOOD, "labels": []}] * 6, *[{**GOOD, "labels": None}] * 4]
    test = tmp_path / "test.jsonl"
    test.write_text(json.dumps({**GOOD, "text": "held out"}) + "\n", encoding="utf-8")
    path = write_run(tmp_path, LABELS, rows, data={"train": str(tmp_path / "rows.jsonl"), "test": str(test)})
    code, _, said = limbeck("doctor", str(path))
    assert code == 2, "its models are not there"
    assert "20 training rows (16 labelled), 1 held-out rows, 0 left out; calm" in said
