"""A teacher's rationales for its labels, as training data for a student."""

from __future__ import annotations

from pathlib import Path

from limbeck.data.prompts.explained import EncodedRationales, encode_rationales
from limbeck.data.prompts.label_answer import usable_rationale
from limbeck.errors import DataError
from limbeck.models.label_scorer import LabelScorer
from limbeck.tasks.classification.asked_labels import open_journal, prompt_rows
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.label_teacher import LabelTeacher
from limbeck.tasks.classification.rows import RunRows
from limbeck.types import Progress

__all__ = ["rationale_note", "training_rationales"]


def training_rationales(
    config: RunConfig,
    rows: RunRows,
    teacher: LabelTeacher,
    student: LabelScorer,
    tokenizer: object,
    max_length: int,
    folder: Path,
    progress: Progress,
) -> EncodedRationales:
    """Read or ask for the rationales of the training rows, and tokenise the usable ones for the student.

    A rationale is used if it is English and has 8 to 120 words, and, from an API, if its label is that of the
    probabilities.

    Raises:
        DataError: there is no usable rationale.
        TeacherError: the API cannot be asked.
    """
    if config.teacher.rationale is not None:
        assert rows.train.teacher_rationale is not None
        rationales = [usable_rationale(rationale or "") for rationale in rows.train.teacher_rationale]
    else:
        rationales = _asked_for(config, rows, teacher, folder, progress)
    encoded = encode_rationales(student.verbaliser, rows.train, rationales, tokenizer, max_length)
    if not len(encoded):
        raise DataError(
            f"none of the {len(rows.train)} training rows has a rationale to learn from: English, 8 to 120 words, and "
            f"together with its text at most {max_length} tokens. Check teacher.rationale, or leave out "
            "rationale_weight"
        )
    return encoded


def rationale_note(rationales: EncodedRationales) -> str:
    """Return a remark for readers of the report."""
    return (
        f"{len(rationales)} of {len(rationales.starts_N)} training rows have a rationale that the student "
        "learnt to generate; the others have none, or one that is not English, not 8 to 120 words, or too long for "
        "the student."
    )


def _asked_for(
    config: RunConfig, rows: RunRows, teacher: LabelTeacher, folder: Path, progress: Progress
) -> list[str | None]:
    from limbeck.tasks.classification.prompted_teacher import ask_for_rationales
    from limbeck.teachers.chat.client import ChatTeacher

    assert config.teacher.api is not None
    assert config.teacher.prompt is not None
    with open_journal(config, folder) as journal, progress.track("teacher rationales", len(rows.train)) as update:
        answers = ask_for_rationales(
            ChatTeacher(config.teacher.api, journal),
            config.teacher.prompt,
            prompt_rows(config, rows.train),
            rows.labels,
            update=update,
        )
    said = [rows.labels[c] for c in teacher.train.probs_NC.argmax(axis=-1)]
    return [
        answer.rationale if answer is not None and answer.label == label else None
        for answer, label in zip(answers, said, strict=True)
    ]
