"""XGLUE's understanding tasks as records.

Reference: Liang et al., "XGLUE: A New Benchmark Dataset for Cross-lingual Pre-training, Understanding and
Generation", 2020, arXiv:2004.01401.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal

from limbeck.data.instructions.label_sets import NOT_TRANSLATED, news_text
from limbeck.data.instructions.labels import ENTITIES, GRADES
from limbeck.data.instructions.make import Split, by_hash, choice, fold, original, record_id
from limbeck.data.instructions.words import MOST_PER_SENTENCE, entity_records, require_some, word_records
from limbeck.data.instructions.xglue_files import TABLES, WORDS, Row, read_sentences, read_table
from limbeck.data.languages import language_code
from limbeck.errors import ConfigError, DataError, near_misses
from limbeck.types import Instruction

__all__ = ["PageForm", "xglue"]

PageForm = Literal["pages", "grades"]
_SOURCE = "xglue"


def xglue(
    folder: Path,
    split: Split,
    languages: Sequence[str],
    *,
    tasks: Sequence[str] | None = None,
    characters: int = 1200,
    most: int | None = MOST_PER_SENTENCE,
    web_pages: PageForm = "pages",
) -> list[Instruction]:
    """Return the records of XGLUE's understanding tasks (all but MLQA, QG and NTG).

    A task is read in those of `languages` that it has; training files are in English only. Rows of test
    files without labels become records without gold.

    Args:
        folder: what the archive unpacks to, with the folders NC, PAWSX, XNLI, QADSM, WPR, QAM, NER and POS.
        split: which files.
        languages: our codes.
        tasks: which; ``None``: all eight.
        characters: how much of a news text follows its title.
        most: entities and words taken from a sentence; ``None``: all.
        web_pages: ``"pages"``: one record a query, which ranks its pages and carries their grades, 0 to 4
            (queries with one page are left out, as by the official metric); ``"grades"``: one record a
            page, which chooses the name of its grade.

    Raises:
        ConfigError: a task or an option is not known.
        DataError: a file is missing, rows cannot be used, or a language has no rows at all.
    """
    names = [*TABLES, *WORDS] if tasks is None else list(tasks)
    for name in names:
        if name not in TABLES and name not in WORDS:
            raise ConfigError(f"XGLUE has no task '{name}'; {near_misses(name, [*TABLES, *WORDS])}")
    if web_pages not in ("pages", "grades"):
        raise ConfigError(f"web_pages: expected 'pages' or 'grades', got '{web_pages}'.")
    require_some(most)
    ours = list(dict.fromkeys(map(language_code, languages)))
    records: list[Instruction] = []
    for name in names:
        has = {"en"} if split == "train" else (TABLES.get(name) or WORDS[name]).languages
        for lang in (lang for lang in ours if lang in has):
            if name in WORDS:
                records += _word_records(folder, name, split, lang, most)
            else:
                rows = read_table(folder, TABLES[name], split, lang)
                records += _table_records(rows, name, split, lang, characters, web_pages)
    _refuse_absent(records, ours, split)
    _refuse_shifted([record for record in records if record.task == "nli"])
    return records


def _word_records(folder: Path, task: str, split: Split, lang: str, most: int | None) -> list[Instruction]:
    records: list[Instruction] = []
    for sentence in read_sentences(folder, WORDS[task], split, lang):
        if task == "ner":
            records += entity_records(sentence, source=_SOURCE, split=split, lang=lang, entities=ENTITIES, most=most)
        else:
            records += word_records(sentence, source=_SOURCE, split=split, lang=lang, most=most)
    return records


def _table_records(
    rows: Sequence[Row], task: str, split: Split, lang: str, characters: int, web_pages: PageForm
) -> list[Instruction]:
    if task == "web_pages":
        return _page_records(rows, split, lang, web_pages)
    records: list[Instruction] = []
    for row in rows:
        if task == "topic":
            title, body = row.texts[0]
            text, pair = news_text(title, body, characters), None
        else:
            text, pair = map(_joined, row.texts)
        if NOT_TRANSLATED not in (text, pair) or task != "paraphrase":
            records.append(_choice(row, task, split, lang, text, pair))
    return records


def _choice(
    row: Row, task: str, split: Split, lang: str, text: str, pair: str | None, group: str | None = None
) -> Instruction:
    return choice(
        source=_SOURCE,
        split=split,
        lang=lang,
        task=task,
        key=row.key,
        text=text,
        pair=pair,
        labels=TABLES[task].answers,
        label=row.label,
        parallel=f"{_SOURCE}/{task}/{split}/{row.key}" if task in ("nli", "paraphrase") else None,
        group=group,
    )


def _joined(columns: Sequence[str]) -> str:
    return "\n".join(column for column in columns if column)


def _page_records(rows: Sequence[Row], split: Split, lang: str, form: PageForm) -> list[Instruction]:
    """A query's pages are on consecutive lines, as the official script takes them."""
    records: list[Instruction] = []
    for place, (query, group) in enumerate(groupby(rows, key=lambda row: _joined(row.texts[0])), 1):
        name = record_id(_SOURCE, split, lang, "web_pages", f"query-{place}")
        pages = list(group)
        if form == "grades":
            records += [_choice(row, "web_pages", split, lang, query, _joined(row.texts[1]), name) for row in pages]
        elif (record := _ranking(name, split, lang, query, pages)) is not None:
            records.append(record)
    return records


def _ranking(name: str, split: Split, lang: str, query: str, pages: Sequence[Row]) -> Instruction | None:
    """Return the record that ranks the pages of one query, ``None`` where there is nothing to rank.

    The same page twice is one candidate, with the better of its grades.
    """
    grades: dict[str, int | None] = {}
    texts: dict[str, str] = {}
    for row in pages:
        text = _joined(row.texts[1])
        grade = None if row.label is None else GRADES.index(row.label)
        known = grades.get(fold(text))
        grades[fold(text)] = grade if known is None or grade is None else max(known, grade)
        texts.setdefault(fold(text), text)
    if len(texts) < 2:
        return None
    order = by_hash(list(texts), name)
    given = [float(grade) for grade in (grades[key] for key in order) if grade is not None]
    labelled = len(given) == len(order)
    return Instruction(
        id=name,
        source=_SOURCE,
        split=split,
        task="web_pages",
        lang=lang,
        input=query,
        input_pair=None,
        candidates=tuple(texts[key] for key in order),
        gold=tuple(place for place, grade in enumerate(given) if grade == max(given)) if labelled else (),
        grades=tuple(given) if labelled else None,
        group=name,
    )


def _refuse_absent(records: Sequence[Instruction], languages: Sequence[str], split: Split) -> None:
    absent = [lang for lang in languages if not any(record.lang == lang for record in records)]
    if absent:
        why = "training files are in English only" if split == "train" else "the tasks asked for are not in it"
        raise DataError(
            f"XGLUE has nothing in {', '.join(absent)} for the split '{split}': {why}. "
            "Leave the language out, or take another split for it."
        )


def _refuse_shifted(records: Sequence[Instruction]) -> None:
    """XNLI's rows are parallel by their line only, so a lost line would pair each row with its neighbour's text."""
    first: dict[str, Instruction] = {}
    count: dict[str, int] = {}
    for record in records:
        count[record.lang] = count.get(record.lang, 0) + 1
        other = first.setdefault(str(record.parallel), record)
        if original(record).answer != original(other).answer:
            raise DataError(
                f"XNLI: {other.id} is '{original(other).answer}' but its translation {record.id} is "
                f"'{original(record).answer}'. Expected the same rows in the same order in every language: a line "
                "is missing or out of place. Unpack the files again."
            )
    if len(set(count.values())) > 1:
        counts = ", ".join(f"{lang} {number}" for lang, number in count.items())
        raise DataError(f"XNLI: expected as many rows in every language, got {counts}. Unpack the files again.")
