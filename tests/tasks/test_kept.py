"""What a run keeps: made once, made again where it is damaged, and told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.stages.test_callbacks import DAMAGES

from limbeck.intact import Damage
from limbeck.results import Interval
from limbeck.tasks.kept import (
    MARKS_FILE,
    kept_array,
    mark_student,
    require_same_results,
    student_is_whole,
    write_results,
)
from limbeck.types import SilentProgress

NAME = "predictions/distilled-seed0.npy"


class Told(SilentProgress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def log(self, message: str) -> None:
        self.said.append(message)


class Model:
    def __init__(self, value: float = 1.5) -> None:
        self.value, self.asked = value, 0

    def predict(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        self.asked += 1
        return np.full((40, 3), self.value, dtype=np.float32)


def test_an_array_is_made_once(tmp_path: Path) -> None:
    model = Model()
    for _ in range(2):
        assert (kept_array(tmp_path, NAME, model.predict, Told()) == 1.5).all()
    assert model.asked == 1
    assert np.load(tmp_path / NAME).shape == (40, 3)


@pytest.mark.parametrize("damage", DAMAGES[1:])
def test_an_array_with_damage_is_made_again(damage: Callable[[Path], object], tmp_path: Path) -> None:
    """Also where only bits of a figure have changed."""
    model, told = Model(), Told()
    kept_array(tmp_path, NAME, model.predict, told)
    damage(tmp_path / NAME)
    for _ in range(2):
        assert (kept_array(tmp_path, NAME, model.predict, told) == 1.5).all()
    assert model.asked == 2
    assert len(told.said) == 1
    assert f"{tmp_path / NAME} is damaged" in told.said[0]


def test_swapped_arrays_are_made_again(tmp_path: Path) -> None:
    names = ["predictions/a.npy", "predictions/b.npy"]
    models = [Model(1), Model(2)]
    for name, model in zip(names, models, strict=True):
        kept_array(tmp_path, name, model.predict, Told())
    (tmp_path / names[0]).rename(tmp_path / "c")
    (tmp_path / names[1]).rename(tmp_path / names[0])
    (tmp_path / "c").rename(tmp_path / names[1])
    for name, model in zip(names, models, strict=True):
        assert (kept_array(tmp_path, name, model.predict, Told()) == model.value).all()
        assert model.asked == 2


@pytest.mark.parametrize("marks", [None, "", "{}", "[]"])
def test_arrays_of_before_there_were_marks_are_believed_if_they_can_be_read(marks: str | None, tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    np.save(tmp_path / NAME, np.zeros((40, 3), dtype=np.float32))
    if marks is not None:
        (tmp_path / MARKS_FILE).write_text(marks)
    model, told = Model(), Told()
    assert (kept_array(tmp_path, NAME, model.predict, told) == 0).all()
    (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes()[:100])
    assert (kept_array(tmp_path, NAME, model.predict, told) == 1.5).all()
    assert len(told.said) == 1


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "student").mkdir()
    for name in ("model.safetensors", "config.json", "README.md", "calibration.json"):
        (tmp_path / "student" / name).write_text(f"content of {name}")
    mark_student(tmp_path)
    return tmp_path


def test_a_student_as_it_was_written_is_whole(run: Path) -> None:
    told = Told()
    assert student_is_whole(run, told)
    (run / "student" / "calibration.json").write_text("another temperature")
    assert student_is_whole(run, told)
    assert told.said == []
    (run / MARKS_FILE).unlink()  # a run of before there were marks
    assert student_is_whole(run, told)


@pytest.mark.parametrize("damage", DAMAGES)
def test_weights_with_damage_are_written_again(damage: Callable[[Path], object], run: Path) -> None:
    damage(run / "student" / "model.safetensors")
    told = Told()
    assert not student_is_whole(run, told)
    assert "model.safetensors is" in told.said[0]


def test_what_people_may_change_stays_and_is_told(run: Path) -> None:
    (run / "student" / "README.md").write_text("My own words")
    told = Told()
    assert student_is_whole(run, told)
    assert "README.md was changed or damaged" in told.said[0]
    (run / "student" / "README.md").unlink()
    assert not student_is_whole(run, told)


def test_results_with_damage_are_noticed(run: Path) -> None:
    """Also where a figure alone has changed."""
    write_results(run, Interval(value=0.5, low=0.25, high=0.75))
    require_same_results(run)
    file = run / "results.json"
    file.write_text(file.read_text().replace("0.25", "0.35"))
    with pytest.raises(Damage, match=r"results\.json is not what was written"):
        require_same_results(run)
    (run / MARKS_FILE).unlink()
    require_same_results(run)


def test_marks_of_other_work_stay(run: Path) -> None:
    kept_array(run, NAME, Model().predict, Told())
    mark_student(run)
    names = set(json.loads((run / MARKS_FILE).read_text())["marks"])
    assert names == {NAME, "student/model.safetensors", "student/config.json", "student/README.md"}
