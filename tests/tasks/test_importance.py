"""Importance on the rows of a run: drawn at random, in small batches, kept for the same weights and rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.test_kept import Told

from limbeck.losses.readout import ClassReadout
from limbeck.students.pruning.importance import Importance
from limbeck.tasks.importance import importance_on, kept_importance
from limbeck.types import UNLABELLED, SilentProgress

Make = Callable[..., Any]


def importance_of(model: Any, task: Any, rows: list[int], count: int, seen: list[list[int]]) -> Importance:
    def make_batch(picked: Any) -> Any:
        seen.append(picked.tolist())
        return task.batch(picked)

    return importance_on(
        model, np.array(rows), count, make_batch,
        kind="classification", readout=ClassReadout(), progress=SilentProgress(),
    )  # fmt: skip


def test_rows_are_drawn_once_in_batches_of_8(make_classifier: Make, make_task: Make) -> None:
    task = make_task(40, labelled=1.0)
    rows, first, second = list(range(1, 40)), list[list[int]](), list[list[int]]()
    found = importance_of(make_classifier(), task, rows, 20, first)
    again = importance_of(make_classifier(), task, rows, 20, second)
    assert first == second
    assert [len(part) for part in first] == [8, 8, 4]
    drawn = [row for part in first for row in part]
    assert len(set(drawn)) == 20
    assert drawn != sorted(drawn)
    assert set(drawn) <= set(rows)
    assert all(torch.equal(one, other) for one, other in zip(vars(found).values(), vars(again).values(), strict=True))


def test_it_is_of_the_mean_loss_of_each_batch(make_classifier: Make, make_task: Make) -> None:
    """A batch of one row, repeated, says what the row says; unlabelled rows do not count in it."""
    task, model = make_task(12, labelled=1.0), make_classifier(scale=3.0)
    one = importance_of(model, task, [1], 8, [])
    same = importance_of(model, task, [1] * 5, 8, [])
    torch.testing.assert_close(one.neurons_LF, same.neurons_LF, rtol=1e-4, atol=1e-8)
    assert task.labels[0] == UNLABELLED
    with_unlabelled = importance_of(model, task, [0, 1], 8, [])
    torch.testing.assert_close(one.neurons_LF, with_unlabelled.neurons_LF, rtol=1e-4, atol=1e-8)


VALUES = Importance(torch.rand(4), torch.rand(2, 2), torch.rand(2, 3))


def test_it_is_measured_once_for_the_same_weights_and_rows(make_classifier: Make, tmp_path: Path) -> None:
    asked: list[int] = []
    told, model = Told(), make_classifier()

    def measure() -> Importance:
        asked.append(len(asked))
        return VALUES

    for _ in range(2):
        found = kept_importance(tmp_path, model, "rows", measure, told)
        assert torch.equal(found.groups_LG, VALUES.groups_LG)
    assert asked == [0]
    assert not told.said
    kept_importance(tmp_path, model, "other rows", measure, told)
    assert asked == [0, 1]
    assert "measured with other weights or rows" in told.said[0]
    with torch.no_grad():
        model.classifier.bias += 1
    kept_importance(tmp_path, model, "other rows", measure, told)
    assert asked == [0, 1, 2]


def test_a_damaged_file_is_made_again(make_classifier: Make, tmp_path: Path) -> None:
    told, model = Told(), make_classifier()
    kept_importance(tmp_path, model, "rows", lambda: VALUES, told)
    file = tmp_path / "importance.npz"
    file.write_bytes(file.read_bytes()[:-9])
    found = kept_importance(tmp_path, model, "rows", lambda: VALUES, told)
    assert torch.equal(found.hidden_D, VALUES.hidden_D)
    assert "damaged" in told.said[0]


@pytest.mark.parametrize("size", ["hidden_D", "groups_LG", "neurons_LF"])
def test_every_part_is_kept(size: str, make_classifier: Make, tmp_path: Path) -> None:
    for _ in range(2):
        found = kept_importance(tmp_path, make_classifier(), "rows", lambda: VALUES, Told())
        assert torch.equal(getattr(found, size), getattr(VALUES, size))
