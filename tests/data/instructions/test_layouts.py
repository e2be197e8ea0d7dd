"""One function for all layouts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limbeck.data.instructions.layouts import LAYOUTS, read_instructions
from limbeck.errors import ConfigError, DataError

TOPICS: dict[str, Any] = {"task": "topic", "labels": ["travel", "health"], "key": "n"}


def write(folder: Path, **splits: list[str]) -> Path:
    for split, languages in splits.items():
        rows = [{"lang": lang, "n": 1, "label": "travel", "text": f"{split} {lang}"} for lang in languages]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_another_split_for_a_language(tmp_path: Path) -> None:
    folder = write(tmp_path, test=["bul_Cyrl"], validation=["bul_Cyrl", "slk_Latn"])
    with pytest.raises(DataError, match="nothing in 'sk'"):
        read_instructions("rows", folder, split="test", languages=["bg", "sk"], **TOPICS)
    other = {"slk_Latn": "dev"}
    records = read_instructions("rows", folder, split="test", languages=["bg", "sk"], splits=other, **TOPICS)
    assert [(record.lang, record.split, record.input) for record in records] == [
        ("bg", "test", "test bul_Cyrl"),
        ("sk", "dev", "validation slk_Latn"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layout": "row"}, "unknown layout 'row'; did you mean 'rows'"),
        ({"languages": []}, "languages: expected one or more"),
        ({"split": "devtest"}, "unknown split 'devtest'"),
        ({"text_pairs": "x"}, "'rows' has no option 'text_pairs'; did you mean 'text_pair'"),
        ({"layout": "candidates"}, "'candidates' has no option 'labels'"),
        ({"layout": "rows_translation", "task": None, "labels": None}, "'rows_translation' has no option 'task'"),
    ],
)
def test_what_cannot_be_asked_for(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    asked = {"layout": "rows", "split": "train", "languages": ["bg"], **TOPICS, **arguments}
    with pytest.raises(ConfigError, match=message):
        read_instructions(asked.pop("layout"), tmp_path, **asked)


def test_what_a_layout_needs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'rows' needs task"):
        read_instructions("rows", tmp_path, split="train", languages=["bg"], labels=["a", "b"])


def test_records_are_checked(tmp_path: Path) -> None:
    row = {"lang": "bg", "text": "x", "candidates": ["a", "a"]}
    (tmp_path / "train.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match="rows/train/bg/qa/1: two candidates are the same text"):
        read_instructions("candidates", tmp_path, split="train", languages=["bg"], task="qa")


def test_every_layout_says_which_split_is_missing(tmp_path: Path) -> None:
    needed = {"rows": TOPICS, "rows_translation": {"key": "n"}, "candidates": {"task": "qa"}}
    for layout in LAYOUTS:
        with pytest.raises(DataError, match=str(tmp_path)):
            read_instructions(layout, tmp_path, split="dev", languages=["bg", "de"], **needed[layout])
