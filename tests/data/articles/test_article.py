"""Articles from rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from limbeck.data.articles.article import Article, ArticleFields, article_from
from limbeck.data.articles.read import file_records, read_articles
from limbeck.data.records import BadRow, Fields, Record
from limbeck.errors import DataError


def read(row: dict[str, object], **names: str) -> Article | BadRow:
    return article_from(Record(7, row), "body", ArticleFields(**names), "a.jsonl:7")


def test_an_article_has_what_its_row_has() -> None:
    row: dict[str, object] = {"tweet": 123, "title": " Flood ", "date": "2018-11-12", "lang": "", "crisis": None}
    found = read(row, id="tweet")
    assert found == Article("123", "body", title="Flood", date="2018-11-12")
    assert isinstance(found, Article)
    assert found.whole_text == "Flood\nbody"


def test_an_article_without_an_id_is_known_by_its_place() -> None:
    assert read({}) == Article("a.jsonl:7", "body")


@pytest.mark.parametrize(
    ("date", "week"),
    [("2018-11-12T08:30:00Z", "2018-W46"), ("2021-01-03", "2020-W53"), ("2024-12-30T00:00:00+02:00", "2025-W01")],
)
def test_weeks_are_those_of_iso_8601(date: str, week: str) -> None:
    assert Article("1", "body", date=date).week == week


def test_no_date_no_week() -> None:
    assert Article("1", "body").week is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"date": "12/11/2018"}, "field 'date': expected an ISO 8601 date"),
        ({"title": ["a"]}, "field 'title': expected text"),
        ({"id": True}, "field 'id': expected text, got True"),
        ({"crisis": 1.5}, "field 'crisis': expected text, got 1.5"),
    ],
)
def test_what_cannot_be_is_a_fault(row: dict[str, object], message: str) -> None:
    fault = read(row)
    assert isinstance(fault, BadRow)
    assert message in fault.describe("a.jsonl")


def test_files_of_several_kinds_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label,event\nfirst,safe,fire\n", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('{"text": "second", "event": "flood"}\n', encoding="utf-8")
    found = read_articles(file_records(tmp_path), Fields("text", None, "label"), ArticleFields(crisis="event"))
    assert [(a.text, a.crisis) for a in found.articles] == [("first", "fire"), ("second", "flood")]
    assert found.rows.label == ["safe", None]
    assert [a.id for a in found.articles] == [f"{tmp_path / 'a.csv'}:2", f"{tmp_path / 'b.jsonl'}:1"]


def test_all_faults_are_named(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": ""}\n{"text": "x", "date": "soon"}\nnot json\n', encoding="utf-8")
    with pytest.raises(DataError) as error:
        read_articles(file_records(file), Fields("text"), ArticleFields())
    message = str(error.value)
    assert message.startswith("3 of 3 rows cannot be used:")
    for part in ("line 1, field 'text': empty", "line 2, field 'date'", "line 3: not valid JSON"):
        assert part in message


def test_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="articles are read from JSON Lines"):
        list(file_records(tmp_path / "a.parquet"))
