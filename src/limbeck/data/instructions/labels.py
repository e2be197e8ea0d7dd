"""Which answers does each set's task choose from, and in which words?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from limbeck.errors import DataError
from limbeck.types import Instruction

__all__ = [
    "ADS",
    "ENTITIES",
    "GRADES",
    "MASAKHANEWS_TOPICS",
    "NLI",
    "NO_ENTITY",
    "SIB200_TOPICS",
    "UNIVERSAL_TAGS",
    "XGLUE_TOPICS",
    "YES_NO",
    "verbalise",
]

SIB200_TOPICS = ("entertainment", "geography", "health", "politics", "science/technology", "sports", "travel")
MASAKHANEWS_TOPICS = ("business", "entertainment", "health", "politics", "religion", "sports", "technology")
XGLUE_TOPICS = (
    "autos",
    "entertainment",
    "finance",
    "foodanddrink",
    "health",
    "lifestyle",
    "news",
    "sports",
    "travel",
    "video",
)
NLI = ("entailment", "neutral", "contradiction")
YES_NO = ("yes", "no")
ADS = ("relevant", "not relevant")
GRADES = ("bad", "fair", "good", "excellent", "perfect")
"""Of web pages; the place of a name is its grade, 0 to 4."""
ENTITIES = ("PER", "LOC", "ORG", "MISC")
NO_ENTITY = "none"
"""The answer for a span that is no entity."""
UNIVERSAL_TAGS = (
    "ADJ",
    "ADP",
    "ADV",
    "AUX",
    "CCONJ",
    "DET",
    "INTJ",
    "NOUN",
    "NUM",
    "PART",
    "PRON",
    "PROPN",
    "PUNCT",
    "SCONJ",
    "SYM",
    "VERB",
    "X",
)


def verbalise(records: Sequence[Instruction], names: Mapping[str, Mapping[str, str]]) -> list[Instruction]:
    """Return `records` with candidates in the words of their own language.

    Args:
        records: records whose candidates are label names in English.
        names: for each language the name of every label; languages that are not in it keep the English names.

    Raises:
        DataError: a language is there, but a label of one of its records is not.
    """
    said: list[Instruction] = []
    for record in records:
        words = names.get(record.lang)
        if words is None:
            said.append(record)
            continue
        missing = [label for label in record.candidates if label not in words]
        if missing:
            raise DataError(
                f"{record.id}: no name in '{record.lang}' for {', '.join(repr(label) for label in missing)}. "
                f"Give one for every label, or leave out '{record.lang}' to keep the English names."
            )
        said.append(replace(record, candidates=tuple(words[label] for label in record.candidates)))
    return said
