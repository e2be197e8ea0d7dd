"""JSON Lines of tagged sentences, all made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limbeck.data.instructions.make import original
from limbeck.data.instructions.tagged_files import tagged_entities, tagged_words
from limbeck.errors import ConfigError, DataError
from limbeck.types import Instruction

TYPES = ("PER", "LOC", "ORG")


def write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps({"lang": "bg", **row}) + "\n" for row in rows)
    (folder / "train.jsonl").write_text(text)
    return folder


def read(folder: Path, **options: Any) -> list[Instruction]:
    return tagged_entities(folder, "train", ["bg"], source="own", entities=TYPES, **options)


def test_files_of_entities_and_words(tmp_path: Path) -> None:
    rows = [
        {"tokens": ["a", "b"], "tags": ["B-PER", "I-PER"]},
        {"tokens": ["c", "d", "e"], "tags": ["O", "B-LOC", "O"]},
    ]
    records = read(write(tmp_path, rows), most=None)
    found = {dict(r.slots)["span"]: original(r).answer for r in records}
    assert {span: kind for span, kind in found.items() if kind != "none"} == {"a b": "PER", "d": "LOC"}
    assert records[0].id == "own/train/bg/ner/1/0-2"
    words = tagged_words(write(tmp_path, [{"tokens": ["a"], "tags": ["X"]}]), "train", ["bg"], source="own")
    assert [original(record) for record in words] == [("pos", "a", None, "X")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["a"], "tags": ["O", "O"]}, "line 1, field 'tags': 2 tags for 1 tokens"),
        ({"tokens": ["a"], "tags": ["B-MISC"]}, "line 1, field 'tags': unknown tag 'B-MISC'; expected one of B-LOC"),
        ({"tokens": ["a b"], "tags": ["O"]}, "line 1, field 'tokens': expected words without white space, got 'a b'"),
        ({"tokens": [], "tags": []}, "line 1, field 'tokens': expected a list of texts"),
        ({"tokens": ["a"]}, "line 1, field 'tags': expected a list of texts, got None"),
    ],
)
def test_bad_sentences(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, [row]))


def test_no_records_of_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected 1 or more records a sentence"):
        read(tmp_path, most=0)
