"""Text files that cannot be read, and bytes that are not UTF-8."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.sources import DataFile
from limbeck.data.text_files import open_text, utf8_fault
from limbeck.errors import DataError


def lines_of(path: Path) -> list[str]:
    with open_text(DataFile(path, ".csv", path.suffix == ".gz")) as lines:
        return list(lines)


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        lines_of(path)
    return str(caught.value)


def test_the_byte_order_mark_goes_and_line_ends_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\nthree")
    assert lines_of(path) == ["one\r\n", "two\n", "three"]


@pytest.mark.parametrize(
    ("start", "what"),
    [
        ("text".encode("utf-16"), "it is UTF-16 text; save it as UTF-8"),
        (b"\xfe\xff" + "text".encode("utf-16-be"), "it is UTF-16 text; save it as UTF-8"),
        (gzip.compress(b"text", mtime=0), "it is compressed with gzip; add .gz to its name"),
        (b"PK\x03\x04....", "it is a zip archive or a spreadsheet"),
    ],
)
def test_files_of_another_kind(tmp_path: Path, start: bytes, what: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(start)
    assert refusal(path).startswith(f"{path} is not a text file in UTF-8, {what}")


def test_a_compressed_file_that_was_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(os.urandom(50_000).hex().encode())[:-20_000])
    assert refusal(path) == f"{path} ends too early: it was cut short. Copy or download it again."


def test_a_compressed_file_that_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    data = bytearray(gzip.compress(b"some text\n" * 1000))
    data[-6] ^= 0xFF  # within the checksum
    path.write_bytes(data)
    assert f"{path} is not a valid gzip file: CRC check failed" in refusal(path)


def test_a_file_that_is_not_compressed_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(b"text,label\n")
    assert f"{path} is not a valid gzip file: Not a gzipped file" in refusal(path)


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.touch(mode=0o000)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    assert refusal(path) == f"{path} cannot be read: Permission denied. Check its permissions."


def test_a_disk_that_fails_while_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.symlink_to("/proc/self/mem")  # opens, but address 0 cannot be read
    if not path.exists():
        pytest.skip("needs /proc")
    assert refusal(path) == f"{path} cannot be read: Input/output error. Check its permissions."


@given(st.binary(max_size=40))
def test_the_byte_named_is_the_one_that_python_finds(data: bytes) -> None:
    expected = None
    try:
        data.decode()
    except UnicodeDecodeError as error:
        expected = f"not UTF-8: byte {error.start + 1} is 0x{data[error.start]:02x}; save the file as UTF-8"
    assert utf8_fault(data.decode(errors="surrogateescape")) == expected
