"""How alike layers are: a copied layer is found, padding and the teacher's own encoding change nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from limbeck.errors import ConfigError
from limbeck.losses.readout import ClassReadout
from limbeck.models.layers import shapes
from limbeck.numerics.cka import unbiased_cka
from limbeck.numerics.layer_maps import most_alike
from limbeck.stages.layer_similarity import SAMPLE_ROWS, measure_similarity, sampled
from limbeck.students.initialise import student_from_layers
from limbeck.teachers.local import LocalTeacher
from limbeck.types import Batch, SilentProgress

Make = Callable[..., Any]


def similarity(student: Any, teacher: Any, task: Any, change: Callable[[Batch], None] = lambda batch: None) -> Any:
    def make_batch(rows: NDArray[np.int64]) -> Batch:
        batch = task.batch(rows)
        change(batch)
        return batch

    return measure_similarity(
        student,
        LocalTeacher(teacher),
        readout=ClassReadout(),
        shapes=shapes(teacher, student),
        rows=sampled(len(task.labels)),
        make_batch=make_batch,
        progress=SilentProgress(),
    )


def test_a_student_of_copied_layers_is_most_like_the_first_of_them(make_classifier: Make, make_task: Make) -> None:
    teacher, task = make_classifier(layers=4, scale=6.0), make_task(80)
    found = similarity(student_from_layers(teacher, (1, 2, 4)), teacher, task)
    assert found.shape == (3, 4)
    assert found[:2, :2].diagonal() == pytest.approx(1, abs=1e-5)  # the same states, up to where a layer is left out
    assert most_alike(found.tolist())[:2] == (1, 2)
    assert (found < 1 - 1e-3).sum() == 10


def test_each_row_is_its_mean_state_over_tokens(make_classifier: Make, make_task: Make) -> None:
    teacher, student, task = make_classifier(layers=3, seed=1), make_classifier(layers=2, width=8), make_task(40)
    found = similarity(student, teacher, task)
    rows = sampled(40)
    means = []
    for model, layer in ((student, 2), (teacher, 1)):
        with torch.no_grad():  # one row at a time: no padding at all
            states = [
                model.eval()(**task.batch([row])["student"], output_hidden_states=True).hidden_states[layer]
                for row in rows
            ]
        means.append(torch.stack([state[0].mean(dim=0) for state in states]))
    assert found[1, 0] == pytest.approx(unbiased_cka(*means).item(), abs=1e-5)


def test_padding_changes_nothing(make_classifier: Make, make_task: Make) -> None:
    teacher, student, task = make_classifier(layers=3, seed=1), make_classifier(layers=2, width=8), make_task(40)

    def padded(batch: Batch) -> None:
        for side, by in (("student", 5), ("teacher", 2)):
            inputs = batch[side]  # type: ignore[literal-required]
            for name, ids_BT in inputs.items():
                inputs[name] = torch.nn.functional.pad(ids_BT, (0, by))

    assert similarity(student, teacher, task, padded) == pytest.approx(similarity(student, teacher, task), abs=1e-5)


def test_the_student_stays_as_it_is(make_classifier: Make, make_task: Make) -> None:
    student = make_classifier(dropout=0.5)
    before = copy.deepcopy(student.state_dict())
    first, again = (similarity(student, make_classifier(seed=1), make_task(40)) for _ in range(2))
    assert (first == again).all()  # without dropout
    assert all(value.equal(before[name]) for name, value in student.state_dict().items())


def test_few_rows_are_refused(make_classifier: Make, make_task: Make) -> None:
    with pytest.raises(ConfigError, match="at least 4 training rows, and there are 3"):
        similarity(make_classifier(), make_classifier(), make_task(3))


def test_the_sample_is_the_same_every_time() -> None:
    assert sampled(7).tolist() == list(range(7))
    assert (sampled(5000) == sampled(5000)).all()
    assert len(set(sampled(5000).tolist())) == SAMPLE_ROWS
