"""What every record must be, and what training and test may not share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from limbeck.data.instructions.checks import (
    check_instruction,
    check_instructions,
    require_disjoint,
    require_no_leak,
    without_overlap,
)
from limbeck.errors import DataError
from limbeck.types import Instruction

GOOD = Instruction(
    id="own/train/en/qa/1",
    source="own",
    split="train",
    task="qa",
    lang="en",
    input="Who won?",
    input_pair="They did.",
    candidates=("no", "yes"),
    gold=(1,),
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": " "}, "an input text is empty"),
        ({"input_pair": ""}, "an input text is empty"),
        ({"candidates": ("yes",), "gold": (0,)}, "expected two candidates or more, got 1"),
        ({"candidates": ("yes", " ")}, "candidate 1 is empty"),
        ({"candidates": ("cafe\u0301  x", "caf\u00e9 x")}, "two candidates are the same text, 'café x'"),
        ({"gold": (2,)}, r"gold is \(2,\); expected different indices from 0 to 1"),
        ({"gold": (-1,)}, r"gold is \(-1,\)"),
        ({"gold": (1, 1)}, r"gold is \(1, 1\)"),
        ({"grades": (1.0,)}, "1 grades for 2 candidates"),
    ],
)
def test_a_record_that_cannot_be_ranked(change: dict[str, Any], message: str) -> None:
    check_instruction(GOOD)
    with pytest.raises(DataError, match=f"own/train/en/qa/1: {message}"):
        check_instruction(replace(GOOD, **change))


def test_records_together() -> None:
    other = replace(GOOD, id="2", lang="bg", parallel="k")
    first = replace(GOOD, parallel="k")
    check_instructions([first, other, replace(GOOD, id="3")])
    with pytest.raises(DataError, match="two records have the id"):
        check_instructions([GOOD, GOOD])
    with pytest.raises(DataError, match="the same task and number of candidates, got qa with 2 and qa with 3"):
        check_instructions([first, replace(other, candidates=("a", "b", "c"))])
    with pytest.raises(DataError, match="another record in 'en' also has the key 'k'"):
        check_instructions([first, replace(first, id="2")])
    with pytest.raises(DataError, match="2: expected two candidates"):
        check_instructions([first, replace(other, candidates=("a",))])


SENTENCE = replace(GOOD, task="topic", input="One  sentence", input_pair=None, id="a", parallel="k1")


@pytest.mark.parametrize(
    "test",
    [
        replace(SENTENCE, input="Друго", parallel="k1"),
        replace(SENTENCE, input="One sentence", parallel="k2"),
        replace(SENTENCE, task="translation", lang="bg", input="One sentence", parallel=None),
        replace(SENTENCE, task="translation", input="x", candidates=("One sentence", "y"), gold=(0,), parallel=None),
    ],
    ids=["key", "text", "source of a translation", "translation"],
)
def test_what_training_and_test_share(test: Instruction) -> None:
    test = replace(test, id="t", split="test")
    free = replace(SENTENCE, id="b", input="Another", parallel="k9")
    with pytest.raises(DataError, match="1 of 2 training records are in the test records too: a and t"):
        require_disjoint([free, SENTENCE], [test])
    assert without_overlap([free, SENTENCE], [test]) == [free]
    require_disjoint([free], [test])


def test_one_text_of_a_pair_may_be_in_both() -> None:
    require_disjoint([GOOD], [replace(GOOD, input_pair="We did.")])
    ranking = replace(GOOD, input_pair=None, candidates=("p1", "p2"), grades=(1.0, 0.0))
    require_disjoint([ranking], [replace(ranking, candidates=("p3", "p4"))])
    with pytest.raises(DataError, match="1 of 1"):
        require_disjoint([ranking], [replace(ranking, candidates=("p3", "p2"))])


@pytest.mark.parametrize(
    ("answer", "instruction", "leaks"),
    [
        ("sports", "Is this about sports?", True),
        ("Sports", "about SPORTS", True),
        ("sports", "Choose: politics, sports.", False),
        ("entail", "Does it entailment?", False),
        ("port", "Is this an airport?", False),
        ("体育", "这是体育新闻吗", True),
        ("it rained all day", "Translate: when it rained all day.", True),
    ],
)
def test_the_answer_in_the_instruction(answer: str, instruction: str, leaks: bool) -> None:
    record = replace(GOOD, candidates=("politics", answer))
    if leaks:
        with pytest.raises(DataError, match="holds the answer"):
            require_no_leak(record, instruction)
    else:
        require_no_leak(record, instruction)
    require_no_leak(replace(record, gold=(0,)), "Is this about sports?")


def test_a_quoted_word_of_the_sentence_is_no_leak() -> None:
    record = replace(GOOD, candidates=("PER", "none"), slots=(("span", "None"),))
    require_no_leak(record, 'Which type has the entity "None"?')
    with pytest.raises(DataError, match="holds the answer"):
        require_no_leak(record, 'Which type has the entity "None", or is it none?')
