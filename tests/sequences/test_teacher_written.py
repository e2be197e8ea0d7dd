"""Completions that the teacher writes once: kept on disk, gone on with after a kill, made anew for another teacher."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from limbeck.models.generate import Completion, Decoding
from limbeck.sequences.teacher_written import generate_once
from limbeck.types import SilentProgress

BATCHES = [np.asarray(rows) for rows in ([6, 2], [0, 4], [5])]
DECODING = Decoding(max_new_tokens=4, temperature=0.7)


class Teacher:
    """Writes tokens that depend on row, seed and its name; may be killed in the middle of its calls."""

    def __init__(self, name: int = 1, calls_left: int = 99) -> None:
        self.name, self.calls_left = name, calls_left
        self.calls: list[list[int]] = []

    def write(self, rows: NDArray[np.int64], decoding: Decoding, seed: int) -> list[Completion]:
        if not self.calls_left:
            raise KeyboardInterrupt
        self.calls_left -= 1
        self.calls.append(rows.tolist())
        rng = np.random.default_rng((seed, self.name))
        return [Completion(rng.integers(100, size=1 + row % 3).tolist(), bool(row % 4)) for row in rows.tolist()]

    def generate_once(self, path: Path, **changes: Any) -> dict[int, Completion]:
        options: dict[str, Any] = {"fingerprint": "one", "decoding": DECODING, "batches": BATCHES, "seed": 3}
        return generate_once(path, write=self.write, progress=SilentProgress(), **(options | changes))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "written" / "teacher.jsonl"


def test_every_row_gets_a_completion_and_is_read_back_as_it_was(path: Path) -> None:
    teacher = Teacher()
    found = teacher.generate_once(path)
    assert teacher.calls == [[6, 2], [0, 4], [5]]
    assert set(found) == {6, 2, 0, 4, 5}
    assert {one.ended for one in found.values()} == {True, False}
    again = Teacher()
    assert again.generate_once(path) == found
    assert again.calls == []


def test_batches_of_equal_rows_are_sampled_differently(path: Path) -> None:
    found = Teacher().generate_once(path, batches=[np.asarray([2]), np.asarray([5])])
    assert found[2] != found[5]


def test_a_killed_run_goes_on_where_it_was(path: Path, tmp_path: Path) -> None:
    expected = Teacher().generate_once(tmp_path / "whole.jsonl")
    with pytest.raises(KeyboardInterrupt):
        Teacher(calls_left=2).generate_once(path)
    teacher = Teacher()
    assert teacher.generate_once(path) == expected
    assert teacher.calls == [[5]]


def test_a_file_cut_off_anywhere_becomes_whole_with_the_same_completions(path: Path) -> None:
    expected = Teacher().generate_once(path)
    whole = path.read_bytes()
    head = whole.index(b"\n") + 1
    for end in [*range(0, head, 40), head - 1, *range(head, len(whole), 3), len(whole)]:
        path.write_bytes(whole[:end])
        lines = whole[:end].count(b"\n") - 1  # rows that are there to the last byte
        teacher = Teacher()
        assert teacher.generate_once(path) == expected
        assert len(teacher.calls) == sum(lines < rows for rows in (2, 4, 5))  # batches that are not whole
        assert Teacher(calls_left=0).generate_once(path) == expected


@pytest.mark.parametrize("damaged", [b"", b"{", b"3", b"\xff", None])
def test_lines_with_damage_are_written_again_with_the_same_completions(damaged: bytes | None, path: Path) -> None:
    """``None``: a token is another, and the line as good as the others."""
    expected = Teacher().generate_once(path)
    lines = path.read_bytes().split(b"\n")
    tokens = lines[3].replace(b'"ids": [', b'"ids": [9')
    path.write_bytes(b"\n".join([*lines[:3], tokens if damaged is None else damaged, *lines[4:]]))
    teacher = Teacher()
    assert teacher.generate_once(path) == expected
    assert teacher.calls == [[0, 4]]  # the batch of the line
    assert Teacher(calls_left=0).generate_once(path) == expected


def test_lines_of_before_there_were_checksums_are_believed(path: Path) -> None:
    expected = Teacher().generate_once(path)
    head, *lines = path.read_text().splitlines()
    old = [json.dumps({name: json.loads(line)[name] for name in ("row", "ids", "ended")}) for line in lines]
    path.write_text("\n".join([head, *old]) + "\n")
    assert Teacher(calls_left=0).generate_once(path) == expected


@pytest.mark.parametrize(
    "change",
    [{"fingerprint": "two"}, {"decoding": Decoding(max_new_tokens=4, temperature=0.8)}, {"seed": 4}],
    ids=lambda change: next(iter(change)),
)
def test_another_teacher_decoding_or_seed_writes_anew(path: Path, change: dict[str, Any]) -> None:
    first = Teacher().generate_once(path)
    other = Teacher(name=2)
    found = other.generate_once(path, **change)
    assert other.calls == [[6, 2], [0, 4], [5]]
    assert found != first
    assert Teacher(calls_left=0).generate_once(path, **change) == found  # the first one's are gone


def test_a_file_of_something_else_is_made_anew(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("not JSON\n")
    assert set(Teacher().generate_once(path)) == {6, 2, 0, 4, 5}


def test_more_rows_later_add_to_the_file(path: Path) -> None:
    first = Teacher().generate_once(path, batches=BATCHES[:2])
    teacher = Teacher()
    found = teacher.generate_once(path)
    assert teacher.calls == [[5]]
    assert {row: found[row] for row in first} == first
