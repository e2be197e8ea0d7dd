"""Rows in a batch get the logits they get on their own, whatever names a classifier's padding."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray

from limbeck.data.encode import encode_rows
from limbeck.data.prompts.scored import encode_for
from limbeck.data.tagging.encode import encode_units, units_of
from limbeck.data.tagging.rows import TaggedRow
from limbeck.errors import ModelError
from limbeck.evaluation.predict import predict_logits, predict_tags
from limbeck.models.padding import Padding, padding_of, share_padding
from limbeck.models.taps import run_model
from limbeck.types import Origin, Rows

Make = Callable[..., Any]
TEXTS = ["Hot", "Help is on the way !", "We need water and food", "ok", "the bridge is gone and so is the road !"]
ROWS = Rows(TEXTS, None, [None] * len(TEXTS), [Origin("a.csv", i + 1) for i in range(len(TEXTS))])
SHAPE = {
    "vocab_size": 420, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None, "num_labels": 3,
    "initializer_range": 0.3,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64},
    "OpenAIGPT": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64},
    "GPTJ": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "rotary_dim": 8},
    "Bloom": {"n_layer": 2, "n_head": 2},
    "Falcon": {"multi_query": True},
    "OPT": {"ffn_dim": 32, "word_embed_proj_dim": 32},
    "Qwen2": {"num_key_value_heads": 2},
    "Qwen3": {"head_dim": 16, "num_key_value_heads": 2},
    "Gemma": {"head_dim": 16, "num_key_value_heads": 2},
    "Gemma2": {"head_dim": 16, "num_key_value_heads": 2},
    "Mistral": {"num_key_value_heads": 2, "sliding_window": 4},
    "Phi3": {"num_key_value_heads": 2},
    "SmolLM3": {"num_key_value_heads": 2},
}
CAUSAL = (
    "Llama", "Qwen2", "Qwen3", "Gemma", "Gemma2", "Mistral", "Phi3", "SmolLM3", "GPT2", "OpenAIGPT", "GPTJ", "GPTNeoX",
    "OPT", "Bloom", "Falcon",
)  # fmt: skip
ENCODERS = ("Bert", "DistilBert", "DebertaV2", "Electra")


def made(kind: str, **options: Any) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**{**SHAPE, **OWN.get(kind, {}), **options})
    return getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()


@torch.no_grad()
def one_by_one(model: Any, tokenizer: Any) -> NDArray[np.float32]:
    """Logits of each row alone, by the configuration as it is."""
    rows = [run_model(model, tokenizer(text, return_tensors="pt"))["logits"] for text in TEXTS]
    found: NDArray[np.float32] = torch.cat(rows).numpy()
    return found


def batched(model: Any, tokenizer: Any) -> NDArray[np.float32]:
    return predict_logits(model, encode_for(model, ROWS, tokenizer, 64), batch_size=3)


@pytest.fixture
def tokenizer(make_causal_tokenizer: Make) -> Any:
    return make_causal_tokenizer()


@pytest.mark.fast_cases(8)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", CAUSAL)
def test_a_causal_classifier_without_a_padding_id(kind: str, side: str, tokenizer: Any) -> None:
    """The place it reads is that of the row's last token, on whichever side rows are padded."""
    model, tokenizer.padding_side = made(kind), side
    alone = one_by_one(model, tokenizer)
    assert np.ptp(alone, axis=0).min() > 0.01
    np.testing.assert_allclose(batched(model, tokenizer), alone, rtol=1e-4, atol=1e-4)
    assert model.config.pad_token_id == tokenizer.pad_token_id


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", ["Llama", "GPT2", "Qwen2", "Gemma", "Mistral"])
def test_a_configuration_with_another_padding_id_than_the_tokenizer(kind: str, side: str, tokenizer: Any) -> None:
    """The model's own wins, even where it is a word that ends rows: its answers stay those to rows on their own."""
    (word,) = tokenizer("!", add_special_tokens=False)["input_ids"]
    model, tokenizer.padding_side = made(kind, pad_token_id=word), side
    alone = one_by_one(model, tokenizer)
    np.testing.assert_allclose(batched(model, tokenizer), alone, rtol=1e-4, atol=1e-4)
    assert model.config.pad_token_id == word
    assert encode_for(model, ROWS, tokenizer, 64).pad_id == word


@pytest.mark.parametrize("kind", ENCODERS)
def test_encoders_are_padded_as_their_tokenizer_does(kind: str, tokenizer: Any) -> None:
    pad = tokenizer.pad_token_id
    model = made(kind, pad_token_id=pad)
    assert padding_of(model, tokenizer) == Padding(pad, left=False)
    ours, usual = encode_for(model, ROWS, tokenizer, 64), encode_rows(ROWS, tokenizer, 64)
    assert (ours.pad_id, ours.pad_left) == (usual.pad_id, usual.pad_left)
    np.testing.assert_allclose(batched(model, tokenizer), one_by_one(model, tokenizer), rtol=1e-4, atol=1e-4)


@pytest.mark.fast_cases(6)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", [*ENCODERS, "GPT2", "Llama", "Gemma2", "Mistral", "Falcon"])
def test_tokens_in_a_batch_get_the_tags_that_they_get_alone(kind: str, side: str, tokenizer: Any) -> None:
    options = {**SHAPE, **OWN.get(kind, {}), "pad_token_id": tokenizer.pad_token_id if kind in ENCODERS else None}
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**options)
    model, tokenizer.padding_side = getattr(transformers, f"{kind}ForTokenClassification")(config).eval(), side
    rows = [TaggedRow(text, None, None) for text in TEXTS]
    units = [units_of(row, tokenizer) for row in rows]
    encoded = encode_units(rows, units, tokenizer, 64, padding_of(model, tokenizer))
    with torch.no_grad():
        alone = [run_model(model, tokenizer(text, return_tensors="pt"))["logits"][0].numpy() for text in TEXTS]
    found = predict_tags(model, encoded, batch_size=3)
    for logits, (start, stop) in zip(alone, pairwise(encoded.row_offsets), strict=True):
        expected = logits[encoded.position_U[start:stop]]
        np.testing.assert_allclose(found[start:stop], expected, rtol=1e-4, atol=1e-4)


def test_roberta_counts_positions_by_its_own_padding_id(tokenizer: Any) -> None:
    model = made("Roberta", pad_token_id=3)  # the tokenizer's is another
    assert tokenizer.pad_token_id != 3
    np.testing.assert_allclose(batched(model, tokenizer), one_by_one(model, tokenizer), rtol=1e-4, atol=1e-4)


def test_the_end_token_fills_rows_up_where_there_is_no_padding_token(tokenizer: Any) -> None:
    tokenizer.pad_token = None
    model = made("GPT2")
    alone = one_by_one(model, tokenizer)
    assert padding_of(model, tokenizer).id == tokenizer.eos_token_id
    np.testing.assert_allclose(batched(model, tokenizer), alone, rtol=1e-4, atol=1e-4)


def ends_every_row(tokenizer: Any, **others: Any) -> Any:
    """Return a tokenizer of the same words whose end token is the padding token, and ends every row."""
    from tokenizers import processors

    end = (tokenizer.eos_token, tokenizer.eos_token_id)
    inner = tokenizer._tokenizer
    inner.post_processor = processors.TemplateProcessing(single=f"$A {end[0]}", special_tokens=[end])
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=end[0], pad_token=end[0], **others)
    assert made("ok")["input_ids"][-1] == made.pad_token_id
    return made


def test_a_padding_token_that_ends_every_row_is_not_taken(tokenizer: Any) -> None:
    """A model without a padding id reads the end token's place, which it would be led away from."""
    tokenizer = ends_every_row(tokenizer, bos_token="<s>")
    model = made("Llama")
    alone = one_by_one(model, tokenizer)
    np.testing.assert_allclose(batched(model, tokenizer), alone, rtol=1e-4, atol=1e-4)
    assert model.config.pad_token_id == tokenizer.bos_token_id


def test_a_trained_head_is_refused_where_no_token_can_fill_rows_up(tokenizer: Any) -> None:
    tokenizer = ends_every_row(tokenizer)
    with pytest.raises(ModelError, match=r"has no padding token, and none of .*</s>.* Set pad_token_id"):
        padding_of(made("Llama"), tokenizer)
    fresh = made("Llama")
    share_padding(fresh, tokenizer)  # a new head learns to read the place before
    assert fresh.config.pad_token_id == tokenizer.eos_token_id
    np.testing.assert_allclose(batched(fresh, tokenizer), one_by_one(fresh, tokenizer), rtol=1e-4, atol=1e-4)


def test_a_tokenizer_without_special_tokens_is_refused(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer()
    for name in ("pad", "unk", "cls", "sep", "mask"):
        setattr(tokenizer, f"{name}_token", None)
    with pytest.raises(ModelError, match=r"has no padding token.*set tokenizer.pad_token"):
        padding_of(made("Llama"), tokenizer)


@pytest.mark.parametrize("named", [None, 3])
def test_a_student_and_its_tokenizer_are_saved_with_one_padding(named: int | None, tokenizer: Any) -> None:
    tokenizer.padding_side = "left"
    student = made("GPT2", pad_token_id=named)
    assert 3 not in (tokenizer.pad_token_id, tokenizer.eos_token_id)
    share_padding(student, tokenizer)
    assert tokenizer.pad_token_id == student.config.pad_token_id
    assert tokenizer.padding_side == "right"
    together = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = student(**together).logits.numpy()
    np.testing.assert_allclose(logits, one_by_one(student, tokenizer), rtol=1e-4, atol=1e-4)


def test_a_word_does_not_become_the_tokenizers_padding_token(tokenizer: Any) -> None:
    (word,) = tokenizer("!", add_special_tokens=False)["input_ids"]
    before = tokenizer.pad_token
    causal, roberta = made("Llama", pad_token_id=word), made("Roberta", pad_token_id=word)
    share_padding(causal, tokenizer)
    assert causal.config.pad_token_id == tokenizer.pad_token_id
    share_padding(roberta, tokenizer)
    assert roberta.config.pad_token_id == word  # its positions were counted from there when it was made
    assert tokenizer.pad_token == before


@pytest.mark.parametrize("named", [None, 3])
def test_a_model_that_takes_no_notice_of_padding_says_so(named: int | None, tokenizer: Any) -> None:
    """No id would change that, so none is asked for."""
    padding = padding_of(made("FNet", pad_token_id=named, tpu_short_seq_length=64), tokenizer)
    assert padding.difference > 0.001
    assert padding.id == (named or tokenizer.pad_token_id)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_model_that_reads_the_last_place_is_padded_on_the_left(side: str, tokenizer: Any) -> None:
    tokenizer.padding_side = side
    torch.manual_seed(0)
    config = transformers.XLNetConfig(
        vocab_size=420,
        d_model=32,
        n_layer=2,
        n_head=2,
        d_inner=32,
        num_labels=3,
        pad_token_id=0,
        initializer_range=0.3,
    )
    model = transformers.XLNetForSequenceClassification(config).eval()
    assert padding_of(model, tokenizer) == Padding(0, left=True)
    np.testing.assert_allclose(batched(model, tokenizer), one_by_one(model, tokenizer), rtol=1e-4, atol=1e-4)


def test_what_cannot_be_read_at_once_is_said(tokenizer: Any) -> None:
    """BART finds a row's end by its end token, which this tokenizer does not write."""
    shape = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
    shape |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    with pytest.raises(ModelError, match=r"BartForSequenceClassification cannot read 1 rows in a batch: .*<eos>"):
        padding_of(made("Bart", **shape, pad_token_id=0), tokenizer)


def test_settling_it_changes_nothing_else(tokenizer: Any) -> None:
    model = made("Llama").train()
    before = torch.get_rng_state()
    padding_of(model, tokenizer)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(module.training for module in model.modules())
