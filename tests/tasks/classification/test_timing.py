"""Steps that fit in the minutes of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from limbeck.runs.config import run_config
from limbeck.runs.examine import examine
from limbeck.tasks.classification import timing
from limbeck.tasks.classification.rows import read_rows
from limbeck.tasks.classification.timing import step_seconds, teacher_seconds, with_steps_in_time
from limbeck.types import SilentProgress


@pytest.fixture
def timed(sections: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A run without steps, on a machine that reads a row in 10 ms."""
    monkeypatch.setattr(timing, "seconds_per_row", lambda model, encoded: 0.01)
    sections["training"] = {"batch_size": 1}  # ten passes are many steps
    return sections | {"minutes": 60}


def steps(run: dict[str, Any], folder: Path) -> int | None:
    return with_steps_in_time(run_config(run), folder).training.max_steps


def test_what_the_teacher_leaves_is_shared_by_the_students(timed: dict[str, Any], tmp_path: Path) -> None:
    config = run_config(timed)
    rows = read_rows(config)
    teacher = teacher_seconds(config, rows, 0.01)
    assert teacher > 0.01 * len(rows.train)
    per_step = step_seconds(config, rows, 0.01)
    students = len(config.seeds) * (1 + len(config.baselines))
    assert per_step == pytest.approx(3 * 0.01 * config.training.batch_size * students)
    minutes = (teacher + 250.5 * per_step) / 60
    assert steps(timed | {"minutes": minutes}, tmp_path) == 250


def test_a_student_that_trains_its_teacher_takes_six_times_as_long(timed: dict[str, Any]) -> None:
    config = run_config(timed | {"recipe": "metadistil", "baselines": []})
    found = step_seconds(config, read_rows(config), 0.01)
    assert found == pytest.approx(6 * 3 * 0.01 * config.training.batch_size * len(config.seeds))


def test_at_least_200_and_at_most_ten_passes(timed: dict[str, Any], tmp_path: Path) -> None:
    assert steps(timed | {"minutes": 0.001}, tmp_path) == 200
    assert steps(timed | {"minutes": 50_000}, tmp_path) == 10 * len(read_rows(run_config(timed)).train)


def test_given_steps_or_no_minutes_change_nothing(timed: dict[str, Any], tmp_path: Path) -> None:
    given = timed | {"training": {"max_steps": 7}}
    assert steps(given, tmp_path) == 7
    assert steps({name: value for name, value in timed.items() if name != "minutes"}, tmp_path) is None


def test_a_run_that_goes_on_keeps_its_steps(
    timed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = with_steps_in_time(run_config(timed | {"minutes": 1}), tmp_path)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(began.model_dump(mode="json")), encoding="utf-8")
    monkeypatch.setattr(timing, "seconds_per_row", lambda model, encoded: 1e-6)
    assert steps(timed | {"minutes": 1}, tmp_path) == began.training.max_steps
    assert steps(timed | {"minutes": 2}, tmp_path) != began.training.max_steps


def test_the_members_of_an_ensemble_count(timed: dict[str, Any], tmp_path: Path) -> None:
    encoder = timed["teacher"]["model"]
    member = {"model": encoder, "training": {"max_steps": 100, "batch_size": 8}}
    run = timed | {"student": {"model": encoder}, "minutes": 1.5}
    alone = steps(run | {"teacher": {"ensemble": {"members": ["tfidf"]}}}, tmp_path)
    beside = steps(run | {"teacher": {"ensemble": {"members": ["tfidf", member]}}}, tmp_path)
    assert alone is not None
    assert beside is not None
    assert beside < alone


@pytest.mark.parametrize(("minutes", "level"), [(0.001, "warning"), (50_000, "note")])
def test_the_doctor_says_what_fits(minutes: float, level: str, timed: dict[str, Any]) -> None:
    found = examine(run_config(timed | {"minutes": minutes}), SilentProgress())
    (said,) = [finding for finding in found if finding.check == "minutes"]
    assert said.level == level
    assert f"{200 if level == 'warning' else 10 * len(read_rows(run_config(timed)).train)} steps" in said.message
