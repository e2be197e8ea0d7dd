"""JSON beside weights: read with bounds, and without trust."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from limbeck.errors import ModelError
from limbeck.models import json_file
from limbeck.models.json_file import read_json, read_json_list


def test_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": [1, "ü"]}', encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"a": [1, "ü"]}


def test_a_list(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[1, {"a": 2}]', encoding="utf-8")
    assert read_json_list(tmp_path / "a.json") == [1, {"a": 2}]
    (tmp_path / "a.json").write_text('{"a": 2}', encoding="utf-8")
    with pytest.raises(ModelError, match="a JSON array was expected, not dict"):
        read_json_list(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"null", "a JSON object was expected, not NoneType"),
        (b"[1]", "a JSON object was expected, not list"),
        (b'{"a": "\xff"}', "invalid start byte"),
        (b'{"a": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "integer string conversion"),
    ],
)
def test_damage_is_told_with_the_file_and_what_to_do(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ModelError, match=rf"a\.json is damaged: .*{said}.*\. Train it again"):
        read_json(tmp_path / "a.json", "Train it again")


def test_only_plain_files_of_a_bounded_size_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "device.json").symlink_to("/dev/zero")
    for name, said in (
        ("pipe", "it is not a plain file"),
        ("device", "it is not a plain file"),
        ("gone", "no such file"),
    ):
        with pytest.raises(ModelError, match=said):
            read_json(tmp_path / f"{name}.json")
    monkeypatch.setattr(json_file, "_MOST_BYTES", 4)
    (tmp_path / "a.json").write_text('{"a": 1}', encoding="utf-8")
    with pytest.raises(ModelError, match="more than"):
        read_json(tmp_path / "a.json")
