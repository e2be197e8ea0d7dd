"""A stage ends with the weights that were best on development rows, also after a kill at any moment."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.term import WeightedTerm
from limbeck.sequences.fixed import FixedSequences
from limbeck.stages.early_stopping import BestWeights, EarlyStopping, Judge, Judgement
from limbeck.stages.pipeline import StageRun, run_stage
from limbeck.stages.stage import Stage, Training
from limbeck.types import Shapes, SilentProgress

Make = Callable[..., Any]
STAGE = Stage("gold", (WeightedTerm("labels", LabelCrossEntropy()),))
STEPS = 12


class Measured:
    """Gives the development loss of each step from a list, and remembers the weights that it saw."""

    def __init__(self, losses: Mapping[int, float]) -> None:
        self.losses, self.seen, self.values = losses, dict[int, dict[str, Tensor]](), list[Tensor]()
        self.steps: Callable[[], int] = lambda: 0

    def __call__(self, model: Any) -> Judgement:
        model.eval()
        step = self.steps()
        self.seen[step] = {name: value.clone() for name, value in model.state_dict().items()}
        return Judgement(-self.losses[step], {"loss": self.losses[step]})


class Setting:
    def __init__(self, make_classifier: Make, make_task: Make, folder: Path) -> None:
        self.task, self._make, self.folder = make_task(), make_classifier, folder
        self.done = 0

    def student(self) -> Any:
        return self._make(seed=1, dropout=0.1)

    def run(self, measured: Measured, stop: Callable[[int], None] = lambda step: None, **settings: Any) -> StageRun:
        training = Training(max_steps=STEPS, batch_size=8, log_every=1, checkpoints=4, learning_rate=1e-2)
        sequences = FixedSequences(np.arange(24), self.task.encoded.lengths, 8, STEPS, 0)
        judge = Judge(EarlyStopping(**{"eval_steps": 2, "early_stopping_patience": None, **settings}), measured)
        progress = Progress(self, stop)
        measured.steps = lambda: self.done
        return StageRun(self.folder / "stage", self.folder / "log.jsonl", "distilled", 0, training, sequences,
                        self.task.batch, progress, "a stage", None, Shapes(2, 16, 2, 16), judge=judge)  # fmt: skip

    def again(self) -> None:
        self.folder = self.folder / "again"
        self.folder.mkdir()


class Progress(SilentProgress):
    """Counts the steps, and stops the program where it should."""

    def __init__(self, setting: Setting, stop: Callable[[int], None]) -> None:
        self._setting, self._stop = setting, stop
        self.messages: list[str] = []

    def track(self, title: str, total: int, done: int = 0) -> Any:
        self._setting.done = done

        def update(n: int, note: str = "") -> None:
            self._setting.done += n
            self._stop(self._setting.done)

        return contextlib.nullcontext(update)

    def log(self, message: str) -> None:
        self.messages.append(message)


@pytest.fixture
def setting(make_classifier: Make, make_task: Make, tmp_path: Path) -> Setting:
    return Setting(make_classifier, make_task, tmp_path)


def kill_at(step: int) -> Callable[[int], None]:
    def stop(done: int) -> None:
        if done == step:
            raise KeyboardInterrupt

    return stop


def require_same(model: Any, weights: Mapping[str, Tensor]) -> None:
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name]), name


UP_AND_DOWN = dict(zip(range(0, 13, 2), [5.0, 4.0, 2.0, 3.0, 2.0, 2.5, 2.5], strict=True))


def test_the_best_step_is_what_remains_and_of_equal_ones_the_first(setting: Setting) -> None:
    measured, student = Measured(UP_AND_DOWN), setting.student()
    cost = run_stage(STAGE, setting.run(measured), student)
    assert sorted(measured.seen) == list(UP_AND_DOWN)
    require_same(student, measured.seen[4])
    assert cost.steps == STEPS
    assert not (setting.folder / "stage" / "checkpoints").exists()
    again = setting.student()
    run_stage(STAGE, setting.run(Measured({})), again)  # finished: nothing is measured
    require_same(again, measured.seen[4])


def test_a_stage_ends_when_its_patience_does(setting: Setting) -> None:
    measured, student = Measured(UP_AND_DOWN), setting.student()
    cost = run_stage(STAGE, setting.run(measured, early_stopping_patience=3), student)
    assert (cost.steps, cost.rows_seen) == (10, 80)
    require_same(student, measured.seen[4])


def test_what_is_not_a_number_is_worse_than_any(setting: Setting) -> None:
    measured, student = Measured({**UP_AND_DOWN, 0: math.nan, 4: math.nan}), setting.student()
    run_stage(STAGE, setting.run(measured), student)
    best = min((loss, step) for step, loss in UP_AND_DOWN.items() if step not in (0, 4))[1]
    require_same(student, measured.seen[best])


def test_the_start_may_be_the_best(setting: Setting) -> None:
    measured, student = Measured({step: 1.0 + step for step in UP_AND_DOWN}), setting.student()
    run_stage(STAGE, setting.run(measured, early_stopping_patience=2), student)
    require_same(student, setting.student().state_dict())


def test_the_last_step_is_judged_too(setting: Setting) -> None:
    losses = {0: 5.0, 5: 4.0, 10: 3.0, 12: 1.0}
    measured, student = Measured(losses), setting.student()
    run_stage(STAGE, setting.run(measured, eval_steps=5), student)
    require_same(student, measured.seen[12])


def test_judgements_are_logged_and_change_nothing_in_training(setting: Setting) -> None:
    measured, student = Measured(UP_AND_DOWN), setting.student()
    run_stage(STAGE, setting.run(measured), student)
    lines = [json.loads(line) for line in (setting.folder / "log.jsonl").read_text("utf-8").splitlines()]
    assert {line["step"]: line["dev/loss"] for line in lines if "dev/loss" in line} == UP_AND_DOWN
    losses = [line["loss"] for line in lines if "loss" in line]
    setting.again()
    other = setting.student()
    run_stage(STAGE, setting.run(Measured(dict.fromkeys(range(13), 0.0)), eval_steps=1), other)
    again = [json.loads(line) for line in (setting.folder / "log.jsonl").read_text("utf-8").splitlines()]
    assert [line["loss"] for line in again if "loss" in line] == losses


@pytest.mark.slow
@pytest.mark.parametrize("patience", [None, 3])
def test_a_kill_at_any_step_changes_nothing_in_the_end(setting: Setting, patience: int | None) -> None:
    measured, expected = Measured(UP_AND_DOWN), setting.student()
    cost = run_stage(STAGE, setting.run(measured, early_stopping_patience=patience), expected)
    log = dev_log(setting)
    setting.again()
    for step in (1, 4, 5, 7, 8, 10):
        with pytest.raises(KeyboardInterrupt):
            run_stage(
                STAGE, setting.run(Measured(UP_AND_DOWN), kill_at(step), early_stopping_patience=patience),
                setting.student(),
            )  # fmt: skip
    student = setting.student()
    again = run_stage(STAGE, setting.run(Measured(UP_AND_DOWN), early_stopping_patience=patience), student)
    require_same(student, expected.state_dict())
    assert (again.steps, again.rows_seen) == (cost.steps, cost.rows_seen)
    assert dev_log(setting) == log


def dev_log(setting: Setting) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (setting.folder / "log.jsonl").read_text("utf-8").splitlines()]
    return [(line["step"], line["dev/loss"]) for line in lines if "dev/loss" in line]


@pytest.mark.slow
def test_a_stage_that_stopped_and_was_killed_stops_there_again(setting: Setting, monkeypatch: Any) -> None:
    """Step 6 would have a checkpoint; a stage that resumed from one with its patience at an end would go on."""
    losses = dict.fromkeys(range(0, 13, 2), 2.0)
    expected = setting.student()
    assert run_stage(STAGE, setting.run(Measured(losses), early_stopping_patience=3), expected).steps == 6
    setting.again()
    monkeypatch.setattr(BestWeights, "load", lambda *arguments: kill_at(0)(0))
    with pytest.raises(KeyboardInterrupt):
        run_stage(STAGE, setting.run(Measured(losses), early_stopping_patience=3), setting.student())
    monkeypatch.undo()
    student = setting.student()
    assert run_stage(STAGE, setting.run(Measured(losses), early_stopping_patience=3), student).steps == 6
    require_same(student, expected.state_dict())


def test_weights_that_a_checkpoint_names_are_kept_and_others_are_not(setting: Setting) -> None:
    """Checkpoints at 3, 6 and 9: at 9 that of 3 is gone, and with it the weights that only it named."""
    losses = dict(zip(range(0, 13, 2), [5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.4], strict=True))
    with pytest.raises(KeyboardInterrupt):
        run_stage(STAGE, setting.run(Measured(losses), kill_at(11)), setting.student())
    kept = {path.name for path in (setting.folder / "stage" / "checkpoints").iterdir()}
    assert kept == {"checkpoint-6", "checkpoint-9", "best-6", "best-8", "best-10"}


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_damaged_best_weights_start_the_stage_again(setting: Setting, damage: str) -> None:
    expected = setting.student()
    run_stage(STAGE, setting.run(Measured(UP_AND_DOWN)), expected)
    setting.again()
    with pytest.raises(KeyboardInterrupt):
        run_stage(STAGE, setting.run(Measured(UP_AND_DOWN), kill_at(11)), setting.student())
    best = setting.folder / "stage" / "checkpoints" / "best-4"
    if damage == "gone":
        shutil.rmtree(best)
    else:
        (best / "model.safetensors").write_bytes(b"x" + (best / "model.safetensors").read_bytes()[1:])
    run, student = setting.run(Measured(UP_AND_DOWN)), setting.student()
    run_stage(STAGE, run, student)
    assert "the best weights of checkpoint-9 are damaged. The stage starts again" in run.progress.messages[0]
    require_same(student, expected.state_dict())
