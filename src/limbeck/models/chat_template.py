"""Chat templates that write the date: one day for a whole run, whenever its prompts are laid out.

Templates know the date by a function `strftime_now` that transformers gives them. It takes no other from a caller, so
a macro of that name, which comes before it, is put at the head of the template.
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
"""Renderings of a template that may draw by chance: of two equally likely texts all agree once in 32,768 times."""
_USER, _ASSISTANT = ({"role": role, "content": "limbeck"} for role in ("user", "assistant"))
_PROBES = [[_USER], [{"role": "system", "content": "limbeck"}, _USER], [_USER, _ASSISTANT, _USER]]


def reads_clock(tokenizer: Any) -> bool:
    """Whether the tokenizer's chat template asks for the date anywhere."""
    return _CLOCK in _template(tokenizer)


def at_date(tokenizer: Any, day: date | None) -> Any:
    """Return the tokenizer with a chat template that writes `day` where it would write today.

    A copy that shares all else; the same one if there is no day, or the template asks for none.
    """
    if day is None or not reads_clock(tokenizer):
        return tokenizer
    frozen = copy.copy(tokenizer)
    frozen.chat_template = _frozen(_template(tokenizer), day)
    return frozen


def today_of(tokenizer: Any) -> date:
    """Return the day that a template writes which is laid out now."""
    words = tokenizer.apply_chat_template([_USER], chat_template=f"{{{{ {_CLOCK}('%Y-%m-%d') }}}}", tokenize=False)
    return date.fromisoformat(words)


def writes_date(tokenizer: Any) -> bool:
    """Whether conversations are laid out otherwise on another day, found by trying two."""
    first, other = (_rendered(at_date(tokenizer, day)) for day in _ON_TWO_DAYS)
    return first != other


def require_steady(tokenizer: Any) -> None:
    """Refuse a chat template that draws by chance: a row would have other tokens each time.

    Raises:
        ModelError: it lays out one conversation in several ways.
    """
    if not any(word in _template(tokenizer) for word in ("random", "lipsum")):  # what of jinja2 draws
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
            f"the chat template of {tokenizer.name_or_path} draws by chance, so one conversation is laid out in "
            "several ways and no row has tokens of its own. Take random and lipsum out of the template, and save the "
            "tokenizer"
        )


def _template(tokenizer: Any) -> str:
    return str(tokenizer.get_chat_template()) if tokenizer.chat_template else ""


def _rendered(tokenizer: Any) -> Sequence[str | None]:
    """Return what the template makes of a few conversations; ``None`` where it refuses one."""
    found: list[str | None] = []
    for turns in _PROBES:
        try:
            found.append(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        except Exception:  # templates refuse what they like
            found.append(None)
    return found


@lru_cache(maxsize=16)
def _frozen(template: str, day: date) -> str:
    """Put a `strftime_now` of this day before the one that templates are given. It writes nothing itself."""
    written = []
    for directive in (directive for directive in _DIRECTIVES if directive in template):
        try:
            written.append([directive, day.strftime(directive)])
        except ValueError:  # not known on this system, where no template can use it
            continue
    pairs = json.dumps([*written, ["%%", "%"]], ensure_ascii=False)
    return (
        f"{{% macro {_CLOCK}(format) %}}{{% set at = namespace(text=format) %}}"
        f"{{% for directive, written in {pairs} %}}{{% set at.text = at.text.replace(directive, written) %}}"
        "{% endfor %}{{ at.text }}{% endmacro %}{{ '' }}" + template
    )
