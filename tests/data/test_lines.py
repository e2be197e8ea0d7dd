"""Lines of standard input and of text files, as damaged as they come."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from limbeck.data import lines
from limbeck.data.lines import read_lines
from limbeck.data.records import BadRow, Record
from limbeck.errors import DataError


def read(monkeypatch: pytest.MonkeyPatch, content: bytes) -> list[Record | BadRow]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    return [record for _, record, _ in read_lines("-", "text")]


def test_texts_and_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, b' a b \r\n\n  \n{"x": 1}\n\xc3\xa9')
    assert found == [Record(1, {"text": "a b"}), Record(4, {"x": 1}), Record(5, {"text": "é"})]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\xff\xfe", "not UTF-8 (byte 1 of the line)"),
        (b"{broken", "looks like JSON but is not: Expecting property name enclosed in double quotes (column 2)"),
        (b'{"x": ' + b"[" * 100_000, "JSON that is nested too deeply"),
        (b'{"x": ' + b"1" * 5000 + b"}", "JSON that cannot be used: Exceeds the limit (4300 digits)"),
    ],
)
def test_a_bad_line_is_a_fault_and_the_next_is_read(line: bytes, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, bad, last = read(monkeypatch, b"a\n" + line + b"\nb\n")
    assert (first, last) == (Record(1, {"text": "a"}), Record(3, {"text": "b"}))
    assert isinstance(bad, BadRow)
    assert bad.number == 2
    assert bad.reason.startswith(reason)


def test_a_line_without_an_end_is_not_read_to_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lines, "_LONGEST_BYTES", 1000)
    with pytest.raises(DataError, match="standard input:2: a line of more than"):
        read(monkeypatch, b"a\n" + b"x" * 1001)
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"zero\.txt:1: a line of more than"):
        list(read_lines(str(tmp_path / "zero.txt"), "text"))


@pytest.mark.parametrize("make", ["folder", "loop", "long"])
def test_what_cannot_be_opened(make: str, tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300 if make == "long" else "x.txt")
    if make == "folder":
        path.mkdir()
    elif make == "loop":
        path.symlink_to(path)
    with pytest.raises(DataError, match="cannot be read"):
        list(read_lines(str(path), "text"))
