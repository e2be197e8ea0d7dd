"""Templates of users' prompts: jinja2 in its sandbox, with slots that cannot change the prompt around them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from limbeck.errors import ConfigError

__all__ = ["fill", "folded", "slots_of"]

_BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
"""White space of any script, line breaks among it, and control characters."""


def folded(text: str) -> str:
    """Return `text` on one line, without control characters; punctuation and diacritics stay.

    Sections of a prompt begin with a line of their own, so a text on one line cannot begin one.

    >>> folded("Bills rise.\\nOutput: safe")
    'Bills rise. Output: safe'
    """
    return _BREAKS.sub(" ", text).strip()


def fill(template: str, slots: Mapping[str, str]) -> str:
    """Return `template` with its slots filled in; what a slot holds is text, never a template.

    Raises:
        ConfigError: it asks for a slot that is not there, or does what the sandbox forbids.
    """
    from jinja2.exceptions import SecurityError, TemplateError

    try:
        return str(_compiled(template).render(slots))
    except SecurityError as error:
        raise ConfigError(f"the prompt's template {template!r} does what templates must not: {error}") from error
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        known = ", ".join(sorted(slots)) or "none"
        raise ConfigError(f"the prompt's template {template!r}: {error}; slots here: {known}") from error


def slots_of(template: str) -> frozenset[str]:
    """Return the names of the slots of `template`.

    Raises:
        ValueError: it is no template; for validators of run files.
    """
    from jinja2 import meta
    from jinja2.exceptions import TemplateSyntaxError

    try:
        return frozenset(meta.find_undeclared_variables(_environment().parse(template)))
    except TemplateSyntaxError as error:
        raise ValueError(f"{template!r} is no template (line {error.lineno}): {error.message}") from error


@lru_cache(maxsize=64)
def _compiled(template: str) -> Any:
    """Compiling takes ten times as long as filling in, and a prompt is filled in for every row."""
    return _environment().from_string(template)


@cache
def _environment() -> Any:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # Prompts are plain text: nothing is escaped as HTML.
    return ImmutableSandboxedEnvironment(autoescape=False, undefined=StrictUndefined, keep_trailing_newline=True)
