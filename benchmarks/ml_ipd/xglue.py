"""XGLUE's understanding tasks (all but MLQA, QG and NTG) as rows of limbeck's layouts.

Reference: Liang et al., "XGLUE: A New Benchmark Dataset for Cross-lingual Pre-training, Understanding and
Generation", 2020, arXiv:2004.01401.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from words import entity_rows, word_rows
from xglue_files import ENTITIES, TABLES, WORDS, Row, languages_of, read_sentences, read_table

from limbeck.data.instructions.labels import GRADES
from limbeck.data.instructions.make import Split, fold
from limbeck.errors import DataError

NOT_TRANSLATED = "NS"
"""What PAWS-X has in place of a sentence that its translators left out."""
CHARACTERS = 1200
"""How much of a news text follows its title."""


def xglue(task: str, folder: Path, split: Split) -> Iterator[dict[str, Any]]:
    """Yield the rows of a task in those of its languages that have a file; training files are in English only.

    ``ner``, ``pos`` and ``web_pages`` list candidates, the others have a label. Test files without labels give rows
    without a label.

    Args:
        task: a key of `TABLES` or `WORDS`.
        folder: what the archive unpacks to, with the folders NC, PAWSX, XNLI, QADSM, WPR, QAM, NER and POS.
        split: which files.

    Raises:
        DataError: a file is missing, or rows cannot be used.
    """
    by_lang = {lang: list(_rows(folder, task, split, lang)) for lang in languages_of(task, folder, split)}
    if task == "nli":
        _refuse_shifted(by_lang)
    for lang, rows in by_lang.items():
        yield from ({"lang": lang, **row} for row in rows)


def _rows(folder: Path, task: str, split: Split, lang: str) -> Iterator[dict[str, Any]]:
    if task in WORDS:
        for sentence in read_sentences(folder, WORDS[task], split, lang):
            yield from entity_rows(sentence, ENTITIES) if task == "ner" else word_rows(sentence)
        return
    rows = read_table(folder, TABLES[task], split, lang)
    if task == "web_pages":
        yield from _queries(rows)
        return
    for row in rows:
        texts = [news_text(*row.texts[0])] if task == "topic" else [_joined(columns) for columns in row.texts]
        if task == "paraphrase" and NOT_TRANSLATED in texts:
            continue
        key = {"key": row.key} if task in ("nli", "paraphrase") else {}
        label = {} if row.label is None else {"label": row.label}
        yield {**key, **dict(zip(("text", "text_pair"), texts, strict=False)), **label}


def news_text(headline: str, text: str) -> str:
    r"""Return a headline, a newline and the start of the text.

    >>> news_text("Rain", "It rains again.")
    'Rain\nIt rains again.'
    """
    return "\n".join(part for part in (headline, text[:CHARACTERS]) if part.strip())


def _joined(columns: Sequence[str]) -> str:
    return "\n".join(column for column in columns if column)


def _queries(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Yield a row for each query, which ranks its pages by their grades, 0 to 4.

    A query's pages are on consecutive lines, as the official script takes them; queries with one page are left out, as
    by the official metric. The same page twice is one candidate, with the better of its grades.
    """
    for place, (query, group) in enumerate(groupby(rows, key=lambda row: _joined(row.texts[0])), 1):
        grades: dict[str, int | None] = {}
        texts: dict[str, str] = {}
        for row in group:
            text = _joined(row.texts[1])
            grade = None if row.label is None else GRADES.index(row.label)
            known = grades.get(fold(text))
            grades[fold(text)] = grade if known is None or grade is None else max(known, grade)
            texts.setdefault(fold(text), text)
        if len(texts) < 2:
            continue
        labelled = {} if None in grades.values() else {"grades": list(grades.values())}
        yield {"text": query, "candidates": list(texts.values()), **labelled, "group": f"query-{place}"}


def _refuse_shifted(by_lang: dict[str, list[dict[str, Any]]]) -> None:
    """XNLI's rows are parallel by their line only, so a lost line would pair each row with its neighbour's text."""
    (first, rows), *others = by_lang.items()
    for lang, other in others:
        if [row.get("label") for row in other] != [row.get("label") for row in rows]:
            raise DataError(
                f"XNLI has other labels in '{lang}' than in '{first}'. Expected the same rows in the same order in "
                "every language: a line is missing or out of place. Unpack the files again."
            )
