"""Rows in several languages as records: JSON Lines, CSV or Parquet with named fields.

Two layouts: rows with one label out of a few, and parallel sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from limbeck.data.checks import CheckedRow, FieldsMet, check_record, refuse_misspelt_label
from limbeck.data.instructions.files import SetRow, match_languages, refuse_rows, sound, split_file
from limbeck.data.instructions.labels import LabelWords, verbalise
from limbeck.data.instructions.make import Part, choice
from limbeck.data.instructions.translation import DISTRACTORS, ENGLISH, Distractors, Embed, translation_records
from limbeck.data.languages import language_code
from limbeck.data.readers import read_records
from limbeck.data.records import BadRow, Fields, Record, excerpt
from limbeck.data.sources import DataFile
from limbeck.errors import ConfigError, DataError
from limbeck.types import Instruction

__all__ = ["checked_rows", "own_rows", "own_translations"]


def own_rows(
    part: Part,
    *,
    task: str,
    labels: Sequence[str],
    text: str = "text",
    text_pair: str | None = None,
    label: str | None = "label",
    language: str | None = "lang",
    key: str | None = None,
    source: str = "rows",
    label_words: LabelWords | None = None,
) -> list[Instruction]:
    """Return a record for each row: choose one of `labels`.

    Args:
        part: the rows to read.
        task: a task in the prompt registry.
        labels: all label names, the same in every language.
        text: field of the text.
        text_pair: field of the second text.
        label: field of the label; rows without it have no gold.
        language: field of the language; ``None``: one file per language, ``train.bg.jsonl``.
        key: field with a value shared by translations of a row; ``None``: rows are not parallel.
        source: the set's name in ids.
        label_words: the word of every label, for each language with its own words.

    Raises:
        ConfigError: fewer than two labels, or one twice, or words that do not fit them.
        DataError: a file is missing, a language is missing, or rows cannot be used.
    """
    if len(set(labels)) < max(2, len(labels)):
        raise ConfigError(f"labels: expected two or more different names, got {list(labels)}.")
    fields = Fields(text, text_pair, label)
    records = [
        choice(
            source=source,
            split=part.split,
            lang=row.lang,
            task=task,
            key=row.number if shared is None else shared,
            text=read.text,
            pair=read.text_pair,
            labels=labels,
            label=read.label,
            parallel=None if shared is None else f"{source}/{task}/{part.split}/{shared}",
        )
        for row, read, shared in checked_rows(part, fields, labels, language, key)
    ]
    return verbalise(records, label_words)


def own_translations(
    part: Part,
    *,
    key: str,
    text: str = "text",
    language: str | None = "lang",
    source: str = "rows",
    distractors: Distractors = DISTRACTORS,
    embed: Embed | None = None,
) -> list[Instruction]:
    """Return the translation records of rows with one sentence in one language; English must be included.

    Args:
        part: the rows to read.
        key: field with a value shared by translations of a sentence.
        text: field of the sentence.
        language: field of the language; ``None``: one file per language.
        source: the set's name in ids.
        distractors: the other candidates next to the right translation.
        embed: a frozen sentence encoder; ``None``: similarity by common words.

    Raises:
        ConfigError: more distractors than sentences.
        DataError: a file is missing, a language or a sentence is missing, or rows cannot be used.
    """
    with_english = [*([] if ENGLISH in map(language_code, part.languages) else [ENGLISH]), *part.languages]
    sentences: dict[str, dict[str, str]] = {language_code(lang): {} for lang in with_english}
    for row, read, shared in checked_rows(part._replace(languages=with_english), Fields(text), None, language, key):
        sentences[row.lang][str(shared)] = read.text
    return translation_records(sentences, source=source, split=part.split, distractors=distractors, embed=embed)


def checked_rows(
    part: Part, fields: Fields, labels: Sequence[str] | None, language: str | None, key: str | None
) -> Iterator[tuple[SetRow, CheckedRow, str | None]]:
    """Yield each row with its checked fields and the key shared by its translations."""
    known = None if labels is None else frozenset(labels)
    for rows in _files(part, fields, language, key):
        file = rows[0].file
        read = sound(file, [check_record(row.record, fields, known) for row in rows])
        keys = [None] * len(rows) if key is None else sound(file, [_key(row, key) for row in rows])
        taken: set[tuple[str, str]] = set()
        bad_rows: list[BadRow] = []
        for row, shared in zip(rows, keys, strict=True):
            if shared is not None and (row.lang, shared) in taken:
                bad_rows.append(row.bad_row(key, f"{shared} is there twice in '{row.lang}'"))
            taken.add((row.lang, str(shared)))
        refuse_rows(file, bad_rows)
        yield from zip(rows, read, keys, strict=True)


def _files(part: Part, fields: Fields, language: str | None, key: str | None) -> Iterator[list[SetRow]]:
    folder, split, languages = part
    if language is None:
        for lang in dict.fromkeys(languages):
            file = split_file(folder, split, lang)
            records = _records(file, fields, [key])
            if not records:
                raise DataError(f"{file.name} has no rows: expected at least one.")
            yield [SetRow(language_code(lang), record, file.name) for record in records]
        return
    file = split_file(folder, split)
    records = _records(file, fields, [language, key])
    rows = [SetRow(str(record.row.get(language)), record, file.name) for record in records]
    bad_rows = [
        row.bad_row(language, f"expected the code of a language, got {excerpt(row.record.row.get(language))}")
        for row in rows
        if not isinstance(row.record.row.get(language), str) or not row.lang
    ]
    refuse_rows(file.name, bad_rows)
    ours = match_languages([row.lang for row in rows], languages, file.name)
    yield [SetRow(ours[row.lang], row.record, file.name) for row in rows if row.lang in ours]


def _records(file: DataFile, fields: Fields, more: Sequence[str | None]) -> list[Record]:
    """Read the columns of `fields` and `more`; for Parquet, a reader returns only those of its `Fields`."""
    records = sound(file.name, read_records(file, fields))
    names = [name for name in more if name is not None]
    if file.suffix != ".parquet" or not names:
        met = FieldsMet(file.name, [fields.text, fields.text_pair, fields.label, *names])
        for record in records:
            met.add(record.row)
        met.require(fields.text, fields.text_pair, *names)
        refuse_misspelt_label(file.name, met.names, fields)
        return records
    second = names[1] if len(names) > 1 else None
    besides = sound(file.name, read_records(file, Fields(names[0], second)))
    return [
        Record(record.number, {**record.row, **beside.row}, record.unit)
        for record, beside in zip(records, besides, strict=True)
    ]


def _key(row: SetRow, field: str) -> str | BadRow:
    value = row.record.row.get(field)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        return row.bad_row(field, f"expected a number or a text that translations share, got {excerpt(value)}")
    return str(value).strip()
