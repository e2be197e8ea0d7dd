"""Rows with any number of labels: none at all is not the same as not labelled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from limbeck.data.targets.multi_label import MultiLabel, label_matrix, labels_in, load_label_sets
from limbeck.errors import DataError

NAMES = MultiLabel()
COLUMNS = MultiLabel(label=["price", "speed"])
EXPECTED = [("price", "speed"), ("price",), (), None]


def json_lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def refusal(path: Path, task: MultiLabel = NAMES, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        load_label_sets(path, task, **options)
    return str(caught.value)


def test_every_format_of_names_gives_the_same_rows(tmp_path: Path) -> None:
    lists = [["speed", "price"], ["price"], [], None]
    json_lines(tmp_path / "a.jsonl", *({"text": "x", "labels": names} for names in lists))
    cells = ["speed; price", "price;", "none", ""]
    (tmp_path / "b.csv").write_text("text,labels\n" + "".join(f"x,{cell}\n" for cell in cells))
    pq.write_table(pa.table({"text": ["x"] * 4, "labels": lists}), tmp_path / "c.parquet")
    loaded = load_label_sets(tmp_path, NAMES)
    assert loaded.targets == EXPECTED * 3
    assert loaded.labelled_N.sum() == 9
    assert labels_in(loaded) == ["price", "speed"]


def test_columns_of_0_and_1(tmp_path: Path) -> None:
    cells = [(1, 1), (1, 0), (0, 0), (None, None)]
    json_lines(tmp_path / "a.jsonl", *({"text": "x", "price": price, "speed": speed} for price, speed in cells))
    (tmp_path / "b.csv").write_text("text,price,speed\nx,1,true\nx,1.0,False\nx,0,0\nx,,\n")
    columns = {"price": [True, True, False, None], "speed": [True, False, False, None]}
    pq.write_table(pa.table({"text": ["x"] * 4, **columns}), tmp_path / "c.parquet")
    loaded = load_label_sets(tmp_path, COLUMNS)
    assert loaded.targets == EXPECTED * 3
    assert COLUMNS.names == ["price", "speed"]


def test_hub_rows_with_numbers_for_labels() -> None:
    classes = datasets.List(datasets.ClassLabel(names=["price", "speed"]))
    features = datasets.Features({"text": datasets.Value("string"), "labels": classes})
    table = datasets.Dataset.from_dict({"text": ["x"] * 4, "labels": [[1, 0], [0], [], None]}, features=features)
    assert load_label_sets("hub:org/set", NAMES, _load_dataset=lambda *_, **__: table).targets == EXPECTED


def test_the_matrix_of_labels() -> None:
    matrix = label_matrix(EXPECTED, ["speed", "price"])
    assert matrix[:3].tolist() == [[1, 1], [0, 1], [0, 0]]
    assert np.isnan(matrix[3]).all()


def test_a_teachers_labels_in_the_same_form(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", {"text": "x", "by": "speed"}, {"text": "y", "labels": [], "by": "none"})
    loaded = load_label_sets(path, NAMES, teacher=("by",))
    assert (loaded.targets, loaded.teacher_targets) == ([None, ()], [("speed",), ()])
    assert labels_in(loaded) == ["speed"]
    path = json_lines(tmp_path / "a.jsonl", {"text": "x", "p": 0, "s": 1})
    assert load_label_sets(path, COLUMNS, teacher=("p", "s")).teacher_targets == [("speed",)]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("none;speed", "'none' (none of the labels) stands next to labels: ['none', 'speed']"),
        (["speed", ""], "empty"),
        ([["speed"]], "expected text, a whole number, true or false, got a list"),
        (3, "expected a list of labels, or a text with ';' between them, got a number: 3"),
        ("sped", "unknown label 'sped'; did you mean 'speed'?"),
        ("price, speed", "unknown label 'price, speed'"),
    ],
)
def test_labels_that_cannot_be_used(tmp_path: Path, labels: Any, expected: str) -> None:
    path = json_lines(tmp_path / "a.jsonl", {"text": "x", "labels": labels})
    assert f"a.jsonl, line 1, field 'labels': {expected}" in refusal(path, labels=["price", "speed"])


@pytest.mark.parametrize(
    ("price", "speed", "expected"),
    [
        (1, None, "speed empty or missing: a row must have 0 or 1 for every label, or nothing at all"),
        (1, 2, "speed: expected 0 or 1 (false or true), got a number: 2"),
        ("yes", 0, "price: expected 0 or 1 (false or true), got text: 'yes'"),
        (0.5, 0, "price: expected 0 or 1 (false or true), got a number: 0.5"),
    ],
)
def test_columns_that_cannot_be_used(tmp_path: Path, price: Any, speed: Any, expected: str) -> None:
    path = json_lines(tmp_path / "a.jsonl", {"text": "x", "price": price, "speed": speed})
    assert f"a.jsonl, line 1, field 'price': {expected}" in refusal(path, COLUMNS)


def test_labels_that_look_like_known_ones_are_the_names_fault(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", {"text": "x", "labels": ["Speed"]})
    assert "has 'Speed' for 'speed': 1 row" in refusal(path, labels=["price", "speed"])


def test_rows_without_any_label_cannot_name_them(tmp_path: Path) -> None:
    loaded = load_label_sets(json_lines(tmp_path / "a.jsonl", {"text": "x", "labels": []}, {"text": "y"}), NAMES)
    with pytest.raises(DataError, match="found no label in 2 training rows"):
        labels_in(loaded)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"label": ["a", "a"]}, "label: expected different names"),
        ({"labels": ["a", "a"]}, "labels: expected different names"),
        ({"label": ["a", "b"], "labels": ["b", "a"]}, "labels: remove it, since the fields in label name them"),
        ({"labels": ["a", "none"]}, "none: 'none' is one of the labels"),
    ],
)
def test_faults_of_the_task(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MultiLabel(**fields)
