"""Options of a saved student: each kind of task declares its own, and rejects others with the same message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from limbeck.errors import ConfigError

__all__ = ["Options", "checked_options"]


class Options(BaseModel):
    """The options of a kind of student: ``max_new_tokens`` is ``--max-new-tokens`` of a command."""

    model_config = ConfigDict(extra="forbid", frozen=True)


AnyOptions = TypeVar("AnyOptions", bound=Options)


def checked_options(known: type[AnyOptions], given: Mapping[str, Any], students: str) -> AnyOptions:
    """Check the given options.

    Args:
        known: the options of the kind.
        given: values by name.
        students: the word for such students, such as "generative students".

    Raises:
        ConfigError: on one line, which options are not for such students, or which value is wrong.
    """
    others = [_flag(name) for name in given if name not in known.model_fields]
    if others:
        raise ConfigError(f"{' and '.join(others)} {'is' if len(others) == 1 else 'are'} not for {students}")
    try:
        return known.model_validate(dict(given))
    except ValidationError as error:
        raise ConfigError("; ".join(_words(one) for one in error.errors())) from error


def _words(fault: Any) -> str:
    names = ", ".join(_flag(str(name)) for name in fault["loc"][:1])
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{names}: {message}" if names else message


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
