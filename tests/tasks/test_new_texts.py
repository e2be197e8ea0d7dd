"""Texts to be labelled, from files and from standard input."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from limbeck.data.records import Fields
from limbeck.errors import DataError
from limbeck.tasks.new_texts import best_labels, new_texts

PAIRS = [{"text": "a", "other": "b", "lang": "bg"}, {"text": "c", "other": "d"}]


@pytest.mark.parametrize("source", ["file", "lines"])
def test_rows_are_the_same_from_a_file_and_from_lines(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "".join(json.dumps(row) + "\n" for row in PAIRS)
    file = tmp_path / "rows.jsonl"
    file.write_text(content, encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    rows = list(new_texts(str(file) if source == "file" else "-", Fields("text", "other", "lang")))
    assert [(row.text, row.text_pair, row.label) for row in rows] == [("a", "b", "bg"), ("c", "d", None)]
    assert str(rows[1].where).endswith(":2")


def test_a_plain_line_is_a_text_but_no_pair(tmp_path: Path) -> None:
    file = tmp_path / "rows.txt"
    file.write_text("a b\n", encoding="utf-8")
    (row,) = new_texts(str(file), Fields("text"))
    assert (row.text, row.text_pair) == ("a b", None)
    with pytest.raises(DataError, match=r"rows\.txt:1: this student reads pairs; give JSON objects with text and x"):
        list(new_texts(str(file), Fields("text", "x")))


def test_rows_before_a_bad_one_come_first(tmp_path: Path) -> None:
    file = tmp_path / "rows.txt"
    file.write_text("a\n{\n", encoding="utf-8")
    rows = new_texts(str(file), Fields("text"))
    assert next(rows).text == "a"
    with pytest.raises(DataError, match=r"rows\.txt:2: looks like JSON but is not"):
        next(rows)


def test_the_best_labels_are_kept() -> None:
    answer = {"label": "x", "probabilities": {"x": 0.7, "y": 0.2, "z": 0.1}}
    assert list(best_labels([answer], 2)) == [{"label": "x", "probabilities": {"x": 0.7, "y": 0.2}}]
    assert list(best_labels([answer], None)) == [answer]
