"""Checks that a row is usable for text generation, and the messages for rows that are not."""

from __future__ import annotations

from collections.abc import Mapping

from limbeck.data.checks import check_record
from limbeck.data.generation.records import ROLES, Example, Message
from limbeck.data.generation.task import Generation
from limbeck.data.records import BadRow, Fields, Record, excerpt
from limbeck.types import Origin

__all__ = ["check_example"]

_BLANK_LINE = "\n\n"


def check_example(record: Record, task: Generation, file: str, *, require_completion: bool) -> Example | BadRow:
    """Check the fields of one row; reports the first bad field. Texts are kept unchanged.

    A completion that is missing or null makes the row a prompt; an empty one is refused, since it is more often a
    mistake than intended.

    Args:
        record: the row.
        task: the fields to check; others are ignored.
        file: the file's name in the row's origin.
        require_completion: refuse prompts without a completion.
    """
    if task.text is not None:
        text = _text(record, task.text)
        return text if isinstance(text, BadRow) else Example((), text, Origin(file, record.number))
    turns = _conversation(record, task.messages) if task.messages is not None else _turns(record, task)
    if isinstance(turns, BadRow):
        return turns
    if require_completion and turns[-1].role != "assistant":
        return _fault(
            record,
            task.messages or task.completion,
            "missing: the row is only a prompt, but completions are needed"
            if task.messages is None
            else "the last message is not the assistant's, but completions are needed",
        )
    return Example(turns, None, Origin(file, record.number))


def _turns(record: Record, task: Generation) -> tuple[Message, ...] | BadRow:
    parts: list[str] = []
    for field in task.prompts:
        value = record.row.get(field)
        if len(task.prompts) > 1 and (value is None or (isinstance(value, str) and not value.strip())):
            continue
        text = _text(record, field)
        if isinstance(text, BadRow):
            return text
        parts.append(text)
    if not parts:
        return _fault(record, task.prompts[0], f"empty, and so are {', '.join(task.prompts[1:])}: no prompt is left")
    turns = (Message("user", _BLANK_LINE.join(parts)),)
    if task.completion is None or record.row.get(task.completion) is None:
        return turns
    completion = _text(record, task.completion)
    return completion if isinstance(completion, BadRow) else (*turns, Message("assistant", completion))


def _conversation(record: Record, field: str) -> tuple[Message, ...] | BadRow:
    value = record.row.get(field)
    if field not in record.row:
        return _text(record, field)  # type: ignore[return-value]  # a missing field is always a fault
    if not isinstance(value, list) or not value:
        return _fault(record, field, f"expected a list of messages with role and content, got {excerpt(value)}")
    turns: list[Message] = []
    for number, item in enumerate(value, 1):
        turn = _message(record, item, f"{field}, message {number}")
        if isinstance(turn, BadRow):
            return turn
        turns.append(turn)
    return _order_fault(record, field, turns) or tuple(turns)


def _message(record: Record, item: object, where: str) -> Message | BadRow:
    if not isinstance(item, Mapping):
        return _fault(record, where, f"expected an object with role and content, got {excerpt(item)}")
    role = item.get("role")
    for known in ROLES:
        if role == known:
            content = _text(Record(record.number, item, record.unit), "content")
            if isinstance(content, BadRow):
                return content._replace(field=f"{where}, content", row=record.row)
            return Message(known, content)
    return _fault(record, where, f"unknown role {excerpt(role)}; expected one of {', '.join(ROLES)}")


def _order_fault(record: Record, field: str, turns: list[Message]) -> BadRow | None:
    roles = [turn.role for turn in turns]
    if "system" in roles[1:]:
        return _fault(record, field, "a system message must come first")
    if "user" not in roles:
        return _fault(record, field, "no message by the user: there is no prompt")
    if roles.index("user") > (roles[0] == "system"):
        return _fault(record, field, "the assistant speaks before the user: that turn does not answer a prompt")
    return None


def _text(record: Record, field: str) -> str | BadRow:
    checked = check_record(record, Fields(text=field), None)
    return checked if isinstance(checked, BadRow) else checked.text


def _fault(record: Record, field: str | None, reason: str) -> BadRow:
    return BadRow(record.number, field, reason, record.row, record.unit)
