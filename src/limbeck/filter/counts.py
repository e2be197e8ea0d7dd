"""How many articles each step of the filter kept, by set and language."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

__all__ = ["Counts", "FilterCounts", "add_up"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Counts(_Record):
    """Articles of one set and language."""

    name: str
    """The set."""
    lang: str | None
    """``None``: articles without a language, or all languages together."""
    read: int
    screened: int
    judged: int
    kept: int
    """In order: usable rows; kept by stage A; kept by stage B; kept in the end."""
    unusable: int = 0
    """Rows that are not articles; not in `read`."""
    unanswered: int = 0
    """Articles of `screened` without a readable answer from the teacher; they are not kept."""
    duplicates: int = 0
    """Articles of `judged` that repeat the story of an earlier one."""
    repeats_test: int = 0
    """Articles of `judged` that repeat an article of the test set."""
    undated: int = 0
    """Articles of `judged` without a date, if the test set is split off by date."""

    @property
    def kept_share(self) -> float:
        """Share of the articles that stages A and B keep; NaN without articles."""
        return self.judged / self.read if self.read else float("nan")


class FilterCounts(_Record):
    """The contents of `counts.json`."""

    limbeck_version: str
    created: str
    by_set_and_language: list[Counts]
    by_set: list[Counts]
    total: Counts
    asked: int
    """Scores of stages A and B computed by this call; all others were on disk."""
    train: int
    test: int
    """Articles in the test set that is split off by date."""
    settings: dict[str, object]
    """The filter file, with all defaults."""


def add_up(counts: Iterable[Counts], name: str) -> Counts:
    """Add counts field by field; the sum has no language.

    >>> a, b = (Counts(name=n, lang="en", read=4, screened=3, judged=2, kept=1) for n in "ab")
    >>> add_up([a, b], "all").judged
    4
    """
    listed = list(counts)
    numbers = [field for field in Counts.model_fields if field not in ("name", "lang")]
    return Counts(name=name, lang=None, **{field: sum(getattr(c, field) for c in listed) for field in numbers})
