"""The share of distillation rows that passed the confidence threshold."""

from __future__ import annotations

from limbeck.formatting import share_text
from limbeck.report.block import Block, Cell, Column, Row, Table
from limbeck.results.record import Results
from limbeck.results.sections import Gate, Languages

__all__ = ["render"]


def render(section: Gate, results: Results) -> Block:
    """Show the share of each language, the smallest first."""
    if not section.kept:
        return Block()
    languages = results.section(Languages)
    names = languages.names if languages else {}
    rows = [
        Row([Cell(names.get(lang) or lang), Cell(share_text(share), bar=min(max(share, 0.0), 1.0))])
        for lang, share in sorted(section.kept.items(), key=lambda item: item[1])
    ]
    lead = "The share of distillation records on which the teacher was confident enough; the others were left out."
    title = "Records kept by the confidence threshold"
    return Block(
        title, lead, tables=[Table(title, [Column("Language", kind="words"), Column("Records", "kept")], rows)]
    )
