"""XGLUE's files as they are unpacked, with made-up rows."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from limbeck.errors import DataError

ML_IPD = Path(__file__).parents[2] / "benchmarks" / "ml_ipd"
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


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ML_IPD))
    import xglue  # type: ignore[import-not-found]

    yield xglue
    for name in ("xglue", "xglue_files", "words"):
        sys.modules.pop(name, None)


@pytest.fixture
def read(module: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(module, "CHARACTERS", 4)
    return lambda task, split="dev": list(module.xglue(task, folder, split))


@pytest.mark.fast_cases(6)
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
def test_every_row_comes_back(read: Any, task: str, rows: list[tuple[Any, ...]], split: str) -> None:
    english = [row for row in read(task, split) if row["lang"] == "en"]
    assert [(row["text"], row.get("text_pair"), row["label"]) for row in english] == rows


def test_translations_share_a_key(read: Any) -> None:
    assert [(row["lang"], row["key"]) for row in read("paraphrase")] == [
        ("de", "4"), ("de", "9"), ("en", "4"), ("en", "9"),
    ]  # fmt: skip
    assert [row["key"] for row in read("nli")] == ["1", "2"] * 2
    assert all("key" not in row for row in read("qa"))


def test_pages_of_a_query_are_ranked(read: Any) -> None:
    rows = [row for row in read("web_pages") if row["lang"] == "en"]
    assert [dict(zip(row["candidates"], row["grades"], strict=True)) for row in rows] == [
        {"A\na": 3, "B\nb": 0, "C\nc": 3},
        {"E\ne": 4, "F\nf": 2},
    ]
    assert [(row["text"], row["group"]) for row in rows] == [("q one", "query-1"), ("q one", "query-3")]


def test_a_page_twice_has_the_better_grade(folder: Path, read: Any) -> None:
    write(folder / "WPR/xglue.wpr.en.train", "q\tA\ta\t1\nq\tA\ta \t3\nq\tA\ta\t2\nq\tB\tb\t2\n")
    (row,) = read("web_pages", "train")
    assert dict(zip(row["candidates"], row["grades"], strict=True)) == {"A\na": 3, "B\nb": 2}


def test_test_files_without_labels(folder: Path, read: Any) -> None:
    for lang in ("en", "de"):
        write(folder / f"QAM/xglue.qam.{lang}.test", "who?\tme\n")
        write(folder / f"WPR/xglue.wpr.{lang}.test", "q\tA\ta\nq\tB\tb\n")
    assert all("label" not in row for row in read("qa", "test"))
    assert all("grades" not in row and len(row["candidates"]) == 2 for row in read("web_pages", "test"))
    write(folder / "QAM/xglue.qam.en.test", "who?\tme\nwhen?\tme\t1\n")
    with pytest.raises(DataError, match="line 2: 3 columns; expected 2"):
        read("qa", "test")


def test_tags_come_back(read: Any) -> None:
    entities = [(row["group"], row["span"], row["label"]) for row in read("ner") if row["lang"] == "en"]
    assert [found for found in entities if found[2] != "none"] == [
        ("1", "Mr Fox", "PER"), ("1", "Bonn", "LOC"), ("2", "UN", "ORG"),
    ]  # fmt: skip  # the mark between documents is no sentence
    words = [(row["group"], row["word"], row["label"]) for row in read("pos") if row["lang"] == "en"]
    assert words == [("1", "the", "DET"), ("1", "saw", "NOUN"), ("2", "Go", "VERB")]
    assert {len(row["candidates"]) for row in read("ner")} == {5}


def test_the_languages_that_have_a_file(folder: Path, read: Any) -> None:
    assert Counter(row["lang"] for row in read("qa")) == {"de": 2, "en": 2}
    assert {row["lang"] for row in read("qa", "train")} == {"en"}
    for file in (folder / "QAM").glob("*.dev"):
        file.unlink()
    with pytest.raises(DataError, match=r"xglue\.qam\.en\.dev is missing. There: xglue\.qam\.de\.test, "):
        read("qa")


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
def test_bad_files(folder: Path, read: Any, task: str, file: str, text: str, message: str) -> None:
    write(folder / file, text)
    with pytest.raises(DataError, match=message):
        read(task)


def test_bytes_that_are_not_utf8(folder: Path, read: Any) -> None:
    (folder / "QAM/xglue.qam.en.dev").write_bytes(b"caf\xe9\tb\t1\n")
    with pytest.raises(DataError, match="line 1: not UTF-8: byte 4 is 0xe9"):
        read("qa")


@pytest.mark.parametrize("rows", ["p\th\tneutral\n", "p\ti\tcontradiction\np\th\tneutral\n"])
def test_lines_of_xnli_that_are_not_translations_of_each_other(folder: Path, read: Any, rows: str) -> None:
    write(folder / "XNLI/de.dev", rows)
    with pytest.raises(DataError, match="XNLI has other labels in 'en' than in 'de'"):
        read("nli")


def test_news_without_a_text_or_without_a_headline(module: ModuleType) -> None:
    assert module.news_text("Rain", " ") == "Rain"
    assert module.news_text("", "It rains.") == "It rains."
