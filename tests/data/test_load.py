"""Whole loads: joining, refusing, setting aside, and the fingerprint."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Literal

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.load import Fields, FileCount, LoadedRows, load_rows
from limbeck.errors import ConfigError, DataError, StorageError
from limbeck.types import Origin, Rows

TEXT = Fields(text="text")
LABELLED = Fields(text="text", label="label")
PAIRS = Fields(text="text", text_pair="other", label="label")


def json_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def refusal(*arguments: Any, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        load_rows(*arguments, **options)
    return str(caught.value)


def test_only_a_run_is_told_its_setting_for_bad_rows(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", [{"text": "good"}, {"text": ""}])
    assert refusal([path], Fields("text")).endswith("\nCorrect these rows.")
    assert refusal([path], Fields("text"), on_bad_row="stop").endswith(
        "\nCorrect these rows, or set `data.on_bad_row: quarantine` to continue without them."
    )


def test_sources_are_joined_in_the_order_given(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("label,text\nx,one\n,two\n")
    json_lines(tmp_path / "a.jsonl", [{"text": "three"}, {"text": "four", "label": 1}])
    loaded = load_rows(["b.csv", "a.jsonl"], LABELLED, base=tmp_path)
    b, a = str(tmp_path / "b.csv"), str(tmp_path / "a.jsonl")
    assert loaded.rows == Rows(
        text=["one", "two", "three", "four"],
        text_pair=None,
        label=["x", None, None, "1"],
        origin=[Origin(b, 2), Origin(b, 3), Origin(a, 1), Origin(a, 2)],
    )
    assert loaded.left_out == 0
    assert loaded.files == (FileCount(b, 2, 0), FileCount(a, 2, 0))


def test_hub_rows_carry_the_name_and_the_split(tmp_path: Path) -> None:
    table = datasets.Dataset.from_dict({"text": ["a"], "other": ["b"]})
    loaded = load_rows("hub:org/name", PAIRS, split="test", base=tmp_path, _load_dataset=lambda *_, **__: table)
    assert loaded.rows == Rows(["a"], ["b"], [None], [Origin("hub:org/name (test)", 1)])


def test_labels_are_not_read_if_not_asked_for(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", [{"text": "a", "label": []}, {"text": "b", "lable": "x"}])
    assert load_rows(path, TEXT, labels=["y"]).rows.label == [None, None]


def test_a_label_field_in_no_row_at_all_is_fine(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", [{"text": "a", "id": 1}, {"text": "b"}])
    assert load_rows(path, LABELLED).rows.label == [None, None]


def test_a_label_field_that_is_misspelt_in_one_of_the_files(tmp_path: Path) -> None:
    json_lines(tmp_path / "a.jsonl", [{"text": "a", "label": "x"}])
    path = json_lines(tmp_path / "b.jsonl", [{"text": "a", "lable": "x"}, {"text": "b", "lable": "y"}])
    assert refusal(tmp_path, LABELLED).startswith(f"{path}: no row has the label field 'label'; did you mean 'lable'?")


def test_a_field_much_like_the_label_in_rows_without_one_is_fine_if_others_have_labels(
    tmp_path: Path,
) -> None:
    rows = [{"text": "a", "labels": 3}, {"text": "b", "label": "y"}, {"text": "c", "labels": 3}]
    path = json_lines(tmp_path / "a.jsonl", rows)
    assert load_rows(path, LABELLED).rows.label == [None, "y", None]


# Stop


def test_stop_lists_every_kind_of_bad_row_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [
        b'{"text": "fine", "other": "b", "label": "good"}',
        b'{"txt": "a", "other": "b"}',
        b'{"text": "a", "other": 3}',
        b'{"text": "a", "other": "b", "label": "goood"}',
        b'{"text": "a",',
        b'{"text": "\xe9"}',
        b'{"text": " ", "other": "b"}',
        b'{"text": "\\ud800", "other": "b"}',
    ]
    path.write_bytes(b"\n".join(rows))
    (tmp_path / "b.csv").write_text("text,other\na,b\na\n")
    assert refusal([path, tmp_path / "b.csv"], PAIRS, labels=["good", "bad"]).splitlines() == [
        "8 of 10 rows cannot be used:",
        f"  {path}, line 2, field 'text': missing; did you mean 'txt'?",
        f"  {path}, line 3, field 'other': expected text, got a number: 3",
        f"  {path}, line 4, field 'label': unknown label 'goood'; did you mean 'good'?",
        f"  {path}, line 5: not valid JSON: Expecting property name enclosed in double quotes (column 14)",
        f"  {path}, line 6: not UTF-8: byte 11 is 0xe9; save the file as UTF-8",
        f"  {path}, line 7, field 'text': white space only",
        f"  {path}, line 8, field 'text': character 1 is half of a surrogate pair (\\ud800)",
        f"  {tmp_path / 'b.csv'}, line 3: 1 cells, but the header has 2; a cell with ',' in it needs quotes",
        "Correct these rows.",
    ]


def test_stop_shows_the_first_twenty_and_counts_all(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", [{"text": "a"}] + [{"text": ""}] * 1234)
    lines = refusal(path, TEXT).splitlines()
    assert lines[0] == "1,234 of 1,235 rows cannot be used:"
    assert lines[1] == f"  {path}, line 2, field 'text': empty"
    assert lines[20] == f"  {path}, line 21, field 'text': empty"
    assert lines[21] == "  and 1,214 more"
    assert len(lines) == 23


def test_parquet_faults_name_the_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a", None]}), path)
    assert f"{path}, row 2, field 'text': expected text, got null: None" in refusal(path, TEXT)


@pytest.mark.parametrize("on_bad_row", ["stop", "quarantine"])
def test_no_rows_at_all(tmp_path: Path, on_bad_row: str) -> None:
    paths = [tmp_path / "a.jsonl", tmp_path / "b.csv"]
    paths[0].write_text("\n\n")
    paths[1].write_text("text\n")
    assert refusal(paths, TEXT, on_bad_row=on_bad_row) == f"no rows in {paths[0]}, {paths[1]}: expected at least one."


# Quarantine


def test_quarantine_goes_on_and_writes_what_was_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n{"text": "caf\xe9"}\n{"text": "\xc3\xa9\\ud800"}\n{"text": "b"}\n')
    (tmp_path / "b.csv").write_text("text\na,b\nc\n")
    left_out = tmp_path / "run" / "left-out.jsonl"
    loaded = load_rows([path, tmp_path / "b.csv"], TEXT, on_bad_row="quarantine", quarantine=left_out)
    assert loaded.rows.text == ["a", "b", "c"]
    assert [origin.line for origin in loaded.rows.origin] == [1, 4, 3]
    assert loaded.left_out == 3
    assert loaded.files == (FileCount(str(path), 2, 2), FileCount(str(tmp_path / "b.csv"), 1, 1))
    content = left_out.read_text(encoding="utf-8")
    assert "é" in content
    assert [json.loads(line) for line in content.splitlines()] == [
        {
            "file": str(path),
            "line": 2,
            "field": None,
            "reason": "not UTF-8: byte 14 is 0xe9; save the file as UTF-8",
            "row": '{"text": "caf\udce9"}',
        },
        {
            "file": str(path),
            "line": 3,
            "field": "text",
            "reason": "character 2 is half of a surrogate pair (\\ud800)",
            "row": {"text": "é\ud800"},
        },
        {
            "file": str(tmp_path / "b.csv"),
            "line": 2,
            "field": None,
            "reason": "2 cells, but the header has 1; a cell with ',' in it needs quotes",
            "row": "a,b\n",
        },
    ]
    assert os.listdir(left_out.parent) == ["left-out.jsonl"]
    again = load_rows([path, tmp_path / "b.csv"], TEXT, on_bad_row="quarantine", quarantine=left_out)
    assert again == loaded
    assert left_out.read_text(encoding="utf-8") == content


def test_quarantine_takes_rows_that_json_has_no_words_for(tmp_path: Path) -> None:
    path, left_out = tmp_path / "a.parquet", tmp_path / "left-out.jsonl"
    pq.write_table(pa.table({"text": ["a", "b"], "label": pa.array([None, b"x"], pa.binary())}), path)
    load_rows(path, LABELLED, on_bad_row="quarantine", quarantine=left_out)
    [line] = map(json.loads, left_out.read_text().splitlines())
    assert (line["line"], line["field"], line["row"]) == (2, "label", {"text": "b", "label": "b'x'"})


def test_quarantine_writes_more_rows_than_a_message_shows(tmp_path: Path) -> None:
    path, left_out = tmp_path / "a.jsonl", tmp_path / "left-out.jsonl"
    json_lines(path, [{"text": "a"}, {"text": ""}] * 50)
    load_rows(path, TEXT, on_bad_row="quarantine", quarantine=left_out)
    lines = left_out.read_text().splitlines()
    assert [json.loads(line)["line"] for line in lines] == list(range(2, 101, 2))


def test_quarantine_without_a_file_still_counts(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", [{"text": "a"}, {"text": ""}])
    loaded = load_rows(path, TEXT, on_bad_row="quarantine")
    assert (loaded.rows.text, loaded.left_out) == (["a"], 1)


def test_an_old_quarantine_file_goes_if_nothing_is_left_out(tmp_path: Path) -> None:
    left_out = tmp_path / "left-out.jsonl"
    left_out.write_text("old")
    path = json_lines(tmp_path / "a.jsonl", [{"text": "a"}])
    load_rows(path, TEXT, on_bad_row="quarantine", quarantine=left_out)
    assert not left_out.exists()


def test_more_than_half_is_not_set_aside(tmp_path: Path) -> None:
    left_out = tmp_path / "left-out.jsonl"
    path = json_lines(tmp_path / "a.jsonl", [{"text": "a"}, {"txt": "b"}, {"txt": "c"}])
    lines = refusal(path, TEXT, on_bad_row="quarantine", quarantine=left_out).splitlines()
    assert lines == [
        "2 of 3 rows cannot be used:",
        f"  {path}, line 2, field 'text': missing; did you mean 'txt'?",
        f"  {path}, line 3, field 'text': missing; did you mean 'txt'?",
        "That is more than half, so they are not left out: check the field names and the format first.",
    ]
    assert not left_out.exists()


def test_the_quarantine_file_must_not_be_read_as_data(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", [{"text": "a"}])
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="is also read as data"):
        load_rows(tmp_path, TEXT, on_bad_row="quarantine", quarantine=path)
    assert path.read_bytes() == before


def test_a_quarantine_file_that_cannot_be_written(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", [{"text": "a"}, {"text": ""}])
    with pytest.raises(StorageError) as caught:
        load_rows(path, TEXT, on_bad_row="quarantine", quarantine=path / "left-out.jsonl")
    assert str(caught.value).startswith(f"the quarantine file {path / 'left-out.jsonl'} could not be written: ")


# Fingerprint


def fingerprint(path: Path, rows: list[Any], fields: Fields = PAIRS) -> str:
    return load_rows(json_lines(path, rows), fields, on_bad_row="quarantine").fingerprint


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    one, two = {"text": "a", "other": "b", "label": "x"}, {"text": "c", "other": "d", "label": None}
    same = fingerprint(tmp_path / "a.jsonl", [one, two])
    assert len(same) == 64
    assert same == fingerprint(tmp_path / "b.jsonl", [one, two | {"more": 1}])
    assert same == fingerprint(tmp_path / "b.jsonl", [one, {"text": ""}, two])
    json_lines(tmp_path / "c.jsonl", [one])
    json_lines(tmp_path / "d.jsonl", [two])
    assert same == load_rows(["c.jsonl", "d.jsonl"], PAIRS, base=tmp_path).fingerprint


@pytest.mark.parametrize(
    "rows",
    [
        [("c", "d", None), ("a", "b", "x")],
        [("a", "b", "x")],
        [("a", "b", "x"), ("c", "d", None), ("c", "d", None)],
        [("a", "b", "x"), ("c", "d", "null")],
        [("a", "bx", None), ("c", "d", None)],
        [("ab", "b", "x"), ("c", "d", None)],
        [("b", "a", "x"), ("c", "d", None)],
    ],
)
def test_the_fingerprint_differs_if_the_content_does(tmp_path: Path, rows: list[tuple[str, str, str]]) -> None:
    first = [("a", "b", "x"), ("c", "d", None)]
    names = ("text", "other", "label")
    known, other = ([dict(zip(names, row, strict=True)) for row in table] for table in (first, rows))
    assert fingerprint(tmp_path / "a.jsonl", known) != fingerprint(tmp_path / "b.jsonl", other)


def test_the_fingerprint_does_not_change_between_versions(tmp_path: Path) -> None:
    rows = [{"text": "Grüße", "label": "x"}, {"text": "a\n"}]
    expected = hashlib.sha256('["Grüße", null, "x"]["a\\n", null, null]'.encode()).hexdigest()
    assert fingerprint(tmp_path / "a.jsonl", rows, LABELLED) == expected


# All formats alike

_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_TEXTS = st.text(_CHARACTERS, min_size=1).filter(str.strip)
_LABELS = st.none() | st.text(_CHARACTERS, min_size=1).map(str.strip).filter(bool)


def as_csv(path: Path, rows: list[dict[str, str | None]], delimiter: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["label", "text", "other"], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_json_array(path: Path, rows: list[dict[str, str | None]]) -> Path:
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8", newline="")
    return path


def as_parquet(path: Path, rows: list[dict[str, str | None]]) -> Path:
    schema = pa.schema([("text", pa.string()), ("other", pa.string()), ("label", pa.string())])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path


@given(st.lists(st.fixed_dictionaries({"text": _TEXTS, "other": _TEXTS, "label": _LABELS}), min_size=1, max_size=8))
def test_what_is_written_in_any_format_reads_back_equal(rows: list[dict[str, str | None]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [
            json_lines(folder / "a.jsonl", rows),
            as_json_array(folder / "b.json", rows),
            as_csv(folder / "c.csv", rows),
            as_parquet(folder / "e.parquet", rows),
        ]
        if not any(mark in str(value) for row in rows for value in row.values() for mark in "\t\n\r"):
            paths.append(as_csv(folder / "d.tsv", rows, "\t"))  # of which a cell holds none of these
        loaded: list[LoadedRows] = [load_rows(path, PAIRS) for path in paths]
    for one in loaded:
        assert one.rows.text == [row["text"] for row in rows]
        assert one.rows.text_pair == [row["other"] for row in rows]
        assert one.rows.label == [row["label"] for row in rows]
    assert len({one.fingerprint for one in loaded}) == 1


# A teacher's labels among the rows

TAUGHT = Fields("text", label="label", teacher_label="said", teacher_confidence="sure")


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_teachers_labels_are_read_in_every_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "jsonl":
        rows = [{"text": "a", "said": 1, "sure": 0.9}, {"text": "b", "label": "0", "said": None}]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif suffix == "csv":
        path.write_text("text,label,said,sure\na,,1,0.9\nb,0,,\n", encoding="utf-8")
    else:
        columns = {"text": ["a", "b"], "label": [None, "0"], "said": ["1", None], "sure": [0.9, None]}
        pq.write_table(pa.table(columns), path)
    loaded = load_rows(path, TAUGHT).rows
    assert loaded.label == [None, "0"]
    assert loaded.teacher_label == ["1", None]
    assert loaded.teacher_confidence == [0.9, None]
    assert loaded.take([1]).teacher_label == [None]
    assert load_rows(path, LABELLED).rows.teacher_label is None


@pytest.mark.parametrize("sure", [1.5, -0.1, "high", True, float("nan")])
def test_a_confidence_is_a_number_from_0_to_1(tmp_path: Path, sure: object) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "a", "said": "x", "sure": sure}), encoding="utf-8")
    with pytest.raises(DataError, match="line 1, field 'sure': expected a confidence from 0 to 1"):
        load_rows(path, TAUGHT)


def test_a_misspelt_field_of_the_teacher_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "a", "label": "x", "saids": "x", "sure": 0.5}), encoding="utf-8")
    with pytest.raises(DataError, match="'said'; did you mean 'saids'"):
        load_rows(path, TAUGHT)


def test_the_fingerprint_covers_the_teachers_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    found = set()
    for sure in (0.5, 0.6):
        path.write_text(json.dumps({"text": "a", "said": "x", "sure": sure}), encoding="utf-8")
        found.add(load_rows(path, TAUGHT).fingerprint)
    assert len(found) == 2


WHY = Fields("text", label="label", teacher_label="said", teacher_rationale="why")


def test_a_teachers_rationales_are_read_and_covered_by_the_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"text": "a", "said": "x", "why": " So. "}, {"text": "b", "said": "y", "why": " "}, {"text": "c"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    loaded = load_rows(path, WHY)
    assert loaded.rows.teacher_rationale == ["So.", None, None]
    assert loaded.rows.take([1, 0]).teacher_rationale == [None, "So."]
    before = load_rows(path, Fields("text", label="label", teacher_label="said"))
    assert before.rows.teacher_rationale is None
    path.write_text("".join(json.dumps(row | {"why": "No."}) + "\n" for row in rows), encoding="utf-8")
    assert load_rows(path, WHY).fingerprint != loaded.fingerprint
    assert load_rows(path, Fields("text", label="label", teacher_label="said")).fingerprint == before.fingerprint


def test_a_rationale_is_words(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "a", "said": "x", "why": 3}), encoding="utf-8")
    with pytest.raises(DataError, match="line 1, field 'why': expected a rationale in words, got a number: 3"):
        load_rows(path, WHY)


# Fields that no row has


@pytest.mark.parametrize("on_bad_row", ["stop", "quarantine"])
@pytest.mark.parametrize("fields", [Fields("body"), Fields("text", "body")])
def test_a_field_that_no_row_has_is_one_fault(
    tmp_path: Path, on_bad_row: Literal["stop", "quarantine"], fields: Fields
) -> None:
    """Whatever the format, and whatever other files are read beside; no row is set aside."""
    good = json_lines(tmp_path / "good.jsonl", [{"text": "a", "body": "b"}] * 50)
    bad = json_lines(tmp_path / "bad.jsonl", [{"text": str(i), "bodies": "b", "x": 1} for i in range(30)])
    quarantine = tmp_path / "quarantine.jsonl"
    with pytest.raises(DataError) as caught:
        load_rows([good, bad], fields, on_bad_row=on_bad_row, quarantine=quarantine)
    assert str(caught.value) == f"{bad}: no row has the field 'body'; did you mean 'bodies'?"
    assert not quarantine.exists()
    other = json_lines(tmp_path / "other.jsonl", [{"text": "a", "y": "b"}, {"text": "a", "x": "b"}])
    with pytest.raises(DataError, match=r"no row has the field 'body'; known here: text, x, y$"):
        load_rows(other, fields, on_bad_row=on_bad_row)


def test_a_field_that_few_rows_lack_is_their_fault(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", [{"text": "a"}, {"txt": "b"}])
    with pytest.raises(DataError, match="1 of 2 rows cannot be used"):
        load_rows(path, Fields("text"))
    many = [{"text": "a", **{f"field{i}": 1 for i in range(20_000)}}, {"other": 1, "text_pair": "b"}]
    with pytest.raises(DataError, match="2 of 2 rows cannot be used"):
        load_rows(json_lines(tmp_path / "b.jsonl", many), Fields("text", "text_pair"))
