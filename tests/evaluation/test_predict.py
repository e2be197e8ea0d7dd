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
from limbeck.errors import ModelError
from limbeck.evaluation.predict import (
    length_sorted_batches,
    predict_logits,
    predict_scores,
    predict_vectors,
    softmax,
    translation_margins,
)
from limbeck.evaluation.ranking import ratio_margin
from limbeck.models.frozen_encoder import load_frozen_encoder
from limbeck.models.load import load_tokenizer
from limbeck.students.scorer import Scorer, make_scorer
from limbeck.types import Instruction

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
    predict_logits(make_classifier(), make_task(12).encoded, batch_size=5, update=told.append)
    assert told == [5, 5, 2]


def test_vectors_are_those_of_each_row_alone_and_of_the_rows_asked_for(encoder_folder: Path, make_task: Make) -> None:
    encoder, encoded, told = load_frozen_encoder(str(encoder_folder)), make_task(12).encoded, []
    vectors = predict_vectors(encoder, encoded, batch_size=5, update=told.append)
    alone = torch.cat([encoder.vectors(encoded.batch([row])) for row in range(12)])
    torch.testing.assert_close(torch.from_numpy(vectors), alone, atol=1e-5, rtol=1e-4)
    assert np.ptp(vectors, axis=0).max() > 0.1
    assert told == [5, 5, 2]
    some = predict_vectors(encoder, encoded, np.array([7, 2]))
    np.testing.assert_allclose(some, vectors[[7, 2]], atol=1e-5)


def test_vectors_that_are_no_numbers_are_refused(encoder_folder: Path, make_task: Make) -> None:
    encoder = load_frozen_encoder(str(encoder_folder))
    with torch.no_grad():
        encoder.model.get_input_embeddings().weight.fill_(torch.nan)
    with pytest.raises(ModelError, match="gives NaN for 12 of 12 rows"):
        predict_vectors(encoder, make_task(12).encoded)


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

    def test_each_different_sequence_is_read_once(
        self, setting: tuple[Scorer, EncodedRecords], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """12 questions and 3 candidates, which without prompts are the same in both languages."""
        scorer, encoded = setting
        expected = predict_scores(scorer, encoded)
        encode_all, read = scorer.encode, [0, 0]

        def spy(input_ids: torch.Tensor, attention_mask: torch.Tensor, *others: Any) -> torch.Tensor:
            read[0] += len(input_ids)
            read[1] += int(attention_mask.sum())
            return encode_all(input_ids, attention_mask, *others)

        monkeypatch.setattr(scorer, "encode", spy)
        np.testing.assert_allclose(predict_scores(scorer, encoded, batch_size=2), expected, atol=1e-4)
        queries, candidates, _ = encoded.two_sides(range(12))
        assert read == [12 + 3, queries.lengths.sum() + candidates.lengths.sum()]

    def test_progress_is_told_of_every_record(self, setting: tuple[Scorer, EncodedRecords]) -> None:
        told: list[int] = []
        predict_scores(*setting, batch_size=5, update=told.append)
        assert told == [5, 5, 2]


class TestMargins:
    """Of translations: what a candidate owes to being near to every question is taken off."""

    @pytest.fixture
    def translations(self, make_topic_records: Make) -> list[Instruction]:
        """6 questions in each of 2 languages; 4 candidates, every third record has 3."""
        made = []
        for lang in ("sk", "bg"):
            some = make_topic_records(lang)[:6]
            for i, record in enumerate(some):
                beside = tuple(some[(i + step) % 6].input for step in range(4))
                made.append(
                    replace(record, task="translation", gold=(0,), candidates=beside[: 3 if i % 3 == 0 else 4])
                )
        return made

    @pytest.fixture
    def encode(self, multilingual_folder: Path) -> Make:
        encoder = CandidateEncoder(
            load_tokenizer(str(multilingual_folder)), "dual_encoder", hard_prompts=lambda record: ("", ""), soft=None,
            max_length=64,
        )  # fmt: skip
        return encoder.encode

    @pytest.fixture
    def scorer(self, multilingual_folder: Path) -> Scorer:
        torch.manual_seed(0)
        return make_scorer("dual_encoder", str(multilingual_folder), None)

    def test_are_those_of_all_questions_and_candidates_of_the_language(
        self, scorer: Scorer, encode: Make, translations: list[Instruction]
    ) -> None:
        others = [replace(record, task="topic") for record in translations[:2]]
        mixed = [*translations[:6], *others, *translations[6:]]
        found = predict_scores(scorer, encode(mixed), batch_size=5)
        own = [tuple(r.input for r in translations if r.lang == lang) for lang in ("sk", "bg")]
        whole = [replace(r, candidates=own[r.lang == "bg"]) for r in translations]
        cosines = 0.05 * predict_scores(scorer, encode(whole), margin=False)
        for part, rows in ((slice(0, 6), slice(0, 6)), (slice(6, 12), slice(8, 14))):
            margins = ratio_margin(cosines[part].astype(np.float64))
            expected = [
                [margins[i, (i + k) % 6] if k < len(record.candidates) else -np.inf for k in range(4)]
                for i, record in enumerate(translations[part])
            ]
            np.testing.assert_allclose(found[rows], expected, rtol=1e-4)
        assert np.isneginf(found[0, 3])
        # Records of another task keep their scores.
        plain = predict_scores(scorer, encode(mixed), margin=False)
        np.testing.assert_allclose(found[6:8], plain[6:8], atol=1e-4)  # other batches round otherwise
        assert np.abs(found[:6, :3] - plain[:6, :3]).min() > 1

    def test_are_not_for_a_student_to_learn(
        self, scorer: Scorer, encode: Make, translations: list[Instruction]
    ) -> None:
        encoded = encode(translations)
        with torch.no_grad():
            expected = scorer(**encoded.batch(range(12))).logits.numpy()
        np.testing.assert_allclose(predict_scores(scorer, encoded, margin=False), expected, rtol=1e-4)

    def test_a_hub_loses_its_lead(self) -> None:
        """The last candidate is the nearest to all three questions, and the right one of none."""
        record = Instruction(
            id="", source="s", split="test", task="translation", lang="bg", input="q", input_pair=None,
            candidates=("a", "b", "c", "hub"), gold=(0,),
        )  # fmt: skip
        questions = np.eye(4, dtype=np.float32)[:3]
        candidates = np.array(
            [[0.5, 0, 0, 0.866], [0, 0.5, 0, 0.866], [0, 0, 0.5, 0.866], [0.577, 0.577, 0.577, 0]], dtype=np.float32
        )
        assert (questions @ candidates.T).argmax(axis=1).tolist() == [3, 3, 3]
        index = np.array([[0, 1, 2, 3]] * 3)
        ((rows, margins),) = translation_margins([record] * 3, questions, candidates, index)
        assert rows.tolist() == [0, 1, 2]
        assert margins.argmax(axis=1).tolist() == [0, 1, 2]
        # cos 0.5; neighbours (0.577, 0.5, 0, 0) of the question and (0.5, 0, 0) of the candidate
        assert margins[0, 0] == pytest.approx(0.5 / (1.077 / 8 + 0.5 / 6), rel=1e-3)
