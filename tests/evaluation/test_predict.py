"""Predictions in the order of the rows, whatever the batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.evaluation.predict import length_sorted_batches, predict_logits, softmax

Make = Callable[..., Any]


def test_batches_hold_each_row_once_longest_first() -> None:
    lengths = np.array([3, 9, 5, 9, 1, 7])
    batches = list(length_sorted_batches(lengths, 4))
    assert [batch.tolist() for batch in batches] == [[1, 3, 5, 2], [0, 4]]
    assert list(length_sorted_batches(lengths[:0], 4)) == []


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_logits_are_those_of_each_row_alone(make_classifier: Make, make_task: Make, batch_size: int) -> None:
    model, task = make_classifier(scale=4.0, dropout=0.5), make_task(12)
    logits = predict_logits(model, task.encoded, batch_size=batch_size)
    assert not model.training
    assert logits.dtype == np.float32
    with torch.no_grad():
        alone = [model(**task.batch([row])["student"]).logits[0] for row in range(12)]
    torch.testing.assert_close(torch.from_numpy(logits), torch.stack(alone), atol=1e-5, rtol=1e-4)
    assert np.ptp(logits, axis=0).min() > 0.01  # rows differ, so a wrong order would show


def test_progress_is_told_of_every_row(make_classifier: Make, make_task: Make) -> None:
    told: list[int] = []
    predict_logits(make_classifier(), make_task(12).encoded, batch_size=5, advance=told.append)
    assert told == [5, 5, 2]


def test_softmax_is_float64_and_does_not_overflow() -> None:
    probs = softmax(np.array([[1e4, -1e4], [0.0, np.log(3)]], dtype=np.float32))
    assert probs.dtype == np.float64
    np.testing.assert_allclose(probs, [[1, 0], [0.25, 0.75]], atol=1e-7)
