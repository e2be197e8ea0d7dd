"""Tagged sentences as records: one record asks for the type of one entity, or for the tag of one word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from limbeck.data.instructions.labels import NO_ENTITY, UNIVERSAL_TAGS
from limbeck.data.instructions.make import Split, choice, digest, record_id
from limbeck.errors import ConfigError
from limbeck.types import Instruction

__all__ = [
    "MOST_PER_SENTENCE",
    "OUTSIDE",
    "Sentence",
    "Span",
    "entity_records",
    "require_some",
    "spans_in",
    "word_records",
]

MOST_PER_SENTENCE = 8
OUTSIDE = "O"
"""The tag of a token outside of all entities."""


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


def entity_records(
    sentence: Sentence,
    *,
    source: str,
    split: Split,
    lang: str,
    entities: Sequence[str],
    most: int | None = MOST_PER_SENTENCE,
) -> list[Instruction]:
    """Return a record for each entity, and as many for spans that are none.

    A span that is no entity has the length of an entity of the sentence where there is one, so that the
    length does not give the answer away.

    Args:
        sentence: tokens and IOB tags.
        source: the set.
        split: of the set.
        lang: our code.
        entities: the types that there may be.
        most: entities taken, drawn by hash; ``None``: all.
    """
    group = record_id(source, split, lang, "ner", sentence.key)
    gold = spans_in(sentence.tags)
    taken = _draw(gold, group, most)
    return [
        choice(
            source=source,
            split=split,
            lang=lang,
            task="ner",
            key=f"{sentence.key}/{span.start}-{span.end}",
            text=" ".join(sentence.tokens),
            labels=(*entities, NO_ENTITY),
            label=span.type,
            slots=(
                ("span", " ".join(sentence.tokens[span.start : span.end])),
                ("start", str(span.start)),
                ("end", str(span.end)),
            ),
            group=group,
        )
        for span in [*taken, *_spans_of_none(sentence, gold, taken, group)]
    ]


def _draw(spans: Sequence[Span], key: str, most: int | None) -> list[Span]:
    if most is None or len(spans) <= most:
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


def word_records(
    sentence: Sentence,
    *,
    source: str,
    split: Split,
    lang: str,
    tags: Sequence[str] = UNIVERSAL_TAGS,
    most: int | None = MOST_PER_SENTENCE,
) -> list[Instruction]:
    """Return a record for each word: which part of speech is it?

    Args:
        sentence: tokens and tags.
        source: the set.
        split: of the set.
        lang: our code.
        tags: the tags that there may be.
        most: words taken, drawn by hash; ``None``: all.
    """
    group = record_id(source, split, lang, "pos", sentence.key)
    words = [Span(place, place + 1, tag) for place, tag in enumerate(sentence.tags)]
    return [
        choice(
            source=source,
            split=split,
            lang=lang,
            task="pos",
            key=f"{sentence.key}/{place}",
            text=" ".join(sentence.tokens),
            labels=tags,
            label=tag,
            slots=(
                ("word", sentence.tokens[place]),
                ("occurrence", str(sentence.tokens[: place + 1].count(sentence.tokens[place]))),
                ("start", str(place)),
            ),
            group=group,
        )
        for place, _, tag in _draw(words, group, most)
    ]


def require_some(most: int | None) -> None:
    """Raise a `ConfigError` if `most` records a sentence are none."""
    if most is not None and most < 1:
        raise ConfigError(f"most: expected 1 or more records a sentence, or None for all, got {most}.")
