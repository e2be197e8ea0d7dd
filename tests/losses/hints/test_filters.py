"""Filters of layers: values by hand, oracles of the method, padding, splitting, and who gets a gradient."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.losses.hints.filters import FilteredStates, LayerFilters
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.objective import Objective
from limbeck.losses.targets import BinaryCrossEntropy, SquaredError
from limbeck.losses.term import WeightedTerm, bind_terms
from limbeck.models.layers import shapes
from limbeck.teachers.local import LocalTeacher
from limbeck.types import Batch, Needs, Shapes, Signal, Tap

Make = Callable[..., Any]
PAIR = Shapes(4, 6, 2, 5, outputs=3)
LENGTHS = [4, 2, 3]


def given(dtype: torch.dtype = torch.float64, padding: int = 0) -> tuple[Signal, Signal, Batch]:
    """States of a student with 2 layers of width 5 and a teacher with 4 of width 6, and the batch with labels."""
    generator = torch.Generator().manual_seed(0)
    longest = max(LENGTHS)
    mask_BT = torch.arange(longest + padding) < torch.tensor(LENGTHS)[:, None]

    def states(layers: int, width: int) -> Signal:
        found = {}
        for layer in range(1, layers + 1):
            real = torch.randn(len(LENGTHS), longest, width, generator=generator, dtype=torch.float64)
            added = torch.full((len(LENGTHS), padding, width), 9.0, dtype=torch.float64)
            found[Tap("hidden", layer)] = torch.cat([real, added], dim=1).to(dtype)
        return {"states": found}

    batch: Batch = {
        "student": {"attention_mask": mask_BT.long()},
        "teacher": {"attention_mask": mask_BT.long()},
        "labels_B": torch.tensor([2, -100, 0]),
        "rows_B": torch.arange(3),
    }
    return states(2, 5), states(4, 6), batch


def randomised(term: Any, dtype: torch.dtype = torch.float64) -> Any:
    """Give a bound term's parameters random values of a precision."""
    generator = torch.Generator().manual_seed(1)
    module = term.module().to(dtype)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return term


def test_numbers_of_parameters_are_those_of_the_paper() -> None:
    bound = FilteredStates().bind(Shapes(12, 768, 12, 384, outputs=2))
    assert bound.teacher_filters is not None
    assert bound.student_filters is not None
    assert sum(p.numel() for p in bound.teacher_filters.parameters()) == 7_087_104
    assert sum(p.numel() for p in bound.student_filters.parameters()) == 3_548_160
    assert [p.requires_grad for p in bound.teacher_filters.parameters()] == [False] * 24
    assert all(p.requires_grad for p in bound.student_filters.parameters())


@pytest.mark.parametrize("side", ["student", "teacher"])
def test_filters_are_trained_on_the_task_at_each_compared_layer(side: Any) -> None:
    student, teacher, batch = given()
    term = randomised(LayerFilters(side=side, width=3).bind(PAIR))
    signal, layers = (student, (1, 2)) if side == "student" else (teacher, (2, 4))
    expected = torch.zeros(3, dtype=torch.float64)
    for place, layer in enumerate(layers):
        filtered = term.filters[place](signal["states"][Tap("hidden", layer)])
        for row, (length, gold) in enumerate(zip(LENGTHS, [2, None, 0], strict=True)):
            if gold is not None:
                logits = term.heads[place](filtered[row, :length].mean(dim=0))
                expected[row] -= logits.log_softmax(dim=-1)[gold] / 2
    values = term.values(student, teacher, batch)
    assert values.tolist() == pytest.approx(expected.tolist())
    assert term.mask(batch).tolist() == [True, False, True]
    other = {"student": student, "teacher": teacher}
    other[side] = {"states": {tap: state.clone() for tap, state in signal["states"].items()}}
    other["student" if side == "teacher" else "teacher"] = {}
    assert term.values(other["student"], other["teacher"], batch).equal(values)  # reads one model only


def test_filtered_states_are_compared_at_each_token() -> None:
    student, teacher, batch = given()
    term = randomised(FilteredStates(width=3).bind(PAIR))
    expected = torch.zeros(3, 4, dtype=torch.float64)
    for place, (layer, of_teacher) in enumerate([(1, 2), (2, 4)]):
        own = term.student_filters[place](student["states"][Tap("hidden", layer)])
        other = term.teacher_filters[place](teacher["states"][Tap("hidden", of_teacher)])
        expected += (own - other).square().mean(dim=-1) / 2
    found = term.values(student, teacher, batch)
    assert torch.allclose(found, expected)
    assert term.mask(batch).sum(dim=1).tolist() == LENGTHS


def test_the_same_states_and_filters_have_no_distance() -> None:
    _, teacher, batch = given()
    term = randomised(FilteredStates().bind(Shapes(2, 6, 2, 6)))
    term.student_filters.load_state_dict(term.teacher_filters.state_dict())
    assert term.values(teacher, teacher, batch).abs().max().item() == 0
    # And before any training, filters of equal widths are the identity.
    as_float = given(torch.float32)[1]
    assert FilteredStates().bind(Shapes(2, 6, 2, 6)).values(as_float, as_float, batch).max().item() == 0


@pytest.mark.parametrize("term", [LayerFilters(side="student"), LayerFilters(side="teacher"), FilteredStates()])
def test_padding_changes_nothing(term: Any) -> None:
    values = []
    for padding in (0, 3):
        student, teacher, batch = given(padding=padding)
        found = randomised(term.bind(PAIR)).values(student, teacher, batch)
        values.append(found[term.mask(batch)])
    assert torch.allclose(*values)


def test_gradients_reach_the_student_and_its_filters_alone() -> None:
    student, teacher, batch = given()
    for signal in (student, teacher):
        for state in signal["states"].values():
            state.requires_grad_()
    term = randomised(FilteredStates(width=3).bind(PAIR))

    def loss(*inputs: Tensor) -> Tensor:
        states = dict(zip(student["states"], inputs, strict=True))
        values: Tensor = term.values({"states": states}, teacher, batch)
        return values[term.mask(batch)].sum()

    assert torch.autograd.gradcheck(loss, tuple(student["states"].values()))
    loss(*student["states"].values()).backward()
    assert all(p.grad is not None for p in term.student_filters.parameters())
    assert all(p.grad is None for p in term.teacher_filters.parameters())
    # The filtered teacher state is a target: nothing goes back into it.
    assert all(state.grad is None for state in teacher["states"].values())


def test_each_kind_of_task_has_its_own_loss() -> None:
    assert LayerFilters().of("labels").task == BinaryCrossEntropy()
    assert LayerFilters().of("values").task == SquaredError()
    assert LayerFilters().of("classes").task == LayerFilters().of("tags").task == LabelCrossEntropy()
    for term in (LayerFilters(), FilteredStates()):
        assert not {"tokens", "masked_tokens", "candidates"} & term.suits
        assert term.needs.teacher_taps or term.needs.labels


def test_what_each_reads() -> None:
    terms = (LayerFilters(side="student"), LayerFilters(side="teacher"), FilteredStates())
    of_student, of_teacher, both = (term.bind(PAIR).needs for term in terms)
    own, other = (frozenset(Tap("hidden", layer) for layer in layers) for layers in ((1, 2), (2, 4)))
    assert of_student == Needs(student_taps=own, labels=True)
    assert of_teacher == Needs(teacher_taps=other, labels=True)
    assert both == Needs(student_taps=own, teacher_taps=other, same_tokens=True)


def test_a_map_by_similarity() -> None:
    similar = PAIR._replace(similarity=((0.9, 0.1, 0.0, 0.0), (0.1, 0.2, 0.9, 0.1)))
    assert FilteredStates("cka").bind(similar).compared_layers == ((1, 1), (2, 3))
    assert LayerFilters("cka", side="teacher").needs.similarity


def test_words_have_logits_of_their_own() -> None:
    student, teacher, batch = given()
    batch["words_BT"] = torch.tensor([[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 1, 0]]).bool()
    batch["labels_BT"] = torch.where(batch["words_BT"], 1, -100)
    term = randomised(LayerFilters(width=3).bind(PAIR))
    found = term.values(student, teacher, batch)
    assert found.shape == (3, 4)
    logits = [head(g(student["states"][Tap("hidden", n)]))[2, 2] for n, g, head in
              zip((1, 2), term.filters, term.heads, strict=True)]  # fmt: skip
    assert found[2, 2].item() == pytest.approx(sum(-z.log_softmax(-1)[1].item() for z in logits) / 2)


def objective_of(student: Any, teacher: Any, *, trains_student: bool) -> Objective:
    terms = tuple(WeightedTerm(side, LayerFilters(side=side)) for side in ("student", "teacher"))
    return Objective(student, bind_terms(terms, shapes(teacher, student)), trains_student=trains_student)


def test_only_filters_and_their_heads_are_trained_in_the_first_stage(make_classifier: Make, make_task: Make) -> None:
    student, teacher = make_classifier(layers=2, width=8, dropout=0.5), make_classifier(layers=4, seed=1)
    objective = objective_of(student.requires_grad_(False), teacher, trains_student=False).train()
    before, task = copy.deepcopy(objective.state_dict()), make_task(16)
    optimiser = torch.optim.SGD([p for p in objective.parameters() if p.requires_grad], lr=0.5)
    losses = []
    for _ in range(20):
        batch = task.batch(range(16))
        batch["signal"] = LocalTeacher(teacher).signal(batch, objective.needs)
        loss, _ = objective(batch, objective.count([batch]))
        optimiser.zero_grad()
        loss.backward()
        assert {name.split(".")[0] for name, p in objective.named_parameters() if p.grad is not None} == {
            "term_modules"
        }
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(2 * torch.tensor(3.0).log().item())  # heads that say nothing
    assert losses[-1] < 0.8 * losses[0]
    changed = {name for name, value in objective.state_dict().items() if not value.equal(before[name])}
    assert changed == {name for name in before if name.startswith("term_modules")}


def test_a_student_that_is_not_trained_has_no_dropout(make_classifier: Make, make_task: Make) -> None:
    teacher = make_classifier(layers=4, seed=1)
    batch = make_task(8).batch(range(8))
    for trains_student in (False, True):
        objective = objective_of(
            make_classifier(layers=2, dropout=0.5), teacher, trains_student=trains_student
        ).train()
        for parameter in objective.term_modules.parameters():
            torch.nn.init.constant_(parameter, 0.1) if parameter.dim() == 1 else torch.nn.init.eye_(parameter)
        batch["signal"] = LocalTeacher(teacher).signal(batch, objective.needs)
        first, again = (objective(batch, objective.count([batch]))[0].item() for _ in range(2))
        assert (first == again) == (not trains_student)


def test_splitting_a_step_changes_nothing(make_classifier: Make, make_task: Make) -> None:
    student, teacher, task = make_classifier(layers=2, width=8), make_classifier(layers=4, seed=1), make_task(12)
    gradients = []
    for parts in ([range(12)], [range(5), range(5, 12)]):
        terms = (WeightedTerm("filters", LayerFilters()), WeightedTerm("hints", FilteredStates()))
        objective = Objective(copy.deepcopy(student), bind_terms(terms, shapes(teacher, student)))
        for t in objective.weighted_terms:
            randomised(t.term, torch.float32)
        objective.term_modules[1][1].requires_grad_(False)
        batches = [task.batch(part) for part in parts]
        for batch in batches:
            batch["signal"] = LocalTeacher(teacher).signal(batch, objective.needs)
            objective(batch, objective.count(batches))[0].backward()
        gradients.append([p.grad for p in objective.parameters() if p.grad is not None])
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(*gradients, strict=True))


def test_decoders_are_read_at_all_tokens_whichever_side_is_padded(make_task: Make) -> None:
    from transformers import LlamaConfig, LlamaForSequenceClassification

    def decoder(layers: int, width: int) -> Any:
        torch.manual_seed(layers)
        return LlamaForSequenceClassification(
            LlamaConfig(
                vocab_size=40, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
                num_attention_heads=2, pad_token_id=0, num_labels=3, max_position_embeddings=32,
            )
        )  # fmt: skip

    teacher, losses = decoder(4, 16), []
    for pad_left in (False, True):
        student, task = decoder(2, 8), make_task(12, pad_left=pad_left)
        terms = (*(WeightedTerm(side, LayerFilters(side=side)) for side in ("student", "teacher")),
                 WeightedTerm("hints", FilteredStates()))  # fmt: skip
        bound = bind_terms(terms, shapes(teacher, student))
        for t in bound:
            randomised(t.term, torch.float32)
        objective = Objective(student, bound)
        batch = task.batch(range(12))
        batch["signal"] = LocalTeacher(teacher).signal(batch, objective.needs)
        total, parts = objective(batch, objective.count([batch]))
        total.backward()
        losses.append({name: part.item() for name, part in parts.items() if name.startswith("term/")})
        assert all(p.grad is not None for p in student.model.layers.parameters())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
