"""Articles from users' files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from limbeck.data.articles.article import ArticleFields
from limbeck.data.articles.read import file_records, read_articles
from limbeck.data.records import Fields
from limbeck.errors import DataError

KNOWN = ArticleFields()


def test_a_field_that_no_row_has_is_one_fault(tmp_path: Path) -> None:
    good, bad = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    good.write_text('{"text": "x"}\n' * 30)
    bad.write_text('{"txt": "x"}\n' * 30)
    with pytest.raises(DataError) as caught:
        read_articles(file_records([good, bad]), Fields("text"), KNOWN)
    assert str(caught.value) == f"{bad}: no row has the field 'text'; did you mean 'txt'?"


@pytest.mark.parametrize("field", ["id", "title", "lang", "crisis", "date", "reason"])
@pytest.mark.parametrize(("value", "reason"), [("a\ud800", "half of a surrogate pair"), ("a\0", "is NUL")])
def test_what_is_known_of_an_article_can_be_written(tmp_path: Path, field: str, value: str, reason: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "x", field: value}) + "\n")
    with pytest.raises(DataError, match=rf"line 1, field '{field}': .*{reason}"):
        read_articles(file_records(path), Fields("text"), KNOWN)
