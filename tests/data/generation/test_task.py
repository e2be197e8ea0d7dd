"""What a user may say about generating rows."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from limbeck.data.generation.task import Generation


@pytest.mark.parametrize(
    "words",
    [
        {"prompt": "q", "completion": "a"},
        {"prompt": "q"},
        {"prompt": ["instruction", "input"], "completion": "output", "template": "plain", "system": "Be brief."},
        {"messages": "chat", "template": "chat", "system": "Be brief."},
        {"text": "text", "template": "plain"},
    ],
    ids=lambda words: "-".join(words),
)
def test_what_can_be_said(words: dict[str, Any]) -> None:
    assert Generation(**words).kind == "generation"


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ({}, "exactly one of prompt .with completion., messages, text .given: none."),
        ({"prompt": "q", "text": "t"}, "given: prompt, text"),
        ({"completion": "a", "text": "t"}, "completion goes with prompt, not with text"),
        ({"prompt": [], "completion": "a"}, "at least one for the prompt"),
        ({"prompt": ["q", "q"]}, "different fields"),
        ({"prompt": "q", "completion": "q"}, "different fields"),
        ({"messages": "m", "template": "plain"}, "messages need a chat template"),
        ({"text": "t", "template": "chat"}, "text is used as it is"),
        ({"text": "t", "system": "s"}, "text is used as it is"),
        ({"promt": "q"}, "Extra inputs are not permitted"),
    ],
    ids=[
        "nothing", "two", "stray", "no_field", "twice", "same", "plain_chat", "chat_text", "told_text", "key"
    ],
)  # fmt: skip
def test_what_cannot(words: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Generation(**words)


def test_prompts_are_a_list_in_order() -> None:
    assert Generation(prompt="q").prompts == ["q"]
    assert Generation(prompt=["b", "a"]).prompts == ["b", "a"]
    assert Generation(text="t").prompts == []
