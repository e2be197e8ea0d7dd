"""Classes one by one."""

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
    """Show the classes that lost the most, and folded all of them."""
    labels = section.labels
    block = slice_block(results, "class", "classes", first=labels)
    facts = [f"{count_text(len(labels))} classes."] if labels else []
    limit = f"It knows the {count_text(len(labels))} classes it was trained on, and gives one of them for any text."
    return replace(block, facts=facts, notes=_notes(results), limits=[limit])


def _notes(results: Results) -> list[str]:
    """Name the classes that no held-out row has."""
    of_classes = [figure for figure in results.figures if set(figure.slice) == {"class"}]
    empty = list(dict.fromkeys(figure.slice["class"] for figure in of_classes if figure.rows == 0))
    if not empty:
        return []
    names = ", ".join(shorten_apart(empty[:_NAMED], 40))
    more = f" and {len(empty) - _NAMED} more" if len(empty) > _NAMED else ""
    return [f"No held-out row is of the class {names}{more}: means over classes leave it out."]
