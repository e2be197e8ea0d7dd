"""Named options that are handed on: a kind of student takes those that it has, and refuses the others."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Any, TypeVar

__all__ = ["given", "takes"]

Command = TypeVar("Command", bound=Callable[..., None])


def takes(options: Mapping[str, Any]) -> Callable[[Command], Command]:
    """Let a command whose last parameter is ``**options`` take these, each ``None`` where it was not given.

    Args:
        options: what typer is to know of each, by its name.
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
