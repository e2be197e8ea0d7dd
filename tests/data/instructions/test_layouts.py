"""One function for all layouts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limbeck.data.instructions.layouts import LAYOUTS, read_instructions
from limbeck.errors import ConfigError, DataError


def write(folder: Path, **splits: list[str]) -> Path:
    for split, languages in splits.items():
        rows = [{"lang": lang, "index_id": 1, "label": "travel", "text": f"{split} {lang}"} for lang in languages]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_another_split_for_a_language(tmp_path: Path) -> None:
    folder = write(tmp_path, test=["bul_Cyrl"], validation=["bul_Cyrl", "slk_Latn"])
    with pytest.raises(DataError, match="nothing in 'sk'"):
        read_instructions("sib200", folder, split="test", languages=["bg", "sk"])
    records = read_instructions("sib200", folder, split="test", languages=["bg", "sk"], splits={"slk_Latn": "dev"})
    assert [(record.lang, record.split, record.input) for record in records] == [
        ("bg", "test", "test bul_Cyrl"),
        ("sk", "dev", "validation slk_Latn"),
    ]


def test_options_are_those_of_the_layout(tmp_path: Path) -> None:
    row = {"lang": "bg", "tokens": ["a", "b", "c"], "tags": ["B-DATE", "B-PER", "O"]}
    (tmp_path / "train.jsonl").write_text(json.dumps(row) + "\n")
    records = read_instructions("masakhaner2", tmp_path, split="train", languages=["bg"], most=1)
    assert len(records) == 2
    with pytest.raises(DataError, match="unknown tag 'B-DATE'"):
        read_instructions("wikiann", tmp_path, split="train", languages=["bg"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layout": "sib20"}, "no layout 'sib20'; did you mean 'sib200'"),
        ({"languages": []}, "languages: expected one or more"),
        ({"split": "devtest"}, "no split 'devtest'"),
        (
            {"layout": "masakhanews", "character": 3},
            "'masakhanews' has no option 'character'; did you mean 'characters'",
        ),
        ({"layout": "wikiann", "entities": ["X"]}, "'wikiann' has no option 'entities'"),
        ({"layout": "rows", "labels": ["a", "b"]}, "'rows' needs task"),
    ],
)
def test_what_cannot_be_asked_for(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    asked = {"layout": "sib200", "split": "train", "languages": ["bg"], **arguments}
    with pytest.raises(ConfigError, match=message):
        read_instructions(asked.pop("layout"), tmp_path, **asked)


def test_records_are_checked(tmp_path: Path) -> None:
    folder = write(tmp_path, train=["bul_Cyrl", "bul_Cyrl"])
    with pytest.raises(DataError, match="two records have the id sib200/train/bg/topic/1"):
        read_instructions("sib200", folder, split="train", languages=["bg"])


def test_every_layout_says_which_split_is_missing(tmp_path: Path) -> None:
    needed = {"rows": {"task": "qa", "labels": ["a", "b"]}, "rows_translation": {"key": "n"}}
    for layout in LAYOUTS:
        with pytest.raises(DataError, match=str(tmp_path)):
            read_instructions(layout, tmp_path, split="dev", languages=["bg", "de"], **needed.get(layout, {}))
