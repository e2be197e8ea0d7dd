"""Sums over references against plain loops over one row at a time, and answers in the order asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.generation.text_models import LLAMA, T5, held_out_rows, make_model, make_tokenizer, train_rows

from limbeck.data.generation.encode import encode_examples
from limbeck.data.generation.encoded import EncodedSequences
from limbeck.data.generation.records import Example, Examples, Message
from limbeck.data.generation.task import Generation
from limbeck.evaluation.generation.run_models import answer, reference_sums
from limbeck.losses.objective import Objective
from limbeck.losses.readout import TokenReadout
from limbeck.losses.term import WeightedTerm
from limbeck.losses.tokens import TokenTerm
from limbeck.models.generate import Decoding
from limbeck.numerics.token_losses import LabelLoss
from limbeck.types import Origin

ROWS = [*train_rows()[:14], *held_out_rows()[:7]]
"""More than one batch, and not a whole number of them."""


def encoded_for(model: Any) -> EncodedSequences:
    turns = [(Message("user", r["question"]), Message("assistant", r["answer"])) for r in ROWS]
    rows = Examples(
        Generation(prompt="question", completion="answer"),
        [Example(turn, None, Origin("rows", i)) for i, turn in enumerate(turns)],
        0, 0, "", (),
    )  # fmt: skip
    start = model.config.decoder_start_token_id if model.config.is_encoder_decoder else None
    return encode_examples(rows, make_tokenizer(), 96, decoder_start=start)


def model_of(kind: str, seed: int, extra_rows: int = 0) -> Any:
    """A random model whose distributions are far from uniform, in training mode."""
    config = {**T5, "decoder_start_token_id": 0, "dropout_rate": 0.5} if kind == "t5" else LLAMA
    model = make_model(config, rows=len(make_tokenizer()) + extra_rows, seed=seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.4)
    return model.train()


@torch.no_grad()
def log_probs_of(model: Any, encoded: EncodedSequences, row: int, tokens: int) -> torch.Tensor:
    """Next-token log-probabilities at the completion of one row, unpadded, by the model itself: ``[m, V]``."""
    model.eval()
    prompt, completion = (torch.from_numpy(ids.astype(np.int64)) for ids in
                          (encoded.prompt_ids(row), encoded.completion_ids(row)))  # fmt: skip
    if model.config.is_encoder_decoder:
        decoder = torch.cat([torch.tensor([0]), completion[:-1]])
        logits_TV = model(input_ids=prompt[None], decoder_input_ids=decoder[None]).logits[0]
    else:
        logits_TV = model(input_ids=torch.cat([prompt, completion])[None]).logits[0, len(prompt) - 1 : -1]
    model.train()
    return logits_TV[:, :tokens].double().log_softmax(-1)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_sums_are_those_of_one_row_at_a_time(kind: str) -> None:
    """Rows of other lengths, padding, dropout and rows of logits that are no tokens change nothing."""
    student, teacher = model_of(kind, seed=1, extra_rows=8), model_of(kind, seed=2, extra_rows=24)
    tokens = len(make_tokenizer())
    encoded = encoded_for(student)
    done = []
    found = reference_sums(
        student, encoded, teacher=teacher, vocabulary=tokens, update=lambda n, note="": done.append(n)
    )
    assert sum(done) == len(ROWS)
    assert found.nll_sum_N is not None
    assert found.kl_sum_N is not None
    assert found.agreed_N is not None
    assert found.texts is None
    for row in range(len(ROWS)):
        log_q_SV, log_p_SV = (log_probs_of(model, encoded, row, tokens) for model in (student, teacher))
        labels_S = torch.from_numpy(encoded.completion_ids(row).astype(np.int64))
        assert found.tokens_N[row] == len(labels_S)
        nll = -float(log_q_SV.gather(1, labels_S[:, None]).sum())
        kl = float((log_p_SV.exp() * (log_p_SV - log_q_SV)).sum())
        assert found.nll_sum_N[row] == pytest.approx(nll, rel=1e-5)
        assert found.kl_sum_N[row] == pytest.approx(kl, rel=1e-4)
        assert found.agreed_N[row] == int((log_p_SV.argmax(-1) == log_q_SV.argmax(-1)).sum())
    assert student.training
    assert teacher.training


def test_the_loss_of_a_batch_is_its_loss_in_training() -> None:
    """Figures and training are on one scale: means over the supervised tokens."""
    model = model_of("llama", seed=1)
    encoded = encoded_for(model)
    sums = reference_sums(model, encoded, vocabulary=None, update=lambda n, note="": None)
    assert sums.nll_sum_N is not None
    objective = Objective(model, (WeightedTerm("labels", TokenTerm(LabelLoss())),), TokenReadout())
    batch = encoded.batch(range(len(ROWS)))
    loss, _ = objective(batch, objective.count([batch]))
    assert loss.item() == pytest.approx(sums.nll_sum_N.sum() / sums.tokens_N.sum(), rel=1e-5)


def test_a_model_agrees_with_itself_and_alone_has_no_figures_of_fidelity() -> None:
    model = model_of("llama", seed=1)
    encoded = encoded_for(model)
    own = reference_sums(model, encoded, teacher=model, vocabulary=None, update=lambda n, note="": None)
    assert own.kl_sum_N == pytest.approx(np.zeros(len(ROWS)), abs=1e-5)
    assert np.array_equal(own.agreed_N, own.tokens_N)
    alone = reference_sums(model, encoded, vocabulary=None, update=lambda n, note="": None)
    assert alone.kl_sum_N is None
    assert alone.agreed_N is None
    assert alone.nll_sum_N == pytest.approx(own.nll_sum_N, rel=1e-6)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_answers_come_in_the_order_asked_and_are_those_of_single_prompts(kind: str) -> None:
    model = model_of(kind, seed=3)
    encoded = encoded_for(model)
    rows = [20, 3, 0, 19, 8, *range(9, 19), 1, 2, 4]
    options: dict[str, Any] = {"seed": 0, "vocabulary": None}
    done: list[int] = []
    decoding = Decoding(5, 0.0)
    found = answer(model, encoded, rows, decoding, update=lambda n, note="": done.append(n), **options)
    assert sum(done) == len(found) == len(rows)
    for row, one in zip(rows, found, strict=True):
        (alone,) = answer(model, encoded, [row], decoding, update=lambda n, note="": None, **options)
        assert one == alone
    assert len({tuple(one.ids) for one in found}) > 5


def test_sampled_answers_depend_on_the_seed_and_differ_between_batches() -> None:
    model = model_of("llama", seed=3)
    encoded = encoded_for(model)
    rows = [4] * 20  # more than one batch of the same prompt

    def sampled(seed: int) -> list[tuple[int, ...]]:
        written = answer(
            model, encoded, rows, Decoding(6, 3.0), seed=seed, vocabulary=None, update=lambda n, note="": None
        )
        return [tuple(one.ids) for one in written]

    assert sampled(0) == sampled(0) != sampled(1)
    assert sampled(0)[:4] != sampled(0)[16:]


def test_no_rows_are_no_answers() -> None:
    model = model_of("llama", seed=3)
    nothing = np.empty(0, dtype=np.int64)
    options: dict[str, Any] = {"seed": 0, "vocabulary": None, "update": lambda n, note="": None}
    assert answer(model, encoded_for(model), nothing, Decoding(5, 0.0), **options) == []
