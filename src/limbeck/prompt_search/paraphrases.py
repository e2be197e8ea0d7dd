"""Other wordings of an instruction, written by the teacher and kept if they still say what must be said."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from limbeck.data.prompts.thoughts import without_thoughts

__all__ = ["paraphrase"]

_SLOT = re.compile(r"\{\{\s*labels\s*\}\}")
_MARK = "[LABELS]"
_REQUEST = (
    "Rewrite the instruction below in other words. Keep its meaning, keep {mark}, and keep everything in quotes as it "
    "is. Write the new instruction alone, on one line.\n\nInstruction: {instruction}"
)
_LEAD = re.compile(r"^\W*(?:(?:re)?written\s+)?(?:new\s+)?(?:instruction|version)\s*:\s*", re.IGNORECASE)
_TRIES = 4
"""Asked for so many times as many as are wanted: some are copies, some lose the labels."""
_LONGEST = 3
"""Times the instruction's length; a longer answer is about something else."""


def paraphrase(
    instruction: str, count: int, labels: Sequence[str], write: Callable[[str, int], list[str]]
) -> tuple[list[str], int]:
    """Return up to `count` different wordings, and how many of the teacher's answers were left out.

    A wording must have the slot of the labels as often as the original, name the labels that it names, and be one
    line. It becomes a template again; braces of the teacher's own are refused.

    Args:
        instruction: a template with ``{{ labels }}`` or without.
        count: how many are wanted.
        labels: the task's.
        write: returns so many answers to a request.
    """
    if count == 0:
        return [], 0
    marked = _SLOT.sub(_MARK, instruction)
    answers = write(_REQUEST.format(mark=_MARK, instruction=" ".join(marked.split())), _TRIES * count)
    kept: list[str] = []
    for answer in map(without_thoughts, answers):
        line = _LEAD.sub("", answer.strip().splitlines()[0]).strip() if answer.strip() else ""
        said = _SLOT.sub(_MARK, line)
        if said in kept or not _says_the_same(said, marked, labels):
            continue
        kept.append(said)
        if len(kept) == count:
            break
    return [line.replace(_MARK, "{{ labels }}") for line in kept], len(answers) - len(kept)


def _says_the_same(line: str, original: str, labels: Sequence[str]) -> bool:
    return (
        bool(line)
        and line.casefold() != " ".join(original.split()).casefold()
        and len(line) <= _LONGEST * len(original)
        and line.count(_MARK) == original.count(_MARK)
        and all(label in line for label in labels if label in original)
        and not any(brace in line for brace in ("{{", "{%", "{#"))
    )
