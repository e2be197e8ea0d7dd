"""The task of text generation: what to learn, and the names of its fields in the rows."""

from __future__ import annotations

import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

__all__ = ["Generation"]


class Generation(BaseModel):
    """Completions of prompts, conversations, or plain text. The names say where these are in the user's rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["generation"] = "generation"
    prompt: str | list[str] | None = None
    """Field with the prompt. Several fields are joined by a blank line; those that a row lacks are skipped."""
    completion: str | None = None
    """Field with the text to generate after the prompt; rows without it are only prompts."""
    messages: str | None = None
    """Field with a conversation: a list of ``{role, content}``, roles system, user and assistant."""
    text: str | None = None
    """Field with plain text: every token but a row's first is learnt."""
    template: Literal["auto", "chat", "plain"] = "auto"
    """``chat``: the tokenizer's chat template. ``plain``: prompt, separator, completion, end token. ``auto``: chat
    if rows are conversations or the tokenizer has a template."""
    system: str | None = None
    """Text before every prompt: the system message of conversations without one, or text above a plain prompt."""
    date: datetime.date | None = None
    """The day (YYYY-MM-DD) for a chat template that writes today's; default: the day the run, or its store, began."""
    separator: str = "\n\n"
    """Separator of prompt and completion without a chat template; tokenised as the end of the prompt."""

    @property
    def prompts(self) -> list[str]:
        """The prompt's fields in order; empty if rows are conversations or plain text."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt or []

    @model_validator(mode="after")
    def _one_kind_of_row(self) -> Generation:
        given = [name for name in ("prompt", "messages", "text") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of prompt (with completion), messages, text (given: {', '.join(given) or 'none'})"
            )
        if self.completion is not None and self.prompt is None:
            raise ValueError(f"completion goes with prompt, not with {given[0]}")
        if self.prompt is not None:
            self._different_fields()
        if self.messages is not None and self.template == "plain":
            raise ValueError("messages need a chat template; template: plain is for prompt and completion")
        if self.text is not None and (self.template == "chat" or self.system is not None):
            raise ValueError("text is used as it is; template: chat and system are for prompts and messages")
        return self

    def _different_fields(self) -> None:
        names = [*self.prompts, *([] if self.completion is None else [self.completion])]
        if not self.prompts or len(set(names)) < len(names):
            raise ValueError(f"prompt and completion: expected different fields, at least one for the prompt: {names}")
