"""Whether a teacher knows more of the texts than guessing and than its student do."""

from __future__ import annotations

import math

from limbeck.evaluation.generation.outputs import SystemOutputs

__all__ = ["mean_loss", "useless_teacher"]

_GUESSING = 0.95
"""A loss of at least this share of log V means that a model has learnt nothing."""


def mean_loss(outputs: SystemOutputs) -> float:
    """Return the loss per masked token."""
    assert outputs.nll_sum_N is not None
    return float(outputs.nll_sum_N.sum() / outputs.tokens_N.sum())


def useless_teacher(teacher: float, student: float, vocabulary: int, *, copied: bool) -> str | None:
    """Return why a teacher has nothing to teach, from losses per masked token; ``None``: it has.

    A student that is `copied` from the teacher is not compared with it: what it knows, it has from there.
    """
    said = f"the teacher's loss on held-out texts is {teacher:.2f} nats a masked token"
    guessing = math.log(vocabulary)
    if math.isnan(teacher):
        return f"{said}: its weights hold values that are not finite, or it overflows. Take another model"
    if teacher >= _GUESSING * guessing:
        return (
            f"{said}, and guessing among all tokens gives {guessing:.2f}: it has learnt nothing about these texts. "
            "Check that its masked-language head is trained and the tokenizer its own, or train it on the texts first "
            "(teacher.fine_tune)"
        )
    if student < teacher and not copied:
        return (
            f"{said}, the student's before any training {student:.2f}: this teacher would make it worse. Train the "
            "teacher on the texts first (teacher.fine_tune), or take another one"
        )
    return None
