"""Which checkpoint is gone on from; lines of the log that are missing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from limbeck.intact import seal
from limbeck.stages.callbacks import StageCallback, check_log, last_whole_checkpoint, log_mark, read_log


def write_checkpoint(folder: Path, step: int, *, marks: bool = True, whole: bool = True) -> Path:
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir()
    for name in ("model.safetensors", "optimizer.pt", "trainer_state.json"):
        (checkpoint / name).write_bytes(f"{name} {step}".encode() * 100)
    if whole:
        seal(checkpoint / "limbeck.json", {"step": step}, checkpoint if marks else None)
    return checkpoint


def empty(path: Path) -> None:
    path.write_bytes(b"")


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


DAMAGES = [Path.unlink, empty, halve, flip]


def test_the_newest_whole_checkpoint_is_found_and_those_cut_off_are_deleted(tmp_path: Path) -> None:
    said: list[str] = []
    assert last_whole_checkpoint(tmp_path, said.append) is None
    for step, whole in ((9, True), (100, True), (110, False)):
        write_checkpoint(tmp_path, step, whole=whole)
    assert last_whole_checkpoint(tmp_path, said.append) == tmp_path / "checkpoint-100"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-100", "checkpoint-9"]
    assert said == []


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "trainer_state.json", "limbeck.json"])
def test_damage_falls_back_to_the_checkpoint_before(
    name: str, damage: Callable[[Path], object], tmp_path: Path
) -> None:
    before = write_checkpoint(tmp_path, 4)
    damage(write_checkpoint(tmp_path, 8) / name)
    said: list[str] = []
    assert last_whole_checkpoint(tmp_path, said.append) == before
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-4"]
    if (name, damage) == ("limbeck.json", Path.unlink):  # as after a kill
        assert said == []
        return
    (words,) = said
    assert f"checkpoint-8 is damaged: {name}" in words
    assert "resumes from checkpoint-4" in words


def test_without_a_whole_one_the_stage_starts_anew(tmp_path: Path) -> None:
    for step in (4, 8):
        empty(write_checkpoint(tmp_path, step) / "optimizer.pt")
    said: list[str] = []
    assert last_whole_checkpoint(tmp_path, said.append) is None
    assert list(tmp_path.iterdir()) == []
    assert ["starts again" in words for words in said] == [True, True]


def test_checkpoints_of_before_there_were_marks_are_believed(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path, 4, whole=False)
    (checkpoint / "limbeck.json").write_text('{"step": 4}')
    said: list[str] = []
    assert last_whole_checkpoint(tmp_path, said.append) == checkpoint
    assert said == []


LABELS = {"stage": "kd", "system": "distilled", "seed": 0}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    others = {**LABELS, "seed": 1}
    lines = [{**labels, "step": step, "loss": 1 / step} for labels in (others, LABELS) for step in (1, 2, 3)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_line_with_damage_takes_no_others_with_it(log: Path) -> None:
    lines = log.read_text().splitlines(keepends=True)
    log.write_text(lines[0] + lines[1][:9] + "\n3\nnull\n" + "".join(lines[2:]))
    assert [line["step"] for line in read_log(log)] == [1, 3, 1, 2, 3]


@pytest.mark.parametrize("damage", [Path.unlink, empty, halve])
def test_lost_lines_of_a_stage_are_told(damage: Callable[[Path], object], log: Path) -> None:
    said: list[str] = []
    mark = log_mark(log, LABELS, 3)
    check_log(log, LABELS, 3, mark, said.append)
    check_log(log, LABELS, 3, None, said.append)
    assert said == []
    damage(log)
    check_log(log, LABELS, 3, mark, said.append)
    assert len(said) == 1
    assert "lines of stage 'kd' are missing or changed" in said[0]


def test_lines_of_the_log_with_damage_are_dropped_alone(tmp_path: Path) -> None:
    good = [{"stage": "s", "step": 1}, {"stage": "s", "step": 2}]
    first, last = (json.dumps(line).encode() for line in good)
    bad = [b"\xff\xfe", b"{", b"null", b"[" * 100_000, b"9" * 5000, b'{"step": "1"}', b'{"stage": "s"}', b"\0" * 50]
    (tmp_path / "log.jsonl").write_bytes(b"\n".join([first, *bad, last]) + b"\n")
    assert read_log(tmp_path / "log.jsonl") == good


@pytest.mark.parametrize("older", [False, True], ids=["", "a checkpoint without CPU seconds"])
def test_time_before_a_restart_counts(tmp_path: Path, older: bool) -> None:
    before = {"seconds": 1000.0, "cpu_seconds": 500.0, "rows": 3, "tokens": 4, "positions": 5}
    (checkpoint := tmp_path / "checkpoint-1").mkdir()
    kept = {name: value for name, value in before.items() if not (older and name == "cpu_seconds")}
    labels = {"stage": "a", "system": "b", "seed": 0}
    seal(checkpoint / "limbeck.json", {"step": 1, **kept, "terms": {}, "log": None}, None)
    callback = StageCallback(tmp_path / "log.jsonl", labels, lambda count, note=None: None)
    trainer: Any = SimpleNamespace(rows_seen=10, tokens_seen=20, positions_seen=30)
    callback.trainer = trainer
    callback.resume(checkpoint, lambda words: None)
    callback.add_seconds(100.0, 50.0)
    time.sleep(0.05)  # takes time, but no CPU time
    costs = callback.costs()
    assert (costs["rows"], costs["tokens"], costs["positions"]) == (13, 24, 35)
    assert costs["seconds"] - 1100 >= 0.05
    assert 0 <= costs["cpu_seconds"] - (50 if older else 550) < costs["seconds"] - 1100
