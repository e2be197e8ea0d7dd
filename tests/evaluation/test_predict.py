"""Predictions in the order of the rows, whatever the batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.data.candidates import CandidateEncoder, EncodedRecords
from limbeck.evaluation.predict import length_sorted_batches, predict_logits, predict_scores, softmax
from limbeck.models.load import load_tokenizer
from limbeck.students.scorer import Scorer, make_scorer

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


class TestScores:
    @pytest.fixture
    def setting(self, multilingual_folder: Path, make_topic_records: Make) -> tuple[Scorer, EncodedRecords]:
        """A dual encoder and 12 records of two languages, every third with two candidates only."""
        records = [*make_topic_records("sk")[:6], *make_topic_records("en")[6:12]]
        records = [replace(r, candidates=r.candidates[: 2 if i % 3 == 0 else 3]) for i, r in enumerate(records)]
        tokenizer = load_tokenizer(str(multilingual_folder))
        encoder = CandidateEncoder(
            tokenizer, "dual_encoder", hard_prompts=lambda record: ("", ""), soft=None, max_length=64
        )
        torch.manual_seed(0)
        return make_scorer("dual_encoder", str(multilingual_folder), None), encoder.encode(records)

    @pytest.mark.parametrize("batch_size", [1, 5, 64])
    def test_are_those_of_each_record_alone(self, setting: tuple[Scorer, EncodedRecords], batch_size: int) -> None:
        scorer, encoded = setting
        scores = predict_scores(scorer.train(), encoded, batch_size=batch_size)
        assert not scorer.training
        assert scores.dtype == np.float32
        assert np.isneginf(scores).tolist() == [[False, False, i % 3 == 0] for i in range(12)]
        with torch.no_grad():
            alone = torch.cat([scorer(**encoded.batch([row])).logits for row in range(12)])
        torch.testing.assert_close(torch.from_numpy(scores), alone, atol=1e-4, rtol=1e-5)
        assert np.ptp(scores[:, :2], axis=0).min() > 0.1  # records differ, so a wrong order would show

    def test_are_as_wide_as_the_widest_record_of_all(self, setting: tuple[Scorer, EncodedRecords]) -> None:
        """Not of its batch: the tables of systems and seeds are compared place by place."""
        scorer, encoded = setting
        assert predict_scores(scorer, encoded, batch_size=1).shape == (12, 3)

    def test_progress_is_told_of_every_record(self, setting: tuple[Scorer, EncodedRecords]) -> None:
        told: list[int] = []
        predict_scores(*setting, batch_size=5, advance=told.append)
        assert told == [5, 5, 2]
