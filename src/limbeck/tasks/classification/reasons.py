"""Why a teacher gave its labels, in words that a student may learn."""

from __future__ import annotations

from pathlib import Path

from limbeck.data.prompts.explained import EncodedReasons, encode_reasons
from limbeck.data.prompts.label_answer import usable_reason
from limbeck.errors import DataError
from limbeck.models.label_scorer import LabelScorer
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.label_teacher import LabelTeacher, open_journal, prompt_rows
from limbeck.tasks.classification.rows import RunRows
from limbeck.types import Progress

__all__ = ["reason_note", "training_reasons"]


def training_reasons(
    config: RunConfig,
    rows: RunRows,
    teacher: LabelTeacher,
    student: LabelScorer,
    tokenizer: object,
    max_length: int,
    folder: Path,
    progress: Progress,
) -> EncodedReasons:
    """Read or ask for the reasons of the training rows, and tokenise those that can be used for the student.

    A reason is used if it is English and has 8 to 120 words. One that an API gives for another label than its
    probabilities do is not.

    Raises:
        DataError: there is none.
        TeacherError: the API cannot be asked.
    """
    if config.teacher.rationale is not None:
        assert rows.train.teacher_reason is not None
        reasons = [usable_reason(reason or "") for reason in rows.train.teacher_reason]
    else:
        reasons = _asked_for(config, rows, teacher, folder, progress)
    encoded = encode_reasons(student.verbaliser, rows.train, reasons, tokenizer, max_length)
    if not len(encoded):
        raise DataError(
            f"none of the {len(rows.train)} training rows has a reason to learn from: English, 8 to 120 words, and "
            f"together with its text at most {max_length} tokens. Check teacher.rationale, or leave out "
            "rationale_weight"
        )
    return encoded


def reason_note(reasons: EncodedReasons) -> str:
    """Return what a reader of the report must know."""
    return (
        f"{len(reasons)} of {len(reasons.starts_N)} training rows have a reason that the student learnt to write; the "
        "others have none, or one that is not English, not of 8 to 120 words, or too long for the student."
    )


def _asked_for(
    config: RunConfig, rows: RunRows, teacher: LabelTeacher, folder: Path, progress: Progress
) -> list[str | None]:
    from limbeck.tasks.classification.prompted_teacher import ask_for_reasons
    from limbeck.teachers.chat.client import ChatTeacher

    assert config.teacher.api is not None
    assert config.teacher.prompt is not None
    with open_journal(config, folder) as journal, progress.track("teacher reasons", len(rows.train)) as update:
        answers = ask_for_reasons(
            ChatTeacher(config.teacher.api, journal),
            config.teacher.prompt,
            prompt_rows(config, rows.train),
            rows.labels,
            update=update,
        )
    said = [rows.labels[c] for c in teacher.train.probs_NC.argmax(axis=-1)]
    return [
        answer.reason if answer is not None and answer.label == label else None
        for answer, label in zip(answers, said, strict=True)
    ]
