"""Thoughts in answers: what is thought is not yet said."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.prompts.label_answer import parse_answer, usable_rationale
from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.data.prompts.thoughts import without_thoughts

LABELS = ["risk", "caution", "safe"]
REASON = "The article warns of a flood that is happening now and of people who must leave."

SAID = [
    "<think>At first glance this reads like safe.\nBut no.\n</think>\n\nrisk",
    "<think></think>risk",
    "<think/>risk",
    "<THINK>safe</THINK> risk",
    "<thinking>safe</thinking>\nrisk",
    "<Reasoning effort='high' n=\"2\">\nOutput: safe\n</Reasoning>\nrisk",
    "<thought>safe</thought>risk",
    "<think>\nOutput: safe\nReason: it is calm\n</think>\nOutput: risk",
    "<think>safe or caution</think><think>safe</think>risk",
    "<think>They wrote <think> in it. safe</think>risk",
    "<think><reasoning>safe</reasoning> safe</think>risk",
    "safe. I mean, safe!\n</think>\nrisk",
    "<think>a <think>b</think> safe</think> risk",
    "risk\n<think>Should I say safe?",
    "risk <think>or safe?</think>",
    "<seed:think>safe</seed:think>risk",
    "[THINK]safe[/THINK]risk",
    "\u25c1think\u25b7safe\u25c1/think\u25b7risk",
    "<|begin_of_thought|>safe<|end_of_thought|>\nrisk",
    "<|START_THINKING|>safe<|END_THINKING|>risk",
    "&lt;think&gt;safe&lt;/think&gt;risk",
    "<|channel|>analysis<|message|>safe<|end|><|start|>assistant<|channel|>final<|message|>risk<|return|>",
    "analysisThis is safe. Or not.assistantfinalrisk",
]
ONLY_THOUGHT = [
    "<think>Output: safe",
    "<think>safe</think>",
    "<think>safe</think>\n \n",
    "safe</think>",
    "<thinking>safe <reasoning>risk</reasoning> risk",
    "<think>safe</thinking> risk",
    "<|channel|>analysis<|message|>safe",
    "<|channel|>commentary<|message|>safe<|end|>",
]


@pytest.mark.parametrize("text", SAID)
def test_the_label_is_what_is_said_and_not_what_is_thought(text: str) -> None:
    assert parse_answer(text, LabelPrompt(), LABELS).label == "risk"


@pytest.mark.parametrize("text", ONLY_THOUGHT)
@pytest.mark.parametrize("how", ["label", "label_and_rationale", "json"])
def test_thoughts_alone_are_no_answer(text: str, how: str) -> None:
    answer = parse_answer(text, LabelPrompt(format=how), LABELS)  # type: ignore[arg-type]
    assert (answer.outcome, answer.label) == ("only_thoughts", None)


@pytest.mark.parametrize(
    "text", ["a < think > b", "I think it is risk", "the <b>thinking</b> man", "[thinking] risk", "5 <think"]
)
def test_other_texts_stay(text: str) -> None:
    if "< think >" in text:  # a mark with blanks in it is one
        assert without_thoughts(text) == "a "
    else:
        assert without_thoughts(text) == text


def test_rationales_and_json_are_read_behind_thoughts() -> None:
    thought = "<think>\nReason: it says safe and it is about something else entirely, which nobody reads.\n</think>\n"
    prompt = LabelPrompt(format="label_and_rationale", answer="Classification:")
    answer = parse_answer(f"{thought}Classification: risk\nReason: {REASON}", prompt, LABELS)
    assert (answer.label, answer.rationale) == ("risk", REASON)
    written = f'{thought}```json\n{{"label": "risk", "reason": "{REASON}"}}\n```'
    answer = parse_answer(written, LabelPrompt(format="json"), LABELS)
    assert (answer.label, answer.rationale) == ("risk", REASON)
    assert usable_rationale(thought + REASON) == REASON
    assert usable_rationale(f"<think>{REASON}") is None


def test_a_refusal_in_thoughts_is_none() -> None:
    assert parse_answer("<think>I cannot help with that. Or can I?</think>risk", LabelPrompt(), LABELS).label == "risk"
    assert parse_answer("<think>Hm.</think>I cannot help with that.", LabelPrompt(), LABELS).outcome == "refused"


def test_marks_that_the_prompt_asks_for_are_not_thoughts() -> None:
    prompt = LabelPrompt(format="label_and_rationale", answer="Label:", rationale="<reasoning>")
    answer = parse_answer(f"Label: risk\n<reasoning> {REASON}", prompt, LABELS)
    assert (answer.label, answer.rationale) == ("risk", REASON)


PIECES = [
    "<think>",
    "</think>",
    "<reasoning a=1>",
    "</REASONING>",
    "[THINK]",
    "[/THINK]",
    "risk",
    "safe",
    "\n",
    " ",
    "<",
    ">",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_what_is_left_has_no_marks_of_closed_thoughts(text: str) -> None:
    left = without_thoughts(text)
    assert len(left) <= len(text)
    whole = f"<think>{text.replace('</think>', '')}</think>risk"
    assert without_thoughts(whole) == "risk"


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    "piece", ["<think ", "<", "<a:", "<think>", "</think>", "analysis assistant ", "<|channel|>a", "&lt;think"]
)
def test_long_answers_are_read_in_time(piece: str) -> None:
    started = time.process_time()
    without_thoughts(piece * (1_000_000 // len(piece)))
    without_thoughts(piece + " " * 1_000_000)
    assert time.process_time() - started < 5
