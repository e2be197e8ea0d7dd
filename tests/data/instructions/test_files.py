"""Files of a split, and languages in the codes of a set."""

from __future__ import annotations

from pathlib import Path

import pytest

from limbeck.data.instructions.files import match_languages, split_file
from limbeck.errors import DataError


def test_dev_is_also_called_validation(tmp_path: Path) -> None:
    (tmp_path / "validation.jsonl").touch()
    assert split_file(tmp_path, "dev").path.name == "validation.jsonl"
    (tmp_path / "test.bg.csv").touch()
    assert split_file(tmp_path, "test", "bg").path.name == "test.bg.csv"


def test_no_file_of_the_split(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").touch()
    with pytest.raises(DataError, match=r"expected dev\.jsonl or validation\.jsonl.*Found: train\.jsonl"):
        split_file(tmp_path, "dev")
    with pytest.raises(DataError, match="Found: no such folder"):
        split_file(tmp_path / "x", "dev")


def test_languages_by_any_code() -> None:
    assert match_languages(["swh_Latn", "bul_Cyrl"], ["swa", "bg"], "f") == {"swh_Latn": "sw", "bul_Cyrl": "bg"}
    assert match_languages(["no_such_code", "bg"], ["bg"], "f") == {"bg": "bg"}


def test_a_language_twice() -> None:
    with pytest.raises(DataError, match="f has 'bul' as bg and bul_Cyrl"):
        match_languages(["bg", "bul_Cyrl"], ["bul"], "f")
    assert match_languages(["bg", "bul_Cyrl"], ["bg"], "f") == {"bg": "bg"}
