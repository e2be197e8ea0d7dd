"""Filling the slots of a Task-Level Prompt from a record."""

from __future__ import annotations

import re

from limbeck.data.languages import language_name
from limbeck.data.prompts.registry import TaskPrompt
from limbeck.errors import ConfigError, DataError, near_misses
from limbeck.types import Instruction

__all__ = ["render_task_prompt"]

_SLOTS = ("categories", "occurrence", "span", "src_lang", "tgt_lang", "word")
_LANGUAGE_SLOTS = ("src_lang", "tgt_lang")
_SLOT = re.compile(r"\{([^{}]*)\}")


def render_task_prompt(record: Instruction, prompt: TaskPrompt) -> str:
    """Return the text of `prompt` for `record`.

    ``{categories}`` becomes the candidates in alphabetical order, which reveals nothing about the gold answer and
    is the same for all records of a task. ``{src_lang}`` and ``{tgt_lang}`` become English names. All other slots
    are taken from the record unchanged. The template is read once: text that looks like a slot stays text. The
    input is not a slot; it follows the prompts, so it can be cut without cutting them.

    Raises:
        ConfigError: the template has a slot that does not exist.
        DataError: the record lacks a slot that the template has.
    """
    assert record.task == prompt.task, f"a prompt of {prompt.task} for a record of {record.task}"
    given = dict(record.slots)

    def text_of(match: re.Match[str]) -> str:
        slot = match[1]
        if slot not in _SLOTS:
            raise ConfigError(
                f"the Task-Level Prompt of '{prompt.task}' (version {prompt.version}, {prompt.lang}) has an unknown "
                f"slot {{{slot}}}; {near_misses(slot, _SLOTS)}"
            )
        if slot == "categories":
            return ", ".join(sorted(record.candidates))
        if slot not in given:
            raise DataError(
                f"record {record.id} has no '{slot}', which the prompt of its task '{prompt.task}' needs; "
                f"its slots: {', '.join(given) or 'none'}"
            )
        return _name_if_known(given[slot]) if slot in _LANGUAGE_SLOTS else given[slot]

    return _SLOT.sub(text_of, prompt.template)


def _name_if_known(lang: str) -> str:
    """Return the English name of a language; a user's own language keeps the given name."""
    try:
        return language_name(lang)
    except DataError:
        return lang
