"""The number of each step, and the time left for the whole run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from tests.tasks.generation.text_models import text_sections

import limbeck
from limbeck.runs import whole_run
from limbeck.runs.whole_run import Part, WholeRun
from limbeck.types import Update


class Shown:
    """Notes what a run shows."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.notes: list[str] = []

    @contextmanager
    def track(self, title: str, total: int, done: int = 0) -> Iterator[Update]:
        self.titles.append(title)

        def update(n: int, note: str = "") -> None:
            self.notes.append(note)

        yield update

    def log(self, message: str) -> None:
        pass


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(whole_run, "time", clock)
    return clock


PARTS = [
    Part.training("teacher", 10, rows=4, parameters=100),
    Part.reading("predicting", 30, parameters=100),
    Part.training("student", 20, rows=4, parameters=50),
    Part.reading("predicting", 30, parameters=50),
]


def go(run: WholeRun, title: str, items: int, seconds: float, clock: Clock, done: int = 0) -> None:
    with run.track(title, items, done) as update:
        for _ in range(items - done):
            clock.now += seconds
            update(1, "loss 2")


def test_steps_are_numbered_and_the_time_left_comes_true(clock: Clock) -> None:
    """Training costs 12 times what reading costs here, by parameters and rows; it also takes 12 times as long."""
    shown = Shown()
    run = WholeRun(shown, PARTS)
    go(run, "teacher", 10, 1.2, clock)
    assert shown.notes[0] == "loss 2"  # too early to say
    # 30 rows at 0.1 s, 20 steps and 30 rows of half the parameters
    assert shown.notes[-1] == f"loss 2, all: {whole_run.duration_text(3 + 12 + 1.5)} left"
    go(run, "predicting", 30, 0.1, clock)
    assert shown.notes[-1] == f"loss 2, all: {whole_run.duration_text(12 + 1.5)} left"
    go(run, "student", 20, 0.6, clock)
    go(run, "predicting", 30, 0.05, clock)
    assert shown.titles == ["1/4 teacher", "2/4 predicting", "3/4 student", "4/4 predicting"]
    assert shown.notes[-1] == f"loss 2, all: {whole_run.duration_text(0)} left"


def test_what_is_measured_of_a_kind_counts_for_that_kind(clock: Clock) -> None:
    """Here reading is ten times slower than parameters say."""
    shown = Shown()
    run = WholeRun(shown, PARTS)
    go(run, "teacher", 10, 1.2, clock)
    go(run, "predicting", 30, 1.0, clock)
    assert shown.notes[-1] == f"loss 2, all: {whole_run.duration_text(12 + 15)} left"


def test_a_resumed_run_skips_what_is_done_and_measures_what_it_does(clock: Clock) -> None:
    shown = Shown()
    go(WholeRun(shown, PARTS), "student", 20, 0.6, clock, done=15)
    assert shown.titles == ["3/4 student"]
    assert shown.notes[-1] == f"loss 2, all: {whole_run.duration_text(1.5)} left"


def test_a_bar_of_something_else_is_shown_as_it_is(clock: Clock) -> None:
    shown = Shown()
    go(WholeRun(shown, PARTS), "the teacher's reasons", 3, 1.0, clock)
    assert shown.titles == ["the teacher's reasons"]
    assert set(shown.notes) == {"loss 2"}


def test_a_bar_that_begins_a_part_has_its_number(clock: Clock) -> None:
    shown = Shown()
    run = WholeRun(shown, PARTS)
    for title, items in (("teacher", 10), ("student, head", 3), ("student", 20)):
        go(run, title, items, 1.0, clock)
    go(run, "teacher, head", 3, 1.0, clock)
    assert shown.titles == ["1/4 teacher", "3/4 student, head", "3/4 student", "teacher, head"]


def require_all_in_order(titles: list[str]) -> None:
    """What a run shows is what it planned: every bar has its number, and none is left out.

    A stage that fits its head begins with a bar for that, right before its own and with the same number.
    """
    planned = [title for title in titles if not title.endswith(", head")]
    numbers = [f"{i + 1}/{len(planned)}" for i in range(len(planned))]
    assert [title.split(" ")[0] for title in planned] == numbers, titles
    for title, after in pairwise(titles):
        assert not title.endswith(", head") or after == title.removesuffix(", head"), titles


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_a_classification_run_has_the_parts_it_planned(
    seeds: list[int], sections: dict[str, Any], light: None
) -> None:
    sections["teacher"]["fine_tune"]["num_train_epochs"] = 2
    shown = Shown()
    limbeck.distill(progress=shown, **sections, seeds=seeds)
    require_all_in_order(shown.titles)


@pytest.mark.slow
def test_a_run_on_texts_has_the_parts_it_planned(tmp_path: Any, light: None) -> None:
    recipe = {"name": "gkd", "on_policy_fraction": 0.5, "otherwise": "teacher", "max_new_tokens": 4}
    sections = text_sections(tmp_path, recipe=recipe)
    sections["teacher"]["fine_tune"] = dict(sections["training"])
    shown = Shown()
    limbeck.distill(progress=shown, **{**sections, "baselines": ["fine_tune"]}, seeds=[0, 1])
    require_all_in_order(shown.titles)


@pytest.mark.slow
def test_a_run_in_languages_has_the_parts_it_planned(toy_run: dict[str, Any], light: None) -> None:
    toy_run["data"]["shots"] = [0, 4]
    toy_run["baselines"] = [{"name": "ml_dft"}, {"name": "transfer"}]
    shown = Shown()
    limbeck.distill(progress=shown, **toy_run)
    require_all_in_order(shown.titles)
