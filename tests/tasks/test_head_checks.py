"""What the doctor says of runs with a head."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limbeck.runs.config import run_config
from limbeck.runs.examine import examine
from limbeck.tasks.finding import Finding
from limbeck.types import SilentProgress


@pytest.fixture
def found(tmp_path: Path, encoder: Path) -> Callable[..., list[Finding]]:
    def findings(task: dict[str, Any], rows: Path, **sections: Any) -> list[Finding]:
        whole = {
            "task": task,
            "data": {"train": str(rows)},
            "teacher": {"model": str(encoder), "fine_tune": {"num_train_epochs": 1}},
            "student": {"from_teacher": {"layers": "first", "keep": 1}},
            "recipe": "kd",
            "output": str(tmp_path / "run"),
        }
        return examine(run_config({**whole, **sections}), SilentProgress())

    return findings


def words(findings: list[Finding]) -> dict[str, str]:
    return {finding.check: f"{finding.level}: {finding.message}" for finding in findings}


WORDS = {"kind": "token_classification", "words": "tokens"}


def test_entities(found: Callable[..., list[Finding]], tagged: Callable[..., Path]) -> None:
    said = words(found(WORDS, tagged("long", 40, length=30), training={"max_length": 16}))
    assert (
        "36 training rows (36 labelled), 4 held-out rows, 0 left out; LOC, PER"
        in words([finding for finding in found(WORDS, tagged("long", 40, length=30)) if finding.level == "ok"][:1])[
            "data"
        ]
    )
    assert said["lengths"] == "note: 36 texts are longer, and read in windows of 16 tokens"
    assert said["layers"] == "ok: teacher 2 x 32, student 1 x 32"
    assert "optimiser steps are few" in said["steps"]
    assert said["steps"].endswith("raise training.num_train_epochs, or give training.max_steps")
    assert said["time"].startswith("note: about ")
    assert not any(level.startswith("fault") for level in said.values())


def test_numbers_and_labels(
    found: Callable[..., list[Finding]], valued: Callable[..., Path], labelled: Callable[..., Path]
) -> None:
    for task, rows in (
        ({"kind": "regression", "value": "price"}, valued("numbers", 60)),
        ({"kind": "multi_label"}, labelled("labels", 60)),
    ):
        said = words(found(task, rows))
        assert said["layers"] == "ok: teacher 2 x 32, student 1 x 32"
        assert not any(level.startswith("fault") for level in said.values())


def test_the_expected_time_counts_the_trials_of_a_search(
    found: Callable[..., list[Finding]], valued: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.tasks.head_checks._seconds_a_sequence", lambda *words: 1.0)
    monkeypatch.setattr("limbeck.tasks.head_checks.duration_text", str)
    rows, dev, test = (str(valued(name, count)) for name, count in (("train", 60), ("dev", 30), ("test", 10)))
    sections = {"data": {"train": rows, "test": test}, "training": {"max_steps": 5, "batch_size": 4}}
    plain = words(found({"kind": "regression", "value": "price"}, rows, **sections))
    sections |= {"search": {"learning_rate": [1e-5, 1e-4, 1e-3]}}
    sections["data"] = {**sections["data"], "dev": dev}
    searching = words(found({"kind": "regression", "value": "price"}, rows, **sections))
    seconds, more = (float(said["time"].split()[2]) for said in (plain, searching))
    assert more - seconds == 2 * 2 * (3 * 5 * 4 + 10), "two students, two trainings more of each"
    assert "search" not in plain
    assert "on 30 development rows" in searching["search"]


def test_bad_rows_end_the_examination(found: Callable[..., list[Finding]], tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"tokens": ["a"], "tags": ["B-X", "O"]}\n')
    (only,) = found(WORDS, rows)
    assert (only.level, only.check) == ("fault", "data")
    assert f"{rows}, line 1, field 'tags': 2 tags for 1 words" in only.message


def test_a_model_that_is_no_teacher_is_a_fault(
    found: Callable[..., list[Finding]], tagged: Callable[..., Path], encoder: Path
) -> None:
    *_, last = found(WORDS, tagged("rows", 30), teacher={"model": str(encoder)})
    assert last.level == "fault"
    assert "is not in the scheme bio" in last.message
