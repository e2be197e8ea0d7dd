"""Files, folders and hub names as users write them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from limbeck.data.sources import DataFile, HubData, find_sources
from limbeck.errors import DataError


def names(folder: Path, sources: str | Path | list[str | Path]) -> list[str]:
    return [source.name for source in find_sources(sources, base=folder, split="train")]


def refusal(folder: Path, sources: str | Path | list[str | Path]) -> str:
    with pytest.raises(DataError) as caught:
        find_sources(sources, base=folder, split="train")
    return str(caught.value)


def test_suffixes_are_known_in_any_case_and_compressed(tmp_path: Path) -> None:
    path = tmp_path / "Rows.JSONL.GZ"
    path.touch()
    assert find_sources(path, base=None, split="train") == [DataFile(path, ".jsonl", True)]


def test_a_folder_means_its_data_files_by_name(tmp_path: Path) -> None:
    for name in ("b.csv", "a.jsonl", ".hidden.jsonl", "README.md", "c.parquet"):
        (tmp_path / name).touch()
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "d.csv").touch()
    assert names(tmp_path.parent, tmp_path.name) == [str(tmp_path / n) for n in ("a.jsonl", "b.csv", "c.parquet")]


def test_the_order_given_is_kept_and_relative_paths_start_at_the_base(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).touch()
    assert names(tmp_path, ["b.csv", tmp_path / "a.csv"]) == [
        str(tmp_path / "b.csv"),
        str(tmp_path / "a.csv"),
    ]


def test_the_home_folder_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.csv").touch()
    assert names(Path("/elsewhere"), "~/a.csv") == [str(tmp_path / "a.csv")]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hub:imdb", HubData("imdb", None, None, "test")),
        ("hub:org/some-name", HubData("org/some-name", None, None, "test")),
        ("hub:org/name:sst2", HubData("org/name", "sst2", None, "test")),
        ("hub:org/name@refs/pr/1", HubData("org/name", None, "refs/pr/1", "test")),
        ("hub:org/name:20220301.en@v1.0", HubData("org/name", "20220301.en", "v1.0", "test")),
    ],
)
def test_hub_names(source: str, expected: HubData) -> None:
    assert find_sources(source, base=None, split="test") == [expected]
    assert expected.name == f"{source} (test)"


@pytest.mark.parametrize("source", ["hub:", "hub:a/b/c", "hub:org/name:", "hub:org/name@", "hub:org/na me"])
def test_bad_hub_names(tmp_path: Path, source: str) -> None:
    message = refusal(tmp_path, source)
    assert f"'{source}' is not a hub data set" in message
    assert "hub:nyu-mll/glue:sst2@main" in message


def test_no_sources(tmp_path: Path) -> None:
    assert "the list of files is empty" in refusal(tmp_path, [])


def test_a_missing_file_with_a_neighbour_of_almost_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").touch()
    assert refusal(tmp_path, "trian.jsonl") == (
        f"{tmp_path / 'trian.jsonl'} does not exist; did you mean 'train.jsonl'?"
    )


def test_a_missing_file_among_no_data_files(tmp_path: Path) -> None:
    (tmp_path / "notes.md").touch()
    assert refusal(tmp_path, "a.csv").endswith("does not exist; its folder holds no data files.")


def test_a_missing_folder(tmp_path: Path) -> None:
    message = refusal(tmp_path, "data/a.csv")
    assert f"nor does its folder {tmp_path / 'data'}" in message
    assert "start at the current folder" in message


def test_a_folder_without_data_files(tmp_path: Path) -> None:
    (tmp_path / "notes.md").touch()
    message = refusal(tmp_path, tmp_path)
    assert f"folder {tmp_path} holds no data files (.jsonl, " in message
    assert "sub-folders are not read" in message


@pytest.mark.parametrize("name", ["rows.xlsx", "rows.parquet.gz", "rows"])
def test_an_unknown_kind_of_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    message = refusal(tmp_path, name)
    assert message.startswith(f"{tmp_path / name}: expected a file that ends in one of .jsonl, ")
    assert "save it as JSON Lines" in message


def test_a_path_that_the_system_refuses(tmp_path: Path) -> None:
    assert "cannot be read: File name too long" in refusal(tmp_path, "x" * 300 + ".csv")


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names are UTF-8 there")
def test_a_name_that_is_not_utf8_can_be_written(tmp_path: Path) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/rows")
    with open(os.fsencode(tmp_path) + b"/rows/caf\xe9.jsonl", "wb") as file:
        file.write(b'{"text": "a"}\n')
    [source] = find_sources(tmp_path / "rows", base=None, split="train")
    assert source.name == f"{tmp_path}/rows/caf\\xe9.jsonl"


def test_a_home_folder_of_nobody(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"~nosuchuser/x\.jsonl: no home folder of this user"):
        find_sources("~nosuchuser/x.jsonl", base=None, split="train")
