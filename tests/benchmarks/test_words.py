"""Entities and words of tagged sentences."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ML_IPD = Path(__file__).parents[2] / "benchmarks" / "ml_ipd"
TYPES = ("PER", "LOC", "ORG")
TOKENS, TAGS = [f"w{i}" for i in range(40)], ["B-PER", "I-PER", "O", "O"] * 10


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ML_IPD))
    import words  # type: ignore[import-not-found]

    yield words
    sys.modules.pop("words", None)


def test_stray_inside_tags_open_an_entity(words: ModuleType) -> None:
    assert words.spans_in(["I-LOC", "I-PER", "O", "B-PER", "B-PER"]) == [
        (0, 1, "LOC"),
        (1, 2, "PER"),
        (3, 4, "PER"),
        (4, 5, "PER"),
    ]


@pytest.mark.parametrize(
    ("tags", "entities"),
    [
        (["O", "B-LOC", "I-LOC", "O", "B-PER"], [("b c", "LOC"), ("e", "PER")]),
        (["B-LOC", "B-LOC", "I-LOC", "B-ORG", "O"], [("a", "LOC"), ("b c", "LOC"), ("d", "ORG")]),
        (["B-PER", "I-PER", "I-PER", "I-PER", "I-PER"], [("a b c d e", "PER")]),
    ],
)
def test_every_entity_is_asked_about(words: ModuleType, tags: list[str], entities: list[tuple[str, str]]) -> None:
    rows = words.entity_rows(words.Sentence("1", ["a", "b", "c", "d", "e"], tags), TYPES)
    assert [(row["span"], row["label"]) for row in rows if row["label"] != "none"] == entities


def test_as_many_spans_of_none_as_entities_outside_of_all_of_them(words: ModuleType) -> None:
    rows = list(words.entity_rows(words.Sentence("7", TOKENS, TAGS), TYPES))
    assert Counter(row["label"] for row in rows) == {"PER": 8, "none": 8}
    tagged = dict(zip(TOKENS, TAGS, strict=True))
    for row in rows:
        assert row["span"] in row["text"]
        inside = [tagged[token] != "O" for token in row["span"].split()]
        assert inside == [row["label"] != "none"] * 2
    assert len({row["span"] for row in rows}) == 16
    assert {row["group"] for row in rows} == {"7"}


def test_a_span_of_none_is_no_punctuation_and_no_entity_elsewhere(words: ModuleType) -> None:
    tokens, tags = ["Bern", ",", "Bern", "liegt", "da"], ["B-LOC", "O", "O", "O", "O"]
    drawn = {
        row["span"]
        for key in range(40)
        for row in words.entity_rows(words.Sentence(str(key), tokens, tags), TYPES)
        if row["label"] == "none"
    }
    assert drawn == {"liegt", "da"}


def test_sentences_draw_different_entities(words: ModuleType) -> None:
    drawn = {
        tuple(row["span"] for row in words.entity_rows(words.Sentence(str(key), TOKENS, TAGS), TYPES))
        for key in range(5)
    }
    assert len(drawn) > 1


def test_words(words: ModuleType) -> None:
    tokens, tags = ["the", "dog", "saw", "the", "saw"], ["DET", "NOUN", "VERB", "DET", "NOUN"]
    rows = list(words.word_rows(words.Sentence("3", tokens, tags)))
    assert [(row["word"], row["label"]) for row in rows] == list(zip(tokens, tags, strict=True))
    assert [row["occurrence"] for row in rows] == [1, 1, 1, 2, 2]
    assert {len(row["candidates"]) for row in rows} == {17}


def test_most_words_of_a_sentence(words: ModuleType) -> None:
    tokens = [f"w{i}" for i in range(30)]
    drawn = [row["word"] for row in words.word_rows(words.Sentence("3", tokens, ["NOUN"] * 30))]
    assert len(drawn) == 8
    assert drawn != tokens[:8]
