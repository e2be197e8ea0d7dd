"""Finding layers, seeing what they put out, and dropout."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from limbeck.errors import ModelError
from limbeck.models.layers import depth, layer_list, set_dropout, shapes, width, word_embeddings
from limbeck.models.taps import run_model
from limbeck.types import Shapes

BOTH = pytest.mark.parametrize("kind", ["bert", "distilbert"])
Make = Callable[..., Any]


@BOTH
def test_depth_width_and_shapes(make_classifier: Make, kind: str) -> None:
    model = make_classifier(kind, layers=3, width=8)
    assert (depth(model), width(model)) == (3, 8)
    assert shapes(make_classifier(layers=4), model) == Shapes(4, 16, 3, 8, 2, 2, 2, 2, 8, 4, outputs=3)


def test_attention_of_decoders() -> None:
    """Keys and values that queries share, heads whose width is their own, and tokens that see only earlier ones."""
    from transformers import (
        BertConfig,
        BertModel,
        GPT2Config,
        GPT2Model,
        LlamaConfig,
        LlamaModel,
        MobileBertConfig,
        MobileBertModel,
        T5Config,
        T5Model,
    )

    fields: Any = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 8}
    bert = BertModel(BertConfig(**fields, vocab_size=9))
    llama = LlamaModel(LlamaConfig(**fields, vocab_size=9, num_key_value_heads=2, head_dim=6, pad_token_id=0))
    gpt2 = GPT2Model(GPT2Config(n_embd=16, n_head=2, n_layer=1, vocab_size=9))
    assert shapes(bert, llama) == Shapes(1, 16, 1, 16, 4, 4, 4, 2, 4, 6, causal=True, outputs=2)
    assert shapes(gpt2, bert) == Shapes(1, 16, 1, 16, 2, 4, 2, 4, 8, 4, causal=True, outputs=2)
    assert not shapes(bert, bert).causal
    mobile = MobileBertModel(MobileBertConfig(**fields, intra_bottleneck_size=8, embedding_size=4, vocab_size=9))
    assert shapes(bert, mobile) == Shapes(1, 16, 1, 16, 4, 4, 4, 4, 4, 2, outputs=2)  # heads inside the bottleneck
    t5 = T5Model(T5Config(d_model=16, d_kv=8, d_ff=8, num_layers=1, num_heads=2, vocab_size=9))
    assert not shapes(t5, t5).causal
    model: Any = torch.nn.Module()  # of layers that differ
    model.config = SimpleNamespace(
        num_attention_heads=[4, 2], num_key_value_heads=[2, 1], hidden_size=16, num_hidden_layers=2,
        is_encoder_decoder=False,
    )  # fmt: skip
    assert shapes(model, bert)[4:] == (0, 4, 0, 4, 0, 4, False, 2, ())


@pytest.mark.parametrize(
    ("kind", "name"), [("bert", "bert.encoder.layer"), ("distilbert", "distilbert.transformer.layer")]
)
def test_layer_list(make_classifier: Make, kind: str, name: str) -> None:
    model = make_classifier(kind, layers=3)
    found, layers = layer_list(model)
    assert found == name
    assert layers is model.get_submodule(name)


def test_a_model_that_shares_layers_is_refused(make_classifier: Make) -> None:
    with pytest.raises(ModelError, match="cannot find the 2 layers of AlbertForSequenceClassification"):
        layer_list(make_classifier("albert"))


def test_the_text_part_of_a_configuration_tells_depth_and_width() -> None:
    """As of models of text and images."""
    from transformers import LlamaConfig, LlavaConfig

    model: Any = torch.nn.Module()
    model.config = LlavaConfig(text_config=LlamaConfig(hidden_size=64, num_hidden_layers=3))
    assert (depth(model), width(model)) == (3, 64)


def test_layers_in_several_lists_are_refused() -> None:
    """XLM keeps attention, feed-forward maps and norms of all layers apart: copying one list would mix up layers."""
    from transformers import XLMConfig, XLMForSequenceClassification

    model = XLMForSequenceClassification(XLMConfig(vocab_size=40, emb_dim=16, n_layers=3, n_heads=2))
    with pytest.raises(
        ModelError, match=r"its 3 layers over several lists \(transformer.attentions, transformer.layer"
    ):
        layer_list(model)


@BOTH
def test_word_embeddings(make_classifier: Make, kind: str) -> None:
    model = make_classifier(kind)
    assert word_embeddings(model) is model.get_submodule(f"{kind}.embeddings.word_embeddings")


@BOTH
def test_without_dropout_two_passes_in_train_mode_are_equal(make_classifier: Make, make_task: Make, kind: str) -> None:
    model = make_classifier(kind, dropout=0.5).train()
    inputs = make_task().batch(range(4))["student"]
    assert not torch.equal(run_model(model, inputs)["logits"], run_model(model, inputs)["logits"])
    set_dropout(model, 0.0)
    assert torch.equal(run_model(model, inputs)["logits"], run_model(model, inputs)["logits"])


@BOTH
def test_dropout_is_set_everywhere_and_the_configuration_is_left_alone(make_classifier: Make, kind: str) -> None:
    model = make_classifier(kind, dropout=0.1)
    before = model.config.to_dict()
    set_dropout(model, 0.3)
    probabilities = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert len(probabilities) > 4
    assert set(probabilities) == {0.3}
    assert model.config.to_dict() == before


def test_dropout_inside_attention_is_set_too() -> None:
    """Newer models keep the probability as a number on the attention module."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    fields = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    config = AutoConfig.for_model("modernbert", vocab_size=40, attention_dropout=0.5, **fields, **ids)
    model = AutoModelForSequenceClassification.from_config(config).train()
    inputs = {"input_ids": torch.arange(5, 15)[None], "attention_mask": torch.ones(1, 10, dtype=torch.int64)}
    assert not torch.equal(run_model(model, inputs)["logits"], run_model(model, inputs)["logits"])
    set_dropout(model, 0.0)
    assert torch.equal(run_model(model, inputs)["logits"], run_model(model, inputs)["logits"])


def test_an_encoder_decoder_is_refused() -> None:
    from transformers import BartConfig, BartForSequenceClassification

    tiny = BartConfig(
        vocab_size=40, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=32,
    )  # fmt: skip
    with pytest.raises(ModelError, match="has an encoder and a decoder"):
        layer_list(BartForSequenceClassification(tiny))
