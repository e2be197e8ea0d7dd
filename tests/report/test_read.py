"""Reading a result record, and what is said when it cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from limbeck.errors import RunFolderError
from limbeck.generation_results import GenerationResults
from limbeck.language_results import LanguageResults
from limbeck.report import read_any_results, read_results
from limbeck.results import Results


def test_a_record_comes_back_from_folder_and_file(full_results: Results, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(full_results.model_dump_json(), encoding="utf-8")
    assert read_results(tmp_path) == read_results(file) == full_results


def test_every_kind_of_record_comes_back_by_its_format(
    bare_results: Results, language_results: LanguageResults, generation_results: GenerationResults, tmp_path: Path
) -> None:
    for record in (bare_results, language_results, generation_results):
        (tmp_path / "results.json").write_text(record.model_dump_json(), encoding="utf-8")
        found = read_any_results(tmp_path)
        assert type(found) is type(record)
        assert found == record


def test_who_needs_a_classification_run_is_told_of_the_other(
    language_results: LanguageResults, tmp_path: Path
) -> None:
    (tmp_path / "results.json").write_text(language_results.model_dump_json(), encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"expected .* 'limbeck-results-1', found 'limbeck-languages-1'"):
        read_results(tmp_path)


@pytest.mark.parametrize("known", ["limbeck-results-9", ["limbeck-results-1"], None])
def test_all_formats_are_named_to_who_could_have_any(known: object, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps({"format": known}), encoding="utf-8")
    with pytest.raises(RunFolderError, match="'limbeck-results-1' or 'limbeck-languages-1' or 'limbeck-generation-1'"):
        read_any_results(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected JSON"),
        (b'{"format": "limbeck-res', "breaks off or is damaged"),
        (b"\xff\xfe\xfd", "expected JSON"),
        (b"[1, 2]", "found a JSON list"),
        (b"{}", "found none"),
        (b'{"format": "limbeck-results-9"}', "found 'limbeck-results-9'"),
    ],
)
def test_a_file_that_is_no_record(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(RunFolderError, match=message) as caught:
        read_results(tmp_path)
    assert str(tmp_path / "results.json") in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="found no such file"):
        read_results(tmp_path)
    with pytest.raises(RunFolderError, match="found no such file"):
        read_results(tmp_path / "absent")


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "results.json").mkdir()
    with pytest.raises(RunFolderError, match="cannot be read"):
        read_results(tmp_path)


def test_faults_are_named_by_field(bare_results: Results, tmp_path: Path) -> None:
    record = json.loads(bare_results.model_dump_json())
    record["systems"][0]["speed"]["parameters"] = "many"
    record["surprise"] = 1
    (tmp_path / "results.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(RunFolderError) as caught:
        read_results(tmp_path)
    assert "systems.0.speed.parameters: " in str(caught.value)
    assert "surprise: " in str(caught.value)


def test_many_faults_are_cut_short(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"format": "limbeck-results-1"}', encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"and \d+ more"):
        read_results(tmp_path)
