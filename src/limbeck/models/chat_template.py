"""Chat templates that write the date: one date for a whole run, whenever its prompts are rendered.

Templates get the date from a function `strftime_now` that transformers provides. A caller cannot replace it, so a
macro of that name, which takes precedence, is put at the head of the template.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from limbeck.errors import ModelError

__all__ = ["at_date", "reads_clock", "require_steady", "today_of", "writes_date"]

_CLOCK = "strftime_now"
_DIRECTIVES = [f"%{flag}{letter}" for flag in ("-", "") for letter in "aAbBcdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYZz"]
_ON_TWO_DAYS = date(2001, 2, 3), date(2024, 12, 27)
_DRAWS = 16
"""Renderings of a template that may be random: with two equally likely texts, all agree once in 32,768 times."""
_USER, _ASSISTANT = ({"role": role, "content": "limbeck"} for role in ("user", "assistant"))
_PROBES = [[_USER], [{"role": "system", "content": "limbeck"}, _USER], [_USER, _ASSISTANT, _USER]]


def reads_clock(tokenizer: Any) -> bool:
    """Whether the tokenizer's chat template asks for the date anywhere."""
    return _CLOCK in _template(tokenizer)


def at_date(tokenizer: Any, day: date | None) -> Any:
    """Return the tokenizer with a chat template that writes `day` instead of today.

    A copy that shares everything else; the same object if there is no day, or the template asks for none.
    """
    if day is None or not reads_clock(tokenizer):
        return tokenizer
    frozen = copy.copy(tokenizer)
    frozen.chat_template = _frozen(_template(tokenizer), day)
    return frozen


def today_of(tokenizer: Any) -> date:
    """Return the date that a template rendered now writes."""
    words = tokenizer.apply_chat_template([_USER], chat_template=f"{{{{ {_CLOCK}('%Y-%m-%d') }}}}", tokenize=False)
    return date.fromisoformat(words)


def writes_date(tokenizer: Any) -> bool:
    """Return whether conversations are rendered differently on another day, by trying two."""
    first, other = (_rendered(at_date(tokenizer, day)) for day in _ON_TWO_DAYS)
    return first != other


def require_steady(tokenizer: Any) -> None:
    """Refuse a random chat template: a row would have different tokens each time.

    Raises:
        ModelError: it renders one conversation in several ways.
    """
    if not any(word in _template(tokenizer) for word in ("random", "lipsum")):  # the random functions of jinja2
        return
    state, still = random.getstate(), at_date(tokenizer, _ON_TWO_DAYS[0])
    try:
        found = set()
        for seed in range(_DRAWS):
            random.seed(seed)
            found.add(tuple(_rendered(still)))
    finally:
        random.setstate(state)
    if len(found) > 1:
        raise ModelError(
            f"the chat template of {tokenizer.name_or_path} is random: it renders one conversation in several ways, "
            "so a row has no fixed tokens. Remove random and lipsum from the template, and save the "
            "tokenizer"
        )


def _template(tokenizer: Any) -> str:
    return str(tokenizer.get_chat_template()) if tokenizer.chat_template else ""


def _rendered(tokenizer: Any) -> Sequence[str | None]:
    """Render a few conversations; ``None`` for any that the template refuses."""
    found: list[str | None] = []
    for turns in _PROBES:
        try:
            found.append(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        except Exception:  # templates may raise anything
            found.append(None)
    return found


@lru_cache(maxsize=16)
def _frozen(template: str, day: date) -> str:
    """Define a `strftime_now` for this day, overriding transformers' own. The definition itself writes nothing."""
    written = []
    for directive in (directive for directive in _DIRECTIVES if directive in template):
        try:
            written.append([directive, day.strftime(directive)])
        except ValueError:  # unknown on this system, so no template can use it
            continue
    pairs = json.dumps([*written, ["%%", "%"]], ensure_ascii=False)
    return (
        f"{{% macro {_CLOCK}(format) %}}{{% set at = namespace(text=format) %}}"
        f"{{% for directive, written in {pairs} %}}{{% set at.text = at.text.replace(directive, written) %}}"
        "{% endfor %}{{ at.text }}{% endmacro %}{{ '' }}" + template
    )
