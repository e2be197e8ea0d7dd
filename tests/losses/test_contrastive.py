"""Terms that compare rows with each other: which rows count, and that a split between pairs changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from limbeck.errors import ConfigError
from limbeck.losses.contrastive import PairCosine, SupervisedContrastive
from limbeck.losses.objective import Objective
from limbeck.losses.term import Term, WeightedTerm
from limbeck.models.classifier_head import features
from limbeck.numerics.contrastive import pair_cosine_error, supervised_contrastive
from limbeck.types import UNLABELLED, Batch, Needs

Make = Callable[..., Any]
LABELS_B = torch.tensor([1, 1, 0, 2, 2, 2, 0, 1])


def setting(make_classifier: Make, make_task: Make, term: Term) -> tuple[Objective, Any]:
    task = make_task(8)
    task.labels[:] = LABELS_B.numpy()
    return Objective(make_classifier(seed=1), (WeightedTerm("alike", term),)), task


def step(objective: Objective, batches: list[Batch]) -> tuple[float, torch.Tensor]:
    objective.zero_grad()
    counts, loss = objective.count(batches), 0.0
    for batch in batches:
        share, _ = objective(batch, counts)
        share.backward()
        loss += share.item()
    body = [p.grad.flatten() for p in objective.student.bert.parameters() if p.grad is not None]
    return loss, torch.cat(body)


def test_values_are_those_of_the_features(make_classifier: Make, make_task: Make) -> None:
    for term, function in (
        (PairCosine(), lambda x: pair_cosine_error(features_BD=x, labels_B=LABELS_B)),
        (
            SupervisedContrastive(0.2),
            lambda x: supervised_contrastive(features_BD=x, labels_B=LABELS_B, temperature=0.2),
        ),
    ):
        objective, task = setting(make_classifier, make_task, term)
        batch = task.batch(range(8))
        loss, gradient = step(objective, [batch])
        objective.zero_grad()
        expected = function(features(objective.student, batch["student"])).mean()
        expected.backward()
        by_hand = [p.grad.flatten() for p in objective.student.bert.parameters() if p.grad is not None]
        assert loss == pytest.approx(expected.item(), rel=1e-5)
        torch.testing.assert_close(gradient, torch.cat(by_hand))
        assert gradient.any()
        assert objective.student.classifier.weight.grad is None


@pytest.mark.parametrize("sizes", [(4, 4), (2, 6), (2, 2, 2, 2)])
def test_a_split_between_pairs_changes_nothing(make_classifier: Make, make_task: Make, sizes: tuple[int, ...]) -> None:
    objective, task = setting(make_classifier, make_task, PairCosine())
    rows = iter(range(8))
    parts = [[next(rows) for _ in range(size)] for size in sizes]
    loss, gradient = step(objective, [task.batch(range(8))])
    split_loss, split_gradient = step(objective, [task.batch(part) for part in parts])
    assert split_loss == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(split_gradient, gradient, rtol=1e-4, atol=1e-6)
    assert (PairCosine().rows_together, SupervisedContrastive().rows_together) == (2, None)


def test_unlabelled_rows_and_rows_without_a_partner_do_not_count() -> None:
    labels_B = torch.tensor([1, UNLABELLED, 0, 2, UNLABELLED, UNLABELLED, 1, 1])
    batch: Batch = {"labels_B": labels_B}
    assert PairCosine().mask(batch).tolist() == [False, False, True, True, False, False, True, True]
    assert SupervisedContrastive().mask(batch).tolist() == [True] + [False] * 5 + [True, True]


def test_what_they_read() -> None:
    assert PairCosine().needs == SupervisedContrastive().needs == Needs(labels=True, features=True)
    assert PairCosine.suits == SupervisedContrastive.suits == {"classes"}


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("inf"), float("nan")])
def test_temperatures_that_are_none(temperature: float) -> None:
    with pytest.raises(ConfigError, match="similarity_temperature must be a number above 0"):
        SupervisedContrastive(temperature)
