"""The distance of attributions: what it reads, what it counts, and the released code's division."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from limbeck.errors import ConfigError
from limbeck.losses.attribution import AttributionDistance
from limbeck.losses.objective import Objective
from limbeck.losses.readout import ValueReadout
from limbeck.losses.term import WeightedTerm
from limbeck.teachers.local import LocalTeacher
from limbeck.types import Attribution, Batch, Needs, Shapes

Make = Callable[..., Any]


def test_what_it_needs() -> None:
    term = AttributionDistance(steps=2, top=5)
    assert term.needs == Needs(
        student_probes=frozenset({Attribution("classes", 2)}),
        teacher_probes=frozenset({Attribution("classes", 2, 5)}),  # only the teacher's are cut
        same_tokens=True,
    )
    assert term.needs.teacher
    of_values = term.of("values")
    assert of_values.needs.labels
    assert {probe.of for probe in of_values.needs.student_probes if isinstance(probe, Attribution)} == {"values"}
    assert term.of("tags") is term
    assert "tags" not in term.suits


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        AttributionDistance(steps=0)
    with pytest.raises(ConfigError, match="at least 1"):
        AttributionDistance(top=0)
    shapes = Shapes(4, 16, 2, 8)
    assert AttributionDistance(top=16).bind(shapes) == AttributionDistance(top=16)
    with pytest.raises(ConfigError, match="top_components 17 is more than the teacher's embeddings have: 16"):
        AttributionDistance(top=17).bind(shapes)


def made(make_classifier: Make, layers: int, **options: Any) -> Any:
    return make_classifier(layers=layers, seed=layers, scale=8.0, **options).double()


def loss_of(student: Any, teacher: Any, batch: Batch, term: AttributionDistance, readout: Any = None) -> Any:
    objective = Objective(student, (WeightedTerm("attribution", term),), readout)
    batch["signal"] = LocalTeacher(teacher).signal(batch, objective.needs)
    return objective(batch, objective.count([batch]))[0]


@pytest.mark.parametrize("steps", [1, 2])
def test_equal_models_have_no_distance_unless_components_are_cut(
    steps: int, make_classifier: Make, make_task: Make
) -> None:
    student, batch = made(make_classifier, 2), make_task(6).batch(range(6))
    teacher = copy.deepcopy(student)
    for top in (None, 16):
        loss = loss_of(student, teacher, batch, AttributionDistance(steps, top))
        assert loss.item() < 1e-12
    assert loss_of(student, teacher, batch, AttributionDistance(steps, 4)).item() > 1e-6


def test_the_loss_is_that_of_the_released_code(make_classifier: Make, make_task: Make) -> None:
    """Each class: all squared distances of a batch over the number of teacher scores that are not 0."""
    student, teacher = made(make_classifier, 2), made(make_classifier, 4)
    batch = make_task(6).batch(range(6))
    expected = 0.0
    for c in range(3):
        scores = []
        for model, top in ((teacher, 5), (student, 16)):
            output = model(**batch["student"], output_hidden_states=True)
            states = output.hidden_states[0]
            (gradient,) = torch.autograd.grad(-output.logits.log_softmax(-1)[:, c].mean(), states)
            largest = (gradient * states).abs().topk(top, dim=-1).values
            scores.append(torch.nn.functional.normalize(largest.norm(dim=-1), dim=1).detach())
        expected += ((scores[0] - scores[1]).square().sum() / (scores[0] != 0).sum()).item()
    found = loss_of(student, teacher, batch, AttributionDistance(top=5))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_values_without_a_gold_one_do_not_count(make_classifier: Make, make_task: Make) -> None:
    student, teacher = made(make_classifier, 2), made(make_classifier, 4)
    term = AttributionDistance().of("values")
    assert isinstance(term, AttributionDistance)
    task = make_task(6)
    whole = task.batch(range(6))
    whole["targets_BC"] = torch.arange(18, dtype=torch.float64).view(6, 3)
    whole["targets_BC"][[1, 4]] = math.nan
    rows = [0, 2, 3, 5]
    part = task.batch(rows)
    part["targets_BC"] = whole["targets_BC"][rows]
    found = [loss_of(student, teacher, batch, term, ValueReadout()).item() for batch in (whole, part)]
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert found[0] > 0


def test_dropout_reaches_the_students_attributions_as_its_answers(make_classifier: Make, make_task: Make) -> None:
    student, teacher = made(make_classifier, 2, dropout=0.3), made(make_classifier, 4)
    batch = make_task(6).batch(range(6))
    first, second = (loss_of(student.train(), teacher, batch, AttributionDistance()).item() for _ in range(2))
    assert first != second
    first, second = (loss_of(student.eval(), teacher, batch, AttributionDistance()).item() for _ in range(2))
    assert first == second
