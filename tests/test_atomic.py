"""Files that are whole or not there, outputs that are tried before the work, and what a refused write is called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from limbeck.atomic import guard_storage, replace_file, replace_folder, try_output, write_text
from limbeck.errors import StorageError


def loop(folder: Path) -> Path:
    (folder / "one").symlink_to(folder / "two")
    (folder / "two").symlink_to(folder / "one")
    return folder / "one" / "x"


def a_file_as_folder(folder: Path) -> Path:
    (folder / "file").write_text("")
    return folder / "file" / "x"


UNWRITABLE = {
    "no such folder": lambda folder: folder / "no" / "such" / "x",
    "a folder": lambda folder: folder,
    "the root": lambda folder: Path("/"),
    "a long name": lambda folder: folder / ("n" * 300),
    "a loop of links": loop,
    "in a file": a_file_as_folder,
    "a device": lambda folder: Path("/dev/null"),
}


@pytest.mark.parametrize("where", UNWRITABLE.values(), ids=UNWRITABLE.keys())
def test_an_output_that_cannot_be_written_is_refused_and_leaves_nothing(where: Any, tmp_path: Path) -> None:
    path = where(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StorageError, match="could not be written"):
        try_output(path)
    with pytest.raises(StorageError, match="could not be written"):
        write_text(path, "text")
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/dev/null").is_file()


def test_an_output_that_can_be_written_is_not_touched(tmp_path: Path) -> None:
    try_output(None)
    try_output(tmp_path / "new" / "file", parents=True)
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "old").write_text("old")
    try_output(tmp_path / "old")
    assert (tmp_path / "old").read_text() == "old"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_ends_badly_keeps_the_old_file_and_leaves_no_part(error: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(error), replace_file(tmp_path / "file") as file:  # noqa: PT012
        file.write("new")
        raise error
    with pytest.raises(error), replace_folder(tmp_path / "folder") as part:  # noqa: PT012
        (part / "x").touch()
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_what_is_moved_into_place_is_on_the_disk_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name in the folder, too; otherwise a power cut may take both files."""
    done: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        os, "fsync", lambda number: done.append((os.readlink(f"/proc/self/fd/{number}"), (tmp_path / "file").exists()))
    )
    write_text(tmp_path / "file", "text")
    assert done == [(str(tmp_path / "file.part"), False), (str(tmp_path), True)]
    done.clear()
    with replace_folder(tmp_path / "folder") as part:
        (part / "x").touch()
    assert {name for name, _ in done} == {
        str(tmp_path / "folder.part"),
        str(tmp_path / "folder.part/x"),
        str(tmp_path),
    }


def test_errors_about_other_files_are_not_called_refused_writes(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(FileNotFoundError), guard_storage(tmp_path / "run" / "file"):
        Path("/nowhere/data.jsonl").read_text()
    with pytest.raises(RuntimeError), guard_storage(tmp_path / "run" / "file"):
        raise RuntimeError("shapes do not fit")


def test_a_number_that_another_library_hid_is_found(tmp_path: Path) -> None:
    """transformers and torch raise errors of their own while they handle that of the operating system."""
    with pytest.raises(StorageError, match="No space left"), guard_storage(tmp_path):  # noqa: PT012
        try:
            raise OSError(28, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos 16832 vs 16724")  # noqa: B904
    with pytest.raises(StorageError, match="os error 28"), guard_storage(tmp_path):
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")


FULL = """
import resource, sys, torch
from pathlib import Path
from limbeck.atomic import guard_storage
from limbeck.errors import StorageError
path = Path(sys.argv[1])
for room in map(int, sys.argv[2:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        with guard_storage(path.parent):
            torch.save({"a": torch.zeros(4000), "b": torch.zeros(4000)}, path)
    except StorageError as error:
        print(error)
"""


@pytest.mark.slow
def test_torch_on_a_full_disk(tmp_path: Path) -> None:
    """It says something else with every size ("unexpected pos 16832 vs 16724"), and never the error number."""
    rooms = ("100", "8000", "16500", "20000", "32000")
    words = [sys.executable, "-c", FULL, str(tmp_path / "optimizer.pt"), *rooms]
    answer = subprocess.run(words, capture_output=True, text=True, check=True)
    for line in answer.stdout.splitlines():
        assert "could not be written: File too large" in line
        assert "Free some space" in line
    assert len(answer.stdout.splitlines()) == len(rooms)
