"""What a report is made of: blocks with tables, plots and texts. Page, card and terminal show the same blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from limbeck.formatting import ABSENT
from limbeck.report.palette import Look
from limbeck.report.plotting import Plot

__all__ = ["Answer", "Block", "Cell", "Column", "KeyFigure", "Quote", "Row", "Table", "fold"]


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    """A line for each value, where there are several."""
    small: str = ""
    """Stands below: an interval, a detail."""
    look: Look | None = None
    """Of the system that the cell names."""
    emphasis: Literal["", "clear", "alarm"] = ""
    second: str | None = None
    """The second text of a pair that is quoted."""
    bar: float | None = None
    """Length of a bar behind the text, between 0 and 1."""

    def flat(self) -> str:
        """Return the cell on one line."""
        text = ", ".join(self.text.split("\n"))
        # Of a system, the detail would be longer than the row.
        return f"{text} ({self.small})" if self.small and not self.look else text


@dataclass(frozen=True)
class Column:
    """The head of a column."""

    title: str
    small: str = ""
    """Stands below: in a few words what is counted."""
    kind: Literal["number", "words", "label", "quote"] = "number"
    """``label`` and ``quote``: a label, or a whole text, out of the user's rows; it may run from right to left."""
    look: Look | None = None
    starts_costs: bool = False
    """A line is drawn before it."""


@dataclass(frozen=True)
class Row:
    """One row of a table; the first cell is its head."""

    cells: list[Cell]
    main: bool = False
    """Whether it is of the system that the report is about."""
    heading: bool = False
    """Whether its one cell is a heading of the rows below."""


@dataclass(frozen=True)
class Table:
    """Columns and rows."""

    label: str
    """Says what the table is, to those who cannot see where it stands."""
    columns: list[Column]
    rows: list[Row]
    foot: Row | None = None
    brief: bool = False
    """Whether it is on the model card and the terminal as well."""
    headline: bool = False

    def without_empty(self) -> Table:
        """Return it without columns that say nothing."""
        rows = [row for row in self.rows if not row.heading]
        shown = [n for n in range(len(self.columns)) if any(row.cells[n].text not in ("", ABSENT) for row in rows)]
        cut = [row if row.heading else replace(row, cells=[row.cells[n] for n in shown]) for row in self.rows]
        return replace(self, columns=[self.columns[n] for n in shown], rows=cut)

    def flat(self) -> list[list[str]]:
        """Return it as text, header first; what a heading says is a first column of its own."""
        grouped = any(row.heading for row in self.rows)
        lines = [[*([""] if grouped else []), *(column.title for column in self.columns)]]
        group = ""
        for row in self.rows:
            if row.heading:
                group = row.cells[0].text
            else:
                lines.append([*([group] if grouped else []), *(cell.flat() for cell in row.cells)])
        return lines


@dataclass(frozen=True)
class Answer:
    """What somebody answered."""

    title: str
    text: str
    small: str = ""
    look: Look | None = None


@dataclass(frozen=True)
class Quote:
    """A held-out row in full, with answers to it."""

    title: str
    text: str
    answers: list[Answer]


@dataclass(frozen=True)
class KeyFigure:
    """One large number with what it means."""

    value: str
    title: str
    detail: str


@dataclass(frozen=True)
class Block:
    """One part of a report, in the order: lead, tables, notes, plots, quotes, parts. What is empty is not shown."""

    title: str = ""
    lead: str = ""
    hint: str = ""
    """Stands behind the title, in grey."""
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    plots: Callable[[], list[Plot]] = list
    """Draws: that takes most of the time of a report, and only pages show plots."""
    quotes: list[Quote] = field(default_factory=list)
    parts: list[Block] = field(default_factory=list)
    folded: bool = False
    facts: list[str] = field(default_factory=list)
    """Sentences on how the run was made, for the head of the page and the card."""
    words: dict[str, str] = field(default_factory=dict)
    """Terms used here, with their meaning."""
    keys: list[KeyFigure] = field(default_factory=list)
    """The large numbers on top, where this block knows them better than `limbeck.report.summary`."""
    limits: list[str] = field(default_factory=list)
    """Sentences for the card on where the student should not be trusted."""

    def all(self) -> Iterator[Block]:
        """Return the block and all its parts."""
        yield self
        for part in self.parts:
            yield from part.all()

    def brief(self) -> list[Table]:
        """Return the tables for card and terminal."""
        return [table for block in self.all() for table in block.tables if table.brief]


def fold(blocks: list[Block], after: int = 1) -> list[Block]:
    """Fold all blocks but the first."""
    return [replace(block, folded=True) if place >= after else block for place, block in enumerate(blocks)]
