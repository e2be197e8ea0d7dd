"""The objective on a tiny BERT: the same loss and gradient for every split, and only what is asked for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.hints.hidden import HiddenStates, LastHiddenCosine, PatientHints
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL, TeacherCrossEntropy
from limbeck.losses.objective import Objective
from limbeck.losses.term import WeightedTerm, bind_terms, needs_of
from limbeck.models.layers import shapes
from limbeck.teachers.local import LocalTeacher
from limbeck.types import UNLABELLED, Batch, Needs, Shapes, Tap

TERMS = (
    WeightedTerm("soft_targets", ForwardKL(2.0), weight=5.0),
    WeightedTerm("labels", LabelCrossEntropy(), weight=2.0),
    WeightedTerm("cosine", LastHiddenCosine(), weight=1.0),
    WeightedTerm("hints", PatientHints("skip"), weight=3.0),
)
"""`HiddenStates` has parameters of its own, and tests of its own."""
ROWS = 12


class Setting:
    """A student, its teacher and a task, and one optimiser step over any split of the rows."""

    def __init__(self, make_classifier: Callable[..., Any], make_task: Callable[..., Any]) -> None:
        self.task = make_task(ROWS)
        self.student = make_classifier(layers=2, seed=1)
        self.teacher = make_classifier(layers=4, seed=2, scale=4.0)
        self.objective = self.with_terms(TERMS)

    def with_terms(self, terms: tuple[WeightedTerm, ...]) -> Objective:
        return Objective(self.student, bind_terms(terms, shapes(self.teacher, self.student)))

    def step(
        self, split: Sequence[Sequence[int]], objective: Objective | None = None, teacher: Any = None
    ) -> tuple[float, Tensor, dict[str, float]]:
        """Return loss, gradient and terms of a step whose micro-batches are `split`."""
        return self.step_of([self.task.batch(rows) for rows in split], objective, teacher)

    def step_of(
        self, batches: list[Batch], objective: Objective | None = None, teacher: Any = None
    ) -> tuple[float, Tensor, dict[str, float]]:
        objective = objective or self.objective
        source = LocalTeacher(teacher if teacher is not None else self.teacher)
        self.student.zero_grad()
        counts = objective.count(batches)
        loss, terms = 0.0, dict[str, float]()
        for batch in batches:
            batch["signal"] = source.signal(batch, objective.needs)
            share, parts = objective(batch, counts)
            share.backward()
            loss += share.item()
            for name, part in parts.items():
                assert not part.requires_grad
                terms[name] = terms.get(name, 0.0) + part.item()
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.student.parameters()]
        return loss, torch.cat([g.flatten() for g in gradients]), terms


@pytest.fixture
def setting(make_classifier: Callable[..., Any], make_task: Callable[..., Any]) -> Setting:
    return Setting(make_classifier, make_task)


WHOLE = [list(range(ROWS))]


def in_pieces(*sizes: int) -> list[list[int]]:
    assert sum(sizes) == ROWS
    rows = iter(range(ROWS))
    return [[next(rows) for _ in range(size)] for size in sizes]


@pytest.mark.parametrize("sizes", [(6, 6), (1, 11), (3, 1, 8), (5, 4, 2, 1), (1,) * 12])
def test_any_split_gives_the_loss_terms_and_gradient_of_the_whole_batch(
    setting: Setting, sizes: tuple[int, ...]
) -> None:
    loss, gradient, terms = setting.step(WHOLE)
    split_loss, split_gradient, split_terms = setting.step(in_pieces(*sizes))
    assert split_loss == pytest.approx(loss, rel=1e-5)
    assert split_terms == pytest.approx(terms, rel=1e-5)
    torch.testing.assert_close(split_gradient, gradient, rtol=1e-4, atol=2e-6 * float(gradient.abs().max()))


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_each_term_alone_has_the_same_gradient_for_every_split(setting: Setting, term: WeightedTerm) -> None:
    objective = setting.with_terms((term,))
    loss, gradient, _ = setting.step(WHOLE, objective)
    split_loss, split_gradient, _ = setting.step(in_pieces(1, 7, 4), objective)
    assert loss > 0
    assert split_loss == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(split_gradient, gradient, rtol=1e-4, atol=2e-6 * float(gradient.abs().max()))


def test_rows_that_weigh_less_have_the_same_gradient_for_every_split(setting: Setting) -> None:
    """The mean is over rows, not over weights: half of one term and half of the other is the weighted one."""
    half_sure = copy.deepcopy(setting.teacher)
    with torch.no_grad():
        half_sure.classifier.weight.mul_(10)
    found = {}
    for weight in (0.0, 0.5, 1.0):
        objective = setting.with_terms((WeightedTerm("said", TeacherCrossEntropy(unsure_weight=weight)),))
        loss, gradient, _ = setting.step(WHOLE, objective, teacher=half_sure)
        split_loss, split_gradient, _ = setting.step(in_pieces(1, 7, 4), objective, teacher=half_sure)
        assert split_loss == pytest.approx(loss, rel=1e-5)
        torch.testing.assert_close(split_gradient, gradient, rtol=1e-4, atol=2e-6 * float(gradient.abs().max()))
        found[weight] = loss, gradient
    assert 0 < found[0.0][0] < 0.95 * found[1.0][0]  # some rows are unsure, others are not
    assert found[0.5][0] == pytest.approx((found[0.0][0] + found[1.0][0]) / 2, rel=1e-5)
    torch.testing.assert_close(found[0.5][1], (found[0.0][1] + found[1.0][1]) / 2, rtol=1e-4, atol=1e-6)


def test_the_map_of_hidden_states_has_the_same_gradient_for_every_split(setting: Setting) -> None:
    """Long rows weigh more: the mean is over the tokens of the step, however it is split."""
    labels = WeightedTerm("labels", LabelCrossEntropy())
    objective = setting.with_terms(
        (WeightedTerm("states", HiddenStates("nearest", layer_norm=True, projected=True)), labels)
    )
    (weight,) = objective.term_modules.parameters()
    found = []
    for split in (WHOLE, in_pieces(1, 7, 4)):
        weight.grad = None
        loss, gradient, terms = setting.step(split, objective)
        assert weight.grad is not None
        found.append((loss, torch.cat([gradient, weight.grad.flatten()]), terms))
    (loss, gradient, terms), (split_loss, split_gradient, split_terms) = found
    assert terms["term/states"] > 0
    assert weight.grad.abs().sum() > 0
    assert split_loss == pytest.approx(loss, rel=1e-5)
    assert split_terms == pytest.approx(terms, rel=1e-5)
    torch.testing.assert_close(split_gradient, gradient, rtol=1e-4, atol=2e-6 * float(gradient.abs().max()))
    batch = setting.task.batch(range(ROWS))
    tokens = int(batch["student"]["attention_mask"].sum())
    assert objective.count([batch])["states"] == tokens


def test_loss_is_the_weighted_sum_of_means_computed_by_hand(setting: Setting) -> None:
    loss, _, terms = setting.step(in_pieces(2, 10))
    batch = setting.task.batch(range(ROWS))
    states = {}
    for name, model in [("teacher", setting.teacher.eval()), ("student", setting.student.eval())]:
        with torch.no_grad():
            states[name] = model.double()(**batch["student"], output_hidden_states=True)
    p, q = (torch.softmax(states[name].logits / 2, -1) for name in ("teacher", "student"))
    log_q = torch.log_softmax(states["student"].logits, -1)
    labelled = (batch["labels_B"] != UNLABELLED).nonzero().flatten()
    assert 0 < len(labelled) < ROWS
    last = [states[name].hidden_states[-1] for name in ("teacher", "student")]
    mask = batch["student"]["attention_mask"].double()
    distance = 1 - torch.cosine_similarity(*last, dim=-1)
    first = [
        torch.nn.functional.normalize(states[name].hidden_states[layer][:, 0], dim=-1)
        for name, layer in (("teacher", 2), ("student", 1))
    ]
    expected = {
        "term/soft_targets": (4 * (p * (p / q).log()).sum(-1)).mean().item(),
        "term/labels": -log_q[labelled, batch["labels_B"][labelled]].mean().item(),
        "term/cosine": ((distance * mask).sum(1) / mask.sum(1)).mean().item(),
        "term/hints": (first[0] - first[1]).square().mean(-1).mean().item(),
    }
    predicted = [states[name].logits.argmax(-1) for name in ("teacher", "student")]
    shares = {
        "train/agreement": (predicted[0] == predicted[1]).double().mean().item(),
        "train/accuracy": (predicted[1] == batch["labels_B"])[labelled].double().mean().item(),
    }
    assert terms == pytest.approx(expected | shares, rel=1e-4, abs=1e-6)
    weights = {f"term/{term.name}": term.weight for term in TERMS}
    assert loss == pytest.approx(sum(weights[name] * value for name, value in expected.items()), rel=1e-4)


def test_a_batch_repeated_has_the_same_loss_and_gradient(setting: Setting) -> None:
    loss, gradient, _ = setting.step(WHOLE)
    twice_loss, twice_gradient, _ = setting.step([*WHOLE, *WHOLE])
    assert twice_loss == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(twice_gradient, gradient, rtol=1e-4, atol=2e-6 * float(gradient.abs().max()))


def test_the_order_of_rows_changes_nothing(setting: Setting) -> None:
    loss, gradient, _ = setting.step(WHOLE)
    other_loss, other_gradient, _ = setting.step([WHOLE[0][::-1]])
    assert other_loss == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(other_gradient, gradient, rtol=1e-4, atol=2e-6 * float(gradient.abs().max()))


def test_more_padding_changes_nothing(setting: Setting) -> None:
    loss, gradient, _ = setting.step(WHOLE)
    batch = setting.task.batch(range(ROWS))
    for side in ("student", "teacher"):
        batch[side] = {name: torch.nn.functional.pad(x, (0, 5)) for name, x in batch[side].items()}
    padded_loss, padded_gradient, _ = setting.step_of([batch])
    assert padded_loss == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(padded_gradient, gradient, rtol=1e-4, atol=2e-6 * float(gradient.abs().max()))


def without_labels(batch: Batch) -> Batch:
    return {**batch, "labels_B": torch.full_like(batch["labels_B"], UNLABELLED)}


def test_a_step_without_labels_gives_zero_with_a_zero_gradient(setting: Setting) -> None:
    objective = setting.with_terms((WeightedTerm("labels", LabelCrossEntropy()),))
    batches = [without_labels(setting.task.batch(rows)) for rows in in_pieces(4, 8)]
    loss, gradient, terms = setting.step_of(batches, objective)
    assert loss == 0
    assert terms == {"term/labels": 0, "train/accuracy": 0}
    assert (gradient == 0).all()


def test_a_micro_batch_without_labels_adds_nothing_to_the_label_term(setting: Setting) -> None:
    objective = setting.with_terms((WeightedTerm("labels", LabelCrossEntropy()),))
    labelled = setting.task.batch(range(4))
    loss, gradient, _ = setting.step_of([labelled], objective)
    more_loss, more_gradient, _ = setting.step_of(
        [without_labels(setting.task.batch(range(4, 12))), setting.task.batch(range(4))], objective
    )
    assert more_loss == pytest.approx(loss, rel=1e-6)
    torch.testing.assert_close(more_gradient, gradient)


@pytest.mark.parametrize("term", [t for t in TERMS if t.term.needs.teacher], ids=lambda term: term.name)
def test_another_teacher_gives_another_gradient(
    setting: Setting, make_classifier: Callable[..., Any], term: WeightedTerm
) -> None:
    objective = setting.with_terms((term,))
    _, gradient, _ = setting.step(WHOLE, objective)
    other = make_classifier(layers=4, seed=3, scale=4.0)
    _, other_gradient, _ = setting.step(WHOLE, objective, teacher=other)
    assert gradient.abs().sum() > 0
    assert (gradient - other_gradient).norm() > 0.1 * gradient.norm()


def test_a_student_equal_to_its_teacher_has_nothing_to_learn_from_it(setting: Setting) -> None:
    terms = tuple(t for t in TERMS if t.term.needs.teacher)
    twin = copy.deepcopy(setting.student)
    objective = Objective(setting.student, bind_terms(terms, shapes(twin, setting.student)))
    loss, gradient, shown = setting.step(in_pieces(5, 7), objective, teacher=twin)
    assert loss == pytest.approx(0, abs=1e-5)
    assert gradient.abs().max() < 1e-4
    assert shown["train/agreement"] == pytest.approx(1)


def test_no_gradient_is_kept_for_the_teacher(setting: Setting) -> None:
    setting.step(WHOLE)
    assert all(p.grad is None and not p.requires_grad for p in setting.teacher.parameters())


def test_terms_of_weight_0_are_dropped_and_need_nothing() -> None:
    terms = (WeightedTerm("labels", LabelCrossEntropy()), WeightedTerm("cosine", LastHiddenCosine(), weight=0.0))
    unequal = Shapes(teacher_layers=4, teacher_width=32, student_layers=2, student_width=16)
    assert [term.name for term in bind_terms(terms, unequal)] == ["labels"]
    assert needs_of(terms) == Needs(labels=True)
    assert needs_of(()) == Needs()


def test_needs_are_those_of_all_terms_together() -> None:
    needs = needs_of(bind_terms(TERMS, Shapes(4, 16, 2, 16)))
    assert needs == Needs(
        frozenset({Tap("hidden", 2), Tap("first", 1)}),
        frozenset({Tap("hidden", 4), Tap("first", 2)}),
        labels=True,
        logits=True,
        same_tokens=True,
        same_width=True,
    )


def test_a_weight_of_0_equals_the_term_left_out(setting: Setting) -> None:
    zero = tuple(WeightedTerm(t.name, t.term, weight=0.0 if t.name == "hints" else t.weight) for t in TERMS)
    absent = tuple(t for t in TERMS if t.name != "hints")
    loss, gradient, _ = setting.step(WHOLE, setting.with_terms(zero))
    other_loss, other_gradient, _ = setting.step(WHOLE, setting.with_terms(absent))
    assert loss == other_loss
    assert torch.equal(gradient, other_gradient)


@pytest.mark.parametrize("weight", [-0.5, float("inf"), float("nan")])
def test_refuses_a_weight_that_is_no_number_of_at_least_0(weight: float) -> None:
    with pytest.raises(ConfigError, match="the weight of 'labels' must be a number of at least 0, not"):
        WeightedTerm("labels", LabelCrossEntropy(), weight=weight)


def test_terms_need_names_of_their_own() -> None:
    terms = (WeightedTerm("labels", LabelCrossEntropy()), WeightedTerm("labels", LabelCrossEntropy()))
    for wrong in (terms, (WeightedTerm("rows", LabelCrossEntropy()),)):
        with pytest.raises(ConfigError, match="terms need different names"):
            Objective(torch.nn.Identity(), wrong)
