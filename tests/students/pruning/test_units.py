"""Every matrix of a layer has a role, by its shape and place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from limbeck.errors import ModelError
from limbeck.students.pruning.units import Shape, units_of

Make = Callable[..., Any]


def test_an_encoder_with_separate_queries_keys_and_values(make_family: Make) -> None:
    model = make_family("bert")
    units, layer = units_of(model), model.bert.encoder.layer[1]
    assert units.shape == Shape(hidden=32, heads=4, groups=4, head_width=8, feed_forward=72)
    found, attention = units.of_layers[1], layer.attention
    assert found.projections == (attention.self.query, attention.self.key, attention.self.value)
    assert (found.attention, found.feeding) == (attention.output.dense, (layer.intermediate.dense,))
    assert found.feed_forward is layer.output.dense
    assert units.dense == (model.bert.pooler.dense,)
    assert len(units.norms) == 5
    assert not units.shared_heads


def test_a_decoder_with_shared_keys_and_a_gate(make_family: Make) -> None:
    model = make_family("llama")
    units, layer = units_of(model), model.model.layers[0]
    assert units.shape == Shape(hidden=32, heads=4, groups=2, head_width=8, feed_forward=72)
    assert units.of_layers[0].feeding == (layer.mlp.gate_proj, layer.mlp.up_proj)
    assert units.of_layers[0].attention is layer.self_attn.o_proj
    assert units.dense == ()  # the head gives logits
    assert len(units.norms) == 5


@pytest.mark.parametrize("kind", ["bert", "llama", "qwen3"])
def test_a_feed_forward_block_as_wide_as_the_hidden_states(make_family: Make, kind: str) -> None:
    units = units_of(make_family(kind, intermediate_size=32))
    assert units.shape.feed_forward == 32
    assert len(units.of_layers[0].feeding) == (1 if kind == "bert" else 2)
    assert len(units.of_layers[0].projections) == 3


def test_one_matrix_for_queries_keys_and_values(make_family: Make) -> None:
    model = make_family("gpt2")
    assert units_of(model).of_layers[0].projections == (model.transformer.h[0].attn.c_attn,)
    assert units_of(model).shape.feed_forward == 128


def test_norms_of_heads_are_not_of_hidden_units(make_family: Make) -> None:
    assert len(units_of(make_family("qwen3")).norms) == 5


def test_layers_that_share_a_table_by_heads(make_family: Make) -> None:
    assert units_of(make_family("mpnet")).shared_heads


def test_experts_are_refused(make_family: Make) -> None:
    from transformers import MixtralConfig, MixtralForCausalLM

    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 72}
    model = MixtralForCausalLM(MixtralConfig(vocab_size=61, num_local_experts=2, **sizes))
    with pytest.raises(ModelError, match=r"cannot prune Mixtral.*student.from_teacher"):
        units_of(model)
