"""The likeliest tokens and the tail: published numbers, what truncation must not do, and rows that are not full."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.numerics.chunked import chunked_loss
from limbeck.numerics.sparse import captured_mass, take, top_k
from limbeck.numerics.token_losses import DivergenceKind, TokenDivergence
from limbeck.types import DenseLogits, LazyLogits, SparseLogits


def double(*rows: object) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def of_probs(*probs: float) -> DenseLogits:
    return DenseLogits(double(probs).log())


def kl(
    teacher: DenseLogits | SparseLogits, student: DenseLogits, kind: DivergenceKind = "forward_kl", T: float = 1.0
) -> tuple[float, Tensor]:
    logits = student.logits_SV.clone().requires_grad_()
    loss = TokenDivergence(kind, loss_temperature=T)
    total, _ = chunked_loss(DenseLogits(logits), teacher, [loss], [torch.ones(len(logits))])
    return total.item(), torch.autograd.grad(total, logits)[0]


REFERENCE = DenseLogits(double((2.0, 1.0, 0.1, -1.0))), DenseLogits(double((1.0, 1.5, 0.2, -0.5)))
FIFTHS = of_probs(0.5, 0.3, 0.1, 0.06, 0.04)


@pytest.mark.parametrize(
    ("teacher", "student", "k", "full", "bucket"),
    [
        (*REFERENCE, 2, 0.246281, 0.244250),
        (FIFTHS, of_probs(0.005, 0.003, 0.33, 0.33, 0.332), 2, 3.37781, 3.36386),
        (FIFTHS, of_probs(0.6, 0.36, 0.02, 0.01, 0.01), 2, 0.17804, 0.17603),
        (of_probs(0.6, 0.4), of_probs(0.9, 0.1), 1, 0.311239, 0.311239),
    ],
    ids=["reference", "renormalised gives 0", "truncated is negative", "one of two"],
)
def test_the_tail_is_a_bucket(teacher: DenseLogits, student: DenseLogits, k: int, full: float, bucket: float) -> None:
    assert kl(teacher, student)[0] == pytest.approx(full, abs=5e-6)
    assert kl(top_k(teacher, k), student)[0] == pytest.approx(bucket, abs=5e-6)


def test_kept_tokens_alone_would_be_another_distribution() -> None:
    """Scaled to sum to 1 they give 0.257403, more than the full divergence; with the bucket it is never more."""
    p, q = (torch.softmax(side.logits_SV[0], 0)[:2] for side in REFERENCE)
    p, q = p / p.sum(), q / q.sum()
    assert float((p * (p / q).log()).sum()) == pytest.approx(0.257403, abs=1e-6)
    assert kl(top_k(REFERENCE[0], 2), REFERENCE[1])[0] < kl(*REFERENCE)[0] < 0.257403


def test_all_tokens_kept_is_the_full_divergence() -> None:
    teacher, student = REFERENCE
    for kind in ("forward_kl", "reverse_kl", "jensen_shannon", "total_variation"):
        everything, gradient = kl(top_k(teacher, 4), student, kind)
        expected, expected_gradient = kl(teacher, student, kind)
        assert everything == pytest.approx(expected, rel=1e-9)
        torch.testing.assert_close(gradient, expected_gradient)


logit = st.floats(-20, 20)


@settings(max_examples=12)
@given(st.lists(st.tuples(logit, logit), min_size=2, max_size=8), st.data())
def test_more_tokens_never_lower_the_bound(pairs: list[tuple[float, float]], data: st.DataObject) -> None:
    teacher, student = (DenseLogits(double(side)) for side in zip(*pairs, strict=True))
    k = data.draw(st.integers(1, len(pairs) - 1))
    for kind in ("forward_kl", "reverse_kl", "jensen_shannon", "total_variation", "skew_forward_kl"):
        fewer, more = kl(top_k(teacher, k), student, kind)[0], kl(top_k(teacher, k + 1), student, kind)[0]
        assert -1e-9 <= fewer <= more + 1e-9 <= kl(teacher, student, kind)[0] + 2e-9


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("chunk_rows", [1, 2, None], ids=str)
def test_top_k_of_lazy_logits(temperature: float, chunk_rows: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden, weight = (torch.randn(n, 4, generator=generator, requires_grad=True) for n in (5, 9))
    found = top_k(LazyLogits(hidden, weight, scale=0.5), 3, temperature, chunk_rows=chunk_rows)
    log_probs = torch.log_softmax(0.5 * hidden.detach() @ weight.detach().T / temperature, dim=-1)
    expected = log_probs.topk(3)
    assert not found.log_probs_SK.requires_grad
    assert (found.vocabulary, found.temperature, found.rows) == (9, temperature, 5)
    assert torch.equal(found.ids_SK, expected.indices)
    torch.testing.assert_close(found.log_probs_SK, expected.values)
    mass = expected.values.exp().sum(-1)
    torch.testing.assert_close(captured_mass(found), mass)
    torch.testing.assert_close(found.tail_S.exp(), 1 - mass)


def test_a_tiny_tail_is_not_lost_in_rounding() -> None:
    found = top_k(DenseLogits(torch.tensor([[0.0, -40.0, -41.0]])), 1)
    assert found.tail_S.item() == pytest.approx(math.log(math.exp(-40) + math.exp(-41)), rel=1e-6)


def test_no_tail_where_all_tokens_are_kept() -> None:
    assert top_k(REFERENCE[0], 4).tail_S.item() == -math.inf


def test_a_row_of_fewer_tokens_than_k() -> None:
    teacher, student = REFERENCE
    kept = top_k(teacher, 2)
    fill = torch.full((1, 2), -math.inf, dtype=torch.float64)
    for fill_ids in (torch.tensor([[3, 2]]), kept.ids_SK, torch.zeros(1, 2, dtype=torch.int64)):
        filled = SparseLogits(
            torch.cat([kept.ids_SK, fill_ids], 1), torch.cat([kept.log_probs_SK, fill], 1), kept.tail_S, 4
        )
        for kind in ("forward_kl", "reverse_kl", "total_variation"):
            value, gradient = kl(filled, student, kind)
            expected, expected_gradient = kl(kept, student, kind)
            assert value == pytest.approx(expected, rel=1e-9)
            torch.testing.assert_close(gradient, expected_gradient)


def test_rounded_cells_still_give_zero_to_an_equal_student() -> None:
    teacher = top_k(REFERENCE[0], 2)
    rounded = SparseLogits(teacher.ids_SK, teacher.log_probs_SK + 1e-3, teacher.tail_S + 1e-3, 4)
    assert kl(rounded, REFERENCE[0])[0] == pytest.approx(0, abs=1e-12)


def test_extreme_logits_are_finite() -> None:
    teacher = top_k(DenseLogits(torch.tensor([[1e4, 0.0, -1e4, -math.inf], [0.0, 0.0, -math.inf, -math.inf]])), 2)
    student = DenseLogits(torch.tensor([[-1e4, 0.0, 1e4, -math.inf], [-math.inf, 0.0, -math.inf, -math.inf]]))
    for kind in ("forward_kl", "reverse_kl", "jensen_shannon", "total_variation", "skew_forward_kl"):
        value, gradient = kl(teacher, student, kind)
        assert math.isfinite(value)
        assert gradient.isfinite().all()


def test_take_keeps_what_is_not_per_row() -> None:
    sparse = top_k(DenseLogits(torch.randn(4, 6, generator=torch.Generator().manual_seed(0))), 2, 3.0)
    taken = take(sparse, torch.tensor([3, 0]))
    assert (taken.rows, taken.vocabulary, taken.temperature) == (2, 6, 3.0)
    assert torch.equal(taken.ids_SK, sparse.ids_SK[[3, 0]])
    assert torch.equal(taken.tail_S, sparse.tail_S[[3, 0]])


@pytest.mark.parametrize(("k", "temperature"), [(0, 1.0), (5, 1.0), (2, 0.0)])
def test_what_cannot_be_kept_is_refused(k: int, temperature: float) -> None:
    with pytest.raises(ConfigError, match=r"k must be from 1 to the size of the vocabulary, 4|temperature must be"):
        top_k(REFERENCE[0], k, temperature)
