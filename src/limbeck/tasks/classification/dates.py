"""The dates in the prompts of a classification run; see `limbeck.tasks.template_dates`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.models.load import load_tokenizer
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.student import student_prompt
from limbeck.tasks.template_dates import day_of, recorded_day, with_day

__all__ = ["date_notes", "with_label_dates"]


def with_label_dates(config: RunConfig, folder: Path) -> RunConfig:
    """Return a classification run with dates in the prompts of local models, if a template asks for them.

    Raises:
        ModelError: a tokenizer cannot be loaded, or its template is random.
    """
    teacher, student = config.teacher, config.student
    asked = teacher.prompt
    if asked is not None and teacher.model is not None:
        tokenizer = _tokenizer_for(asked, teacher.model, teacher.trust_remote_code)
        asked = with_day(asked, day_of(tokenizer, [recorded_day(folder, "teacher", "prompt")]))
        config = config.model_copy(update={"teacher": teacher.model_copy(update={"prompt": asked})})
    if student.head == "verbaliser" and student.model is not None:
        read = student_prompt(config)
        tokenizer = _tokenizer_for(read, student.model, student.trust_remote_code)
        known = [None if asked is None else asked.date, recorded_day(folder, "student", "prompt")]
        dated = with_day(read, day_of(tokenizer, known) or (known[0] if student.prompt is not None else None))
        if dated != read:
            config = config.model_copy(update={"student": student.model_copy(update={"prompt": dated})})
    return config


def date_notes(config: RunConfig) -> Iterator[str]:
    """Yield remarks on the dates in a run's prompts."""
    for name, prompt in (("teacher", config.teacher.prompt), ("student", config.student.prompt)):
        if prompt is not None and prompt.date is not None:
            yield (
                f"the {name}'s chat template asks for today's date; in this run it is always {prompt.date} "
                f"({name}.prompt.date)"
            )


def _tokenizer_for(prompt: LabelPrompt, model: str, trust_remote_code: bool) -> list[Any]:
    if prompt.date is not None or prompt.layout == "plain":
        return []
    return [load_tokenizer(model, trust_remote_code=trust_remote_code)]
