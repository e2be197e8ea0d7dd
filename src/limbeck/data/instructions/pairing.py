"""Pairing records with their translations in another language."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.errors import DataError
from limbeck.types import Instruction

__all__ = ["pair_records"]


def pair_records(
    targets: Sequence[Instruction], sources: Sequence[Instruction]
) -> tuple[list[Instruction], list[Instruction]]:
    """Return the student's and teacher's records, row by row: each of `targets` with a translation in `sources`.

    Args:
        targets: records in any languages.
        sources: records in the teacher's language; for translation, the English views of the targets.

    Raises:
        DataError: no target has a translation, one has other candidates or another order of them, or two
            different sources have the same key.
    """
    own = {source.id: source for source in sources}
    keyed: dict[str, Instruction] = {}
    for source in sources:
        if source.parallel is not None:
            other = keyed.setdefault(source.parallel, source)
            if (other.lang, other.candidates) != (source.lang, source.candidates):
                raise DataError(
                    f"{other.id} and {source.id} both have the key '{source.parallel}', in '{other.lang}' and "
                    f"'{source.lang}': expected one text and one list of candidates for the teacher."
                )
    students: list[Instruction] = []
    teachers: list[Instruction] = []
    for target in targets:
        found = own.get(target.id) or keyed.get(target.parallel or "")
        if target.parallel is None or found is None:
            continue
        _refuse_other_candidates(target, found)
        students.append(target)
        teachers.append(found)
    if targets and not students:
        raise DataError(
            f"none of {len(targets)} records has a translation among {len(sources)} in the teacher's language. "
            "Expected records of parallel sets, of the same split in both languages."
        )
    return students, teachers


def _refuse_other_candidates(target: Instruction, source: Instruction) -> None:
    """Refuse lists that do not match: candidates may be translated, but a text in both must have the same index."""
    where = f"{target.id} and {source.id} are translations of each other"
    if len(target.candidates) != len(source.candidates):
        raise DataError(
            f"{where}, but have {len(target.candidates)} and {len(source.candidates)} candidates. "
            "Expected the same ones in the same order: create both with the same options."
        )
    index = {text: number for number, text in enumerate(source.candidates)}
    moved = [text for number, text in enumerate(target.candidates) if index.get(text, number) != number]
    if moved or (target.task == "translation" and target.gold != source.gold):
        what = f"{moved[0]!r} is at another position" if moved else f"gold is {target.gold} and {source.gold}"
        raise DataError(
            f"{where}, but their candidates are not in the same order: {what}. Create both with the same options."
        )
