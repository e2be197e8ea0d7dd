from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from limbeck.intact import Damage, checksum, file_mark, open_seal, seal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "weights").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "inner" / "words").write_text("words")
    return tmp_path


def test_the_checksum_is_that_of_zip_and_png() -> None:
    assert checksum(b"123456789") == 0xCBF43926  # the check value of CRC-32
    assert checksum(b"6789", checksum(b"12345")) == 0xCBF43926


def test_the_mark_of_a_file_is_its_size_and_checksum(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"123456789")
    assert file_mark(tmp_path / "file") == "9 bytes, cbf43926"


def test_what_was_sealed_is_read_back(folder: Path) -> None:
    values = {"step": 3, "shares": {"2": 0.5, "10": [1, None]}}
    seal(folder / "seal.json", values, folder)
    assert open_seal(folder / "seal.json", folder) == values


@pytest.mark.parametrize("name", ["weights", "inner/words", "seal.json"])
@pytest.mark.parametrize("place", [0, 1, 0.5, -2])
def test_any_damage_is_found(name: str, place: float, folder: Path) -> None:
    seal(folder / "seal.json", {"step": 3}, folder)
    content = bytearray((folder / name).read_bytes())
    content[place if isinstance(place, int) else int(place * len(content))] ^= 1
    for damaged in (bytes(content), b"", bytes(content[: len(content) // 2]), bytes(content) + b"x"):
        (folder / name).write_bytes(damaged)
        with pytest.raises(Damage, match=Path(name).name):
            open_seal(folder / "seal.json", folder)
    (folder / name).unlink()
    with pytest.raises(Damage, match=Path(name).name):
        open_seal(folder / "seal.json", folder)


def test_every_byte_of_a_sealed_file_counts(folder: Path) -> None:
    """Also where the file is still JSON with all its fields."""
    values = {"step": 3, "seconds": 1.25}
    seal(folder / "seal.json", values, folder)
    whole = (folder / "seal.json").read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 2
        (folder / "seal.json").write_bytes(changed)
        with contextlib.suppress(Damage):
            assert open_seal(folder / "seal.json", folder) == values


def test_files_of_before_there_were_marks_are_believed(folder: Path) -> None:
    (folder / "seal.json").write_text('{"step": 3}')
    assert open_seal(folder / "seal.json", folder) == {"step": 3}


@pytest.mark.parametrize("content", ["", "[]", "3", "null", "{", "[" * 100_000, "\udcff"])
def test_a_file_of_something_else_is_damage(content: str, tmp_path: Path) -> None:
    (tmp_path / "seal.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(Damage, match=r"seal\.json cannot be read"):
        open_seal(tmp_path / "seal.json", tmp_path)


def test_files_are_on_the_disk_before_the_seal_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.readlink(f"/proc/self/fd/{number}")))
    seal(folder / "seal.json", {}, folder)
    before = synced[: synced.index(str(folder / "seal.json.part"))]
    assert {str(folder), *(str(path) for path in folder.rglob("*"))} - {str(folder / "seal.json")} <= set(before)
