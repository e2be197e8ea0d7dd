"""The figures of single classes."""

from __future__ import annotations

from dataclasses import replace

from limbeck.formatting import count_text, shorten_apart
from limbeck.report.block import Block
from limbeck.report.slices import slice_block
from limbeck.results.record import Results
from limbeck.results.sections import Classes

__all__ = ["render"]

_NAMED = 5


def render(section: Classes, results: Results) -> Block:
    """Show the classes that lost the most, and all of them folded."""
    block = slice_block(results, "class", section.name, first=section.labels)
    facts = [f"{count_text(len(section.labels))} {section.name}."] if section.labels else []
    return replace(block, facts=facts, notes=_notes(results))


def _notes(results: Results) -> list[str]:
    """Name the classes that no held-out row has."""
    of_classes = [figure for figure in results.figures if set(figure.slice) == {"class"}]
    empty = list(dict.fromkeys(figure.slice["class"] for figure in of_classes if figure.rows == 0))
    if not empty:
        return []
    names = ", ".join(shorten_apart(empty[:_NAMED], 40))
    more = f" and {len(empty) - _NAMED} more" if len(empty) > _NAMED else ""
    return [f"No held-out row has {names}{more}: means leave this out."]
