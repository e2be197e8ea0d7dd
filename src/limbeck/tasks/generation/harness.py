"""Evaluation of a student on tasks of lm-eval, if it is installed."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.data.generation.templates import uses_chat_template
from limbeck.errors import ConfigError
from limbeck.evaluation.generation.harness import harness_figures, require_harness
from limbeck.models.chat_template import at_date
from limbeck.models.language_model import is_encoder_decoder
from limbeck.results.sections import HarnessFigure
from limbeck.tasks.generation.predict import WritingStudent
from limbeck.types import Progress

__all__ = ["evaluate_tasks", "named_tasks"]


def named_tasks(text: str) -> list[str]:
    """Split the names of tasks, and check that lm-eval is installed.

    Raises:
        ConfigError: no name, or the extra is not installed.
    """
    tasks = [name.strip() for name in text.split(",") if name.strip()]
    if not tasks:
        raise ConfigError("--lm-eval: give tasks, separated by commas, such as --lm-eval hellaswag,arc_easy")
    require_harness()
    return tasks


def evaluate_tasks(
    student: str, tasks: Sequence[str], *, against: str | None, progress: Progress
) -> list[HarnessFigure]:
    """Return the figures of a student, and of an optional second model, on tasks of lm-eval.

    Questions use the chat template if the student's rows did.

    Args:
        student: the folder that `limbeck distill` wrote.
        tasks: names of tasks, groups or tags, or YAML files of tasks.
        against: a language model to compare with, such as the teacher.
        progress: shows the progress.

    Raises:
        ConfigError: the extra is not installed, or a task does not run.
        ModelError: a model cannot be loaded.
    """
    task, figures = WritingStudent(student).task, []
    names: list[tuple[str, str | None]] = [("distilled", student), ("teacher", against)]
    for system, name in names:
        if name is None:
            continue
        model = WritingStudent(name, task)
        chat = uses_chat_template(task, model.tokenizer, encoder_decoder=is_encoder_decoder(model.model))
        progress.log(f"lm-eval: {', '.join(tasks)}: {name}")
        tokenizer = at_date(model.tokenizer, task.date)
        figures += harness_figures(system, model.model, tokenizer, tasks, max_length=model.max_length, chat=chat)
    return figures
