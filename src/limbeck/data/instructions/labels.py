"""The words of a record's answers, and the answers that metrics know by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from limbeck.data.languages import language_code
from limbeck.errors import ConfigError
from limbeck.types import Instruction

__all__ = ["GRADES", "NO_ENTITY", "LabelWords", "verbalise"]

LabelWords = Mapping[str, Mapping[str, str]]
"""The word of every label for each language, by the label's name in the set."""

GRADES = ("bad", "fair", "good", "excellent", "perfect")
"""Grades of web pages; the index of a name is its grade, 0 to 4."""
NO_ENTITY = "none"
"""The answer for a span that is not an entity."""


def verbalise(records: Sequence[Instruction], words: LabelWords | None) -> list[Instruction]:
    """Return `records` with candidates in the words of their own language.

    Args:
        records: records whose candidates are the label names of their set.
        words: the word of every label, for each language (in any of its codes); other languages keep the set's
            names. ``None``: all keep them.

    Raises:
        ConfigError: `words` is not such a table, or lacks a label for one of its languages.
        DataError: a language is unknown.
    """
    by_lang = _checked(words or {})
    said: list[Instruction] = []
    for record in records:
        own = by_lang.get(record.lang)
        if own is not None:
            if missing := [label for label in record.candidates if label not in own]:
                raise ConfigError(
                    f"label_words.{record.lang}: no word for {', '.join(map(repr, missing))}. Give one for every "
                    f"label, or remove '{record.lang}' to keep the names of the set."
                )
            record = replace(record, candidates=tuple(own[label] for label in record.candidates))
        said.append(record)
    return said


def _checked(words: object) -> dict[str, Mapping[str, str]]:
    """Return the table by our language codes. It may come from a run file, so everything is checked."""
    if not isinstance(words, Mapping) or not all(isinstance(own, Mapping) for own in words.values()):
        raise ConfigError(f"label_words: expected LANGUAGE: {{LABEL: WORD}}, got {words!r}.")
    for lang, own in words.items():
        if odd := [text for text in (lang, *own, *own.values()) if not isinstance(text, str)]:
            raise ConfigError(
                f"label_words.{lang}: expected texts, got {odd[0]!r}. In a run file, words such as yes, no and on "
                'mean true and false: put them in quotes ("yes").'
            )
    return {language_code(lang): own for lang, own in words.items()}
