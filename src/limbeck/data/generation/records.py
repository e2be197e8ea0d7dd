"""Checked rows for text generation, before tokenisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from limbeck.data.generation.task import Generation
from limbeck.data.quarantine import FileCount
from limbeck.types import Origin

__all__ = ["ROLES", "Example", "Examples", "Message", "Role"]

Role = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = get_args(Role)


class Message(NamedTuple):
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class Example:
    """One row: a conversation or plain text. A prompt with its completion is a conversation of two turns."""

    messages: tuple[Message, ...]
    """Empty if the row is plain text."""
    text: str | None
    origin: Origin

    @property
    def completion(self) -> str | None:
        """The last turn if it is the assistant's, else ``None``: the row is only a prompt."""
        return self.messages[-1].content if self.messages and self.messages[-1].role == "assistant" else None

    @property
    def prompt(self) -> tuple[Message, ...]:
        """All turns before the completion."""
        return self.messages if self.completion is None else self.messages[:-1]


@dataclass(frozen=True)
class Examples:
    """Rows that passed every check, and facts about the others."""

    task: Generation
    rows: list[Example]
    left_out: int
    """Rows that were set aside; more than 0 only with ``on_bad_row="quarantine"``."""
    duplicates: int
    """Rows that repeat the whole text of an earlier row; they are kept."""
    fingerprint: str
    """SHA-256 of the accepted rows' texts in their order, whatever files they came from."""
    files: tuple[FileCount, ...]

    def __len__(self) -> int:
        return len(self.rows)
