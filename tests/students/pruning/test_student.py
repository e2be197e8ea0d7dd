"""Layers first by their place, units by their importance in the whole teacher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from limbeck.models.layers import depth, layer_list
from limbeck.students.pruning.importance import Importance
from limbeck.students.pruning.shape import Widths
from limbeck.students.pruning.student import pruned_student
from limbeck.students.pruning.units import units_of

Make = Callable[..., Any]
SEED = torch.Generator().manual_seed(0)
RANDOM = Importance(*(torch.rand(size, generator=SEED) for size in ((32,), (4, 4), (4, 72))))


def test_the_units_of_a_layer_are_chosen_by_its_own_importance_in_the_teacher(make_family: Make) -> None:
    teacher = make_family("bert", num_hidden_layers=4)
    student = pruned_student(teacher, layers=[2, 4], widths=Widths(16, None, 24), importance=RANDOM)
    hidden = RANDOM.hidden_D.topk(16).indices.sort().values
    for place, layer in enumerate([2, 4]):
        neurons = RANDOM.neurons_LF[layer - 1].topk(24).indices.sort().values
        expected = layer_list(teacher)[1][layer - 1].intermediate.dense.weight[neurons][:, hidden]
        assert torch.equal(layer_list(student)[1][place].intermediate.dense.weight, expected)
    assert depth(student) == 2
    assert student.copies_unchecked is None  # copies were compared


def test_with_all_widths_only_layers_go(make_family: Make) -> None:
    teacher = make_family("llama", num_hidden_layers=4)
    student = pruned_student(teacher, layers=[2, 3], widths=Widths())
    assert units_of(student).shape == units_of(teacher).shape
    assert torch.equal(student.model.layers[0].mlp.up_proj.weight, teacher.model.layers[1].mlp.up_proj.weight)


def test_a_student_of_the_whole_teacher_is_another_model(make_family: Make) -> None:
    teacher = make_family("bert")
    student = pruned_student(teacher, layers=[1, 2], widths=Widths(hidden=32))
    assert student is not teacher
    assert student.classifier.weight.data_ptr() != teacher.classifier.weight.data_ptr()


def test_without_importance_and_storage_the_shape_is_the_same(make_family: Make) -> None:
    with torch.device("meta"):
        student = pruned_student(make_family("bert").to("meta"), layers=[1], widths=Widths(16, None, 24))
    assert {weight.device.type for weight in student.parameters()} == {"meta"}
    shape = units_of(student).shape
    assert (shape.hidden, shape.heads, shape.feed_forward) == (16, 2, 24)
