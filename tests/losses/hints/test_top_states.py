"""States paired from the top: pairs, values and gradients by hand, [CLS] or every token."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.hints.top_states import TopStates
from limbeck.numerics.masking import first_token
from limbeck.types import Batch, Shapes, Signal, Tap

LENGTHS = (5, 2, 3)
MASK = (torch.arange(6) < torch.tensor(LENGTHS)[:, None]).long()
BATCH: Batch = {"student": {"attention_mask": MASK}, "rows_B": torch.arange(3)}
NARROW = Shapes(4, 6, 2, 4)


def states(seed: int, layers: int, width: int) -> dict[int, Tensor]:
    """Random states ``[3, 6, width]`` of the embeddings (0) and each layer, the padding's included."""
    torch.manual_seed(seed)
    return {layer: torch.randn(3, 6, width, dtype=torch.float64) for layer in range(layers + 1)}


def tapped(of: dict[int, Tensor], mask: Tensor = MASK) -> Signal:
    hidden = {Tap("hidden", layer) if layer else Tap("embedding"): state for layer, state in of.items()}
    return {"states": hidden | {Tap("first", layer): first_token(state, mask) for layer, state in of.items()}}


@pytest.mark.parametrize(
    ("term", "pair", "expected"),
    [
        (TopStates(), Shapes(12, 8, 6, 8), [(6, 12)]),
        (TopStates(teacher_layer=5), Shapes(12, 8, 6, 8), [(6, 5)]),
        (TopStates(True), Shapes(12, 8, 3, 8), [(1, 10), (2, 11), (3, 12)]),
        (TopStates(True, every_token=True), Shapes(12, 8, 3, 8), [(0, 9), (1, 10), (2, 11), (3, 12)]),
        (TopStates(True, 8, True), Shapes(12, 8, 3, 8), [(0, 5), (1, 6), (2, 7), (3, 8)]),
        (TopStates(True, every_token=True), Shapes(3, 8, 3, 8), [(0, 0), (1, 1), (2, 2), (3, 3)]),
    ],
)
def test_layers_pair_up_from_the_top(term: TopStates, pair: Shapes, expected: list[tuple[int, int]]) -> None:
    bound = term.bind(pair)
    assert list(bound.pairs) == expected
    assert bound.module() is None
    sites = {tap.site for tap in bound.needs.teacher_taps}
    assert sites <= ({"hidden", "embedding"} if term.every_token else {"first"})
    assert bound.needs.same_tokens is term.every_token
    assert not bound.needs.same_width


def test_values_of_every_token_are_the_sum_of_mean_squares_through_each_pair_s_own_map() -> None:
    teacher, student = states(0, 4, 6), states(1, 2, 4)
    term = TopStates(True, every_token=True).bind(NARROW)
    assert term.maps is not None
    assert [(m.weight.shape, m.bias.shape) for m in term.maps] == [((6, 4), (6,))] * 3  # type: ignore[union-attr]
    term.maps.double()
    torch.manual_seed(2)
    for parameter in term.maps.parameters():
        parameter.data.add_(torch.randn_like(parameter))
    for state in student.values():
        state.requires_grad_()
    found = term.values(tapped(student), tapped(teacher), BATCH)
    expected = torch.zeros(3, 6, dtype=torch.float64)
    for linear, layer, of_teacher in zip(term.maps, (0, 1, 2), (2, 3, 4), strict=True):
        through = student[layer] @ linear.weight.T + linear.bias  # type: ignore[union-attr, operator]
        expected = expected + (through - teacher[of_teacher]).square().sum(-1) / 6
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(term.mask(BATCH), MASK.bool())
    learnt = [*term.maps.parameters(), *student.values()]
    gradients = torch.autograd.grad(found[MASK.bool()].mean(), learnt)
    for one, other in zip(gradients, torch.autograd.grad(expected[MASK.bool()].mean(), learnt), strict=True):
        assert one.abs().max() > 1e-2
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_values_of_cls_alone() -> None:
    teacher, student = states(0, 4, 6), states(1, 2, 6)
    term = TopStates().bind(Shapes(4, 6, 2, 6))
    found = term.values(tapped(student), tapped(teacher), BATCH)
    expected = (student[2][:, 0] - teacher[4][:, 0]).square().mean(-1)
    torch.testing.assert_close(found, expected)
    assert term.mask(BATCH).tolist() == [True, True, True]
    both = TopStates(True).bind(Shapes(4, 6, 2, 6)).values(tapped(student), tapped(teacher), BATCH)
    torch.testing.assert_close(both, expected + (student[1][:, 0] - teacher[3][:, 0]).square().mean(-1))


def test_padding_does_not_matter() -> None:
    teacher, student = states(0, 4, 6), states(1, 2, 4)
    other = {
        layer: torch.where(MASK[..., None].bool(), state, torch.full_like(state, 1e6))
        for layer, state in student.items()
    }
    for term in (TopStates(True), TopStates(True, every_token=True)):
        bound = term.bind(NARROW)
        assert bound.maps is not None
        bound.maps.double()
        counted = bound.mask(BATCH)
        first, second = (bound.values(tapped(one), tapped(teacher), BATCH)[counted] for one in (student, other))
        assert torch.equal(first, second)


def test_equal_states_have_value_0_and_no_gradient_reaches_the_teacher() -> None:
    teacher = {layer: state.requires_grad_() for layer, state in states(0, 2, 4).items()}
    student = {layer: state.detach().clone().requires_grad_() for layer, state in teacher.items()}
    term = TopStates(True, every_token=True).bind(Shapes(2, 4, 2, 4))
    values = term.values(tapped(student), tapped(teacher), BATCH)
    assert values.abs().max() == 0
    values.sum().backward()
    assert all(state.grad is None for state in teacher.values())


def test_the_map_starts_as_the_identity() -> None:
    teacher, student = states(0, 4, 6), states(1, 2, 4)
    term = TopStates(every_token=True).bind(NARROW)
    assert term.maps is not None
    term.maps.double()
    padded = torch.nn.functional.pad(student[2], (0, 2))
    expected = (padded - teacher[4]).square().mean(-1)
    torch.testing.assert_close(term.values(tapped(student), tapped(teacher), BATCH), expected)


def test_what_a_student_of_each_kind_compares() -> None:
    for output in ("classes", "labels", "values"):
        assert TopStates().of(output) == TopStates()
        assert TopStates(every_token=True).of(output) == TopStates(every_token=True)
    for output in ("tags", "tokens", "masked_tokens"):
        assert TopStates().of(output) == TopStates(every_token=True)
    assert (TopStates().by_row, TopStates(every_token=True).by_row) == (True, False)


def test_layers_that_are_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"teacher layer 5 \(recipe.teacher_layer\), and the teacher has 4"):
        TopStates(teacher_layer=5).bind(NARROW)
    TopStates().bind(Shapes(2, 4, 6, 4))
    with pytest.raises(ConfigError, match=r"from teacher layer 2 and .* the student has 6: it has to have at most 2"):
        TopStates(True).bind(Shapes(2, 4, 6, 4))
