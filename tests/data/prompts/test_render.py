"""Templates are filled from records, once, and text never becomes template."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.prompts.registry import TaskPrompt, task_prompt
from limbeck.data.prompts.render import render_task_prompt
from limbeck.errors import ConfigError, DataError
from limbeck.types import Instruction


def record(task: str, *candidates: str, gold: int = 0, **slots: str) -> Instruction:
    return Instruction(
        id=f"made/train/en/{task}",
        source="made",
        split="train",
        task=task,
        lang="en",
        input="The input {categories}.",
        input_pair=None,
        candidates=candidates or ("yes", "no"),
        gold=(gold,),
        slots=tuple(slots.items()),
    )


def prompt(task: str, template: str) -> TaskPrompt:
    return TaskPrompt(task, "1", "en", template)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (
            record("topic", "sports", "health", "politics"),
            "Classify the following text into one of the categories: health, politics, sports",
        ),
        (record("nli"), "Does the premise entail the hypothesis?"),
        (record("ner", "PER", "LOC", span="New York"), 'Which type has the entity "New York"?'),
        (record("pos", "NOUN", "VERB", word="saw", occurrence="2"), 'Part of speech of "saw" (occurrence 2)?'),
        (record("translation", "a", "b", src_lang="bg", tgt_lang="deu_Latn"), "Translate from Bulgarian to German"),
        (record("translation", "a", "b", src_lang="tlh", tgt_lang="en"), "Translate from tlh to English"),
    ],
)
def test_slots_are_filled_from_the_record(row: Instruction, text: str) -> None:
    assert render_task_prompt(row, task_prompt(row.task)) == text


def test_the_list_of_categories_says_nothing_of_order_or_gold() -> None:
    labels = ["sports", "health", "politics", "world", "Ärzte", "économie"]
    texts = set()
    for seed in range(20):
        order = random.Random(seed).sample(labels, len(labels))
        texts.add(render_task_prompt(record("topic", *order, gold=seed % 6), task_prompt("topic")))
    assert len(texts) == 1


@pytest.mark.parametrize(
    "text",
    [
        "{categories}",
        "{word}",
        "{occurrence}",
        "{{word}}",
        "{",
        "}",
        "{0}",
        "{unknown}",
        r"\1 \g<0>",
        "%s",
        "{word!r}",
    ],
)
def test_text_of_a_slot_stays_text(text: str) -> None:
    row = record("pos", "NOUN", text, word=text, occurrence="1")
    assert render_task_prompt(row, task_prompt("pos")) == f'Part of speech of "{text}" (occurrence 1)?'
    row = record("topic", "a", text)
    assert render_task_prompt(row, task_prompt("topic")).endswith(": " + ", ".join(sorted(["a", text])))


@given(first=st.text(), second=st.text())
def test_any_text_comes_through_unchanged(first: str, second: str) -> None:
    row = record("pos", "NOUN", "VERB", word=first, occurrence=second)
    assert render_task_prompt(row, prompt("pos", "{word}|{occurrence}|{word}")) == f"{first}|{second}|{first}"


def test_a_slot_of_the_record_cannot_stand_for_the_categories() -> None:
    row = record("topic", "sports", "health", categories="sports")
    assert render_task_prompt(row, task_prompt("topic")).endswith(": health, sports")


@pytest.mark.parametrize("slot", ["spam", "", "input", " span ", "span!r", "record.gold", "0"])
def test_a_slot_that_does_not_exist_is_refused(slot: str) -> None:
    row = record("ner", "PER", "LOC", span="New York", spam="x")
    with pytest.raises(ConfigError, match=r"Prompt of 'ner' \(version 1, en\) has an unknown slot \{.*span"):
        render_task_prompt(row, prompt("ner", f"Which type has {{{slot}}}?"))


def test_a_record_without_its_slot_is_refused() -> None:
    with pytest.raises(DataError, match=r"record made/train/en/pos has no 'occurrence'.*its slots: word"):
        render_task_prompt(record("pos", "NOUN", "VERB", word="saw"), task_prompt("pos"))
    with pytest.raises(DataError, match=r"has no 'span'.*its slots: none"):
        render_task_prompt(record("ner"), task_prompt("ner"))
