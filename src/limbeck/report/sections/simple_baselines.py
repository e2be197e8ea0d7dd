"""What anybody fits in seconds: how it was fitted, and at what price."""

from __future__ import annotations

from limbeck.formatting import count_text, duration_text
from limbeck.report.block import Block, Cell, Column, Row, Table
from limbeck.report.tables import system_cell
from limbeck.results.record import Results
from limbeck.results.sections import SimpleBaselines, SimpleFit

__all__ = ["render"]

_LABELS = {"gold": "gold labels", "teacher": "labels of the teacher"}


def render(section: SimpleBaselines, results: Results) -> Block:
    """Show what each simple baseline reads and learned, and the time that it took."""
    columns = [
        Column("System", kind="words"),
        Column("Learned", kind="words"),
        Column("C", "cross-validated"),
        Column("CPU time"),
    ]

    def row(fit: SimpleFit) -> Row:
        cells = [f"{count_text(fit.rows)} {_LABELS[fit.labels]}", f"{fit.inverse_strength:g}"]
        head = system_cell(results, fit.system, detail=True)
        return Row([head, *map(Cell, cells), Cell(duration_text(fit.cpu_seconds))])

    lead = (
        "What anybody can fit in seconds, without training a network. Distilling is worth its cost if the student is "
        "better. They have no seed: each has one run."
    )
    table = Table("Simple baselines", columns, [row(fit) for fit in section.fits], brief=True)
    return Block("Simple baselines", lead, tables=[table] if section.fits else [])
