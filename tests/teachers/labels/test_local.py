"""A local teacher's probabilities of labels: what is scored, in whose order, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.errors import ConfigError, ModelError
from limbeck.models.verbaliser import label_scores, label_tokens
from limbeck.teachers.labels import local
from limbeck.teachers.labels.calibration import CONTENT_FREE, batch, contextual
from limbeck.teachers.labels.local import score_labels

LABELS = ["risk", "caution and advice", "safe"]
TEXTS = ["Energy shortages push up the bills of households.", "x", "people leave their homes. " * 4, "A festival."]


def prompt(text: str) -> str:
    return f"Input: {text}\nOutput:"


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=420, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=128, initializer_range=0.6, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config)


@pytest.mark.parametrize("shared", [None, True, False])
@pytest.mark.parametrize("texts_at_once", [1, 3])
def test_rows_come_back_in_their_order(
    shared: bool | None,
    texts_at_once: int,
    model: Any,
    make_causal_tokenizer: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "_TEXTS_AT_ONCE", texts_at_once)
    if shared is not None:
        monkeypatch.setattr(local, "shares_prefixes", lambda *_, **__: shared)
    tokenizer, done = make_causal_tokenizer(), []
    prompts = [prompt(text) for text in TEXTS]
    scored = score_labels(model, tokenizer, prompts, LABELS, update=lambda n, note="": done.append(n))
    rows = [label_tokens(tokenizer, text, LABELS) for text in prompts]
    with torch.no_grad():
        expected = label_scores(model.eval(), rows).softmax(dim=1)
    np.testing.assert_allclose(scored.probs_NC, expected, atol=1e-5)
    assert sum(done) == len(TEXTS)
    assert scored.how == "local"
    assert scored.kept_N.all()


def test_a_temperature_is_a_step_and_the_raw_rows_stay(model: Any, make_causal_tokenizer: Callable[..., Any]) -> None:
    prompts = [prompt(text) for text in TEXTS]
    plain = score_labels(model, make_causal_tokenizer(), prompts, LABELS)
    sharp = score_labels(model, make_causal_tokenizer(), prompts, LABELS, temperature=0.5)
    np.testing.assert_allclose(sharp.raw_NC, plain.probs_NC, atol=1e-6)
    squares = plain.probs_NC**2
    np.testing.assert_allclose(sharp.probs_NC, squares / squares.sum(axis=1, keepdims=True), atol=1e-5)
    assert (plain.steps, sharp.steps) == ((), ("temperature 0.5",))


def test_the_length_power_is_part_of_the_score(model: Any, make_causal_tokenizer: Callable[..., Any]) -> None:
    sums = score_labels(model, make_causal_tokenizer(), [prompt("x")], LABELS, length_power=0.0)
    means = score_labels(model, make_causal_tokenizer(), [prompt("x")], LABELS, length_power=1.0)
    assert np.abs(sums.probs_NC - means.probs_NC).max() > 0.01


def test_contextual_calibration_takes_a_bias_of_the_model_away(
    model: Any, make_causal_tokenizer: Callable[..., Any]
) -> None:
    """Labels whose scores hardly depend on the text come out nearly uniform; so they do by the batch's mean."""
    tokenizer = make_causal_tokenizer()
    scored = score_labels(model, tokenizer, [prompt(text) for text in TEXTS], LABELS)
    free = score_labels(model, tokenizer, [prompt(text) for text in CONTENT_FREE], LABELS)
    calibrated = contextual(scored, free)
    by_hand = scored.probs_NC / free.probs_NC.mean(axis=0)
    np.testing.assert_allclose(calibrated.probs_NC, by_hand / by_hand.sum(axis=1, keepdims=True), atol=1e-9)
    assert contextual(free, free).probs_NC.mean() == pytest.approx(1 / 3)
    assert batch(scored).steps == ("batch",)


def test_what_is_refused(model: Any, make_causal_tokenizer: Callable[..., Any]) -> None:
    tokenizer = make_causal_tokenizer()
    with pytest.raises(ConfigError, match="two or more different labels"):
        score_labels(model, tokenizer, ["x"], ["risk", "risk"])
    with pytest.raises(ConfigError, match=r"the prompt of text 1 has [0-9,]+ tokens .* the teacher can read 128"):
        score_labels(model, tokenizer, ["x", "x " * 200], LABELS)
    assert score_labels(model, tokenizer, [], LABELS).probs_NC.shape == (0, 3)
    broken = type(model)(model.config)
    with torch.no_grad():
        broken.lm_head.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match=r"scores of text 0 are .* not finite"):
        score_labels(broken, tokenizer, ["x"], LABELS)
