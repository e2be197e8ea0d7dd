"""Units leave one by one, never come back, and what is left is the masked model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.losses.objective import Objective
from limbeck.models.layers import shapes
from limbeck.recipes.homodistil import homodistil
from limbeck.stages.gradual_pruning import GradualPruning
from limbeck.students.pruning.axes import unit_axes
from limbeck.students.pruning.cut import require_same_outputs
from limbeck.students.pruning.schedule import Pruning
from limbeck.students.pruning.shape import Widths
from limbeck.students.pruning.student import pruned_student
from limbeck.teachers.local import LocalTeacher

Make = Callable[..., Any]
STEPS = 10


class Watch:
    """Keeps the masks after every step."""

    def __init__(self, pruning: GradualPruning) -> None:
        self.pruning, self.masks = pruning, list[list[Tensor]]()

    def __getattr__(self, name: str) -> Any:
        if name == "on_step_end":
            return lambda *args, **named: self.masks.append([m.clone() for m in self.pruning.state.masks().all()])
        if name.startswith("on_"):
            return lambda *args, **named: None
        raise AttributeError(name)


@pytest.fixture
def trained(make_classifier: Make, make_task: Make, make_trainer: Make, tmp_path: Path) -> Callable[..., Any]:
    """Train a copy of a teacher to half of its width."""

    def train(kind: str = "bert", **options: Any) -> tuple[Any, Any, GradualPruning, Watch, Any]:
        teacher = make_classifier(kind, width=32, scale=3.0)
        whole = copy.deepcopy(teacher)
        student = pruned_student(teacher, layers=[1, 2], widths=Widths(hidden=16, feed_forward=24))
        stage = homodistil().stages[0]
        pruning = GradualPruning(whole, student, Pruning(0.2, 0.8))
        objective = Objective(whole, stage.bound(shapes(teacher, student)))
        objective.pruning = pruning.state
        trainer = make_trainer(
            objective, make_task(24, labelled=1.0), LocalTeacher(teacher), tmp_path, steps=STEPS, **options
        )
        trainer.add_callback(pruning)
        trainer.add_callback(watch := Watch(pruning))
        with pruning.masks_on():
            trainer.train()
        return whole, student, pruning, watch, trainer

    return train


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_what_is_left_is_the_masked_model(trained: Callable[..., Any], kind: str) -> None:
    whole, student, pruning, _, _ = trained(kind)
    before = student.get_input_embeddings().weight.clone()
    pruning.cut()
    assert not torch.equal(student.get_input_embeddings().weight, before)
    require_same_outputs(whole, student, pruning._kept())


def test_units_leave_by_the_schedule_and_never_come_back(trained: Callable[..., Any]) -> None:
    *_, watch, _ = trained()
    counts = [[int(mask.sum(dim=-1).flatten()[0]) for mask in masks] for masks in watch.masks]
    assert counts[0] == [32, 2, 64]
    assert counts[1] == [32, 2, 64]  # a fifth of the steps are done: pruning begins
    assert counts[7:] == [[16, 1, 24]] * 3
    assert len({tuple(one) for one in counts}) > 4
    for first, second in pairwise(watch.masks):
        assert all((after <= before).all() for before, after in zip(first, second, strict=True))


@pytest.mark.parametrize("optim", ["sgd", "adamw_torch_fused"])
def test_weights_and_moments_of_removed_units_are_gone(trained: Callable[..., Any], optim: str) -> None:
    whole, student, pruning, _, trainer = trained(optim=optim, learning_rate=1e-2, weight_decay=0.1)
    states, parameters, found = trainer.optimizer.state, dict(whole.named_parameters()), 0
    for name, axes in unit_axes(whole, student, pruning._kept()):
        weight = parameters.get(name)
        if weight is None:
            continue
        kept = torch.ones_like(weight, dtype=torch.bool)
        for axis, places in axes:
            gone = [place for place in range(weight.shape[axis]) if place not in places.tolist()]
            kept.index_fill_(axis, torch.tensor(gone, dtype=torch.int64), False)
        moments = [value for value in states.get(weight, {}).values() if getattr(value, "shape", ()) == weight.shape]
        assert len(moments) == (2 if optim.startswith("adamw") and weight.grad is not None else len(moments))
        for tensor in (weight, *moments):
            assert (tensor[~kept] == 0).all(), name
        found += int((~kept).sum())
    assert found > 1000


def test_a_copy_of_the_teacher_begins_with_labels_alone(make_classifier: Make, make_task: Make) -> None:
    teacher = make_classifier(width=32, scale=3.0).eval()
    student = pruned_student(teacher, layers=[1, 2], widths=Widths(hidden=16))
    whole = copy.deepcopy(teacher)
    pruning = GradualPruning(whole, student, Pruning())
    objective = Objective(whole, homodistil().stages[0].bound(shapes(teacher, student)))
    batch = make_task(8, labelled=1.0).batch(range(8))
    batch["signal"] = LocalTeacher(teacher).signal(batch, objective.needs)
    with pruning.masks_on():
        _, parts = objective(batch, objective.count([batch]))
    assert float(parts["term/labels"]) > 0
    assert float(parts["term/soft_targets"]) == pytest.approx(0, abs=1e-6)
    assert float(parts["term/hidden_states"]) == 0
    assert float(parts["term/attention"]) == 0


@pytest.mark.parametrize("micro", [1, 4])
def test_micro_batches_change_neither_weights_nor_units(trained: Callable[..., Any], micro: int) -> None:
    whole, _, first, _, _ = trained()
    split, _, second, _, _ = trained(micro=micro)
    for mask, other in zip(first.state.masks().all(), second.state.masks().all(), strict=True):
        assert torch.equal(mask, other)
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(split.state_dict()[name], weight, rtol=1e-4, atol=1e-5)


def test_the_mask_is_off_after_the_block(trained: Callable[..., Any]) -> None:
    whole, *_ = trained()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in whole.modules())


def test_scores_are_averaged_over_steps(make_classifier: Make) -> None:
    teacher = make_classifier(width=32)
    student = pruned_student(teacher, layers=[1, 2], widths=Widths(hidden=16))
    pruning = GradualPruning(teacher, student, Pruning(smoothing=0.75))
    weight = teacher.bert.encoder.layer[0].output.dense.weight
    for step in (1.0, 3.0):
        weight.grad = torch.full_like(weight, step)
        pruning.on_pre_optimizer_step(None, None, None)
    expected = (0.75 * 0.25 * 1 + 0.25 * 3) * weight.sum(dim=0).abs()
    torch.testing.assert_close(pruning.state.scores().neurons_LF[0], expected)
