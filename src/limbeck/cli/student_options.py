"""Options passed on to a student: each kind of student accepts its own and rejects the others."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Any, TypeVar

__all__ = ["given", "takes"]

Command = TypeVar("Command", bound=Callable[..., None])


def takes(options: Mapping[str, Any]) -> Callable[[Command], Command]:
    """Add options to a command whose last parameter is ``**options``; each is ``None`` if it is not given.

    Args:
        options: the typer annotation of each option, by name.
    """

    def with_options(command: Command) -> Command:
        *own, _ = inspect.signature(command, eval_str=True).parameters.values()
        more = [Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=a) for name, a in options.items()]
        command.__signature__ = inspect.Signature([*own, *more])  # type: ignore[attr-defined]
        return command

    return with_options


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}
