"""The user's own rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.instructions.originals import original

from limbeck.data.instructions.make import Part
from limbeck.data.instructions.rows import own_rows, own_translations
from limbeck.data.instructions.translation import Distractors
from limbeck.errors import ConfigError, DataError
from limbeck.types import Instruction

ROWS = [
    {"language": "eng", "q": "Who?", "a": "Me.", "mood": "good", "n": 1},
    {"language": "bul", "q": "Кой?", "a": "Аз.", "mood": "good", "n": 1},
    {"language": "bul", "q": "Как?", "a": "Така.", "mood": "bad", "n": 2},
]
NAMES: dict[str, Any] = {
    "task": "qa",
    "labels": ["good", "bad", "so so"],
    "text": "q",
    "text_pair": "a",
    "label": "mood",
    "language": "language",
    "key": "n",
}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".csv":
            path.write_text("\n".join(",".join(map(str, cells)) for cells in [rows[0], *(r.values() for r in rows)]))
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
    return path.parent


def seen(records: list[Instruction]) -> list[tuple[Any, ...]]:
    return [(record.id, record.parallel, *original(record)[1:]) for record in records]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_one_file_with_a_field_for_the_language(tmp_path: Path, suffix: str) -> None:
    folder = write(tmp_path / f"train{suffix}", ROWS)
    records = own_rows(Part(folder, "train", ["bg", "en"]), **NAMES)
    assert seen(records) == [
        ("rows/train/en/qa/1", "rows/qa/train/1", "Who?", "Me.", "good"),
        ("rows/train/bg/qa/1", "rows/qa/train/1", "Кой?", "Аз.", "good"),
        ("rows/train/bg/qa/2", "rows/qa/train/2", "Как?", "Така.", "bad"),
    ]
    assert records[0].candidates == records[1].candidates
    assert len(own_rows(Part(folder, "train", ["en"]), **NAMES)) == 1


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_one_file_a_language_without_keys(tmp_path: Path, suffix: str) -> None:
    folder = write(tmp_path / f"test.bg{suffix}", ROWS[1:])
    records = own_rows(Part(folder, "test", ["bg"]), **{**NAMES, "language": None, "key": None})
    assert [record.parallel for record in records] == [None, None]
    assert [(record.lang, record.input) for record in records] == [("bg", "Кой?"), ("bg", "Как?")]
    with pytest.raises(DataError, match=r"expected test\.de\.jsonl"):
        own_rows(Part(folder, "test", ["de"]), **{**NAMES, "language": None, "key": None})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mood": "fine"}, "line 3, field 'mood': unknown label 'fine'"),
        ({"a": ""}, "line 3, field 'a': empty"),
        ({"language": None}, "line 3, field 'language': expected the code of a language, got None"),
        ({"n": None}, "line 3, field 'n': expected a number or a text that translations share, got None"),
        ({"n": 1}, "line 3, field 'n': 1 is there twice in 'bg'"),
    ],
)
def test_bad_rows(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write(tmp_path / "train.jsonl", [*ROWS[:2], {**ROWS[2], **change}])
    with pytest.raises(DataError, match=f"train.jsonl, {message}"):
        own_rows(Part(folder, "train", ["bg", "en"]), **NAMES)


def test_a_line_that_is_not_json(tmp_path: Path) -> None:
    folder = write(tmp_path / "train.jsonl", ROWS)
    with (folder / "train.jsonl").open("a") as file:
        file.write('{"language"\n')
    with pytest.raises(DataError, match=r"1 rows cannot be used:\n.*train.jsonl, line 4: not valid JSON"):
        own_rows(Part(folder, "train", ["bg"]), **NAMES)


def test_a_misspelt_label_field(tmp_path: Path) -> None:
    rows = [{"lang": "en", "text": "x", "labels": "a"}]
    with pytest.raises(DataError, match="no row has the label field 'label'; did you mean 'labels'"):
        own_rows(Part(write(tmp_path / "train.jsonl", rows), "train", ["en"]), task="topic", labels=["a", "b"])


def test_labels_and_languages_that_cannot_be(tmp_path: Path) -> None:
    folder = write(tmp_path / "train.jsonl", ROWS)
    for labels in (["good"], ["good", "good"]):
        with pytest.raises(ConfigError, match="two or more different names"):
            own_rows(Part(folder, "train", ["bg"]), **{**NAMES, "labels": labels})
    with pytest.raises(DataError, match=r"nothing in 'sk'. It has: bg \(bul\), en \(eng\)"):
        own_rows(Part(folder, "train", ["sk"]), **NAMES)


def test_rows_without_labels(tmp_path: Path) -> None:
    folder = write(tmp_path / "train.jsonl", [{"lang": "bg", "text": "x"}])
    (record,) = own_rows(Part(folder, "train", ["bg"]), task="topic", labels=["a", "b"])
    assert record.gold == ()


def test_own_translations(tmp_path: Path) -> None:
    rows = [{"lang": lang, "text": f"{lang} {i}", "n": f"k{i}"} for lang in ("en", "bg") for i in range(3)]
    folder = write(tmp_path / "dev.jsonl", rows)
    records = own_translations(Part(folder, "dev", ["bg"]), key="n", distractors=Distractors(1, 1))
    assert [(record.id, record.input, original(record).answer) for record in records] == [
        (f"rows/dev/bg/translation/k{i}", f"en {i}", f"bg {i}") for i in range(3)
    ]


def test_labels_in_the_words_of_a_language_stand_where_the_names_stood(tmp_path: Path) -> None:
    folder = write(tmp_path / "train.jsonl", ROWS)
    words = {"good": "добре", "bad": "зле", "so so": "горе-долу"}
    english, *bulgarian = own_rows(Part(folder, "train", ["bg", "en"]), **NAMES, label_words={"bul": words})
    assert original(english).answer == "good"
    assert [original(record).answer for record in bulgarian] == ["добре", "зле"]
    assert bulgarian[0].candidates == tuple(words[name] for name in english.candidates)


@pytest.mark.parametrize(
    ("name", "field"), [("text", "question"), ("text_pair", "question"), ("language", "langage"), ("key", "number")]
)
@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_field_that_no_row_has_is_one_fault(tmp_path: Path, name: str, field: str, suffix: str) -> None:
    folder = write(tmp_path / f"train{suffix}", ROWS)
    with pytest.raises(DataError) as caught:
        own_rows(Part(folder, "train", ["bg", "en"]), **NAMES | {name: field})
    said = str(caught.value)
    assert "\n" not in said
    assert f"'{field}'; " in said
    assert "did you mean 'language'?" in said or "known here: a, language, mood, n, q" in said
