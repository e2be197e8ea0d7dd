"""What a store was made with, and how a run that wants something else hears of it."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import ConfigError, DataError, StorageError
from limbeck.teachers.store.fingerprint import STORE_FILE, Fingerprint, read_fingerprint, write_fingerprint


def test_it_comes_back_as_it_was(tmp_path: Path, fingerprint: Fingerprint) -> None:
    write_fingerprint(tmp_path / "a" / "store", fingerprint)
    assert read_fingerprint(tmp_path / "a" / "store") == fingerprint
    write_fingerprint(tmp_path / "a" / "store", fingerprint)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"teacher": "other weights"}, "another teacher: weights in the store, other weights wanted"),
        ({"tokenizer": "other"}, "another tokenizer: tokenizer in the store, other wanted"),
        ({"template": ""}, "another template: template in the store, none wanted"),
        ({"vocabulary": 60}, "vocabulary: 50 in the store, 60 wanted"),
        ({"top_k": 5}, "top_k: 4 in the store, 5 wanted"),
        ({"temperature": 2.0}, "temperature: 1.0 in the store, 2.0 wanted"),
        ({"precision": "compact"}, "precision: exact in the store, compact wanted"),
        ({"date": "2026-11-01"}, "another date in the template: none in the store, 2026-11-01 wanted"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_difference_is_named(tmp_path: Path, fingerprint: Fingerprint, change: dict[str, Any], told: str) -> None:
    wanted = dataclasses.replace(fingerprint, **change)
    assert fingerprint.differences(wanted) == [told]
    assert wanted.digest != fingerprint.digest
    write_fingerprint(tmp_path, fingerprint)
    with pytest.raises(ConfigError, match="does not fit this run") as caught:
        write_fingerprint(tmp_path, wanted)
    assert told in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert read_fingerprint(tmp_path) == fingerprint


def test_all_differences_are_named_at_once(fingerprint: Fingerprint, tmp_path: Path) -> None:
    wanted = dataclasses.replace(fingerprint, teacher="b" * 64, top_k=8)
    with pytest.raises(ConfigError, match=r"another teacher.*bbb.*; top_k: 4 in the store, 8 wanted"):
        fingerprint.require(wanted, tmp_path)
    fingerprint.require(fingerprint, tmp_path)


def test_a_whole_number_is_the_same_temperature(fingerprint: Fingerprint) -> None:
    whole = dataclasses.replace(fingerprint, temperature=1)
    assert (whole, whole.digest) == (fingerprint, fingerprint.digest)


def test_a_folder_without_a_store(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no teacher store.*limbeck store"):
        read_fingerprint(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged"),
        ("[]", "has format None"),
        ("{}", "has format None"),
        ('{"format": 2}', "has format 2, but this version of limbeck reads format 1"),
        ('{"format": 1, "teacher": "t"}', "has format 1"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / STORE_FILE).write_text(content)
    with pytest.raises(DataError, match=message):
        read_fingerprint(tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path: Path, fingerprint: Fingerprint) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="could not be written"):
        write_fingerprint(tmp_path / "file" / "store", fingerprint)


def test_many_ranks_begin_at_once(tmp_path: Path, fingerprint: Fingerprint) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(8):
            folder = tmp_path / str(number)
            list(pool.map(lambda _, f=folder: write_fingerprint(f, fingerprint), range(8)))
            assert [path.name for path in folder.iterdir()] == [STORE_FILE]
            assert json.loads((folder / STORE_FILE).read_text())["top_k"] == 4


def test_a_store_from_before_there_was_a_date_is_read(tmp_path: Path) -> None:
    """Its shards begin with the digest that they were given then."""
    made = Fingerprint("weights", "tokenizer", "template", 40, 4, precision="exact")
    assert made.digest.hex() == "af93669b419d01d6f32a69e59f9af0d8"
    values = dataclasses.asdict(made)
    del values["date"]
    (tmp_path / STORE_FILE).write_text(json.dumps(values))
    assert read_fingerprint(tmp_path) == made
    del values["teacher"]
    (tmp_path / STORE_FILE).write_text(json.dumps(values))
    with pytest.raises(DataError, match="has format 1"):
        read_fingerprint(tmp_path)
