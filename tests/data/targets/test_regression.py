"""Rows with numbers, and everything that is none."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from limbeck.data.targets.regression import Regression, load_values, scale_of, value_matrix
from limbeck.errors import DataError
from limbeck.types import Origin

ONE = Regression()
TWO = Regression(value=["joy", "fear"])


def json_lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def refusal(path: Path, task: Regression = ONE) -> str:
    with pytest.raises(DataError) as caught:
        load_values(path, task)
    return str(caught.value)


def test_every_format_gives_the_same_rows(tmp_path: Path) -> None:
    json_lines(tmp_path / "a.jsonl", {"text": "x", "value": 4.5}, {"text": "y"})
    (tmp_path / "b.csv").write_text("text,value\nx,4.5\ny,\n")
    (tmp_path / "c.tsv").write_text("value\ttext\n4.5\tx\n \ty\n")
    pq.write_table(pa.table({"text": ["x", "y"], "value": [4.5, None]}), tmp_path / "d.parquet")
    loaded = load_values(tmp_path, ONE)
    assert loaded.targets == [(4.5,), None] * 4
    assert loaded.labelled_N.sum() == 4
    assert loaded.rows.text == ["x", "y"] * 4
    assert loaded.rows.origin[2] == Origin(str(tmp_path / "b.csv"), 2)


def test_pairs_with_several_numbers_and_a_teachers(tmp_path: Path) -> None:
    rows = [
        {"a": "x", "b": "y", "joy": 1, "fear": -2.5, "t_joy": "1e-3", "t_fear": 0},
        {"a": "z", "b": "w", "joy": None, "fear": None, "t_joy": 1, "t_fear": 2},
    ]
    task = Regression(text="a", text_pair="b", value=["joy", "fear"])
    loaded = load_values(json_lines(tmp_path / "a.jsonl", *rows), task, teacher=("t_joy", "t_fear"))
    assert loaded.rows.text_pair == ["y", "w"]
    assert loaded.targets == [(1.0, -2.5), None]
    assert loaded.teacher_targets == [(0.001, 0.0), (1.0, 2.0)]
    matrix = value_matrix(loaded.targets, task.names)
    assert matrix[0].tolist() == [1.0, -2.5]
    assert np.isnan(matrix[1]).all()


@pytest.mark.parametrize("value", ["0", "-1.5", "+2", ".5", "5.", "1e3", "1E-3", " 7 "])
def test_text_that_spells_a_number(tmp_path: Path, value: str) -> None:
    path = json_lines(tmp_path / "a.jsonl", {"text": "x", "value": value}, {"text": "y", "value": 1})
    assert load_values(path, ONE).targets[0] == (float(value),)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("good", "expected a number, got text: 'good'"),
        ("nan", "expected a number, got text: 'nan'"),
        ("1_000", "expected a number, got text: '1_000'"),
        ("٣", "expected a number, got text"),
        ("4,5", "expected a number, got text: '4,5'; write a point before the decimals"),
        (math.nan, "expected a number, got nan"),
        (math.inf, "expected a number, got inf"),
        (-math.inf, "expected a number, got -inf"),
        (10**400, "expected a number, got 1000"),
        (True, "expected a number, got true or false: True"),
        ([1], "expected a number, got a list: [1]"),
    ],
)
def test_what_is_no_number_is_refused_with_its_line(tmp_path: Path, value: Any, expected: str) -> None:
    path = json_lines(tmp_path / "a.jsonl", {"text": "x", "value": 1}, {"text": "y", "value": value})
    assert f"a.jsonl, line 2, field 'value': {expected}" in refusal(path)


def test_a_row_has_all_its_numbers_or_none(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", {"text": "x", "joy": 1, "fear": 2}, {"text": "y", "joy": 1})
    assert "field 'joy': fear missing: a row must have all its numbers, or none" in refusal(path, TWO)
    path = json_lines(tmp_path / "a.jsonl", {"text": "x", "joy": 1, "fear": "much"})
    assert "field 'joy': fear: expected a number, got text: 'much'" in refusal(path, TWO)


def test_a_misspelt_field_is_not_taken_for_rows_without_a_number(tmp_path: Path) -> None:
    assert "did you mean 'valeu'" in refusal(json_lines(tmp_path / "a.jsonl", {"text": "x", "valeu": 1}))
    path = json_lines(tmp_path / "a.jsonl", {"text": "x", "joy": 1, "faer": 2})
    assert "no row has the label field 'fear'; did you mean 'faer'" in refusal(path, TWO)


def test_bad_rows_can_be_set_aside(tmp_path: Path) -> None:
    rows = [{"text": "x", "value": "?"}, *[{"text": "y", "value": 1}] * 2]
    path = json_lines(tmp_path / "a.jsonl", *rows)
    loaded = load_values(path, ONE, on_bad_row="quarantine", quarantine=tmp_path / "q.jsonl")
    assert loaded.left_out == 1
    assert json.loads((tmp_path / "q.jsonl").read_text())["row"] == rows[0]


def test_the_scale_is_that_of_rows_with_numbers() -> None:
    values = np.array([[1.0, 10.0], [np.nan, np.nan], [3.0, 30.0]])
    scale = scale_of(values, ("a", "b"))
    assert scale.mean.tolist() == [2.0, 20.0]
    assert scale.deviation.tolist() == [1.0, 10.0]
    standardised = scale.standardised(values)
    assert standardised[[0, 2]].tolist() == [[-1.0, -1.0], [1.0, 1.0]]
    assert scale.in_units(standardised)[[0, 2]].tolist() == values[[0, 2]].tolist()


def test_one_constant_value_is_refused() -> None:
    with pytest.raises(DataError, match=r"'b' is 0\.1 in all 2 training rows that have it: there is nothing to learn"):
        scale_of(np.array([[1.0, 0.1], [np.nan, np.nan], [2.0, 0.1]]), ("a", "b"))


@pytest.mark.parametrize("known", [0, 1])
def test_too_few_numbers_are_refused(known: int) -> None:
    values = np.array([[1.0]] * known + [[np.nan]] * 2)
    with pytest.raises(DataError, match=f"{known} of {known + 2} training rows have a number in value"):
        scale_of(values, ("value",))


@pytest.mark.parametrize("value", [[], ["a", "a"]])
def test_fields_of_several_numbers_differ(value: list[str]) -> None:
    with pytest.raises(ValidationError, match="expected the name of a field, or a list of different ones"):
        Regression(value=value)
