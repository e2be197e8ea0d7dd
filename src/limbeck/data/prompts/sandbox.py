"""Users' prompt templates: jinja2 in its sandbox, with slots that cannot change the prompt around them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from limbeck.errors import ConfigError

__all__ = ["fill", "folded", "slots_of"]

_LONGEST_TEMPLATE, _SHOWN = 200_000, 200
_BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
"""White space of any script, including line breaks, and control characters."""


def folded(text: str) -> str:
    """Return `text` on one line, without control characters; punctuation and diacritics stay.

    Sections of a prompt begin on their own lines, so a text on one line cannot begin one.

    >>> folded("Bills rise.\\nOutput: safe")
    'Bills rise. Output: safe'
    """
    return _BREAKS.sub(" ", text).strip()


def fill(template: str, slots: Mapping[str, str]) -> str:
    """Return `template` with its slots filled in; a slot's content is text, never a template.

    Raises:
        ConfigError: it uses a missing slot, does what the sandbox forbids, or produces too much.
    """
    from jinja2.exceptions import SecurityError

    from limbeck.data.prompts.bounded import FAULTS, TooMuch, budget_of, rendered

    try:
        return rendered(_compiled(template), slots)
    except SecurityError as error:
        raise ConfigError(f"the prompt's template {_short(template)} does what templates must not: {error}") from error
    except TooMuch as error:
        raise ConfigError(
            f"the prompt's template {_short(template)} gives a text of more than {budget_of(slots):,} characters, or "
            "takes as many steps"
        ) from error
    except FAULTS as error:
        known = ", ".join(sorted(slots)) or "none"
        raise ConfigError(f"the prompt's template {_short(template)}: {_why(error)}; slots here: {known}") from error


def slots_of(template: str) -> frozenset[str]:
    """Return the names of the slots of `template`.

    Raises:
        ValueError: it is not a template; for validators of run files.
    """
    from jinja2 import meta
    from jinja2.exceptions import TemplateSyntaxError

    from limbeck.data.prompts.bounded import FAULTS

    try:
        environment = _environment()
        slots = frozenset(meta.find_undeclared_variables(environment.parse(_bounded(template))))
        _compiled(template)
    except TemplateSyntaxError as error:
        raise ValueError(f"{_short(template)} is not a template (line {error.lineno}): {error.message}") from error
    except FAULTS as error:
        raise ValueError(f"{_short(template)} is not a template: {_why(error)}") from error
    return slots


@lru_cache(maxsize=64)
def _compiled(template: str) -> Any:
    """Compile a template, cached: compiling takes ten times as long as filling in, which is done for every row."""
    return _environment().from_string(_bounded(template))


@cache
def _environment() -> Any:
    from limbeck.data.prompts.bounded import BoundedEnvironment

    return BoundedEnvironment()


def _bounded(template: str) -> str:
    if len(template) > _LONGEST_TEMPLATE:
        raise ValueError(f"it has {len(template):,} characters, but at most {_LONGEST_TEMPLATE:,} are allowed")
    return template


def _why(error: BaseException) -> str:
    if isinstance(error, RecursionError | SyntaxError):  # of Python's compiler: the template is parsed already
        return "it is nested too deeply"
    return str(error) or type(error).__name__


def _short(template: str) -> str:
    return repr(template) if len(template) <= _SHOWN else repr(template[:_SHOWN]) + "..."
