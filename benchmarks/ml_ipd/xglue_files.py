"""XGLUE's files as they are unpacked: which columns has each task, and how are its labels written?

Names, columns and labels are those of Data_Format.txt and the evaluation script of microsoft/XGLUE (which
takes the last column as the label) and, where the two differ, of the reader that the `datasets` library had for
the archive: news rows have no query, and XNLI's development files are one a language, without a header.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from words import UNIVERSAL_TAGS, Sentence

from limbeck.data.instructions.files import refuse_rows
from limbeck.data.instructions.labels import GRADES
from limbeck.data.instructions.make import Split
from limbeck.data.records import BadRow, excerpt
from limbeck.data.sources import DataFile
from limbeck.data.text_files import open_text, utf8_fault
from limbeck.errors import DataError

XGLUE_TOPICS = (
    "autos", "entertainment", "finance", "foodanddrink", "health", "lifestyle", "news", "sports", "travel", "video",
)  # fmt: skip
NLI = ("entailment", "neutral", "contradiction")
YES_NO = ("yes", "no")
ADS = ("relevant", "not relevant")
ENTITIES = ("PER", "LOC", "ORG", "MISC")

_ALL_SPLITS: frozenset[Split] = frozenset({"train", "dev", "test"})
_DOCUMENT = "-DOCSTART-"
"""Stands between CoNLL's documents."""


@dataclass(frozen=True)
class Table:
    """A task whose rows are columns between tabs; the label, where there is one, is the last."""

    folder: str
    languages: frozenset[str]
    files: Mapping[Split, str]
    """``{}`` stands for the language."""
    texts: tuple[tuple[str, ...], ...]
    """For the first and the second text the columns that it is made of."""
    labels: Mapping[str, str]
    """What the last column says, in lower case, and the answer that it stands for."""
    answers: tuple[str, ...]
    keyed: bool = False
    """The first column is a number that translations of a row share."""
    header: frozenset[Split] = frozenset()
    """Splits whose files begin with a line of names."""


@dataclass(frozen=True)
class WordFile:
    """A task with a word and its tag a line and an empty line after each sentence."""

    folder: str
    languages: frozenset[str]
    tags: frozenset[str]
    files: Mapping[Split, str]


class Row(NamedTuple):
    """One row of a table."""

    number: int
    """Of the line."""
    key: str
    """The number in the first column, or that of the row."""
    texts: list[list[str]]
    """The columns of the first and of the second text."""
    label: str | None


def _files(pattern: str) -> Mapping[Split, str]:
    return {"train": f"{pattern}.train", "dev": f"{pattern}.dev", "test": f"{pattern}.test"}


def _codes(codes: str) -> frozenset[str]:
    return frozenset(codes.split())


_ONE_ZERO = {"1": "yes", "0": "no"}

TABLES: Mapping[str, Table] = {
    "topic": Table(
        "NC",
        _codes("de en es fr ru"),
        _files("xglue.nc.{}"),
        texts=(("news title", "news body"),),
        labels={topic: topic for topic in XGLUE_TOPICS},
        answers=XGLUE_TOPICS,
    ),
    "paraphrase": Table(
        "PAWSX",
        _codes("de en es fr"),
        {"train": "{}/train.tsv", "dev": "{}/dev_2k.tsv", "test": "{}/test_2k.tsv"},
        texts=(("sentence1",), ("sentence2",)),
        labels=_ONE_ZERO,
        answers=YES_NO,
        keyed=True,
        header=_ALL_SPLITS,
    ),
    "nli": Table(
        "XNLI",
        _codes("ar bg de el en es fr hi ru sw th tr ur vi zh"),
        {"train": "multinli.train.{}.tsv", "dev": "{}.dev", "test": "{}.test"},
        texts=(("premise",), ("hypothesis",)),
        labels={**{label: label for label in NLI}, "contradictory": "contradiction"},
        answers=NLI,
        header=frozenset({"train"}),
    ),
    "ads": Table(
        "QADSM",
        _codes("de en fr"),
        _files("xglue.qadsm.{}"),
        texts=(("query",), ("ad title", "ad description")),
        labels={"good": "relevant", "bad": "not relevant"},
        answers=ADS,
    ),
    "web_pages": Table(
        "WPR",
        _codes("de en es fr it pt zh"),
        _files("xglue.wpr.{}"),
        texts=(("query",), ("web page title", "web page snippet")),
        labels={**{str(grade): name for grade, name in enumerate(GRADES)}, **{name: name for name in GRADES}},
        answers=GRADES,
    ),
    "qa": Table(
        "QAM",
        _codes("de en fr"),
        _files("xglue.qam.{}"),
        texts=(("question",), ("answer passage",)),
        labels=_ONE_ZERO,
        answers=YES_NO,
    ),
}

WORDS: Mapping[str, WordFile] = {
    "ner": WordFile(
        "NER",
        _codes("de en es nl"),
        frozenset(["O", *(f"{prefix}-{kind}" for kind in ENTITIES for prefix in "BI")]),
        _files("{}"),
    ),
    "pos": WordFile(
        "POS",
        _codes("ar bg de el en es fr hi it nl pl pt ru th tr ur vi zh"),
        frozenset(UNIVERSAL_TAGS),
        _files("{}"),
    ),
}


def languages_of(task: str, folder: Path, split: Split) -> list[str]:
    """Return the languages that have a file of the split. Raises `DataError` if there is none."""
    known = TABLES.get(task) or WORDS[task]
    found = [lang for lang in sorted(known.languages) if _path(folder, known, split, lang).is_file()]
    if not found:
        path = _path(folder, known, split, "en")
        there = ", ".join(sorted(entry.name for entry in path.parent.iterdir())) if path.parent.is_dir() else ""
        raise DataError(
            f"{path} is missing. There: {there or 'no such folder'}. Unpack XGLUE whole, or name the tasks."
        )
    return found


def _path(folder: Path, task: Table | WordFile, split: Split, lang: str) -> Path:
    return folder / task.folder / task.files[split].format(lang)


def read_table(folder: Path, table: Table, split: Split, lang: str) -> list[Row]:
    """Return the rows of one file.

    Raises:
        DataError: rows cannot be used; lists them by line and column.
    """
    path = _path(folder, table, split, lang)
    rows: list[Row] = []
    bad_rows: list[BadRow] = []
    labelled = True
    with open_text(DataFile(path, path.suffix, False)) as lines:
        for number, line in enumerate(lines, 1):
            text = line.rstrip("\r\n")
            if (number == 1 and split in table.header) or not text.strip():
                continue
            place = len(rows) + len(bad_rows) + 1
            if place == 1:
                # Test files were given out without labels first. In others a short line is a broken one.
                labelled = split != "test" or text.count("\t") != len(_columns(table)) - 1
            row = _row(number, place, text, table, labelled)
            if isinstance(row, BadRow):
                bad_rows.append(row)
            else:
                rows.append(row)
    refuse_rows(str(path), bad_rows)
    return rows


def _columns(table: Table) -> list[str]:
    """Return the names of all columns but the label."""
    return [*(["id"] if table.keyed else []), *(name for names in table.texts for name in names)]


def _row(number: int, place: int, line: str, table: Table, labelled: bool) -> Row | BadRow:
    if reason := utf8_fault(line):
        return BadRow(number, None, reason, line)
    cells = [cell.strip() for cell in line.split("\t")]
    columns = [*_columns(table), *(["label"] if labelled else [])]
    if len(cells) != len(columns):
        wanted = f"expected {len(columns)} between tabs ({', '.join(columns)})"
        return BadRow(number, None, f"{len(cells)} columns; {wanted}", line)
    label = None
    if labelled:
        written = cells.pop()
        if written.casefold() not in table.labels:
            reason = f"unknown label {excerpt(written)}; expected one of {', '.join(table.labels)}"
            return BadRow(number, "label", reason, line)
        label = table.labels[written.casefold()]
    key = cells.pop(0) if table.keyed else str(place)
    texts: list[list[str]] = []
    for names in table.texts:
        texts.append(cells[: len(names)])
        del cells[: len(names)]
        # A title without a text and a text without a title are well: search engines have such pages.
        if not any(texts[-1]):
            return BadRow(number, " and ".join(names), "empty", line)
    return Row(number, key, texts, label)


def read_sentences(folder: Path, file: WordFile, split: Split, lang: str) -> list[Sentence]:
    """Return the sentences of one word file.

    Raises:
        DataError: lines cannot be used; lists them.
    """
    path = _path(folder, file, split, lang)
    sentences: list[Sentence] = []
    bad_rows: list[BadRow] = []
    tokens: list[str] = []
    tags: list[str] = []

    def end() -> None:
        if tokens:
            sentences.append(Sentence(str(len(sentences) + 1), tokens.copy(), tags.copy()))
        tokens.clear()
        tags.clear()

    with open_text(DataFile(path, path.suffix, False)) as lines:
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if not text or text.startswith(_DOCUMENT):
                end()
                continue
            cells = text.split()
            reason = utf8_fault(text)
            if not reason and len(cells) != 2:
                reason = f"{len(cells)} columns; expected a word, a blank and its tag"
            elif not reason and cells[1] not in file.tags:
                reason = f"unknown tag {excerpt(cells[1])}; expected one of {', '.join(sorted(file.tags))}"
            if reason:
                bad_rows.append(BadRow(number, None, reason, text))
            else:
                tokens.append(cells[0])
                tags.append(cells[1])
    end()
    refuse_rows(str(path), bad_rows)
    return sentences
