"""The day that chat templates write in a run: the one on which it, or its teacher's store, began.

A template that writes today's would lay the same rows out otherwise tomorrow: a store would be of no use at midnight,
and a run that goes on would train on other prompts. So the day is a setting (``task.date``, ``prompt.date``), filled
in when a run begins and kept with all others in ``run.yaml``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from limbeck.atomic import write_json
from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.errors import DataError
from limbeck.models.chat_template import reads_clock, require_steady, today_of
from limbeck.models.load import load_tokenizer
from limbeck.ranks import from_main
from limbeck.runs.checked_yaml import parse_yaml
from limbeck.runs.classifier_config import RunConfig
from limbeck.runs.student import student_prompt
from limbeck.runs.text_config import TextRunConfig
from limbeck.tasks.record import RUN_FILE
from limbeck.teachers.store.fingerprint import read_fingerprint

__all__ = ["date_notes", "dated_prompt", "with_label_dates", "with_text_date"]


def with_text_date(config: TextRunConfig, folder: Path) -> TextRunConfig:
    """Return a run on texts with the day that its templates write, where any asks for it.

    The run file's, else that of the run in `folder`, else that of the store, else today.

    Raises:
        ModelError: a tokenizer cannot be loaded, or its template draws by chance.
    """
    task = config.task
    if task.date is not None or task.text is not None or task.template == "plain":
        return config
    tokenizers = [load_tokenizer(config.teacher.model, trust_remote_code=config.teacher.trust_remote_code)]
    if config.student.model is not None:
        tokenizers.append(load_tokenizer(config.student.model, trust_remote_code=config.student.trust_remote_code))
    day = _day(tokenizers, [_recorded(folder, "task"), _stored(config.teacher.store)])
    return config if day is None else config.model_copy(update={"task": task.model_copy(update={"date": day})})


def with_label_dates(config: RunConfig, folder: Path) -> RunConfig:
    """Return a run of a classifier with the days in the prompts of local models, where a template asks for them.

    Raises:
        ModelError: a tokenizer cannot be loaded, or its template draws by chance.
    """
    teacher, student = config.teacher, config.student
    asked = teacher.prompt
    if asked is not None and teacher.model is not None:
        tokenizer = _tokenizer_for(asked, teacher.model, teacher.trust_remote_code)
        asked = _dated(asked, _day(tokenizer, [_recorded(folder, "teacher", "prompt")]))
        config = config.model_copy(update={"teacher": teacher.model_copy(update={"prompt": asked})})
    if student.head == "verbaliser" and student.model is not None:
        read = student_prompt(config)
        tokenizer = _tokenizer_for(read, student.model, student.trust_remote_code)
        known = [None if asked is None else asked.date, _recorded(folder, "student", "prompt")]
        dated = _dated(read, _day(tokenizer, known) or (known[0] if student.prompt is not None else None))
        if dated != read:
            config = config.model_copy(update={"student": student.model_copy(update={"prompt": dated})})
    return config


def dated_prompt(prompt: LabelPrompt, tokenizer: Any, folder: Path) -> LabelPrompt:
    """Return a prompt with the day that a template writes, which `folder` keeps: of commands without a run file.

    Raises:
        ModelError: the template draws by chance.
        StorageError: it cannot be kept.
    """
    if prompt.date is not None or prompt.layout == "plain":
        return prompt
    file = folder / "template_date.json"
    try:
        kept = _as_day(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        kept = None
    day = _day([tokenizer], [kept])
    if day is not None and kept is None:
        write_json(file, day.isoformat())
    return _dated(prompt, day)


def date_notes(config: RunConfig) -> Iterator[str]:
    """Yield what is to be said of the days in a run's prompts."""
    for name, prompt in (("teacher", config.teacher.prompt), ("student", config.student.prompt)):
        if prompt is not None and prompt.date is not None:
            yield (
                f"the {name}'s chat template asks for today's date; in this run it is {prompt.date} whatever the day "
                f"({name}.prompt.date)"
            )


def _tokenizer_for(prompt: LabelPrompt, model: str, trust_remote_code: bool) -> list[Any]:
    if prompt.date is not None or prompt.layout == "plain":
        return []
    return [load_tokenizer(model, trust_remote_code=trust_remote_code)]


def _day(tokenizers: Sequence[Any], known: Sequence[date | None]) -> date | None:
    """Return the first known day, or today, if any template asks for it. The same on all ranks."""
    for tokenizer in tokenizers:
        require_steady(tokenizer)
    asking = [tokenizer for tokenizer in tokenizers if reads_clock(tokenizer)]
    if not asking:
        return None
    day = next((day for day in known if day is not None), None) or today_of(asking[0])
    return date.fromordinal(int(from_main(day.toordinal())))


def _dated(prompt: LabelPrompt, day: date | None) -> LabelPrompt:
    return prompt if day is None or prompt.date is not None else prompt.model_copy(update={"date": day})


def _recorded(folder: Path, *sections: str) -> date | None:
    """Return the day in the record of the run in `folder`, if there is one. What is wrong with it is said later."""
    try:
        found, _ = parse_yaml((folder / RUN_FILE).read_text(encoding="utf-8"))
        for section in sections:
            found = found[section]
        return _as_day(found["date"])
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return None


def _stored(folder: str | None) -> date | None:
    try:
        return None if folder is None else _as_day(read_fingerprint(Path(folder)).date)
    except (DataError, ValueError):
        return None


def _as_day(value: object) -> date | None:
    return date.fromisoformat(str(value)) if value else None
