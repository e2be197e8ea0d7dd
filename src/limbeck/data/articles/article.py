"""Articles, and reading them from users' rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from limbeck.data.checks import character_fault
from limbeck.data.records import BadRow, Record, excerpt

__all__ = ["Article", "ArticleFields", "article_from"]


class ArticleFields(BaseModel):
    """The names of an article's fields in the rows; all except the text may be missing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = "id"
    title: str = "title"
    lang: str = "lang"
    crisis: str = "crisis"
    date: str = "date"
    reason: str = "reason"


@dataclass(frozen=True)
class Article:
    """One text with its metadata."""

    id: str
    """The id from its field, or else ``file:line``."""
    text: str
    title: str | None = None
    lang: str | None = None
    crisis: str | None = None
    date: str | None = None
    """As given."""
    reason: str | None = None

    @property
    def whole_text(self) -> str:
        """Title and text."""
        return f"{self.title}\n{self.text}" if self.title else self.text

    @property
    def day(self) -> str | None:
        """The date without its time, such as ``2018-11-12``."""
        return None if self.date is None else datetime.fromisoformat(self.date).date().isoformat()

    @property
    def week(self) -> str | None:
        """ISO week of the date.

        >>> Article("1", "It rains", date="2018-11-12T08:30:00Z").week
        '2018-W46'
        """
        if self.date is None:
            return None
        year, week, _ = datetime.fromisoformat(self.date).isocalendar()
        return f"{year}-W{week:02d}"


def article_from(record: Record, text: str, fields: ArticleFields, where: str) -> Article | BadRow:
    """Read an article from a row; missing, null or empty fields become ``None``.

    A field of another type than text (or a whole number, as ids are) makes a bad row, and so does a date that is not
    an ISO 8601 date.

    Args:
        record: the row.
        text: its text, already found and checked.
        fields: names of the other fields.
        where: file and line, used as the id of an article without one.
    """
    found: dict[str, str | None] = {}
    for name, field in fields.model_dump().items():
        value = record.row.get(field)
        if isinstance(value, bool) or not isinstance(value, str | int | None):
            return BadRow(record.number, field, f"expected text, got {excerpt(value)}", record.row, record.unit)
        if isinstance(value, str) and (fault := character_fault(value)) is not None:
            return BadRow(record.number, field, fault, record.row, record.unit)
        found[name] = None if value is None else str(value).strip() or None
    if (given := found["date"]) is not None and not _is_date(given):
        reason = f"expected an ISO 8601 date such as 2018-11-12 or 2018-11-12T08:30:00Z, got {excerpt(given)}"
        return BadRow(record.number, fields.date, reason, record.row, record.unit)
    return Article(
        id=found["id"] or where,
        text=text,
        title=found["title"],
        lang=found["lang"],
        crisis=found["crisis"],
        date=given,
        reason=found["reason"],
    )


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
