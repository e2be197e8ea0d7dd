"""One division for the whole step, whatever it is split into."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.objective import Objective
from limbeck.losses.reduction import Reduction, count, masked_sum, share_of_mean
from limbeck.losses.term import WeightedTerm
from limbeck.types import UNLABELLED, Batch

OBJECTIVE = Objective(
    torch.nn.Identity(), (WeightedTerm("soft_targets", ForwardKL()), WeightedTerm("labels", LabelCrossEntropy()))
)


def batch_of(labels: list[int]) -> Batch:
    return {"labels_B": torch.tensor(labels, dtype=torch.int64), "rows_B": torch.arange(len(labels))}


def test_each_term_counts_its_own_rows_over_all_micro_batches() -> None:
    batches = [batch_of([0, UNLABELLED, 2]), batch_of([UNLABELLED]), batch_of([1, UNLABELLED])]
    counts = OBJECTIVE.count(batches)
    assert {name: n.item() for name, n in counts.items()} == {
        "soft_targets": 6,
        "labels": 3,
        "rows": 6,
        "labelled": 3,
    }
    assert all(n.dtype == torch.float32 and n.shape == () for n in counts.values())


def test_nothing_labelled_counts_zero() -> None:
    counts = OBJECTIVE.count([batch_of([UNLABELLED, UNLABELLED])])
    assert counts["labels"] == counts["labelled"] == 0
    assert counts["soft_targets"] == counts["rows"] == 2


def test_label_zero_is_a_label() -> None:
    assert OBJECTIVE.count([batch_of([0, 0])])["labels"] == 2


def test_ten_rows_at_1_and_a_thousand_at_a_tenth_are_no_mean_of_means() -> None:
    shares = [
        masked_sum(torch.full((rows,), value), torch.ones(rows, dtype=torch.bool)) / 1010
        for rows, value in [(10, 1.0), (1000, 0.1)]
    ]
    assert torch.stack(shares).sum().item() == pytest.approx(0.1089109, abs=1e-6)


@given(st.lists(st.tuples(st.floats(-100, 100), st.booleans()), min_size=1, max_size=30))
def test_masked_sum_is_the_sum_of_what_counts(rows: list[tuple[float, bool]]) -> None:
    values, counted = (torch.tensor(column) for column in zip(*rows, strict=True))
    expected = sum(value for value, counts in rows if counts)
    assert masked_sum(values.double(), counted.bool()).item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("elsewhere", [1e30, float("inf"), float("nan")])
def test_rows_that_do_not_count_reach_neither_sum_nor_gradient(elsewhere: float) -> None:
    values = torch.tensor([1.0, elsewhere], requires_grad=True)
    total = masked_sum(values, torch.tensor([True, False]))
    total.backward()
    assert total.item() == 1
    assert values.grad is not None
    assert values.grad.tolist() == [1, 0]


def test_nothing_counted_gives_zero_with_a_zero_gradient() -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    values: Tensor = LabelCrossEntropy().values({"logits": logits}, {}, batch_of([UNLABELLED] * 3))
    total = masked_sum(values, torch.zeros(3, dtype=torch.bool))
    total.backward()
    assert total.item() == 0
    torch.testing.assert_close(logits.grad, torch.zeros(3, 4))


MASK = torch.tensor([[True, True, False, True], [False, False, True, False], [False] * 4])
VALUES = torch.tensor([[1.0, 2.0, 1e30, 6.0], [1e30, 1e30, 5.0, 1e30], [1e30] * 4])


@pytest.mark.parametrize(
    ("reduction", "counted", "mean"), [("token", 4, 3.5), ("sequence", 2, 4.0), ("sum_per_sequence", 2, 7.0)]
)
def test_tokens_are_averaged_over_all_or_row_by_row(reduction: Reduction, counted: int, mean: float) -> None:
    assert count([MASK[:1], MASK[1:]], reduction).item() == counted
    whole = share_of_mean(VALUES, MASK, reduction, torch.tensor(float(counted)))
    assert whole.item() == pytest.approx(mean)
    parts = [share_of_mean(VALUES[i : i + 1], MASK[i : i + 1], reduction, torch.tensor(counted)) for i in range(3)]
    assert torch.stack(parts).sum().item() == pytest.approx(mean)
