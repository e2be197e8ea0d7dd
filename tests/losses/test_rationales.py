"""The term on rationales: rows without one, and any split of a step."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from limbeck.losses.objective import Objective
from limbeck.losses.rationales import RationaleCrossEntropy
from limbeck.losses.term import WeightedTerm
from limbeck.models.label_scorer import LabelScorer, Verbaliser
from limbeck.types import Batch, Needs


@pytest.fixture
def objective() -> Objective:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=20, n_positions=32, n_embd=16, n_layer=2, n_head=2, initializer_range=0.3,
                        bos_token_id=0, eos_token_id=1)  # fmt: skip
    student = LabelScorer(GPT2LMHeadModel(config).eval(), Verbaliser(("risk", "safe"), ((5, 1), (6, 1))))
    return Objective(student, (WeightedTerm("rationales", RationaleCrossEntropy(), 0.3),))


def batch_of(rows: list[int]) -> Batch:
    """Row i has a rationale of i % 3 tokens: none, one or two, and an end marker."""
    reasoned = [row for row in rows if row % 3]
    longest = max([3 + row % 3 for row in reasoned], default=0)
    ids = [[7, 8, *[9 + row % 5] * (row % 3), 1, *[0] * (longest - 3 - row % 3)] for row in reasoned]
    lengths = torch.tensor([3 + row % 3 for row in reasoned])
    mask = (torch.arange(longest) < lengths[:, None]).long() if reasoned else torch.zeros(0, 0)
    rationales = {
        "explained_B": torch.tensor([row % 3 > 0 for row in rows]),
        "input_ids": torch.tensor(ids, dtype=torch.int64),
        "attention_mask": mask,
        "starts": torch.full((len(reasoned),), 2),
    }
    student = {"input_ids": torch.full((len(rows), 3), 4), "attention_mask": torch.ones(len(rows), 3)}
    return {
        "student": student, "rows_B": torch.tensor(rows), "labels_B": torch.zeros(len(rows)), "rationales": rationales,
    }  # fmt: skip


def step(objective: Objective, split: list[list[int]]) -> tuple[float, torch.Tensor, float]:
    batches = [batch_of(rows) for rows in split]
    counts = objective.count(batches)
    objective.zero_grad()
    loss, shown = 0.0, 0.0
    for batch in batches:
        share, parts = objective(batch, counts)
        if share.requires_grad:
            share.backward()
        loss, shown = loss + share.item(), shown + parts["term/rationales"].item()
    gradients: list[Any] = [p.grad for p in objective.parameters()]
    return loss, torch.cat([g.flatten() for g in gradients if g is not None]), shown


def test_it_asks_for_rationales_and_nothing_of_a_teacher_at_hand() -> None:
    assert RationaleCrossEntropy().needs == Needs(rationales=True)
    assert not RationaleCrossEntropy().needs.teacher


@pytest.mark.parametrize("split", [[[0, 1, 2], [3, 4, 5, 6, 7]], [[0, 3, 6], [1], [2, 4, 5, 7]]])
def test_every_split_has_the_loss_and_gradient_of_the_whole_step(objective: Objective, split: list[list[int]]) -> None:
    loss, gradient, shown = step(objective, [list(range(8))])
    split_loss, split_gradient, split_shown = step(objective, split)
    assert loss == pytest.approx(0.3 * shown)
    assert (split_loss, split_shown) == pytest.approx((loss, shown), rel=1e-5)
    torch.testing.assert_close(split_gradient, gradient, rtol=1e-4, atol=1e-6)


def test_rows_without_a_rationale_change_nothing(objective: Objective) -> None:
    loss, gradient, _ = step(objective, [[1, 2, 4, 5]])
    more_loss, more_gradient, _ = step(objective, [[0, 1, 2, 3, 4, 5, 6]])
    assert more_loss == pytest.approx(loss, rel=1e-6)
    torch.testing.assert_close(more_gradient, gradient)
    batch = batch_of([0, 3])
    assert objective(batch, objective.count([batch]))[0].item() == 0
