"""Tagged rows of every format, and every way in which one can be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from limbeck.data.records import BadRow, Record
from limbeck.data.tagging.rows import TaggedRow, labels_in, load_tagged, tagged_row
from limbeck.data.tagging.scheme import Span
from limbeck.data.tagging.task import TokenClassification
from limbeck.errors import DataError

WORDS = TokenClassification(words="words")
TEXT = TokenClassification(text="text")
ANNA = TaggedRow("Anna sings in Rome", ((0, 4), (5, 10), (11, 13), (14, 18)), (Span(0, 4, "PER"), Span(14, 18, "LOC")))
ANNA_WORDS, ANNA_TAGS = ["Anna", "sings", "in", "Rome"], ["B-PER", "O", "O", "B-LOC"]


def json_lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def reason(task: TokenClassification, row: dict[str, Any], labels: set[str] | None = None) -> str:
    checked = tagged_row(Record(7, row), task, None, None if labels is None else frozenset(labels))
    assert isinstance(checked, BadRow), checked
    return checked.describe("a.jsonl")


def test_every_format_of_words_gives_the_same_rows(tmp_path: Path) -> None:
    row = {"words": ANNA_WORDS, "tags": ANNA_TAGS}
    blanks = {"words": " ".join(ANNA_WORDS), "tags": " ".join(ANNA_TAGS)}
    json_lines(tmp_path / "a.jsonl", row)
    json_lines(tmp_path / "b.jsonl", blanks)
    (tmp_path / "c.json").write_text(json.dumps([row]))
    (tmp_path / "d.csv").write_text(f"words,tags\n{blanks['words']},{blanks['tags']}\n")
    (tmp_path / "e.conll").write_text("".join(f"{w}\tX\t{t}\n" for w, t in zip(ANNA_WORDS, ANNA_TAGS, strict=True)))
    pq.write_table(pa.table({key: [value] for key, value in row.items()}), tmp_path / "f.parquet")
    loaded = load_tagged(tmp_path, WORDS)
    assert loaded.rows == [ANNA] * 6
    assert loaded.labelled_N.sum() == 6
    assert loaded.warnings == []
    assert [origin.line for origin in loaded.origin] == [1, 1, 1, 2, 1, 1]


def test_every_format_of_spans_gives_the_same_rows(tmp_path: Path) -> None:
    spans = [{"start": 14, "end": 18, "label": "LOC"}, {"start": 0, "end": 4, "label": "PER", "text": "Anna"}]
    row = {"text": ANNA.text, "spans": spans}
    json_lines(tmp_path / "a.jsonl", row)
    cell = json.dumps(spans).replace('"', '""')
    (tmp_path / "b.csv").write_text(f'text,spans\n{ANNA.text},"{cell}"\n')
    without = [{key: span[key] for key in ("start", "end", "label")} for span in spans]
    pq.write_table(pa.table({"text": [ANNA.text], "spans": [without]}), tmp_path / "c.parquet")
    assert load_tagged(tmp_path, TEXT).rows == [ANNA._replace(words=None)] * 3


def test_hub_rows_with_numbers_for_tags(tmp_path: Path) -> None:
    classes = datasets.ClassLabel(names=["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "ner": datasets.List(classes)})
    table = datasets.Dataset.from_dict({"tokens": [ANNA_WORDS], "ner": [[1, 0, 0, 3]]}, features=features)
    task = TokenClassification(words="tokens", tags="ner")
    assert load_tagged("hub:org/set", task, _load_dataset=lambda *_, **__: table).rows == [ANNA]
    table.to_parquet(tmp_path / "a.parquet")
    assert load_tagged(tmp_path / "a.parquet", task).rows == [ANNA]


def test_a_row_without_tags_is_not_a_row_without_entities(tmp_path: Path) -> None:
    path = json_lines(
        tmp_path / "a.jsonl", {"words": "a b"}, {"words": "a b", "tags": None}, {"words": "a", "tags": "O"}
    )
    assert [row.spans for row in load_tagged(path, WORDS).rows] == [None, None, ()]
    path = json_lines(tmp_path / "a.jsonl", {"text": "a b"}, {"text": "a b", "spans": []})
    loaded = load_tagged(path, TEXT)
    assert [row.spans for row in loaded.rows] == [None, ()]
    assert loaded.labelled_N.tolist() == [False, True]
    with pytest.raises(DataError, match="found no entity in 2 training rows"):
        labels_in(loaded.rows)


def test_a_conll_file_parts_sentences_by_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("-DOCSTART- O\n\nAnna B-PER\nsings O\n\n\nin O\nRome B-LOC")
    loaded = load_tagged(path, WORDS)
    assert [row.text for row in loaded.rows] == ["Anna sings", "in Rome"]
    assert [origin.line for origin in loaded.origin] == [3, 7]
    path.write_text("Anna\nsings\n")
    assert load_tagged(path, WORDS).rows[0].spans is None
    path.write_text("Anna B-PER\nsings\n\nin O\n")
    with pytest.raises(
        DataError, match=r"a.conll, line 2: 1 columns, but 2 in line 1; a blank line separates sentences"
    ):
        load_tagged(path, WORDS)
    path.write_bytes(b"Anna B-PER\ncaf\xe9 O\n")
    with pytest.raises(DataError, match=r"a.conll, line 2: not UTF-8: byte 4 is 0xe9"):
        load_tagged(path, WORDS)


def test_a_teachers_tags_are_read_beside_the_users(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", {"words": "Anna sings", "tags": None, "by": "B-PER O"})
    (row,) = load_tagged(path, WORDS, teacher="by").rows
    assert (row.spans, row.teacher_spans) == (None, (Span(0, 4, "PER"),))
    assert labels_in([row]) == ["PER"]


def test_broken_tags_are_read_as_conlleval_does_and_counted(tmp_path: Path) -> None:
    path = json_lines(
        tmp_path / "a.jsonl", {"words": "a b", "tags": "B-X I-X"}, {"words": "a b c", "tags": "I-X O I-Y"}
    )
    loaded = load_tagged(path, WORDS)
    assert loaded.rows[1].spans == (Span(0, 1, "X"), Span(4, 5, "Y"))
    assert loaded.warnings == [
        f"Tags in 1 rows break the scheme (2 tags, the first in {path}:2): a tag that continues nothing was read as "
        "the start of an entity, as conlleval does."
    ]


def test_bad_rows_are_set_aside_with_file_and_line(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", {"words": "a b", "tags": "O"}, *[{"words": "a", "tags": "O"}] * 2)
    with pytest.raises(DataError, match=r"a.jsonl, line 1, field 'tags': 1 tags for 2 words"):
        load_tagged(path, WORDS)
    loaded = load_tagged(path, WORDS, on_bad_row="quarantine", quarantine=tmp_path / "q" / "bad.jsonl")
    assert (len(loaded.rows), loaded.left_out) == (2, 1)
    assert json.loads((tmp_path / "q" / "bad.jsonl").read_text())["reason"] == "1 tags for 2 words"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"words": ["a", "b"], "tags": ["O"]}, "field 'tags': 1 tags for 2 words"),
        ({"words": ["a"], "tags": ["Q-X"]}, "field 'tags': tag 'Q-X' is not in the scheme bio"),
        ({"words": ["a"], "tags": ["S-X"]}, "set task.scheme: bioes"),
        ({"words": ["a"], "tags": [3]}, "field 'tags': tag 3 is not in the scheme bio"),
        (
            {"words": ["a"], "tags": 3},
            "field 'tags': expected a list of tags, or a text with spaces between them, got 3",
        ),
        ({"words": [], "tags": []}, "field 'words': no words"),
        ({"words": ["a", ""], "tags": ["O", "O"]}, "field 'words': word 2 is empty"),
        ({"words": ["\u00a0"], "tags": ["O"]}, "field 'words': word 1 is white space only"),
        ({"words": ["a", 3]}, "field 'words': word 2: expected text, got 3"),
        ({"words": ["a\0"]}, "field 'words': character 2 is NUL"),
        ({"word": ["a"]}, "field 'words': missing; did you mean 'word'?"),
        ({"words": ["a"], "tags": ["B-PRE"]}, "field 'tags': unknown label 'PRE'; did you mean 'PER'?"),
    ],
)
def test_rows_of_words_that_cannot_be_used(row: dict[str, Any], expected: str) -> None:
    assert expected in reason(WORDS, row, {"PER", "LOC"})


def span(start: Any, end: Any, label: Any = "PER", **more: Any) -> dict[str, Any]:
    return {"start": start, "end": end, "label": label, **more}


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([span(0, 9)], "span 1 goes from 0 to 9, but the text has 8 characters"),
        ([span(-1, 2)], "span 1 goes from -1 to 2"),
        ([span(2, 2)], "span 1 goes from 2 to 2"),
        ([span(0, 2), span(1, 3, "LOC")], "spans 0-2 (PER) and 1-3 (LOC) overlap"),
        ([span(0, 2), span(0, 2, "LOC")], "spans 0-2 (LOC) and 0-2 (PER) overlap"),
        ([span("0", 2)], "span 1: start and end must be whole numbers of characters"),
        ([span(True, 2)], "span 1: start and end must be whole numbers of characters"),
        ([span(0, 2.0)], "span 1: start and end must be whole numbers of characters"),
        ([span(0, 2, None)], "span 1: expected text as its label, got None"),
        ([span(0, 2, "PRE")], "unknown label 'PRE'; did you mean 'PER'?"),
        ([span(0, 2, text="b")], "span 1: characters 0 to 2 are 'ab', not 'b'; offsets count characters"),
        ([span(4, 6)], "span 1 (4-6) is white space only"),
        ([[0, 2, "PER"]], 'span 1: expected an object such as {"start": 0, "end": 5, "label": "PER"}, got'),
        ({"start": 0}, "expected a list of spans such as"),
        ("0-2", "expected a list of spans as JSON, got '0-2'"),
    ],
)
def test_spans_that_cannot_be_used(spans: Any, expected: str) -> None:
    assert f"a.jsonl, line 7, field 'spans': {expected}" in reason(
        TEXT, {"text": "abcd  ef", "spans": spans}, {"PER", "LOC"}
    )


def test_white_space_at_the_ends_of_a_span_is_no_part_of_it() -> None:
    row = tagged_row(Record(1, {"text": "go  to Rome now", "spans": [span(6, 12, " LOC")]}), TEXT, None, None)
    assert isinstance(row, TaggedRow)
    assert row.spans == (Span(7, 11, "LOC"),)


def test_offsets_count_characters_of_every_plane() -> None:
    row = tagged_row(Record(1, {"text": "👩‍🚀 Ada", "spans": [span(4, 7, text="Ada")]}), TEXT, None, None)
    assert isinstance(row, TaggedRow)
    assert "👩‍🚀 Ada"[slice(*row.spans[0][:2])] == "Ada"  # type: ignore[index]


def test_labels_that_look_like_known_ones_are_the_names_fault(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", *[{"words": "a", "tags": "B-per"}] * 3, {"words": "a", "tags": "O"})
    with pytest.raises(DataError, match="has 'per' for 'PER': 3 rows"):
        load_tagged(path, WORDS, labels=["PER"], on_bad_row="quarantine")


def test_a_misspelt_field_of_tags_is_not_taken_for_rows_without_any(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", {"words": "a", "tagss": "O"})
    with pytest.raises(DataError, match="did you mean 'tagss'"):
        load_tagged(path, WORDS)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "name the field of the words"),
        ({"words": "words", "text": "text"}, "one of the two"),
        ({"text": "text", "tags": "tags"}, "tags belong to words"),
        ({"words": "words", "spans": "spans"}, "spans belong to a text"),
        ({"words": "words", "labels": ["A", "A"]}, "labels: a name is there twice"),
    ],
)
def test_a_task_of_words_or_of_texts(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TokenClassification(**fields)
