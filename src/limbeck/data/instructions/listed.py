"""Rows that list their own candidates: multiple choice, pages to rank, entities and words of sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeGuard

from limbeck.data.instructions.files import SetRow, refuse_rows, split_file
from limbeck.data.instructions.make import Part, by_hash, record_id
from limbeck.data.instructions.rows import checked_rows
from limbeck.data.records import BadRow, Fields, excerpt
from limbeck.errors import DataError
from limbeck.types import Instruction

__all__ = ["own_candidates"]


def own_candidates(
    part: Part,
    *,
    task: str,
    text: str = "text",
    text_pair: str | None = None,
    slots: Sequence[str] = (),
    language: str | None = "lang",
    key: str | None = None,
    source: str = "rows",
) -> list[Instruction]:
    """Return a record for each row, which lists the options to choose from or rank in ``candidates``.

    A row's ``label`` is the right candidate, or a list of them. Instead of a label, its ``grades`` may give each
    candidate's relevance. Without both it has no gold. Metrics group rows with the same ``group``: the pages of one
    query, the words of one sentence.

    Args:
        part: the rows to read, from JSON Lines or JSON, which have lists.
        task: a task in the prompt registry.
        text: field of the question.
        text_pair: field of a second text.
        slots: fields that the prompt of the task quotes, such as ``span``.
        language: field of the language; ``None``: one file per language.
        key: field with a value shared by translations of a row; they list their candidates in the same order.
        source: the set's name in ids.

    Raises:
        DataError: a file is missing, a language is missing, or rows cannot be used.
    """
    folder, split, languages = part
    file = split_file(folder, split, languages[0] if language is None else None)
    if not file.suffix.startswith(".json"):
        raise DataError(f"{file.name}: candidates are lists, so this layout reads only JSON Lines or JSON.")
    rows = list(checked_rows(part, Fields(text, text_pair), None, language, key))
    listed = _sound([row for row, _, _ in rows], slots)
    records = []
    for one, (row, read, shared) in zip(listed, rows, strict=True):
        own = record_id(source, split, row.lang, task, row.number if shared is None else shared)
        parallel = None if shared is None else f"{source}/{task}/{split}/{shared}"
        candidates, gold, grades = one.shuffled(parallel or own)
        group = row.record.row.get("group")
        records.append(Instruction(
            id=own,
            source=source,
            split=split,
            task=task,
            lang=row.lang,
            input=read.text,
            input_pair=read.text_pair,
            candidates=candidates,
            gold=gold,
            grades=grades,
            slots=tuple((slot, str(row.record.row[slot])) for slot in slots),
            group=None if group is None else f"{source}/{split}/{row.lang}/{group}",
            parallel=parallel,
        ))  # fmt: skip
    return records


class _Listed(NamedTuple):
    """A row's candidates, the indices of the right ones, and the grade of each, if there are grades."""

    candidates: tuple[str, ...]
    gold: tuple[int, ...]
    grades: tuple[float, ...] | None

    def shuffled(self, key: str) -> _Listed:
        """Return the candidates in an order that depends on `key`: a file may list the right ones first."""
        order = [int(place) for place in by_hash([str(place) for place in range(len(self.candidates))], key)]
        return _Listed(
            tuple(self.candidates[place] for place in order),
            tuple(new for new, old in enumerate(order) if old in self.gold),
            None if self.grades is None else tuple(self.grades[place] for place in order),
        )


def _sound(rows: Sequence[SetRow], slots: Sequence[str]) -> list[_Listed]:
    """Return the rows' candidates. Raises `DataError` with a file's first bad rows."""
    listed: list[_Listed] = []
    bad_rows: dict[str, list[BadRow]] = {}
    for row in rows:
        one = _listed(row, slots)
        if isinstance(one, BadRow):
            bad_rows.setdefault(row.file, []).append(one)
        else:
            listed.append(one)
    for file, found in bad_rows.items():
        refuse_rows(file, found)
    return listed


def _listed(row: SetRow, slots: Sequence[str]) -> _Listed | BadRow:
    candidates, label, grades = (row.record.row.get(field) for field in ("candidates", "label", "grades"))
    if not isinstance(candidates, list) or len(candidates) < 2 or not all(isinstance(c, str) for c in candidates):
        return row.bad_row("candidates", f"expected a list of two texts or more, got {excerpt(candidates)}")
    if (
        lacking := next((slot for slot in slots if not isinstance(row.record.row.get(slot), str | int)), None)
    ) is not None:
        return row.bad_row(lacking, f"expected a text, got {excerpt(row.record.row.get(lacking))}")
    if grades is not None:
        if not _are_grades(grades, len(candidates)):
            wanted = f"expected a number of 0 or more for each of {len(candidates)} candidates"
            return row.bad_row("grades", f"{wanted}, got {excerpt(grades)}")
        best = tuple(place for place, grade in enumerate(grades) if grade == max(grades))
        return _Listed(tuple(candidates), best, tuple(map(float, grades)))
    labels = label if isinstance(label, list) else [] if label is None else [label]
    if odd := [one for one in labels if one not in candidates]:
        return row.bad_row("label", f"expected one of the candidates, or a list of them, got {excerpt(odd[0])}")
    return _Listed(tuple(candidates), tuple(candidates.index(one) for one in labels), None)


def _are_grades(grades: object, count: int) -> TypeGuard[list[float]]:
    return (
        isinstance(grades, list)
        and len(grades) == count
        and all(
            isinstance(grade, int | float) and not isinstance(grade, bool) and 0 <= grade < math.inf
            for grade in grades
        )
    )
