"""Entities and words of tagged sentences, and the way back to the tags."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from limbeck.data.instructions.checks import check_instructions
from limbeck.data.instructions.make import original
from limbeck.data.instructions.words import (
    Sentence,
    Span,
    entity_records,
    spans_in,
    word_records,
)
from limbeck.types import Instruction

TYPES = ("PER", "LOC", "ORG")
LONG = Sentence("7", [f"w{i}" for i in range(40)], ["B-PER", "I-PER", "O", "O"] * 10)


def entities(sentence: Sentence, **options: Any) -> list[Instruction]:
    return entity_records(sentence, source="own", split="train", lang="en", entities=TYPES, **options)


def entity_tags(records: list[Instruction]) -> list[str]:
    """The IOB2 tags of a sentence all of whose entities are asked about."""
    tags = ["O"] * len(records[0].input.split(" "))
    for record in records:
        kind, slots = original(record).answer, dict(record.slots)
        if kind != "none":
            start, end = int(slots["start"]), int(slots["end"])
            tags[start:end] = [f"B-{kind}"] + [f"I-{kind}"] * (end - start - 1)
    return tags


def word_tags(records: list[Instruction]) -> list[str | None]:
    """The tag of each word of a sentence; None for words that are not asked about."""
    tags: list[str | None] = [None] * len(records[0].input.split(" "))
    for record in records:
        tags[int(dict(record.slots)["start"])] = original(record).answer
    return tags


def test_stray_inside_tags_open_an_entity() -> None:
    assert spans_in(["I-LOC", "I-PER", "O", "B-PER", "B-PER"]) == [
        Span(0, 1, "LOC"),
        Span(1, 2, "PER"),
        Span(3, 4, "PER"),
        Span(4, 5, "PER"),
    ]


@pytest.mark.parametrize(
    "tags",
    [
        ["O", "B-LOC", "I-LOC", "O", "B-PER"],
        ["B-LOC", "B-LOC", "I-LOC", "B-ORG", "O"],
        ["B-PER", "I-PER", "I-PER", "I-PER", "I-PER"],
    ],
)
def test_the_tags_come_back(tags: list[str]) -> None:
    records = entities(Sentence("1", ["a", "b", "c", "d", "e"], tags), most=None)
    check_instructions(records)
    assert entity_tags(records) == tags
    kinds = Counter(span.type for span in spans_in(tags))
    assert Counter(original(r).answer for r in records if original(r).answer != "none") == kinds


def test_as_many_spans_of_none_as_entities_outside_of_all_of_them() -> None:
    records = entities(LONG)
    answers = Counter(original(record).answer for record in records)
    assert answers == {"PER": 8, "none": 8}
    gold = {place for span in spans_in(LONG.tags) for place in range(span.start, span.end)}
    for record in records:
        slots = dict(record.slots)
        start, end = int(slots["start"]), int(slots["end"])
        assert slots["span"] == " ".join(LONG.tokens[start:end])
        assert end - start == 2
        assert gold.isdisjoint(range(start, end)) == (original(record).answer == "none")
    assert len({record.id for record in records}) == 16
    assert {record.group for record in records} == {"own/train/en/ner/7"}


def test_a_span_of_none_is_no_punctuation_and_no_entity_elsewhere() -> None:
    sentence = Sentence("1", ["Bern", ",", "Bern", "liegt", "da"], ["B-LOC", "O", "O", "O", "O"])
    drawn = {
        dict(record.slots)["span"]
        for key in range(40)
        for record in entities(sentence._replace(key=str(key)))
        if original(record).answer == "none"
    }
    assert drawn == {"liegt", "da"}


def test_sentences_draw_different_entities() -> None:
    places = {tuple(record.id for record in entities(LONG._replace(key=str(key)))[:8]) for key in range(5)}
    assert len({tuple(name.split("/")[-1] for name in ids) for ids in places}) > 1


def test_words() -> None:
    tokens, tags = ["the", "dog", "saw", "the", "saw"], ["DET", "NOUN", "VERB", "DET", "NOUN"]
    records = word_records(Sentence("3", tokens, tags), source="own", split="train", lang="en")
    check_instructions(records)
    assert word_tags(records) == tags
    assert [dict(record.slots)["word"] for record in records] == tokens
    assert [dict(record.slots)["occurrence"] for record in records] == ["1", "1", "1", "2", "2"]
    assert len(records[0].candidates) == 17


def test_most_words_of_a_sentence() -> None:
    sentence = Sentence("3", [f"w{i}" for i in range(30)], ["NOUN"] * 30)
    options: dict[str, Any] = {"source": "own", "split": "train", "lang": "en"}
    drawn = word_tags(word_records(sentence, **options))
    assert Counter(drawn) == {"NOUN": 8, None: 22}
    assert drawn[:8] != ["NOUN"] * 8
    assert word_tags(word_records(sentence, most=None, **options)) == ["NOUN"] * 30
