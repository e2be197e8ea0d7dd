"""Reading a result record, and what is said when it cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.results.old_records import OLD, old_record

from limbeck.errors import RunFolderError
from limbeck.results.read import read_results


@pytest.mark.parametrize("kind", ["classification", "ranking", "generation"])
def test_records_of_every_kind_and_format(kind: str, tmp_path: Path) -> None:
    results = read_results(OLD / f"{kind}.json")
    assert (results.format, results.kind) == ("limbeck-results-2", kind)
    (tmp_path / "results.json").write_text(results.model_dump_json(), encoding="utf-8")
    assert read_results(tmp_path) == read_results(tmp_path / "results.json") == results


@pytest.mark.parametrize("known", ["limbeck-results-9", ["limbeck-results-1"], None])
def test_all_formats_are_named(known: object, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps({"format": known}), encoding="utf-8")
    with pytest.raises(RunFolderError, match="'limbeck-results-2' or 'limbeck-results-1' or 'limbeck-languages-1'"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected JSON"),
        (b'{"format": "limbeck-res', "breaks off or is damaged"),
        (b"\xff\xfe\xfd", "expected JSON"),
        (b"[" * 100_000, "breaks off or is damaged"),
        (b"[1, 2]", "found a JSON list"),
        (b"{}", "found none"),
        (b'{"format": "limbeck-results-1"}', "does not have the shape of limbeck-results-1"),
        (b'{"format": "limbeck-results-2"}', r"and \d+ more"),
    ],
)
def test_a_file_that_is_no_record(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(RunFolderError, match=message) as caught:
        read_results(tmp_path)
    assert str(tmp_path / "results.json") in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(RunFolderError, match="found no such file"):
            read_results(path)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "results.json").mkdir()
    with pytest.raises(RunFolderError, match="cannot be read"):
        read_results(tmp_path)


def test_faults_are_named_by_field(tmp_path: Path) -> None:
    old = old_record("bare_classification")
    old["systems"][0]["speed"]["parameters"] = "many"
    old["systems"][0]["title"] = 3
    (tmp_path / "results.json").write_text(json.dumps(old), encoding="utf-8")
    with pytest.raises(RunFolderError) as caught:
        read_results(tmp_path)
    assert "distilled.parameters: " in str(caught.value)
    assert "systems.0.title: " in str(caught.value)
