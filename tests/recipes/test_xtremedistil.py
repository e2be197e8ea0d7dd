"""XtremeDistil: its stages, what each of them trains, and one step of each on real models."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch

from limbeck.errors import ConfigError
from limbeck.losses.hints.top_states import TopStates
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import LogitDistance
from limbeck.losses.objective import Objective
from limbeck.losses.targets import BinaryCrossEntropy, SquaredError
from limbeck.losses.term import Term, bind_terms
from limbeck.models.layers import shapes
from limbeck.recipes.catalogue import build_recipe, recipe_card
from limbeck.recipes.xtremedistil import xtremedistil
from limbeck.sequences.given import GivenRows
from limbeck.stages.stage import Training
from limbeck.stages.unfreezing import training_only
from limbeck.teachers.local import LocalTeacher

Make = Callable[..., Any]


@pytest.mark.parametrize(("modules", "stages"), [(1, 5), (2, 7), (3, 9), (7, 17)])
def test_there_are_2n_and_3_stages_and_their_shares_are_equal(modules: int, stages: int) -> None:
    found = xtremedistil(modules=modules).stages
    assert len(found) == stages
    assert [stage.share for stage in found] == pytest.approx([1 / stages] * stages)
    assert len({stage.name for stage in found}) == stages


def test_terms_rows_and_schedules() -> None:
    first, *others = xtremedistil().stages
    assert [t.term for t in first.terms] == [TopStates()]
    assert [stage.name for stage in others] == [
        "logits_head", "logits_1", "logits_2", "logits_3", "labels_head", "labels_1", "labels_2", "labels_3"
    ]  # fmt: skip
    for stage in others[:4]:
        assert ([t.term for t in stage.terms], stage.source) == ([LogitDistance()], GivenRows())
    for stage in others[4:]:
        assert ([t.term for t in stage.terms], stage.source) == ([LabelCrossEntropy()], GivenRows("labelled"))
    for stage in (first, *others):
        training = Training.model_validate(dict(stage.settings))
        assert (training.schedule, training.warmup_ratio) == ("constant", 0.0)
        assert sum(t.weight for t in stage.terms) == 1
    assert first.only_hints
    assert not any(stage.only_hints for stage in others)
    assert [t.term for t in xtremedistil(layers="all", teacher_layer=6, every_token=True).stages[0].terms] == [
        TopStates(True, 6, True)
    ]


@pytest.mark.parametrize("modules", [2, 3])
def test_the_trained_set_grows_strictly_on_logits_and_again_on_labels(modules: int, make_classifier: Make) -> None:
    student = make_classifier()
    sets = []
    for stage in xtremedistil(modules=modules).stages:
        with training_only(student, stage.trains):
            sets.append({name for name, p in student.named_parameters() if p.requires_grad})
    everything = set(dict(student.named_parameters()))
    of_logits, of_labels = sets[1 : modules + 2], sets[modules + 2 :]
    assert sets[0] == everything
    for growing in (of_logits, of_labels):
        assert all("classifier" in name or "pooler" in name for name in growing[0])
        assert all(smaller < larger for smaller, larger in pairwise(growing))
        assert growing[-1] == everything
    assert of_logits == of_labels


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"hidden_fraction": 0.5}, [0.5, *[0.5 / 6] * 6]),
        ({"label_fraction": 0.3}, [0.7 / 4, *[0.7 / 4] * 3, *[0.1] * 3]),
        ({"hidden_fraction": 0.4, "label_fraction": 0.3}, [0.4, *[0.1] * 6]),
        ({"label_fraction": 0}, [0.25] * 4),
        ({"hidden_fraction": 0.4, "label_fraction": 0}, [0.4, *[0.2] * 3]),
    ],
)
def test_shares(arguments: dict[str, float], expected: list[float]) -> None:
    stages = build_recipe("xtremedistil", {"modules": 2, **arguments}, "classification").stages
    assert [stage.share for stage in stages] == pytest.approx(expected)
    assert any(t.term.needs.labels for stage in stages for t in stage.terms) == (len(stages) == 7)


@pytest.mark.parametrize(
    ("kind", "gold", "every_token"),
    [
        ("classification", LabelCrossEntropy(), False),
        ("token_classification", LabelCrossEntropy(), True),
        ("regression", SquaredError(), False),
        ("multi_label", BinaryCrossEntropy(), False),
    ],
)
def test_kinds_of_students(kind: str, gold: Term, every_token: bool) -> None:
    stages = build_recipe("xtremedistil", {}, kind).stages
    assert [stages[place].terms[0].term for place in (0, 1, -1)] == [
        TopStates(every_token=every_token), LogitDistance(), gold
    ]  # fmt: skip
    assert set(recipe_card("xtremedistil").kinds) == {
        "classification", "token_classification", "regression", "multi_label"
    }  # fmt: skip


def test_a_step_of_each_stage_is_its_formula_and_reaches_only_what_it_trains(
    make_classifier: Make, make_task: Make
) -> None:
    teacher, student = make_classifier(layers=4, width=16, seed=3, scale=4.0), make_classifier(width=8, seed=1)
    teacher.eval()
    batch = make_task().batch(range(8))
    own = student(**batch["student"], output_hidden_states=True)
    with torch.no_grad():
        other = teacher(**batch["teacher"], output_hidden_states=True)
    padded = torch.nn.functional.pad(own.hidden_states[-1][:, 0], (0, 8))  # the map starts as the identity
    known = batch["labels_B"] >= 0
    expected = {
        "hidden": (padded - other.hidden_states[-1][:, 0]).square().mean(),
        "logits": (own.logits - other.logits).square().mean(),
        "labels": torch.nn.functional.cross_entropy(own.logits[known], batch["labels_B"][known]),
    }
    for stage in build_recipe("xtremedistil", {}, "classification").stages:
        objective = Objective(student, bind_terms(stage.terms, shapes(teacher, student)))
        student.zero_grad()
        with training_only(student, stage.trains):
            trained = {name for name, p in student.named_parameters() if p.requires_grad}
            batch["signal"] = LocalTeacher(teacher).signal(batch, objective.needs) if objective.needs.teacher else {}
            loss, _ = objective(batch, objective.count([batch]))
            loss.backward()
        assert loss.item() == pytest.approx(expected[stage.name.partition("_")[0]].item(), rel=1e-5)
        learnt = {name for name, p in student.named_parameters() if p.grad is not None}
        above = {name for name in trained if "pooler" in name or "classifier" in name}
        assert learnt == (trained - above if stage.name == "hidden" else trained)


@pytest.mark.parametrize("arguments", [{}, {"layers": "all", "every_token": True}], ids=["cls", "tokens"])
def test_any_split_gives_the_same_step_whatever_the_padding(
    arguments: dict[str, Any], make_classifier: Make, make_task: Make
) -> None:
    """Rows are padded to the longest of their micro-batch, so each split also has other padding."""
    teacher, student = make_classifier(layers=4, seed=3, scale=4.0).double(), make_classifier(width=8, seed=1).double()
    teacher.eval()
    task, everything = make_task(), list(range(8))
    for stage in build_recipe("xtremedistil", arguments, "classification").stages:
        objective = Objective(student, bind_terms(stage.terms, shapes(teacher, student)))
        objective.term_modules.double()
        found = []
        for split in ([everything], [[0, 1, 2], [3], [4, 5, 6, 7]], [[row] for row in everything]):
            objective.zero_grad()
            batches = [task.batch(rows) for rows in split]
            counts, total = objective.count(batches), 0.0
            with training_only(student, stage.trains):
                for batch in batches:
                    if objective.needs.teacher:
                        batch["signal"] = LocalTeacher(teacher).signal(batch, objective.needs)
                    loss, _ = objective(batch, counts)
                    loss.backward()
                    total += loss.item()
            gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in objective.parameters()]
            found.append((total, torch.cat([gradient.flatten() for gradient in gradients])))
        (loss, gradient), *others = found
        assert gradient.abs().max() > 1e-3
        for other, other_gradient in others:
            assert other == pytest.approx(loss, rel=1e-6)
            torch.testing.assert_close(other_gradient, gradient, rtol=1e-5, atol=1e-7)


def test_arguments_out_of_range_are_refused() -> None:
    for arguments, words in (
        ({"modules": 0}, "recipe.modules: Input should be greater than or equal to 1"),
        ({"teacher_layer": 0}, "recipe.teacher_layer: Input should be greater than or equal to 1"),
        ({"layers": "first"}, "recipe.layers: Input should be 'last' or 'all'"),
        ({"hidden_fraction": 0.6, "label_fraction": 0.4}, "add up to 1: nothing is left for logits"),
    ):
        with pytest.raises(ConfigError, match=re.escape(words)):
            build_recipe("xtremedistil", arguments, "classification")
