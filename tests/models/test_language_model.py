"""Logits as hidden states and a head: of every kind of model the same values and gradients as the model's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.data.generation.collate import TokenSequence, collate
from limbeck.models.language_model import Head, head_of, is_encoder_decoder, token_logits
from limbeck.types import UNLABELLED, DenseLogits, LazyLogits, LogitSource

VOCABULARY = 23
_BLOCKS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
_GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
_GQA = {**_BLOCKS, "num_key_value_heads": 1}
_ENDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_BART = {
    "d_model": 16, "encoder_layers": 1, "decoder_layers": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 32,
    "decoder_start_token_id": 2,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "llama": _GQA,
    "gpt2": _GPT,
    "gptj": {**_GPT, "rotary_dim": 4},  # its head has a bias
    "qwen2": {**_GQA, "tie_word_embeddings": True},
    "gemma2": {**_GQA, "head_dim": 8, "final_logit_softcapping": 1.5},
    "cohere": {**_GQA, "logit_scale": 0.3},
    "granite": {**_GQA, "logits_scaling": 3.0},
    "opt": {**_BLOCKS, "ffn_dim": 24, "word_embed_proj_dim": 12, "max_position_embeddings": 32},
    "t5": {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0},
    "bart": _BART,
    # The output embeddings are narrower than the states, and the head adds columns to them.
    "mobilebert": {**_BLOCKS, "intra_bottleneck_size": 8, "embedding_size": 4, "max_position_embeddings": 32},
}
EVERY_KIND = pytest.mark.parametrize("kind", sorted(KINDS))


def make(kind: str, **options: Any) -> Any:
    """Return a random model in float64 and evaluation mode whose logits differ by several nats."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=VOCABULARY, **(_ENDS | KINDS[kind] | options))
    auto: Any = {"t5": AutoModelForSeq2SeqLM, "bart": AutoModelForSeq2SeqLM, "mobilebert": AutoModelForMaskedLM}.get(
        kind, AutoModelForCausalLM
    )
    model = auto.from_config(config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4)
    return model


def make_inputs(model: Any) -> tuple[dict[str, Tensor], Tensor]:
    """Return three rows of different length and their supervised positions, not the same number in each."""
    sequences = []
    for number, (prompt, completion) in enumerate([(4, 2), (2, 5), (1, 1)]):
        ids = np.random.default_rng(number).integers(3, VOCABULARY, prompt + completion).astype(np.int32)
        sequences.append(TokenSequence(ids, np.arange(len(ids)) >= prompt, prompt, False))
    batch = collate(sequences, 0, decoder_start=0 if is_encoder_decoder(model) else None)
    return batch["student"], batch["labels_BT"] != UNLABELLED


def dense(source: LogitSource) -> Tensor:
    """Multiply a lazy source out, as `LazyLogits` defines it."""
    if isinstance(source, DenseLogits):
        return source.logits_SV
    assert isinstance(source, LazyLogits)
    z_SV = source.hidden_SD @ source.weight_VD.T
    z_SV = z_SV if source.bias_V is None else z_SV + source.bias_V
    return source.scale * (z_SV if source.softcap is None else source.softcap * torch.tanh(z_SV / source.softcap))


def gradients(model: Any, logits_SV: Tensor) -> dict[str, Tensor]:
    """Return the gradient of the mean loss on made-up labels."""
    model.zero_grad()
    labels_S = torch.arange(len(logits_SV)) % logits_SV.shape[1]
    torch.nn.functional.cross_entropy(logits_SV, labels_S).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@EVERY_KIND
def test_lazy_logits_are_the_models_own(kind: str) -> None:
    model = make(kind)
    head = head_of(model)
    assert head.lazy
    inputs, supervised_BT = make_inputs(model)
    source = token_logits(model, inputs, supervised_BT, head)
    assert isinstance(source, LazyLogits)
    own_SV = model(**inputs).logits[supervised_BT]
    assert own_SV.std() > 0.1
    torch.testing.assert_close(dense(source), own_SV, rtol=1e-6, atol=1e-6)  # some models cast logits to float32


@EVERY_KIND
def test_gradients_through_a_lazy_source_are_those_through_the_models_own_logits(kind: str) -> None:
    model = make(kind)
    inputs, supervised_BT = make_inputs(model)
    ours = gradients(model, dense(token_logits(model, inputs, supervised_BT, head_of(model))))
    own = gradients(model, model(**inputs).logits[supervised_BT])
    assert ours.keys() == own.keys()
    assert sum(float(gradient.abs().sum()) for gradient in own.values()) > 1
    for name, gradient in own.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-6, atol=1e-7, msg=name)


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        ("llama", Head(True)),
        ("gemma2", Head(True, softcap=1.5)),
        ("cohere", Head(True, scale=0.3)),
        ("granite", Head(True, scale=1 / 3)),
        ("t5", Head(True)),
    ],
)
def test_what_heads_do_is_read_off_the_configuration(kind: str, head: Head) -> None:
    assert head_of(make(kind)) == head


def test_a_head_that_does_more_than_it_says_is_left_to_the_model() -> None:
    model = make("bart")
    model.final_logits_bias.normal_()
    inputs, supervised_BT = make_inputs(model)
    head = head_of(model)
    assert head == Head(False)
    source = token_logits(model, inputs, supervised_BT, head)
    assert isinstance(source, DenseLogits)
    assert torch.equal(source.logits_SV, model(**inputs).logits[supervised_BT])
    cut = token_logits(model, inputs, supervised_BT, head, VOCABULARY - 3)
    assert isinstance(cut, DenseLogits)
    assert torch.equal(cut.logits_SV, source.logits_SV[:, :-3])


def test_a_head_that_is_not_linear_is_left_to_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("llama")
    forward = type(model).forward

    def squared(self: Any, input_ids: Tensor, attention_mask: Tensor | None = None, **options: Any) -> Any:
        output = forward(self, input_ids=input_ids, attention_mask=attention_mask, **options)
        output.logits = output.logits.square()
        return output

    monkeypatch.setattr(type(model), "forward", squared)
    assert head_of(model) == Head(False)


def test_a_model_without_output_embeddings_gives_its_own_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("llama")
    monkeypatch.setattr(model, "get_output_embeddings", lambda: None)
    assert head_of(model) == Head(False)


@pytest.mark.parametrize("kind", ["llama", "gptj", "gemma2"])
def test_a_padded_vocabulary_is_cut(kind: str) -> None:
    model = make(kind)
    inputs, supervised_BT = make_inputs(model)
    source = token_logits(model, inputs, supervised_BT, head_of(model), VOCABULARY - 3)
    assert source.vocabulary == VOCABULARY - 3
    own_SV = model(**inputs).logits[supervised_BT]
    torch.testing.assert_close(dense(source), own_SV[:, :-3], rtol=1e-6, atol=1e-6)
    whole = token_logits(model, inputs, supervised_BT, head_of(model), VOCABULARY + 5)
    assert whole.vocabulary == VOCABULARY


def test_the_models_head_multiplies_nothing() -> None:
    model = make("llama")
    inputs, supervised_BT = make_inputs(model)
    head = head_of(model)
    shapes = []
    hook = model.get_output_embeddings().register_forward_hook(lambda _, __, made: shapes.append(made.shape))
    token_logits(model, inputs, supervised_BT, head)
    hook.remove()
    assert shapes == [(*supervised_BT.shape, 1)]


def test_the_head_works_again_afterwards_and_after_an_error() -> None:
    model = make("llama")
    inputs, supervised_BT = make_inputs(model)
    before_BTV = model(**inputs).logits
    token_logits(model, inputs, supervised_BT, head_of(model))
    assert torch.equal(model(**inputs).logits, before_BTV)
    with pytest.raises(TypeError):
        token_logits(model, {"input_ids": "no tensor"}, supervised_BT, Head(True))  # type: ignore[dict-item]
    assert torch.equal(model(**inputs).logits, before_BTV)


def test_inputs_that_a_model_does_not_know_are_left_out() -> None:
    model = make("gptj")
    inputs, supervised_BT = make_inputs(model)
    source = token_logits(model, inputs | {"weights_BT": torch.ones(1)}, supervised_BT, head_of(model))
    torch.testing.assert_close(dense(source), model(**inputs).logits[supervised_BT])


@pytest.mark.parametrize("training", [False, True])
def test_reading_the_head_leaves_the_model_as_it_was(training: bool) -> None:
    model = make("gpt2", resid_pdrop=0.5, embd_pdrop=0.5).train(training)
    torch.manual_seed(3)
    drawn = torch.rand(3)
    torch.manual_seed(3)
    assert head_of(model).lazy  # dropout would make two passes differ
    assert torch.equal(torch.rand(3), drawn)
    assert model.training is training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_no_supervised_position_gives_no_distribution() -> None:
    model = make("llama")
    inputs, supervised_BT = make_inputs(model)
    assert token_logits(model, inputs, torch.zeros_like(supervised_BT), head_of(model)).rows == 0


def test_the_start_token_of_a_decoder_is_read_although_it_is_the_padding_token() -> None:
    """pitfalls: ``decoder_input_ids != pad`` would drop the first prediction of every row of T5."""
    model = make("t5")
    inputs, supervised_BT = make_inputs(model)
    assert (inputs["decoder_input_ids"][:, 0] == 0).all()
    assert supervised_BT.sum(dim=1).tolist() == [2, 5, 1]
    source = token_logits(model, inputs, supervised_BT, head_of(model))
    first_S = torch.tensor([0, 2, 7])  # of each row
    torch.testing.assert_close(dense(source)[first_S], model(**inputs).logits[:, 0])
