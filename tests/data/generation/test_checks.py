"""Which rows are usable, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest

from limbeck.data.generation.checks import check_example
from limbeck.data.generation.records import Example, Message
from limbeck.data.generation.task import Generation
from limbeck.data.records import BadRow, Record

PAIRS = Generation(prompt=["instruction", "input"], completion="output")
SINGLE = Generation(prompt="q", completion="a")
CHAT = Generation(messages="chat")
TEXT = Generation(text="t")


def check(row: dict[str, Any], task: Generation, required: bool = True) -> Example | BadRow:
    return check_example(Record(7, row), task, "f.jsonl", require_completion=required)


def turn(role: str, content: Any = "x") -> dict[str, Any]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("middle", "prompt"),
    [({"input": "and this"}, "do\n\nand this"), ({"input": ""}, "do"), ({"input": None}, "do"), ({}, "do")],
    ids=["both", "empty", "null", "missing"],
)
def test_prompt_fields_are_joined_and_empty_ones_skipped(middle: dict[str, Any], prompt: str) -> None:
    row = check({"instruction": "do", "output": " done ", **middle}, PAIRS)
    assert isinstance(row, Example)
    assert row.messages == (Message("user", prompt), Message("assistant", " done "))
    assert (row.completion, row.prompt) == (" done ", (Message("user", prompt),))
    assert str(row.origin) == "f.jsonl:7"


def test_a_conversation_may_have_a_system_message_and_many_turns() -> None:
    roles = ["system", "user", "assistant", "user", "assistant"]
    row = check({"chat": [turn(role, f"{role} {i}") for i, role in enumerate(roles)]}, CHAT)
    assert isinstance(row, Example)
    assert [message.role for message in row.messages] == roles
    assert row.completion == "assistant 4"
    assert len(row.prompt) == 4


def test_of_a_message_role_and_content_alone_are_read() -> None:
    """What an API gave beside the answer, its thoughts above all, is not learnt."""
    extra = {"reasoning_content": "secret", "reasoning": "secret", "tool_calls": [], "refusal": None}
    row = check({"chat": [turn("user"), turn("assistant", "two") | extra], "reasoning_content": "secret"}, CHAT)
    assert isinstance(row, Example)
    assert row.messages == (Message("user", "x"), Message("assistant", "two"))
    assert set(row.messages[1]._asdict()) == {"role", "content"}
    assert isinstance(check({"chat": [turn("user"), turn("assistant", None) | extra]}, CHAT), BadRow)


def test_plain_text_is_kept_as_it_is() -> None:
    row = check({"t": "  a\nb "}, TEXT)
    assert isinstance(row, Example)
    assert (row.text, row.messages, row.completion) == ("  a\nb ", (), None)


@pytest.mark.parametrize(
    ("task", "row", "field", "reason"),
    [
        (SINGLE, {"a": "x"}, "q", "missing"),
        (SINGLE, {"q": " ", "a": "x"}, "q", "white space only"),
        (SINGLE, {"q": 3, "a": "x"}, "q", "expected text, got a number: 3"),
        (PAIRS, {"instruction": "", "input": " ", "output": "x"}, "instruction", "no prompt is left"),
        (PAIRS, {"instruction": "do", "input": 5, "output": "x"}, "input", "expected text, got a number"),
        (SINGLE, {"q": "x", "a": ""}, "a", "empty"),
        (SINGLE, {"q": "x", "a": ["y"]}, "a", "expected text, got a list"),
        (SINGLE, {"q": "x"}, "a", "missing: the row is only a prompt"),
        (SINGLE, {"q": "a\0b", "a": "x"}, "q", "NUL"),
        (TEXT, {"t": ""}, "t", "empty"),
        (TEXT, {"text": "x"}, "t", "missing"),
        (CHAT, {"messages": []}, "chat", "missing"),
        (CHAT, {"chat": "hello"}, "chat", "expected a list of messages"),
        (CHAT, {"chat": []}, "chat", "expected a list of messages"),
        (CHAT, {"chat": ["hello"]}, "chat, message 1", "expected an object"),
        (CHAT, {"chat": [{"from": "human", "value": "x"}]}, "chat, message 1", "unknown role None; expected one of"),
        (CHAT, {"chat": [turn("user"), turn("tool")]}, "chat, message 2", "unknown role 'tool'"),
        (
            CHAT,
            {"chat": [turn("user"), turn("assistant", None)]},
            "chat, message 2, content",
            "expected text, got null",
        ),
        (CHAT, {"chat": [turn("user"), turn("assistant", "")]}, "chat, message 2, content", "empty"),
        (CHAT, {"chat": [turn("user"), turn("system")]}, "chat", "a system message must come first"),
        (CHAT, {"chat": [turn("assistant"), turn("user")]}, "chat", "speaks before the user"),
        (CHAT, {"chat": [turn("system"), turn("assistant")]}, "chat", "no message by the user"),
        (CHAT, {"chat": [turn("user")]}, "chat", "the last message is not the assistant's"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_rows_that_cannot_be_used(task: Generation, row: dict[str, Any], field: str, reason: str) -> None:
    fault = check(row, task)
    assert isinstance(fault, BadRow)
    assert (fault.number, fault.field, fault.row) == (7, field, row)
    assert reason in fault.reason


@pytest.mark.parametrize("row", [{"q": "x"}, {"q": "x", "a": None}], ids=["missing", "null"])
def test_prompts_alone_are_fine_where_no_completion_is_needed(row: dict[str, Any]) -> None:
    found = check(row, SINGLE, required=False)
    assert isinstance(found, Example)
    assert found.completion is None
    assert found.prompt == found.messages == (Message("user", "x"),)
    assert isinstance(check({"chat": [turn("user")]}, CHAT, required=False), Example)
    assert isinstance(check({"q": "x", "a": ""}, SINGLE, required=False), BadRow)
