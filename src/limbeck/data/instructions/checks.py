"""Checks of records: validity, leaks, and overlap of training and test records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from limbeck.data.instructions.make import fold
from limbeck.errors import DataError
from limbeck.types import Instruction

__all__ = ["check_instruction", "check_instructions", "require_disjoint", "require_no_leak", "without_overlap"]

_SHOWN = 5
_QUOTED = ("span", "word")
"""Slots that quote the input."""
_NO_BLANKS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese are written without spaces between words."""


def check_instruction(record: Instruction) -> None:
    """Refuse a record that cannot be ranked.

    Raises:
        DataError: an empty text, fewer than two candidates, two with the same text, gold indices that are out of range
            or repeated, or not one grade for each.
    """
    count = len(record.candidates)
    folded = [fold(candidate) for candidate in record.candidates]
    if not record.input.strip() or (record.input_pair is not None and not record.input_pair.strip()):
        raise DataError(f"{record.id}: an input text is empty.")
    if count < 2:
        raise DataError(f"{record.id}: expected two candidates or more, got {count}.")
    if not all(folded):
        raise DataError(f"{record.id}: candidate {folded.index('')} is empty.")
    if len(set(folded)) < count:
        twice = next(text for text in folded if folded.count(text) > 1)
        raise DataError(f"{record.id}: two candidates are the same text, {twice!r}; expected different ones.")
    if any(not 0 <= index < count for index in record.gold) or len(set(record.gold)) < len(record.gold):
        raise DataError(f"{record.id}: gold is {record.gold}; expected different indices from 0 to {count - 1}.")
    if record.grades is not None and len(record.grades) != count:
        raise DataError(f"{record.id}: {len(record.grades)} grades for {count} candidates; expected one for each.")


def check_instructions(records: Iterable[Instruction]) -> None:
    """Refuse records that cannot be used together; each is also checked individually.

    Raises:
        DataError: as `check_instruction`; two records with one id; or records that share a parallel key but not
            the task and the number of candidates, or have the same language.
    """
    ids: set[str] = set()
    first: dict[str, Instruction] = {}
    languages: set[tuple[str, str]] = set()
    for record in records:
        check_instruction(record)
        if record.id in ids:
            raise DataError(f"two records have the id {record.id}; expected different ones.")
        ids.add(record.id)
        if record.parallel is None:
            continue
        other = first.setdefault(record.parallel, record)
        if (record.task, len(record.candidates)) != (other.task, len(other.candidates)):
            raise DataError(
                f"{record.id} and {other.id} are translations of each other (key '{record.parallel}'): expected the "
                f"same task and number of candidates, got {other.task} with {len(other.candidates)} and {record.task} "
                f"with {len(record.candidates)}."
            )
        if (record.parallel, record.lang) in languages:
            raise DataError(f"{record.id}: another record in '{record.lang}' also has the key '{record.parallel}'.")
        languages.add((record.parallel, record.lang))


def require_disjoint(train: Sequence[Instruction], test: Sequence[Instruction]) -> None:
    """Refuse training records that are also in the test records, by parallel key or folded texts.

    Raises:
        DataError: gives their number, and the first of them.
    """
    held = _held(test)
    shared = [(record, held[trace]) for record in train for trace in _traces(record) if trace in held]
    if shared:
        pairs = "; ".join(f"{record.id} and {other}" for record, other in shared[:_SHOWN])
        raise DataError(
            f"{len({record.id for record, _ in shared}):,} of {len(train):,} training records are in the test "
            f"records too: {pairs}. Expected no text in both: leave these rows out of training."
        )


def without_overlap(train: Sequence[Instruction], test: Sequence[Instruction]) -> list[Instruction]:
    """Return the records of `train` that `require_disjoint` accepts."""
    held = _held(test)
    return [record for record in train if held.keys().isdisjoint(_traces(record))]


def _held(records: Sequence[Instruction]) -> dict[tuple[str, ...], str]:
    return {trace: record.id for record in records for trace in _traces(record)}


def _traces(record: Instruction) -> set[tuple[str, ...]]:
    """Return the traces that identify a record: its key, and its texts together."""
    traces: set[tuple[str, ...]]
    if record.grades is not None:
        traces = {("text", fold(record.input), fold(candidate)) for candidate in record.candidates}
    else:
        traces = {("text", fold(record.input), fold(record.input_pair or ""))}
    if record.task == "translation":
        traces |= {("text", fold(record.candidates[index]), "") for index in record.gold}
    return traces if record.parallel is None else {*traces, ("key", record.parallel)}


def require_no_leak(record: Instruction, instruction: str) -> None:
    """Refuse an instruction that names the answer, unless it lists all candidates.

    Args:
        record: a record with gold.
        instruction: its rendered prompts, without the input; quotations from it in "" do not count.

    Raises:
        DataError: the answer is in the instruction.
    """
    text = fold(instruction).casefold()
    for name, value in record.slots:
        if name in _QUOTED:  # a word "none" in the sentence does not give the answer away
            text = text.replace(f'"{fold(value).casefold()}"', '""')
    if all(_says(text, candidate) for candidate in record.candidates):
        return
    for index in record.gold:
        if _says(text, record.candidates[index]):
            raise DataError(
                f"{record.id}: the instruction {instruction!r} holds the answer {record.candidates[index]!r}, but not "
                "all candidates. Reword the prompt, or make it list all labels."
            )


def _says(instruction: str, answer: str) -> bool:
    answer = fold(answer).casefold()
    if _NO_BLANKS.search(answer):
        return answer in instruction
    return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", instruction) is not None
