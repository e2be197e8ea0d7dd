"""What makes one row usable, and how labels become names."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.checks import CheckedRow, check_columns, check_record, refuse_misspelt_label
from limbeck.data.records import BadRow, Fields, Record
from limbeck.errors import DataError

FIELDS = Fields(text="text", text_pair="other", label="label")
GOOD = {"text": "a", "other": "b", "label": "x"}


def fault(labels: frozenset[str] | None = None, **changed: object) -> tuple[str | None, str]:
    """Return field and reason of a good row with some fields changed."""
    checked = check_record(Record(7, GOOD | changed, "row"), FIELDS, labels)
    assert isinstance(checked, BadRow)
    assert (checked.number, checked.unit, checked.row) == (7, "row", GOOD | changed)
    return checked.field, checked.reason


def label(value: object) -> str | None:
    checked = check_record(Record(1, {"text": "a", "label": value}), Fields("text", label="label"), None)
    assert isinstance(checked, CheckedRow)
    return checked.label


def test_a_good_row_keeps_its_texts_as_they_are() -> None:
    row = {"text": " a\r\n", "other": "\tb", "label": "x", "more": object()}
    assert check_record(Record(1, row), FIELDS, frozenset("xy")) == CheckedRow(" a\r\n", "\tb", "x")


def test_fields_not_asked_for_are_not_looked_at() -> None:
    assert check_record(Record(1, {"text": "a", "label": []}), Fields("text"), None) == CheckedRow("a", None, None)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (" good ", "good"),
        ("good bad", "good bad"),
        (3, "3"),
        (-1, "-1"),
        (3.0, "3"),
        (-0.0, "0"),
        (True, "true"),
        (False, "false"),
        (None, None),
    ],
)
def test_label_names(value: object, name: str | None) -> None:
    assert label(value) == name


@given(st.integers(-(2**53), 2**53))
def test_whole_numbers_have_one_name_however_stored(value: int) -> None:
    assert label(value) == label(float(value)) == label(str(value)) == str(value)


def test_a_row_may_lack_the_label_field() -> None:
    assert check_record(Record(1, {"text": "a", "other": "b"}), FIELDS, frozenset("x")) == CheckedRow("a", "b", None)


@pytest.mark.parametrize("field", ["text", "other"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "expected text, got null: None"),
        (3, "expected text, got a number: 3"),
        (0.5, "expected text, got a number: 0.5"),
        (True, "expected text, got true or false: True"),
        (["a"], "expected text, got a list: ['a']"),
        ({"a": 1}, "expected text, got an object: {'a': 1}"),
        (b"a", "expected text, got bytes: b'a'"),
        ("", "empty"),
        (" \t\n\u3000", "white space only"),
        ("\0", "character 1 is NUL (\\x00), which tokenizers do not accept"),
        ("ab\0c", "character 3 is NUL (\\x00), which tokenizers do not accept"),
        ("ab\ud83d", "character 3 is half of a surrogate pair (\\ud83d)"),
    ],
)
def test_bad_texts(field: str, value: object, reason: str) -> None:
    assert fault(None, **{field: value}) == (field, reason)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (0.5, "expected text, a whole number, true or false, got a number: 0.5"),
        (math.nan, "expected text, a whole number, true or false, got a number: nan"),
        (math.inf, "expected text, a whole number, true or false, got a number: inf"),
        (["x"], "expected text, a whole number, true or false, got a list: ['x']"),
        (" ", "empty; leave the field out, or write null, for a row without a label"),
        ("x\0", "character 2 is NUL (\\x00), which tokenizers do not accept"),
        ("\udfff", "character 1 is half of a surrogate pair (\\udfff)"),
    ],
)
def test_bad_labels(value: object, reason: str) -> None:
    assert fault(label=value) == ("label", reason)


def test_an_unknown_label() -> None:
    known = frozenset(["positive", "negative"])
    assert fault(known, label="positve") == ("label", "unknown label 'positve'; did you mean 'positive'?")
    assert fault(known, label=1) == ("label", "unknown label '1'; known here: negative, positive")


def test_a_missing_text() -> None:
    fields = Fields("text", text_pair="hypothesis")
    missing = check_record(Record(1, {"txt": "a"}), fields, None)
    assert missing == BadRow(1, "text", "missing; did you mean 'txt'?", {"txt": "a"})
    missing = check_record(Record(1, {"text": "a", "b\x1b[2J\ud800": 1}), fields, None)
    assert isinstance(missing, BadRow)
    assert (missing.field, missing.reason) == ("hypothesis", "missing; known here: b\\x1b[2J\\ud800, text")
    missing = check_record(Record(1, {}), fields, None)
    assert isinstance(missing, BadRow)
    assert missing.reason == "missing; the row is empty"


def test_a_long_reason_is_cut_in_messages() -> None:
    described = BadRow(1, "text", "missing; known here: " + "key, " * 1000, {}).describe("a.csv")
    assert described.startswith("a.csv, line 1, field 'text': missing; known here: key, ")
    assert described.endswith(" ...")
    assert len(described) < 350


def test_columns_to_read() -> None:
    assert check_columns("a.csv", ["id", "label", "other", "text"], FIELDS) == ["text", "other", "label"]
    assert check_columns("a.csv", ["text", "other"], FIELDS) == ["text", "other"]
    assert check_columns("a.csv", ["text", "id", "id"], Fields("text")) == ["text"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["txt", "other"], "a.csv has no column 'text'; did you mean 'txt'?"),
        (["text", "b"], "a.csv has no column 'other'; known here: b, text"),
        (["text", "other", "other"], "a.csv has 2 columns named 'other': rename all but one."),
        (["text", "other", "label", "label"], "a.csv has 2 columns named 'label': rename all but one."),
    ],
)
def test_bad_columns(columns: list[str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        check_columns("a.csv", columns, FIELDS)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["lable", "labels", "Label", "LABEL"])
def test_a_misspelt_label_field(name: str) -> None:
    with pytest.raises(DataError) as caught:
        refuse_misspelt_label("a.csv", ["text", name], FIELDS)
    assert str(caught.value).startswith(f"a.csv: no row has the label field 'label'; did you mean '{name}'?")


def test_a_label_field_in_other_case() -> None:
    with pytest.raises(DataError, match="did you mean 'label'"):
        refuse_misspelt_label("a.csv", ["label"], Fields("text", label="LABEL"))


@pytest.mark.parametrize("columns", [["text", "lang"], ["text", "table"], ["label", "labels"], []])
def test_no_label_field_is_fine_where_none_seems_meant(columns: list[str]) -> None:
    refuse_misspelt_label("a.csv", columns, FIELDS)


def test_the_text_is_not_taken_for_a_misspelt_label() -> None:
    refuse_misspelt_label("a.csv", ["labels"], Fields("labels", label="label"))
    refuse_misspelt_label("a.csv", ["lable"], Fields("lable", label=None))
