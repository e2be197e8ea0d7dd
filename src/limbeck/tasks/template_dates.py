"""The date that chat templates write in a run: the day on which it, or its teacher's store, began.

A template that writes today's date would format the same rows differently tomorrow: a store would be useless after
midnight, and a resumed run would train on other prompts. So the date is a setting (``task.date``, ``prompt.date``),
filled in when a run begins and kept with all others in ``run.yaml``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from limbeck.atomic import write_json
from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.models.chat_template import reads_clock, require_steady, today_of
from limbeck.ranks import from_main
from limbeck.tasks.record import recorded_value

__all__ = ["as_day", "dated_prompt", "day_of", "recorded_day", "with_day"]


def dated_prompt(prompt: LabelPrompt, tokenizer: Any, folder: Path) -> LabelPrompt:
    """Return a prompt with the date that a template writes, kept in `folder`, for commands without a run file.

    Raises:
        ModelError: the template is random.
        StorageError: the date cannot be kept.
    """
    if prompt.date is not None or prompt.layout == "plain":
        return prompt
    file = folder / "template_date.json"
    try:
        kept = as_day(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        kept = None
    day = day_of([tokenizer], [kept])
    if day is not None and kept is None:
        write_json(file, day.isoformat())
    return with_day(prompt, day)


def day_of(tokenizers: Sequence[Any], known: Sequence[date | None]) -> date | None:
    """Return the first known day, or today, if any template asks for it. The same on all ranks."""
    for tokenizer in tokenizers:
        require_steady(tokenizer)
    asking = [tokenizer for tokenizer in tokenizers if reads_clock(tokenizer)]
    if not asking:
        return None
    day = next((day for day in known if day is not None), None) or today_of(asking[0])
    return date.fromordinal(int(from_main(day.toordinal())))


def with_day(prompt: LabelPrompt, day: date | None) -> LabelPrompt:
    """Return a prompt with a day, if it does not have one."""
    return prompt if day is None or prompt.date is not None else prompt.model_copy(update={"date": day})


def recorded_day(folder: Path, *sections: str | int) -> date | None:
    """Return the day in the record of the run in `folder`, if there is one. Its faults are reported later."""
    try:
        return as_day(recorded_value(folder, *sections, "date"))
    except ValueError:
        return None


def as_day(value: object) -> date | None:
    """Parse a day; ``None`` for ``None``. Raises `ValueError`."""
    return date.fromisoformat(str(value)) if value else None
