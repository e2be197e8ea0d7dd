"""Relations of queries, keys and values: the specification's numbers, a slow loop, and what changes nothing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from limbeck.numerics import relations
from limbeck.numerics.relations import Relation, regrouped, relation_kl

SHAPE = B, H, T, E = 3, 4, 6, 5
WIDTH_OF_STUDENT = 3
READ = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1]]).bool()
CAUSAL = pytest.mark.parametrize("causal", [False, True])
Q_T, K_T, V_T = ((1, 0), (0, 1)), ((1, 1), (0, 1)), ((1, 0), (1, 1))
Q_S, K_S, V_S = ((0.5, 0, 1), (1, 0, 0)), ((1, 0, 0), (0, 1, 1)), ((1, 0, 0), (0, 1, 0))


def double(values: object) -> Tensor:
    """One head of one sequence."""
    return torch.tensor(values, dtype=torch.float64)[None, None]


def of_tokens(first: Tensor, second: Tensor, own_first: Tensor, own_second: Tensor) -> float:
    read_BT = torch.ones(1, first.shape[2], dtype=torch.bool)
    teacher, student = Relation(first, second), Relation(own_first, own_second)
    return relation_kl(teacher=teacher, student=student, read_BT=read_BT, causal=False).item()


def of_values(teacher: Tensor, student: Tensor) -> float:
    return of_tokens(teacher, teacher, student, student)


def random(*, width: int = E, seed: int = 0) -> Relation:
    generator = torch.Generator().manual_seed(seed)
    return Relation(*(torch.randn(B, H, T, width, generator=generator, dtype=torch.float64) for _ in range(2)))


def kl(teacher: Relation, student: Relation, causal: bool = False, read_BT: Tensor = READ) -> Tensor:
    return relation_kl(teacher=teacher, student=student, read_BT=read_BT, causal=causal)


def slow(teacher: Relation, student: Relation, causal: bool) -> Tensor:
    """Equations 6 to 9, token by token, without padding."""
    found = []
    for row, read_T in enumerate(READ):
        tokens, total = read_T.nonzero().flatten().tolist(), torch.zeros((), dtype=torch.float64)
        for head in range(H):
            for t in tokens:
                keys = [k for k in tokens if k <= t or not causal]
                p, q = (
                    torch.stack([a[row, head, t] @ b[row, head, k] / math.sqrt(a.shape[-1]) for k in keys]).softmax(-1)
                    for a, b in (teacher, student)
                )
                total = total + (p * (p / q).log()).sum()
        found.append(total / (H * len(tokens)))
    return torch.stack(found)


def test_the_numbers_of_the_specification() -> None:
    attention = of_tokens(double(Q_T), double(K_T), double(Q_S), double(K_S))
    assert attention == pytest.approx(0.079643, abs=1e-6)
    assert of_values(double(V_T), double(V_S)) == pytest.approx(0.021494, abs=1e-6)


@pytest.mark.parametrize("angle", [0.3, 2.0, -1.2])
def test_turned_values_are_the_same_relation(angle: float) -> None:
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]).double()
    assert of_values(double(V_T) @ turn, double(V_S)) == pytest.approx(0.021494, abs=1e-6)


def test_another_width_can_be_the_same_relation() -> None:
    """Its length makes up for the square root of the width."""
    wider = torch.nn.functional.pad(double(V_T), (0, 1)) * (3 / 2) ** 0.25
    assert of_values(double(V_T), wider) == pytest.approx(0, abs=1e-12)
    assert of_values(double(V_T), torch.nn.functional.pad(double(V_T), (0, 1))) > 1e-4


@CAUSAL
def test_values_and_gradients_are_those_of_a_slow_loop(causal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, weights = random(), torch.tensor([1.0, 0.5, -2.0], dtype=torch.float64)
    found: list[tuple[Tensor, ...]] = []
    for pairs in (None, 2**22, 2 * T * T, 1):
        student = Relation(*(x.requires_grad_() for x in random(width=WIDTH_OF_STUDENT, seed=1)))
        if pairs is not None:
            monkeypatch.setattr(relations, "_CHUNK_OF_CPU", pairs)
        value = slow(teacher, student, causal) if pairs is None else kl(teacher, student, causal)
        found.append((value.detach(), *torch.autograd.grad((value * weights).sum(), student)))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-10, atol=1e-12)
    assert (found[0][0] > 0.05).all()


@CAUSAL
def test_gradcheck_of_a_relation_with_itself(causal: bool) -> None:
    teacher, own = random(), random(width=WIDTH_OF_STUDENT, seed=1).first.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: kl(Relation(teacher.first, teacher.first), Relation(x, x), causal), own)


@CAUSAL
@pytest.mark.parametrize("left", [False, True])
def test_padding_changes_nothing_whatever_it_holds(causal: bool, left: bool) -> None:
    teacher, student = random(), random(seed=1)
    expected = kl(teacher, student, causal)
    more = (4, 0) if left else (0, 4)
    gradients = []
    for filling in (7.0, -300.0):
        padded = [
            Relation(*(torch.nn.functional.pad(x, (0, 0, *more), value=filling) for x in both))
            for both in (teacher, student)
        ]
        padded = [Relation(*(x.requires_grad_() for x in both)) for both in padded]
        found = kl(padded[0], padded[1], causal, torch.nn.functional.pad(READ, more))
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        found.sum().backward()
        assert all(x.grad is None for x in padded[0])
        gradients.append(padded[1].first.grad)
        empty_BHT = ~torch.nn.functional.pad(READ, more)[:, None].expand(-1, H, -1)
        assert all((x.grad[empty_BHT] == 0).all() for x in padded[1])  # type: ignore[index]
    torch.testing.assert_close(gradients[0], gradients[1])
    assert gradients[0].abs().max() > 1e-3


@CAUSAL
def test_a_copy_is_at_0_and_others_are_above(causal: bool) -> None:
    teacher, student = random(), Relation(*(x.requires_grad_() for x in random()))
    value = kl(teacher, student, causal)
    value.sum().backward()
    assert (value == 0).all()
    assert all((x.grad == 0).all() for x in student)  # type: ignore[union-attr]
    assert (kl(teacher, random(seed=3), causal) > 0).all()


def test_a_sequence_without_tokens_is_0() -> None:
    read_BT = READ.clone()
    read_BT[1] = False
    student = Relation(*(x.requires_grad_() for x in random(seed=1)))
    value = kl(random(), student, causal=True, read_BT=read_BT)
    value.sum().backward()
    assert value[1] == 0
    assert student.first.grad is not None
    assert student.first.grad.isfinite().all()
    assert (student.first.grad[1] == 0).all()


@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_computed_in_float32(autocast: bool) -> None:
    teacher, student = random(), random(seed=1)
    halves = [Relation(*(x.bfloat16() for x in both)) for both in (teacher, student)]
    halves[1].first.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = kl(*halves)
    found.sum().backward()
    assert found.dtype == torch.float32
    gradient = halves[1].first.grad
    assert gradient is not None
    assert gradient.dtype == torch.bfloat16
    exact = [Relation(*(x.detach().double() for x in both)) for both in halves]
    torch.testing.assert_close(found.double(), kl(*exact), rtol=1e-5, atol=1e-6)


def test_large_scores_are_finite() -> None:
    teacher, student = random(), Relation(*(x.requires_grad_() for x in random(seed=1)))
    value = kl(Relation(100 * teacher.first, 100 * teacher.second), Relation(100 * student.first, student.second))
    value.sum().backward()
    assert value.isfinite().all()
    assert student.second.grad is not None
    assert student.second.grad.isfinite().all()


def test_without_gradients_only_values_are_computed() -> None:
    student = Relation(*(x.requires_grad_() for x in random(seed=1)))
    with torch.no_grad():
        found = kl(random(), student)
    assert not found.requires_grad
    torch.testing.assert_close(found, kl(random(), student).detach())


def test_heads_are_joined_in_order_and_split_anew() -> None:
    x = torch.arange(2.0 * 2 * 3 * 6).view(2, 2, 3, 6)
    found = regrouped(x, heads=4)
    assert found.shape == (2, 4, 3, 3)
    joined = torch.cat([x[:, 0], x[:, 1]], dim=-1)
    for head in range(4):
        assert torch.equal(found[:, head], joined[..., 3 * head : 3 * head + 3])
    assert torch.equal(regrouped(found, heads=2), x)
