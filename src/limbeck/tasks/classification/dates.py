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
    labeller = teacher.asked
    asked = None if labeller is None else labeller.prompt
    if labeller is not None and labeller.model is not None and asked is not None:
        tokenizer = _tokenizer_for(asked, labeller.model, labeller.trust_remote_code)
        asked = with_day(asked, day_of(tokenizer, [recorded_day(folder, *teacher.asked_at, "prompt")]))
        config = config.model_copy(update={"teacher": teacher.with_prompt(asked)})
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
    asked = config.teacher.asked
    teacher = None if asked is None else asked.prompt
    places = {"teacher": (config.teacher.asked_at, teacher), "student": (("student",), config.student.prompt)}
    for name, (place, prompt) in places.items():
        if prompt is not None and prompt.date is not None:
            where = ".".join(map(str, place))
            yield (
                f"the {name}'s chat template asks for today's date; in this run it is always {prompt.date} "
                f"({where}.prompt.date)"
            )


def _tokenizer_for(prompt: LabelPrompt, model: str, trust_remote_code: bool) -> list[Any]:
    if prompt.date is not None or prompt.layout == "plain":
        return []
    return [load_tokenizer(model, trust_remote_code=trust_remote_code)]
