"""The teacher's training: its exact gradient, no trace in the student's own, the same bits after a restart."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.losses.hints.hidden import PatientHints
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.objective import Objective
from limbeck.losses.output_distance import OutputDistance
from limbeck.losses.term import WeightedTerm, bind_terms
from limbeck.models.layers import shapes
from limbeck.sequences.quiz import Quiz
from limbeck.stages.callbacks import StageCallback
from limbeck.stages.outer_loop import BiLevel
from limbeck.stages.teacher_training import TeacherTraining
from limbeck.teachers.local import LocalTeacher
from limbeck.types import Batch

Make = Callable[..., Any]
TERMS = (
    WeightedTerm("labels", LabelCrossEntropy(), weight=0.5),
    WeightedTerm("soft_targets", OutputDistance(2.0, reaches_teacher=True), weight=0.5),
    WeightedTerm("hints", PatientHints("skip", reaches_teacher=True), weight=100.0),
)
ROWS, STEPS = 24, 4
PLAIN = BiLevel(quiz_batches=0, teacher_learning_rate=1e-3, pilot_learning_rate=0.1)


class Setting:
    """A task whose last rows are the quiz, a teacher, and students that start from the same weights."""

    def __init__(self, make_classifier: Make, make_task: Make, make_trainer: Make, folder: Path) -> None:
        self._make_classifier, self._make_trainer, self.folder = make_classifier, make_trainer, folder
        self.task = make_task(ROWS, labelled=1.0)
        self.quiz = np.arange(ROWS - 7, ROWS)

    def model(self, dtype: torch.dtype = torch.float32) -> Any:
        return self._make_classifier(layers=4, seed=2, scale=6.0, dropout=0.1).to(dtype)

    def objective(self, dropout: float = 0.0, dtype: torch.dtype = torch.float32) -> Objective:
        student = self._make_classifier(layers=2, seed=1, scale=3.0, dropout=dropout).to(dtype)
        return Objective(student, bind_terms(TERMS, shapes(self.model(), student)))

    def outer(self, settings: BiLevel = PLAIN, model: Any = None, batch_size: int = 8) -> TeacherTraining:
        quiz = Quiz(self.quiz, self.task.encoded.lengths, batch_size, settings.quiz_batches, STEPS, 0)
        return TeacherTraining(self.model() if model is None else model, settings, quiz, self.task.batch, 0)

    def train(
        self, outer: TeacherTraining | None, dropout: float = 0.1, resume: str | None = None, **options: Any
    ) -> Any:
        objective = self.objective(dropout)
        teacher = LocalTeacher(self.model()) if outer is None else outer.teacher
        trainer = self._make_trainer(objective, self.task, teacher, self.folder, steps=STEPS, outer=outer, **options)
        if resume is not None:
            (callback,) = (one for one in trainer.callback_handler.callbacks if isinstance(one, StageCallback))
            callback.resume(Path(resume), print)
        trainer.train(resume_from_checkpoint=resume)
        return trainer


@pytest.fixture
def setting(make_classifier: Make, make_task: Make, make_trainer: Make, tmp_path: Path) -> Setting:
    return Setting(make_classifier, make_task, make_trainer, tmp_path)


def weights(model: Any) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def hypergradient_of(outer: TeacherTraining, objective: Objective, batch: Batch) -> tuple[Tensor, ...]:
    from limbeck.numerics.hypergradient import hypergradient

    pilot = outer.pilot(objective, batch, objective.count([batch]))
    at_ends, _ = outer.quiz_gradient(objective, pilot, outer._rows_of(0))
    return hypergradient(pilot, at_ends, list(outer.teacher.model.parameters()))


def test_the_gradient_is_that_of_finite_differences(setting: Setting) -> None:
    """In float64, along random directions over all weights, and along the gradient itself: relative error 1e-4."""
    model, objective = setting.model(torch.float64), setting.objective(dtype=torch.float64)
    outer, batch = setting.outer(model=model), setting.task.batch(range(8))
    found = hypergradient_of(outer, objective, batch)
    counts = objective.count([batch])

    def quiz_loss() -> float:
        pilot = outer.pilot(objective, batch, counts)
        return float(outer.quiz_gradient(objective, pilot, [setting.quiz])[1])

    generator = torch.Generator().manual_seed(0)
    directions = [[torch.randn(x.shape, generator=generator, dtype=torch.float64) for x in found] for _ in range(3)]
    norm = torch.sqrt(torch.stack([x.square().sum() for x in found]).sum())
    assert norm > 1e-5
    for direction in [*directions, [x / norm for x in found]]:
        expected = sum(float((x * d).sum()) for x, d in zip(found, direction, strict=True))
        ends = []
        for way in (1e-4, -2e-4):
            with torch.no_grad():
                for parameter, d in zip(model.parameters(), direction, strict=True):
                    parameter += way * d
            ends.append(quiz_loss())
        with torch.no_grad():
            for parameter, d in zip(model.parameters(), direction, strict=True):
                parameter += 1e-4 * d
        assert expected == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-4, abs=1e-10)


def test_every_part_of_the_teacher_that_the_terms_read_is_taught(setting: Setting) -> None:
    found = hypergradient_of(outer := setting.outer(), setting.objective(), setting.task.batch(range(8)))
    silent = {name for (name, _), x in zip(outer.teacher.model.named_parameters(), found, strict=True) if not x.any()}
    # A bias of keys shifts all scores of a query alike.
    assert all("key.bias" in name for name in silent)


def test_padding_changes_nothing(setting: Setting) -> None:
    batch, objective = setting.task.batch(range(8)), setting.objective()
    padded = copy.deepcopy(batch)
    for side in ("student", "teacher"):
        padded[side] = {key: torch.nn.functional.pad(x, (0, 5)) for key, x in padded[side].items()}  # type: ignore[literal-required]
    for one, other in zip(*(hypergradient_of(setting.outer(), objective, b) for b in (batch, padded)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def test_quiz_rows_weigh_equally_however_they_are_batched(setting: Setting) -> None:
    batch, objective = setting.task.batch(range(8)), setting.objective()
    whole, split = (hypergradient_of(setting.outer(batch_size=size), objective, batch) for size in (8, 3))
    for one, other in zip(whole, split, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-7)


def test_the_teachers_step_lowers_the_loss_on_the_quiz(setting: Setting) -> None:
    outer, objective, batch = setting.outer(), setting.objective(), setting.task.batch(range(8))
    counts = objective.count([batch])
    before, student = weights(outer.teacher.model), weights(objective.student)
    losses = [float(outer.before_step(0, objective, [batch], counts)["train/quiz_loss"]) for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] - 1e-4
    assert "signal" not in batch
    assert all(torch.equal(x, student[name]) for name, x in objective.student.state_dict().items())
    assert all(parameter.grad is None for parameter in objective.parameters())
    assert any(not torch.equal(x, before[name]) for name, x in outer.teacher.model.state_dict().items())
    assert not outer.teacher.signal(batch, objective.needs)["logits"].requires_grad


@pytest.mark.parametrize(("step", "share"), [(0, 1.0), (2, 0.5), (STEPS - 1, 1 / STEPS)])
def test_the_teachers_rate_falls_linearly(setting: Setting, step: int, share: float) -> None:
    """The first step of Adam moves every weight by the rate, if its gradient is not near 0."""
    outer, objective, batch = setting.outer(), setting.objective(), setting.task.batch(range(8))
    before = weights(outer.teacher.model)
    outer.before_step(step, objective, [batch], objective.count([batch]))
    moved = max(float((x - before[name]).abs().max()) for name, x in outer.teacher.model.state_dict().items())
    assert moved == pytest.approx(1e-3 * share, rel=1e-2)


def test_a_teacher_that_does_not_move_is_ordinary_distillation_to_the_bit(setting: Setting) -> None:
    """Dropout included: the pilot draws random numbers of its own."""
    fixed = setting.outer(replace(PLAIN, teacher_learning_rate=0.0))
    with_outer, plain = setting.train(fixed), setting.train(None)
    for name, x in plain.model.state_dict().items():
        assert torch.equal(x, with_outer.model.state_dict()[name]), name
    logs = [[line for line in trainer.state.log_history if "loss" in line] for trainer in (with_outer, plain)]
    for line, expected in zip(*logs, strict=True):
        assert line.pop("train/quiz_loss") > 0
        assert line == expected
    moving = setting.train(setting.outer())
    assert any(not torch.equal(x, moving.model.state_dict()[name]) for name, x in plain.model.state_dict().items())


def test_a_restart_ends_in_the_same_bits(setting: Setting) -> None:
    settings = replace(PLAIN, quiz_batches=1)
    saving = {"save_strategy": "steps", "save_steps": 2, "optim": "adamw_torch", "learning_rate": 1e-2}
    whole = setting.train(first := setting.outer(settings, batch_size=3), **saving)
    checkpoint = setting.folder / "checkpoint-2"
    again = setting.train(second := setting.outer(settings, batch_size=3), resume=str(checkpoint), **saving)
    for one, other in ((whole.model, again.model), (first.teacher.model, second.teacher.model)):
        for name, x in one.state_dict().items():
            assert torch.equal(x, other.state_dict()[name]), name
