"""Check that two models use the same ids for the same tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.errors import ModelError

__all__ = ["align_vocabularies"]

_SENTENCES = (
    "The price rose by 3.5 % (to $1,204) – didn't it?",
    "Größe, naïveté, Ærøskøbing; İstanbul",
    "Това е изречение на български.",
    "これは日本語の文です。中文句子也在这里。",
    "هذه جملة عربية 🙂👩‍👩‍👧‍👦 \t def f(x):\n    return x  # done",
)
_SHOWN = 3
_INSTEAD = (
    "Methods on logits need one tokenizer. What would work: seqkd (the student learns from texts that the teacher "
    "writes), or a student of the teacher's family."
)


def align_vocabularies(
    teacher: Any, student: Any, *, teacher_rows: int, student_rows: int, instead: str = _INSTEAD
) -> int:
    """Return how many leading ids both models use; logits of either are cut to these before softmax.

    Maps from token to id are compared, special and added tokens included, rather than sizes: embeddings are often
    padded to different sizes for one tokenizer (151,936 and 152,064 rows for 151,665 tokens), and different tokenizers
    can have the same size. A few sentences must also become the same ids, since merges and normalisation may differ.

    Args:
        teacher: the teacher's tokenizer.
        student: the student's tokenizer.
        teacher_rows: V of the teacher's logits.
        student_rows: V of the student's logits.
        instead: what would work, for messages.

    Raises:
        ModelError: a token has another id or is missing, a sentence becomes other ids, or a model has fewer logits
            than the tokenizer has ids.
    """
    ids = teacher.get_vocab()
    if ids != student.get_vocab():
        raise ModelError(f"{_both(teacher, student)}: {_differences(ids, student.get_vocab())}. {instead}")
    for sentence in _SENTENCES:
        theirs, ours = (tokenizer(sentence, add_special_tokens=False)["input_ids"] for tokenizer in (teacher, student))
        if theirs != ours:
            raise ModelError(
                f"{_both(teacher, student)}: they have the same tokens but split text differently, for example "
                f"'{sentence}' into {len(theirs)} and {len(ours)} tokens. {instead}"
            )
    size = 1 + max(int(number) for number in ids.values())
    for whose, rows in (("teacher", teacher_rows), ("student", student_rows)):
        if rows < size:
            raise ModelError(
                f"the tokenizer has ids up to {size - 1:,}, but the {whose} has logits for {rows:,} tokens only: "
                "tokenizer and model do not belong together, or tokens were added without resizing the embeddings"
            )
    return size


def _differences(teacher: Mapping[str, int], student: Mapping[str, int]) -> str:
    """Describe how many tokens differ, with the first ones by the teacher's id."""
    different = [token for token in teacher if token in student and teacher[token] != student[token]]
    only_teacher, only_student = teacher.keys() - student.keys(), student.keys() - teacher.keys()
    parts = []
    if different:
        shown = sorted(different, key=lambda token: teacher[token])[:_SHOWN]
        examples = ", ".join(f"{token!r} is {teacher[token]} and {student[token]}" for token in shown)
        parts.append(f"{len(different):,} tokens have other ids ({examples})")
    for whose, only, ids in (("teacher", only_teacher, teacher), ("student", only_student, student)):
        if only:
            shown = sorted(only, key=lambda token: ids[token])[:_SHOWN]
            examples = ", ".join(f"{token!r} = {ids[token]}" for token in shown)
            parts.append(f"{len(only):,} tokens are only the {whose}'s ({examples})")
    return "; ".join(parts)


def _both(teacher: Any, student: Any) -> str:
    return f"the tokenizers of teacher {teacher.name_or_path} and student {student.name_or_path} differ"
