"""Blocks of a report, with tables, plots and texts. Page, card and terminal show the same blocks."""

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
    """One line per value."""
    small: str = ""
    """Shown below: an interval, a detail."""
    look: Look | None = None
    """Look of the system that the cell names."""
    emphasis: Literal["", "clear", "alarm"] = ""
    second: str | None = None
    """The second text of a pair that is quoted."""
    bar: float | None = None
    """Length of a bar behind the text, between 0 and 1."""

    def flat(self) -> str:
        """Return the cell on one line."""
        text = ", ".join(self.text.split("\n"))
        # The detail of a system would be longer than the row.
        return f"{text} ({self.small})" if self.small and not self.look else text


@dataclass(frozen=True)
class Column:
    """The head of a column."""

    title: str
    small: str = ""
    """Shown below: what is counted, in a few words."""
    kind: Literal["number", "words", "label", "quote"] = "number"
    """``label`` and ``quote``: a label, or a whole text, from the user's rows, which may run from right to left."""
    look: Look | None = None
    starts_costs: bool = False
    """Whether a line is drawn before it."""


@dataclass(frozen=True)
class Row:
    """One row of a table; the first cell is its head."""

    cells: list[Cell]
    main: bool = False
    """Whether it belongs to the main system."""
    heading: bool = False
    """Whether its only cell is a heading for the rows below."""


@dataclass(frozen=True)
class Table:
    """Columns and rows."""

    label: str
    """Describes the table for readers who cannot see its position."""
    columns: list[Column]
    rows: list[Row]
    foot: Row | None = None
    brief: bool = False
    """Whether the model card and the terminal show it too."""
    headline: bool = False

    def without_empty(self) -> Table:
        """Return the table without empty columns."""
        rows = [row for row in self.rows if not row.heading]
        shown = [n for n in range(len(self.columns)) if any(row.cells[n].text not in ("", ABSENT) for row in rows)]
        cut = [row if row.heading else replace(row, cells=[row.cells[n] for n in shown]) for row in self.rows]
        return replace(self, columns=[self.columns[n] for n in shown], rows=cut)

    def flat(self) -> list[list[str]]:
        """Return the table as text, header first; headings become a separate first column."""
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
    """An answer of one system."""

    title: str
    text: str
    small: str = ""
    look: Look | None = None


@dataclass(frozen=True)
class Quote:
    """A held-out row in full, with its answers."""

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
    """One part of a report, in the order: lead, tables, notes, plots, quotes, parts. Empty ones are not shown."""

    title: str = ""
    lead: str = ""
    hint: str = ""
    """Shown after the title, in grey."""
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    plots: Callable[[], list[Plot]] = list
    """Draws the plots: this takes most of the time of a report, and only pages show them."""
    quotes: list[Quote] = field(default_factory=list)
    parts: list[Block] = field(default_factory=list)
    folded: bool = False
    facts: list[str] = field(default_factory=list)
    """Sentences on how the run was made, for the head of the page and the card."""
    words: dict[str, str] = field(default_factory=dict)
    """Terms used here, with their meaning."""
    keys: list[KeyFigure] = field(default_factory=list)
    """The large numbers on top, if this block has better ones than `limbeck.report.summary`."""
    limits: list[str] = field(default_factory=list)
    """Sentences for the card on the limits of the student."""

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
