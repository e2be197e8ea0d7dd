"""Sets of tagged sentences, one JSON Lines file a split: how are they laid out?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limbeck.data.instructions.files import SetRow, read_split, sound
from limbeck.data.instructions.labels import UNIVERSAL_TAGS
from limbeck.data.instructions.make import Split
from limbeck.data.instructions.words import (
    MOST_PER_SENTENCE,
    OUTSIDE,
    Sentence,
    entity_records,
    require_some,
    word_records,
)
from limbeck.data.records import Fault, excerpt
from limbeck.types import Instruction

__all__ = ["tagged_entities", "tagged_words"]


def tagged_entities(
    folder: Path,
    split: Split,
    languages: Sequence[str],
    *,
    source: str,
    entities: Sequence[str],
    most: int | None = MOST_PER_SENTENCE,
) -> list[Instruction]:
    """Return the entity records of JSON Lines with fields ``lang, tokens, tags`` (IOB)."""
    require_some(most)
    known = [OUTSIDE, *(f"{prefix}-{kind}" for kind in entities for prefix in "BI")]
    records: list[Instruction] = []
    for row, sentence in _sentences(read_split(folder, split, languages), known):
        records += entity_records(sentence, source=source, split=split, lang=row.lang, entities=entities, most=most)
    return records


def tagged_words(
    folder: Path,
    split: Split,
    languages: Sequence[str],
    *,
    source: str = "tagged_words",
    most: int | None = MOST_PER_SENTENCE,
) -> list[Instruction]:
    """Return the word records of JSON Lines with fields ``lang, tokens, tags`` (universal tags)."""
    require_some(most)
    records: list[Instruction] = []
    for row, sentence in _sentences(read_split(folder, split, languages), UNIVERSAL_TAGS):
        records += word_records(sentence, source=source, split=split, lang=row.lang, most=most)
    return records


def _sentences(rows: Sequence[SetRow], known: Sequence[str]) -> list[tuple[SetRow, Sentence]]:
    allowed = frozenset(known)
    read = sound(rows[0].file if rows else "", [_sentence(row, allowed) for row in rows])
    return list(zip(rows, read, strict=True))


def _sentence(row: SetRow, known: frozenset[str]) -> Sentence | Fault:
    tokens, tags = (row.record.row.get(field) for field in ("tokens", "tags"))
    for field, value in (("tokens", tokens), ("tags", tags)):
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            return row.fault(field, f"expected a list of texts, got {excerpt(value)}")
    assert isinstance(tokens, list)
    assert isinstance(tags, list)
    if len(tokens) != len(tags):
        return row.fault("tags", f"{len(tags)} tags for {len(tokens)} tokens")
    if (odd := next((token for token in tokens if not token or token.split() != [token]), None)) is not None:
        return row.fault("tokens", f"expected words without white space, got {excerpt(odd)}")
    if (odd := next((tag for tag in tags if tag not in known), None)) is not None:
        return row.fault("tags", f"unknown tag {excerpt(odd)}; expected one of {', '.join(sorted(known))}")
    return Sentence(str(row.number), tokens, tags)
