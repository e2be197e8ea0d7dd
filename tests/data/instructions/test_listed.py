"""Rows that list their own candidates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.data.instructions.originals import original

from limbeck.data.instructions.checks import check_instructions
from limbeck.data.instructions.listed import own_candidates
from limbeck.data.instructions.make import Part
from limbeck.errors import DataError

ROWS: list[dict[str, Any]] = [
    {
        "lang": "en",
        "n": i,
        "text": f"Q{i}?",
        "candidates": ["right", *(f"wrong {j}" for j in range(3))],
        "label": "right",
    }
    for i in range(20)
]


def write(folder: Path, rows: list[dict[str, Any]], name: str = "train.jsonl") -> Path:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_choice_for_each_row(tmp_path: Path) -> None:
    records = own_candidates(Part(write(tmp_path, ROWS), "train", ["en"]), task="qa", source="own")
    check_instructions(records)
    assert [original(record).answer for record in records] == ["right"] * 20
    assert {frozenset(record.candidates) for record in records} == {frozenset(ROWS[0]["candidates"])}
    assert len({record.gold for record in records}) == 4, "the right answer is at no fixed place"
    assert records[2].id == "own/train/en/qa/3"


def test_translations_list_their_candidates_in_one_order(tmp_path: Path) -> None:
    bulgarian = [{**row, "lang": "bg", "candidates": list("абвг"), "label": "а"} for row in ROWS]
    folder = write(tmp_path, [*ROWS, *bulgarian])
    records = own_candidates(Part(folder, "train", ["en", "bg"]), task="qa", key="n")
    assert [record.gold for record in records[:20]] == [record.gold for record in records[20:]]
    assert records[0].parallel == records[20].parallel == "rows/qa/train/0"


def test_grades_labels_and_neither(tmp_path: Path) -> None:
    pages = {"lang": "en", "text": "q", "candidates": ["a", "b", "c"]}
    rows = [{**pages, "grades": [2, 0, 2.0]}, {**pages, "label": ["b", "c"]}, pages]
    graded, several, none = own_candidates(Part(write(tmp_path, rows), "train", ["en"]), task="web_pages")
    assert dict(zip(graded.candidates, graded.grades or (), strict=True)) == {"a": 2, "b": 0, "c": 2}
    assert {graded.candidates[place] for place in graded.gold} == {"a", "c"}
    assert {several.candidates[place] for place in several.gold} == {"b", "c"}
    assert several.grades is none.grades is None
    assert none.gold == ()


def test_slots_and_groups(tmp_path: Path) -> None:
    row = {"lang": "de", "text": "Bonn lag da", "candidates": ["LOC", "none"], "label": "LOC", "span": "Bonn", "at": 0}
    rows = [{**row, "group": 7}, row]
    first, second = own_candidates(Part(write(tmp_path, rows), "train", ["de"]), task="ner", slots=["span", "at"])
    assert first.slots == (("span", "Bonn"), ("at", "0"))
    assert (first.group, second.group) == ("rows/train/de/7", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidates": "right"}, "line 2, field 'candidates': expected a list of two texts or more, got 'right'"),
        ({"candidates": ["right"]}, "line 2, field 'candidates': expected a list of two texts or more"),
        ({"candidates": ["right", 3]}, "line 2, field 'candidates': expected a list of two texts or more"),
        ({"label": "left"}, "line 2, field 'label': expected one of the candidates, or a list of them, got 'left'"),
        ({"grades": [1, 2]}, "line 2, field 'grades': expected a number of 0 or more for each of 4 candidates"),
        ({"grades": [1, 2, 3, -1]}, "line 2, field 'grades': expected a number"),
        ({"grades": [1, 2, 3, "4"]}, "line 2, field 'grades': expected a number"),
        ({"n": None}, "line 2, field 'n': expected a text, got None"),
        ({"text": ""}, "line 2, field 'text': empty"),
    ],
)
def test_bad_rows(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write(tmp_path, [ROWS[0], {**ROWS[1], **change}, ROWS[2]])
    with pytest.raises(DataError, match=f"train.jsonl, {message}"):
        own_candidates(Part(folder, "train", ["en"]), task="qa", slots=["n"])


def test_tables_have_no_lists(tmp_path: Path) -> None:
    write(tmp_path, [], "train.csv")
    with pytest.raises(DataError, match=r"train.csv: candidates are lists, so this layout reads only JSON Lines"):
        own_candidates(Part(tmp_path, "train", ["en"]), task="qa")
