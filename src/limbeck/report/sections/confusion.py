"""Confusion matrices."""

from __future__ import annotations

from limbeck.report.block import Block
from limbeck.report.plots.confusion import confusion_plots
from limbeck.results.record import Results
from limbeck.results.sections import Confusion

__all__ = ["render"]


def render(section: Confusion, results: Results) -> Block:
    """Draw the main system's matrix, and those of the others folded."""
    if not any(matrix.labels for matrix in section.systems.values()):
        return Block()
    main = {system.name for system in results.roles("main")}
    parts = {name: matrix for name, matrix in section.systems.items() if name in main}
    others = {name: matrix for name, matrix in section.systems.items() if name not in main}
    return Block(
        "Confusion",
        plots=lambda: confusion_plots(results, Confusion(systems=parts)),
        parts=[
            Block(
                "Confusion of the other systems",
                plots=lambda: confusion_plots(results, Confusion(systems=others)),
                folded=True,
            )
        ]
        if others
        else [],
    )
