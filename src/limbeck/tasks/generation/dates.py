"""The date that chat templates write in a generation run; see `limbeck.tasks.template_dates`."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from limbeck.errors import DataError
from limbeck.models.load import load_tokenizer
from limbeck.tasks.generation.config import TextRunConfig
from limbeck.tasks.template_dates import as_day, day_of, recorded_day
from limbeck.teachers.store.fingerprint import read_fingerprint

__all__ = ["with_text_date"]


def with_text_date(config: TextRunConfig, folder: Path) -> TextRunConfig:
    """Return a generation run with the date that its templates write, if any asks for it.

    It is that of the run file, else of the run in `folder`, else of the store, else today.

    Raises:
        ModelError: a tokenizer cannot be loaded, or its template is random.
    """
    task = config.task
    if task.date is not None or task.text is not None or task.template == "plain":
        return config
    tokenizers = [load_tokenizer(config.teacher.model, trust_remote_code=config.teacher.trust_remote_code)]
    if config.student.model is not None:
        tokenizers.append(load_tokenizer(config.student.model, trust_remote_code=config.student.trust_remote_code))
    day = day_of(tokenizers, [recorded_day(folder, "task"), _stored(config.teacher.store)])
    return config if day is None else config.model_copy(update={"task": task.model_copy(update={"date": day})})


def _stored(folder: str | None) -> date | None:
    try:
        return None if folder is None else as_day(read_fingerprint(Path(folder)).date)
    except (DataError, ValueError):
        return None
