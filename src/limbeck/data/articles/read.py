"""Reading articles from users' files, and refusing rows that cannot be used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from limbeck.data.articles.article import Article, ArticleFields, article_from
from limbeck.data.checks import CheckedRow, FieldsMet, check_record
from limbeck.data.quarantine import BAD_ROWS_SHOWN
from limbeck.data.readers import read_records
from limbeck.data.records import BadRow, Fields, Record
from limbeck.data.sources import DataFile, find_sources
from limbeck.errors import DataError
from limbeck.types import Origin, Rows

__all__ = ["ArticleRows", "checked_article", "file_records", "read_articles"]

_NOT_READ = (".parquet",)


@dataclass(frozen=True)
class ArticleRows:
    """Articles and their rows for a classifier, in the same order."""

    articles: list[Article]
    rows: Rows


def file_records(sources: str | Path | Sequence[str | Path]) -> Iterator[tuple[str, Record | BadRow]]:
    """Yield the rows of files (JSON Lines, JSON, CSV or TSV, also with .gz) and of folders of them.

    Raises:
        DataError: a source cannot be read, or has another format.
    """
    for source in find_sources(sources, base=None, split="test"):
        if not isinstance(source, DataFile) or source.suffix in _NOT_READ:
            raise DataError(
                f"{source.name}: articles are read from JSON Lines, JSON, CSV and TSV files; save it as one"
            )
        for record in read_records(source, Fields(text="text")):
            yield source.name, record


def read_articles(
    records: Iterable[tuple[str, Record | BadRow]],
    fields: Fields,
    known: ArticleFields,
    labels: Sequence[str] | None = None,
) -> ArticleRows:
    """Check rows and read their articles.

    Args:
        records: rows with the names of their files.
        fields: names of text, second text and label; the label is read only if named.
        known: names of an article's other fields.
        labels: the allowed label names; ``None``: any.

    Raises:
        DataError: rows cannot be used (lists the first of them), or there are none.
    """
    found = ArticleRows([], Rows([], None if fields.text_pair is None else [], [], []))
    allowed = None if labels is None else frozenset(labels)
    faults: list[str] = []
    total = 0
    met: dict[str, FieldsMet] = {}
    for name, record in records:
        total += 1
        if isinstance(record, Record):
            met.setdefault(name, FieldsMet(name, (fields.text, fields.text_pair))).add(record.row)
        fault = record if isinstance(record, BadRow) else _append(found, record, fields, known, allowed, name)
        if fault is not None:
            faults.append(fault.describe(name))
    for one in met.values():
        one.require(fields.text, fields.text_pair)
    if faults:
        more = [f"and {len(faults) - BAD_ROWS_SHOWN:,} more"] if len(faults) > BAD_ROWS_SHOWN else []
        listed = "\n  ".join([*faults[:BAD_ROWS_SHOWN], *more])
        raise DataError(f"{len(faults):,} of {total:,} rows cannot be used:\n  {listed}\nCorrect these rows.")
    if not total:
        raise DataError("no rows: expected at least one")
    return found


def checked_article(
    record: Record, fields: Fields, known: ArticleFields, labels: frozenset[str] | None, name: str
) -> tuple[CheckedRow, Article] | BadRow:
    """Check one row as `read_articles` does; `name` is its file's name."""
    checked = check_record(record, fields, labels)
    if isinstance(checked, BadRow):
        return checked
    article = article_from(record, checked.text, known, f"{name}:{record.number}")
    return article if isinstance(article, BadRow) else (checked, article)


def _append(
    found: ArticleRows,
    record: Record,
    fields: Fields,
    known: ArticleFields,
    labels: frozenset[str] | None,
    name: str,
) -> BadRow | None:
    both = checked_article(record, fields, known, labels, name)
    if isinstance(both, BadRow):
        return both
    checked, article = both
    found.articles.append(article)
    found.rows.text.append(checked.text)
    if found.rows.text_pair is not None:
        found.rows.text_pair.append(checked.text_pair or "")
    found.rows.label.append(checked.label)
    found.rows.origin.append(Origin(name, record.number))
    return None
