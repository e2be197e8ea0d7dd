"""Terms on hidden states: slow loops, identity, and padding that must not matter."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.hints.hidden import HiddenStates, LastHiddenCosine, PatientHints
from limbeck.numerics.masking import first_token
from limbeck.types import Batch, Needs, Shapes, Signal, Site, Tap

LENGTHS = [5, 2, 3, 1]
PAIR = Shapes(teacher_layers=4, teacher_width=6, student_layers=3, student_width=6)


def double_states(seed: int, layers: int) -> dict[int, Tensor]:
    """Random states ``[4, 5, 6]`` of each layer, the padding's included."""
    torch.manual_seed(seed)
    return {layer: torch.randn(len(LENGTHS), max(LENGTHS), 6, dtype=torch.float64) for layer in range(1, layers + 1)}


def mask_of(lengths: list[int]) -> Tensor:
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()


def given(teacher: dict[int, Tensor], student: dict[int, Tensor], mask: Tensor) -> tuple[Signal, Signal, Batch]:
    """Return what a term is given: the student's signal, the teacher's, the batch."""
    batch: Batch = {
        "student": {"attention_mask": mask},
        "rows_B": torch.arange(len(mask)),
    }
    return tapped(student, mask), tapped(teacher, mask), batch


def tapped(states: dict[int, Tensor], mask: Tensor) -> Signal:
    """Return the states by tap, at every position and at the first."""
    hidden = {Tap("hidden", layer): x for layer, x in states.items()}
    return {"states": hidden | {Tap("first", layer): first_token(x, mask) for layer, x in states.items()}}


def taps(site: Site, *layers: int) -> frozenset[Tap]:
    return frozenset(Tap(site, layer) for layer in layers)


def cosine(first: Tensor, second: Tensor) -> float:
    a, b = first.tolist(), second.tolist()
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return product / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def test_cosine_term_is_the_mean_over_a_rows_own_tokens() -> None:
    teacher, student = double_states(0, 4), double_states(1, 3)
    term = LastHiddenCosine().bind(PAIR)
    signal, said, batch = given(teacher, student, mask_of(LENGTHS))
    expected = [
        sum(1 - cosine(teacher[4][row, t], student[3][row, t]) for t in range(n)) / n for row, n in enumerate(LENGTHS)
    ]
    assert term.values(signal, said, batch).tolist() == pytest.approx(expected)
    assert term.mask(batch).all()


def test_cosine_term_of_masked_tokens_counts_each_token_once() -> None:
    teacher = double_states(0, 4)
    term = LastHiddenCosine().of("masked_tokens").bind(PAIR)
    for scale, expected in ((3.0, 0.0), (-0.5, 2.0)):
        signal, said, batch = given(teacher, {3: scale * teacher[4]}, mask_of(LENGTHS))
        read_BT = batch["student"]["attention_mask"].bool()
        assert torch.equal(term.mask(batch), read_BT)
        values = term.values(signal, said, batch)[read_BT]
        torch.testing.assert_close(values, torch.full_like(values, expected))
    assert not term.by_row
    assert term.of("classes") == LastHiddenCosine(pairs=term.pairs)


@pytest.mark.parametrize("strategy", ["skip", "last"])
def test_patient_hints_are_the_mean_over_mapped_layers_and_components(strategy: str) -> None:
    teacher, student = double_states(0, 4), double_states(1, 3)
    term = PatientHints(strategy).bind(PAIR)
    pairs = {"skip": [(1, 1), (2, 2)], "last": [(1, 2), (2, 3)]}[strategy]
    signal, said, batch = given(teacher, student, mask_of(LENGTHS))
    expected = [
        sum((2 - 2 * cosine(teacher[t][row, 0], student[s][row, 0])) / 6 for s, t in pairs) / len(pairs)
        for row in range(len(LENGTHS))
    ]
    assert term.values(signal, said, batch).tolist() == pytest.approx(expected)
    assert term.mask(batch).all()


def test_patient_hints_of_a_half_as_deep_student_skip_every_second_layer() -> None:
    term = PatientHints("skip").bind(Shapes(12, 6, 6, 6))
    assert term.pairs == ((1, 2), (2, 4), (3, 6), (4, 8), (5, 10))
    assert term.needs == Needs(taps("first", 1, 2, 3, 4, 5), taps("first", 2, 4, 6, 8, 10), same_width=True)


def test_cosine_term_asks_for_the_last_layers_and_the_same_tokens() -> None:
    term = LastHiddenCosine().bind(PAIR)
    assert term.pairs == ((3, 4),)
    assert term.needs == Needs(taps("hidden", 3), taps("hidden", 4), same_tokens=True, same_width=True)


BOTH = pytest.mark.parametrize("term", [LastHiddenCosine(), PatientHints("skip"), PatientHints("last")])


def copies_of_mapped_layers(term: Any, teacher: dict[int, Tensor]) -> dict[int, Tensor]:
    return {student: teacher[layer].clone() for student, layer in term.pairs}


@BOTH
def test_zero_where_the_mapped_layers_are_copies(term: Any) -> None:
    teacher = double_states(0, 4)
    term = term.bind(PAIR)
    signal, said, batch = given(teacher, copies_of_mapped_layers(term, teacher), mask_of(LENGTHS))
    torch.testing.assert_close(term.values(signal, said, batch), torch.zeros(4, dtype=torch.float64))


@BOTH
def test_blind_to_the_norm_of_the_states(term: Any) -> None:
    teacher, student = double_states(0, 4), double_states(1, 3)
    term = term.bind(PAIR)
    values = term.values(*given(teacher, student, mask_of(LENGTHS)))
    larger = {layer: 7 * states for layer, states in student.items()}
    torch.testing.assert_close(term.values(*given(teacher, larger, mask_of(LENGTHS))), values)


@BOTH
def test_gradcheck(term: Any) -> None:
    teacher, student = double_states(0, 4), double_states(1, 3)
    term = term.bind(PAIR)
    layers = sorted(tap.layer for tap in term.needs.student_taps)

    def values(*states: Tensor) -> Tensor:
        signal, said, batch = given(teacher, dict(zip(layers, states, strict=True)), mask_of(LENGTHS))
        return term.values(signal, said, batch)

    assert torch.autograd.gradcheck(values, tuple(student[layer].requires_grad_() for layer in layers))


@BOTH
def test_no_gradient_reaches_padding_or_teacher(term: Any) -> None:
    teacher, student = double_states(0, 4), double_states(1, 3)
    for states in [*teacher.values(), *student.values()]:
        states.requires_grad_()
    term = term.bind(PAIR)
    mask = mask_of(LENGTHS)
    signal, said, batch = given(teacher, student, mask)
    term.values(signal, said, batch).sum().backward()
    assert all(states.grad is None for states in teacher.values())
    for layer in (tap.layer for tap in term.needs.student_taps):
        gradient = student[layer].grad
        assert gradient is not None
        assert gradient[mask == 0].abs().sum() == 0
        assert gradient[mask == 1].abs().sum() > 0


@BOTH
@pytest.mark.parametrize("columns", [1, 9])
def test_the_amount_of_padding_changes_nothing(term: Any, columns: int) -> None:
    teacher, student = double_states(0, 4), double_states(1, 3)
    term = term.bind(PAIR)

    def pad(states: dict[int, Tensor]) -> dict[int, Tensor]:
        return {layer: torch.cat([x, torch.full((4, columns, 6), 1e3)], dim=1) for layer, x in states.items()}

    mask = mask_of(LENGTHS)
    values = term.values(*given(teacher, student, mask))
    longer = torch.cat([mask, torch.zeros(4, columns, dtype=mask.dtype)], dim=1)
    torch.testing.assert_close(term.values(*given(pad(teacher), pad(student), longer)), values)


def on_the_left(states: Tensor, mask: Tensor) -> Tensor:
    """Move each row's padding from the right end to the left."""
    order = torch.argsort(mask, dim=1, stable=True)
    return torch.stack([row[places] for row, places in zip(states, order, strict=True)])


@BOTH
def test_the_side_of_the_padding_changes_nothing(term: Any) -> None:
    teacher, student, mask = double_states(0, 4), double_states(1, 3), mask_of(LENGTHS)
    term = term.bind(PAIR)
    signal, said, batch = given(teacher, student, mask)
    values = term.values(signal, said, batch)
    teacher, student = ({layer: on_the_left(x, mask) for layer, x in states.items()} for states in (teacher, student))
    moved, said, batch = given(teacher, student, on_the_left(mask, mask))
    torch.testing.assert_close(term.values(moved, said, batch), values)


@BOTH
def test_half_precision_states_give_float32_values(term: Any) -> None:
    teacher, student = double_states(0, 4), double_states(1, 3)
    term = term.bind(PAIR)
    exact = term.values(*given(teacher, student, mask_of(LENGTHS)))
    teacher, student = ({layer: x.bfloat16() for layer, x in states.items()} for states in (teacher, student))
    values = term.values(*given(teacher, student, mask_of(LENGTHS)))
    assert values.dtype == torch.float32
    torch.testing.assert_close(values.double(), exact, rtol=2e-2, atol=2e-3)


@BOTH
def test_refuses_models_of_unequal_width(term: Any) -> None:
    with pytest.raises(ConfigError, match=r"same width; the teacher has 8, the student 6.*kd"):
        term.bind(Shapes(teacher_layers=4, teacher_width=8, student_layers=3, student_width=6))


def test_patient_hints_refuse_a_student_deeper_than_the_teacher() -> None:
    with pytest.raises(ConfigError, match="at most the teacher's 2 layers, not 3"):
        PatientHints().bind(Shapes(2, 6, 3, 6))


# States through a trained map: specification of ANON, section 2.5

WIDER = Shapes(teacher_layers=4, teacher_width=8, student_layers=3, student_width=6)


def mapped(shapes: Shapes, seed: int | None = None) -> HiddenStates:
    """The term in float64, with its own map or a random one."""
    term = HiddenStates("nearest", layer_norm=True, projected=True).bind(shapes)
    assert term.projection is not None
    term.projection.double()
    if seed is not None:
        torch.manual_seed(seed)
        torch.nn.init.normal_(term.projection.weight)
    return term


def of_width(states: dict[int, Tensor], width: int) -> dict[int, Tensor]:
    return {layer: torch.cat([x, x.square()], dim=-1)[..., :width] for layer, x in states.items()}


def normalised(state: list[float]) -> list[float]:
    mean = sum(state) / len(state)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in state) / len(state) + 1e-5)
    return [(x - mean) / deviation for x in state]


def test_mapped_states_are_the_mean_over_layers_of_the_distance_at_each_token() -> None:
    teacher, student = of_width(double_states(0, 4), 8), double_states(1, 3)
    term = mapped(WIDER, seed=5)
    assert term.pairs == ((1, 1), (2, 3), (3, 4))
    assert term.projection is not None
    weight = term.projection.weight.tolist()
    signal, said, batch = given(teacher, student, mask_of(LENGTHS))
    values = term.values(signal, said, batch)
    for row, length in enumerate(LENGTHS):
        for t in range(length):
            by_layer = []
            for s, of_teacher in term.pairs:
                own, target = normalised(student[s][row, t].tolist()), normalised(teacher[of_teacher][row, t].tolist())
                through = [sum(w * x for w, x in zip(line, own, strict=True)) for line in weight]
                by_layer.append(sum((a - b) ** 2 for a, b in zip(through, target, strict=True)) / 8)
            assert values[row, t].item() == pytest.approx(sum(by_layer) / 3)
    assert term.mask(batch).equal(mask_of(LENGTHS).bool())


def test_layer_norms_come_first() -> None:
    """The specification's (0, 0) and (1, 2) are 2.5 apart as they are; the norms make (-1, 1) of (1, 2)."""
    term = mapped(Shapes(1, 2, 1, 2))
    signal, said, batch = given({1: torch.tensor([[[1.0, 2.0]]])}, {1: torch.zeros(1, 1, 2)}, torch.ones(1, 1))
    assert term.projection is not None
    term.projection.float()
    assert term.values(signal, said, batch).item() == pytest.approx(1.0, abs=1e-4)


def test_a_copy_of_the_teacher_starts_at_0() -> None:
    teacher = double_states(0, 4)
    term = mapped(PAIR)
    copies = {student: teacher[layer].clone() for student, layer in term.pairs}
    signal, said, batch = given(teacher, copies, mask_of(LENGTHS))
    assert term.values(signal, said, batch).abs().max().item() == 0


def test_mapped_states_gradcheck() -> None:
    teacher, student = of_width(double_states(0, 4), 8), double_states(1, 3)
    term = mapped(WIDER, seed=5)
    assert term.projection is not None

    def values(weight: Tensor, *states: Tensor) -> Tensor:
        signal, said, batch = given(teacher, dict(enumerate(states, start=1)), mask_of(LENGTHS))
        return torch.func.functional_call(_Values(term, signal, said, batch), {"projection.weight": weight}, ())

    inputs = [student[layer].requires_grad_() for layer in (1, 2, 3)]
    assert torch.autograd.gradcheck(values, (term.projection.weight, *inputs))


class _Values(torch.nn.Module):
    def __init__(self, term: HiddenStates, signal: Signal, said: Signal, batch: Batch) -> None:
        super().__init__()
        self.projection = term.projection
        self.values = lambda: term.values(signal, said, batch)

    def forward(self) -> Tensor:
        return self.values()


def test_mapped_states_keep_away_from_the_teacher() -> None:
    teacher, student = double_states(0, 4), double_states(1, 3)
    for states in [*teacher.values(), *student.values()]:
        states.requires_grad_()
    signal, said, batch = given(teacher, student, mask_of(LENGTHS))
    mapped(PAIR).values(signal, said, batch).sum().backward()
    assert all(states.grad is None for states in teacher.values())
    assert all(states.grad is not None for states in student.values())


def test_mapped_states_refuse_a_student_deeper_than_the_teacher() -> None:
    with pytest.raises(ConfigError, match="cannot keep 3 layers of a teacher with 2"):
        HiddenStates("nearest", layer_norm=True, projected=True).bind(Shapes(2, 6, 3, 6))


# Embeddings as layer 0: TinyBERT, equations 8 and 9


def with_embeddings(states: dict[int, Tensor], mask: Tensor, seed: int) -> Signal:
    torch.manual_seed(seed)
    signal = tapped(states, mask)
    return {"states": {**signal["states"], Tap("embedding"): torch.randn_like(states[1])}}


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("over", ["sum", "mean"])
def test_embeddings_are_one_more_layer_through_the_same_map_or_their_own(own: bool, over: Any) -> None:
    mask = mask_of(LENGTHS)
    student = with_embeddings(double_states(1, 3), mask, 3)
    teacher = with_embeddings(of_width(double_states(0, 4), 8), mask, 4)
    term = HiddenStates(over_layers=over, projected=True, bias=True, embeddings=True, own_embedding_map=own).bind(
        WIDER
    )
    assert term.needs == Needs(
        taps("hidden", 1, 2, 3) | {Tap("embedding")}, taps("hidden", 1, 2, 4) | {Tap("embedding")}, same_tokens=True
    )
    module = term.module()
    assert module is not None
    assert len(list(module.parameters())) == (4 if own else 2)
    module.double()
    torch.manual_seed(5)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    assert term.projection is not None
    maps = [term.embedding_projection or term.projection, term.projection, term.projection, term.projection]
    assert (maps[0] is maps[1]) == (not own)
    batch: Batch = {"student": {"attention_mask": mask}, "rows_B": torch.arange(len(mask))}
    found = term.values(student, teacher, batch)
    places = [Tap("embedding"), *(Tap("hidden", layer) for layer in (1, 2, 3))]
    others = [Tap("embedding"), *(Tap("hidden", layer) for layer in (1, 2, 4))]
    for row, length in enumerate(LENGTHS):
        for t in range(length):
            each = []
            for linear, own_tap, other_tap in zip(maps, places, others, strict=True):
                x, y = student["states"][own_tap][row, t].tolist(), teacher["states"][other_tap][row, t].tolist()
                lines = zip(linear.weight.tolist(), linear.bias.tolist(), y, strict=True)
                each.append(sum((sum(map(float.__mul__, w, x)) + b - z) ** 2 for w, b, z in lines) / 8)
            assert found[row, t].item() == pytest.approx(sum(each) / (1 if over == "sum" else len(each)))


def test_embeddings_of_a_copy_are_at_0_and_those_alone_have_no_layer_number() -> None:
    mask = mask_of(LENGTHS)
    signal = with_embeddings(double_states(0, 4), mask, 3)
    term = HiddenStates(projected=True, bias=True, embeddings=True).bind(Shapes(4, 6, 4, 6))
    assert term.pairs == ((0, 0), (1, 1), (2, 2), (3, 3), (4, 4))
    assert term.module() is term.projection
    assert term.projection is not None
    term.projection.double()
    batch: Batch = {"student": {"attention_mask": mask}, "rows_B": torch.arange(len(mask))}
    assert term.values(signal, signal, batch).abs().max() == 0
