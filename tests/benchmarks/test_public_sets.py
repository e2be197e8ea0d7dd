"""Public data sets, rewritten, are what cross-lingual runs read. All rows are made up."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.data.instructions.originals import original

from limbeck.data.instructions.layouts import read_instructions
from limbeck.data.instructions.make import Split

ML_IPD = Path(__file__).parents[2] / "benchmarks" / "ml_ipd"


@pytest.fixture
def sets(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ML_IPD))
    import public_sets  # type: ignore[import-not-found]

    yield public_sets
    for name in ("public_sets", "xglue", "xglue_files", "words"):
        sys.modules.pop(name, None)


def json_lines(path: Path, rows: list[Any]) -> Path:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path.parent


def read(said: list[dict[str, Any]], split: Split, languages: list[str]) -> list[tuple[Any, ...]]:
    """Read what `rewrite` wrote with what it says of it."""
    (options,) = said
    options = dict(options)
    folder = Path(options.pop("folder"))
    records = read_instructions(options.pop("layout"), folder, split=split, languages=languages, **options)
    return [(record.id, *original(record)) for record in records]


def test_masakhanews_cuts_the_text_and_not_the_headline(sets: ModuleType, tmp_path: Path) -> None:
    row = {"lang": "swa", "label": "health", "headline": "Habari ndefu", "text": "Maandishi" * 200, "truncated": False}
    said = sets.rewrite("masakhanews", json_lines(tmp_path / "validation.jsonl.gz", [row]), tmp_path / "out")
    ((name, task, text, pair, answer),) = read(said, "dev", ["sw"])
    assert (name, task, pair, answer) == ("masakhanews/dev/sw/topic/1", "topic", None, "health")
    assert text == "Habari ndefu\n" + ("Maandishi" * 200)[:1200]
    assert len(said[0]["labels"]) == 7
    assert not (tmp_path / "out/topic/train.jsonl").exists()


def test_paws_x_leaves_out_what_was_not_translated(sets: ModuleType, tmp_path: Path) -> None:
    pairs = [("Eins.", "Zwei.", "different"), ("NS", "Drei.", "different"), ("Vier.", "Vier!", "paraphrase")]
    rows = [
        {"lang": "de", "pair": i, "sentence1": one, "sentence2": two, "label_name": name}
        for i, (one, two, name) in enumerate(pairs)
    ]
    said = sets.rewrite("paws_x", json_lines(tmp_path / "validation.jsonl", rows), tmp_path / "out")
    assert read(said, "dev", ["de"]) == [
        ("paws_x/dev/de/paraphrase/0", "paraphrase", "Eins.", "Zwei.", "no"),
        ("paws_x/dev/de/paraphrase/2", "paraphrase", "Vier.", "Vier!", "yes"),
    ]


@pytest.mark.parametrize(("name", "kind"), [("masakhaner2", "DATE"), ("wikiann_panx", "ORG")])
def test_entities(sets: ModuleType, tmp_path: Path, name: str, kind: str) -> None:
    row = {"lang": "bg", "tokens": ["a", "b", "c"], "tags": ["O", f"B-{kind}", "O"]}
    said = sets.rewrite(name, json_lines(tmp_path / "train.jsonl", [row]), tmp_path / "out")
    assert [found[4] for found in read(said, "train", ["bg"])] == [kind, "none"]


def test_words(sets: ModuleType, tmp_path: Path) -> None:
    row = {"lang": "bg", "tokens": ["a", "b"], "tags": ["DET", "NOUN"]}
    said = sets.rewrite("tagged_words", json_lines(tmp_path / "test.jsonl", [row]), tmp_path / "out")
    assert [found[4] for found in read(said, "test", ["bg"])] == ["DET", "NOUN"]


def test_flores(sets: ModuleType, tmp_path: Path) -> None:
    for part in ("dev", "devtest"):
        (tmp_path / part).mkdir()
        for code, lines in {"eng_Latn": "One.\nTwo.\n", "bul_Cyrl": "Едно.\nДве.\n"}.items():
            (tmp_path / part / f"{code}.{part}").write_text(lines, encoding="utf-8")
    said = sets.rewrite("flores", tmp_path, tmp_path / "out")
    said[0]["distractors"] = {"nearest": 1, "random": 0}
    assert read(said, "test", ["bg"]) == [
        ("flores/test/bg/translation/devtest/1", "translation", "One.", None, "Едно."),
        ("flores/test/bg/translation/devtest/2", "translation", "Two.", None, "Две."),
    ]
    assert len(read(said, "dev", ["bg"])) == 2
    assert not (tmp_path / "out/translation/train.jsonl").exists()


def test_tasks_of_xglue(
    sets: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for lang, split in (("en", "train"), ("en", "dev"), ("de", "dev"), ("de", "test")):
        folder = tmp_path / "WPR"
        folder.mkdir(exist_ok=True)
        (folder / f"xglue.wpr.{lang}.{split}").write_text("q\tA\ta\t3\nq\tB\tb\t0\n", encoding="utf-8")
    words = ["public_sets.py", "xglue", str(tmp_path), str(tmp_path / "out"), "--tasks", "web_pages"]
    monkeypatch.setattr("sys.argv", words)
    sets.main()
    said = [json.loads(line.removeprefix("- ")) for line in capsys.readouterr().out.splitlines()]
    assert [found[4] for found in read(said, "dev", ["en", "de"])] == ["A\na", "A\na"]
