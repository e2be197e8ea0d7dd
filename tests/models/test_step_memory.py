"""Memory of a step counted without memory, against the same step on real tensors and against counts by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification
from transformers.modeling_outputs import SequenceClassifierOutput

from limbeck.errors import ModelError
from limbeck.models.step_memory import run_step, trace_step
from limbeck.students.adapters import Adapter, add_adapter

SIZES = {
    "bert": {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 128, "num_hidden_layers": 2},
    "gpt2": {"n_embd": 64, "n_head": 2, "n_layer": 2},
    "llama": {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 128, "num_hidden_layers": 2},
    "opt": {"hidden_size": 64, "word_embed_proj_dim": 64, "num_attention_heads": 2, "ffn_dim": 128,
            "num_hidden_layers": 2},
}  # fmt: skip


def maker(kind: str, adapter: Adapter | None = None) -> Callable[[], Any]:
    def make() -> Any:
        fields = {"vocab_size": 100, "pad_token_id": 0, **SIZES[kind]}
        model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model(kind, **fields))
        return model if adapter is None else add_adapter(model, adapter)

    return make


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("kind", SIZES)
def test_a_step_holds_what_the_same_step_on_real_tensors_does(kind: str) -> None:
    found = trace_step(maker(kind), rows=4, tokens=32)
    real = run_step(maker(kind)().train(), rows=4, tokens=32)
    assert (found.weights_bytes, found.trainable) == (real.weights_bytes, real.trainable)
    assert found.gradients_bytes == 4 * real.trainable
    assert found.activations_bytes == pytest.approx(real.activations_bytes, rel=0.1)


@pytest.mark.slow
def test_an_adapter_saves_gradients_and_keeps_activations() -> None:
    full = trace_step(maker("bert"), rows=4, tokens=32)
    adapted = trace_step(maker("bert", Adapter(kind="lora", rank=2)), rows=4, tokens=32)
    assert adapted.trainable < 0.2 * full.trainable
    assert adapted.gradients_bytes == 4 * adapted.trainable
    assert adapted.weights_bytes == full.weights_bytes + 4 * (adapted.trainable - 64 * 2 - 2)
    assert adapted.activations_bytes > 0.7 * full.activations_bytes


@pytest.mark.slow
def test_activations_grow_with_rows_and_a_prediction_keeps_none() -> None:
    one, two = (trace_step(maker("bert"), rows=rows, tokens=32) for rows in (8, 16))
    assert two.activations_bytes > 1.8 * one.activations_bytes
    assert two.gradients_bytes == one.gradients_bytes
    predicted = trace_step(maker("bert"), rows=8, tokens=32, train=False)
    assert predicted.step_bytes < 0.5 * one.activations_bytes


class Plain(nn.Module):
    """One linear map of 10 to 3 on the number of the tokens: every byte can be counted by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(10, 3, bias=False)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SequenceClassifierOutput:
        return SequenceClassifierOutput(logits=self.linear(input_ids.float()))


def test_bytes_by_hand() -> None:
    """Prediction of 5 rows: ids and mask as int64, ids as float32, logits."""
    found = trace_step(Plain, rows=5, tokens=10, train=False)
    assert found.weights_bytes == 30 * 4
    assert found.trainable == 30
    assert found.gradients_bytes == 0
    assert found.activations_bytes == 5 * 10 * 4 + 5 * 3 * 4


class ReadsValues(Plain):
    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SequenceClassifierOutput:
        if input_ids.sum().item() > 3:
            return super().forward(input_ids, attention_mask)
        return SequenceClassifierOutput(logits=input_ids.float())


def test_a_model_that_reads_values_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot estimate the memory of this model in advance"):
        trace_step(ReadsValues, rows=2, tokens=10)
