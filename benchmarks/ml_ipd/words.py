"""Tagged sentences as rows that list candidates: a row asks for the type of one entity, or for the tag of one word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from limbeck.data.instructions.labels import NO_ENTITY
from limbeck.data.instructions.make import digest

MOST_PER_SENTENCE = 8
"""Entities and words that are taken of a sentence, drawn by hash."""
UNIVERSAL_TAGS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ",
    "SYM", "VERB", "X",
)  # fmt: skip


class Sentence(NamedTuple):
    """One sentence with a tag for each token."""

    key: str
    """Unique in its file, e.g. the number of its line."""
    tokens: list[str]
    tags: list[str]


class Span(NamedTuple):
    """Tokens ``start`` to ``end`` (not included), counted from 0, and their type."""

    start: int
    end: int
    type: str


def spans_in(tags: Sequence[str]) -> list[Span]:
    """Return the entities of IOB tags. An ``I-`` that continues nothing opens one, as CoNLL's scorer has it.

    >>> spans_in(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"])
    [Span(start=0, end=2, type='PER'), Span(start=3, end=4, type='LOC'), Span(start=4, end=5, type='LOC')]
    """
    spans: list[Span] = []
    for place, tag in enumerate(tags):
        prefix, _, kind = tag.partition("-")
        if prefix == "I" and spans and spans[-1].end == place and spans[-1].type == kind:
            spans[-1] = Span(spans[-1].start, place + 1, kind)
        elif prefix in ("B", "I"):
            spans.append(Span(place, place + 1, kind))
    return spans


def entity_rows(
    sentence: Sentence, entities: Sequence[str], most: int = MOST_PER_SENTENCE
) -> Iterator[dict[str, Any]]:
    """Yield a row for each entity of IOB tags, and as many for spans that are none.

    A span that is no entity has the length of an entity of the sentence where there is one, so that the
    length does not give the answer away.
    """
    gold = spans_in(sentence.tags)
    taken = _draw(gold, sentence.key, most)
    for span in [*taken, *_spans_of_none(sentence, gold, taken, sentence.key)]:
        yield {
            "text": " ".join(sentence.tokens),
            "span": " ".join(sentence.tokens[span.start : span.end]),
            "candidates": [*entities, NO_ENTITY],
            "label": span.type,
            "group": sentence.key,
        }


def _draw(spans: Sequence[Span], key: str, most: int) -> list[Span]:
    if len(spans) <= most:
        return list(spans)
    return sorted(sorted(spans, key=lambda span: digest("draw", key, span.start, span.end))[:most])


def _spans_of_none(sentence: Sentence, gold: Sequence[Span], taken: Sequence[Span], key: str) -> list[Span]:
    tokens = sentence.tokens
    inside = {place for span in gold for place in range(span.start, span.end)}
    entities = {tuple(tokens[span.start : span.end]) for span in gold}
    longest = max((span.end - span.start for span in taken), default=0)
    free = [
        Span(start, end, NO_ENTITY)
        for start in range(len(tokens))
        for end in range(start + 1, min(start + longest, len(tokens)) + 1)
        if inside.isdisjoint(range(start, end))
        and tuple(tokens[start:end]) not in entities
        and any(character.isalnum() for character in tokens[start] + tokens[end - 1])
    ]
    free.sort(key=lambda span: digest("none", key, span.start, span.end))
    drawn: list[Span] = []
    for span in taken:
        if free:
            length = span.end - span.start
            closest = min(free, key=lambda other: abs(other.end - other.start - length))
            free.remove(closest)
            drawn.append(closest)
    return sorted(drawn)


def word_rows(sentence: Sentence, most: int = MOST_PER_SENTENCE) -> Iterator[dict[str, Any]]:
    """Yield a row for each word: which part of speech is it?"""
    words = [Span(place, place + 1, tag) for place, tag in enumerate(sentence.tags)]
    for place, _, tag in _draw(words, sentence.key, most):
        word = sentence.tokens[place]
        yield {
            "text": " ".join(sentence.tokens),
            "word": word,
            "occurrence": sentence.tokens[: place + 1].count(word),
            "candidates": list(UNIVERSAL_TAGS),
            "label": tag,
            "group": sentence.key,
        }
