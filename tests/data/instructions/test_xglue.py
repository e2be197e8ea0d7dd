"""XGLUE's files as they are unpacked, with made-up rows."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from limbeck.data.instructions.checks import check_instructions
from limbeck.data.instructions.make import original
from limbeck.data.instructions.xglue import xglue
from limbeck.errors import ConfigError, DataError
from limbeck.types import Instruction

FILES = {
    "NC/xglue.nc.{}.{}": "Title\tBody of it\tsports\n\tOnly a body\tfoodanddrink\n",
    "QADSM/xglue.qadsm.{}.{}": "cheap shoes\tShoes\tBuy here\tGood\ncheap shoes\tCars\t\tBad\n",
    "WPR/xglue.wpr.{}.{}": (
        "q one\tA\ta\t3\nq one\tB\tb\t0\nq one\tC\tc\t3\nq two\tD\td\t1\nq one\tE\te\t4\nq one\tF\tf\t2\n"
    ),
    "QAM/xglue.qam.{}.{}": "who?\tme\t1\nwhen?\tme\t0\n",
}
WORD_FILES = {
    "NER": "-DOCSTART- O\n\nMr B-PER\nFox I-PER\nsaw O\nBonn B-LOC\n\nUN B-ORG\nmet O\n",
    "POS": "the DET\nsaw NOUN\n\n\nGo VERB\n",
}
HEADER = "id\tsentence1\tsentence2\tlabel\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for lang, split in (("en", "train"), ("en", "dev"), ("de", "dev"), ("en", "test"), ("de", "test")):
        for name, text in FILES.items():
            write(tmp_path / name.format(lang, split), text)
        for name, text in WORD_FILES.items():
            write(tmp_path / name / f"{lang}.{split}", text)
        paws = {"train": "train.tsv", "dev": "dev_2k.tsv", "test": "test_2k.tsv"}[split]
        write(tmp_path / "PAWSX" / lang / paws, HEADER + f"4\t{lang} a\t{lang} b\t1\n7\tNS\tb\t0\n9\tc\td\t0\n")
        rows = f"{lang} p\th\tneutral\n{lang} p\ti\tcontradictory\n"
        nli = "multinli.train.en.tsv" if split == "train" else f"{lang}.{split}"
        write(tmp_path / "XNLI" / nli, ("premise\thypo\tlabel\n" if split == "train" else "") + rows)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def read(folder: Path, task: str, split: Any = "dev", languages: tuple[str, ...] = ("en",), **more: Any) -> Any:
    return xglue(folder, split, languages, tasks=[task], **more)


@pytest.mark.parametrize(
    ("task", "rows"),
    [
        ("topic", [("Title\nBody", None, "sports"), ("Only", None, "foodanddrink")]),
        ("paraphrase", [("en a", "en b", "yes"), ("c", "d", "no")]),
        ("nli", [("en p", "h", "neutral"), ("en p", "i", "contradiction")]),
        ("ads", [("cheap shoes", "Shoes\nBuy here", "relevant"), ("cheap shoes", "Cars", "not relevant")]),
        ("qa", [("who?", "me", "yes"), ("when?", "me", "no")]),
    ],
)
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_every_row_comes_back(folder: Path, task: str, rows: list[tuple[Any, ...]], split: str) -> None:
    records = read(folder, task, split, characters=4)
    assert [original(record)[1:] for record in records] == rows
    check_instructions(records)


def test_parallel_tasks(folder: Path) -> None:
    records = read(folder, "paraphrase", languages=("en", "de"))
    assert [record.parallel for record in records] == ["xglue/paraphrase/dev/4", "xglue/paraphrase/dev/9"] * 2
    records = read(folder, "nli", languages=("en", "de"))
    assert [record.parallel for record in records] == ["xglue/nli/dev/1", "xglue/nli/dev/2"] * 2
    assert all(record.parallel is None for record in read(folder, "qa"))


def test_pages_of_a_query_are_ranked(folder: Path) -> None:
    records: list[Instruction] = read(folder, "web_pages")
    check_instructions(records)
    graded = [dict(zip(record.candidates, record.grades or (), strict=True)) for record in records]
    assert graded == [{"A\na": 3, "B\nb": 0, "C\nc": 3}, {"E\ne": 4, "F\nf": 2}]
    assert [{record.candidates[place] for place in record.gold} for record in records] == [
        {"A\na", "C\nc"},
        {"E\ne"},
    ]
    assert [record.group for record in records] == [record.id for record in records]
    assert [record.input for record in records] == ["q one", "q one"]


def test_pages_are_graded_one_by_one(folder: Path) -> None:
    records: list[Instruction] = read(folder, "web_pages", web_pages="grades")
    answers = [original(record).answer for record in records]
    assert answers == ["excellent", "bad", "excellent", "fair", "perfect", "good"]
    groups = [len(list(group)) for _, group in groupby(records, key=lambda record: record.group)]
    assert groups == [3, 1, 2]
    assert all(record.grades is None and len(record.candidates) == 5 for record in records)


def test_a_page_twice_has_the_better_grade(folder: Path) -> None:
    write(folder / "WPR/xglue.wpr.en.dev", "q\tA\ta\t1\nq\tA\ta \t3\nq\tA\ta\t2\nq\tB\tb\t2\n")
    (record,) = read(folder, "web_pages")
    assert dict(zip(record.candidates, record.grades, strict=True)) == {"A\na": 3, "B\nb": 2}


def test_test_files_without_labels(folder: Path) -> None:
    write(folder / "QAM/xglue.qam.en.test", "who?\tme\n")
    write(folder / "WPR/xglue.wpr.en.test", "q\tA\ta\nq\tB\tb\n")
    (record,) = read(folder, "qa", "test")
    assert record.gold == ()
    write(folder / "QAM/xglue.qam.en.test", "who?\tme\nwhen?\tme\t1\n")
    with pytest.raises(DataError, match="line 2: 3 columns; expected 2"):
        read(folder, "qa", "test")
    (record,) = read(folder, "web_pages", "test")
    assert (record.gold, record.grades, len(record.candidates)) == ((), None, 2)


def test_tags_come_back(folder: Path) -> None:
    def tagged(task: str) -> list[list[tuple[str, str | None]]]:
        """Where the words asked about begin (and end), and what they are, sentence by sentence."""
        sentences = groupby(read(folder, task, most=None), key=lambda record: record.group)
        return [[("-".join(v for n, v in r.slots if n in ("start", "end")), original(r).answer) for r in group
                 if original(r).answer != "none"] for _, group in sentences]  # fmt: skip

    assert tagged("ner") == [[("0-2", "PER"), ("3-4", "LOC")], [("0-1", "ORG")]]
    assert tagged("pos") == [[("0", "DET"), ("1", "NOUN")], [("0", "VERB")]]
    first = read(folder, "ner")[0]
    assert len(first.candidates) == 5
    assert first.id == "xglue/dev/en/ner/1/0-2"  # the mark between documents is no sentence


def test_all_tasks_in_the_languages_that_they_have(folder: Path) -> None:
    records = xglue(folder, "dev", ["de", "en"])
    check_instructions(records)
    tasks = Counter((record.task, record.lang) for record in records)
    assert {task for task, _ in tasks} == {"topic", "paraphrase", "nli", "ads", "web_pages", "qa", "ner", "pos"}
    assert len(tasks) == 16


def test_languages_that_are_not_there(folder: Path) -> None:
    assert {record.lang for record in xglue(folder, "dev", ["en", "de"], tasks=["qa"])} == {"de", "en"}
    with pytest.raises(DataError, match="nothing in de for the split 'train': training files are in English only"):
        xglue(folder, "train", ["en", "de"])
    with pytest.raises(DataError, match="nothing in bg for the split 'dev': the tasks asked for are not in it"):
        read(folder, "qa", languages=("en", "bg"))
    with pytest.raises(DataError, match=r"xglue\.qam\.fr\.dev is missing. There: xglue\.qam\.de\.dev, "):
        read(folder, "qa", languages=("fr",))
    with pytest.raises(DataError, match=r"NC/xglue\.nc\.en\.dev is missing. There: no such folder"):
        read(folder / "x", "topic")


@pytest.mark.parametrize(
    ("task", "file", "text", "message"),
    [
        (
            "qa",
            "QAM/xglue.qam.en.dev",
            "a\tb\t1\na\n",
            r"line 2: 1 columns; expected 3 between tabs \(question, answer",
        ),
        ("qa", "QAM/xglue.qam.en.dev", "a\tb\t1\t2\n", "line 1: 4 columns"),
        ("qa", "QAM/xglue.qam.en.dev", "a\tb\t2\n", "line 1, field 'label': unknown label '2'; expected one of 1, 0"),
        ("qa", "QAM/xglue.qam.en.dev", "a\t \t1\n", "line 1, field 'answer passage': empty"),
        ("ads", "QADSM/xglue.qadsm.en.dev", "a\t\t\tGood\n", "line 1, field 'ad title and ad description': empty"),
        ("paraphrase", "PAWSX/en/dev_2k.tsv", f"{HEADER}1\ta\t1\n", "line 2: 3 columns; expected 4"),
        ("ner", "NER/en.dev", "a B-PER x\n", "line 1: 3 columns; expected a word, a blank and its tag"),
        ("ner", "NER/en.dev", "a O\nb B-DATE\n", "line 2: unknown tag 'B-DATE'; expected one of B-LOC"),
        ("pos", "POS/en.dev", "a NOUN\nb\n", "line 2: 1 columns"),
    ],
)
def test_bad_files(folder: Path, task: str, file: str, text: str, message: str) -> None:
    write(folder / file, text)
    with pytest.raises(DataError, match=message):
        read(folder, task)


def test_bytes_that_are_not_utf8(folder: Path) -> None:
    (folder / "QAM/xglue.qam.en.dev").write_bytes(b"caf\xe9\tb\t1\n")
    with pytest.raises(DataError, match="line 1: not UTF-8: byte 4 is 0xe9"):
        read(folder, "qa")


def test_lines_of_xnli_that_are_not_translations_of_each_other(folder: Path) -> None:
    write(folder / "XNLI/de.dev", "p\th\tneutral\n")
    with pytest.raises(DataError, match="as many rows in every language, got en 2, de 1"):
        read(folder, "nli", languages=("en", "de"))
    write(folder / "XNLI/de.dev", "p\ti\tcontradiction\np\th\tneutral\n")
    with pytest.raises(DataError, match=r"xglue/dev/en/nli/1 is 'neutral' but its translation .* is 'contradiction'"):
        read(folder, "nli", languages=("en", "de"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ["nc"]}, "XGLUE has no task 'nc'"),
        ({"most": 0}, "expected 1 or more records a sentence"),
        ({"web_pages": "all"}, "expected 'pages' or 'grades', got 'all'"),
    ],
)
def test_options_that_cannot_be(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        xglue(folder, "dev", ["en"], **options)
