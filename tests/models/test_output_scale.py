"""A model of numbers takes over the scale in which it was trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers

from limbeck.models.classifier_head import head_layer
from limbeck.models.output_scale import fold_scale

SHAPE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def model(kind: str, outputs: int) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**SHAPE, vocab_size=50, num_labels=outputs, pad_token_id=0)
    return getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()


@pytest.mark.parametrize("kind", ["Bert", "Roberta", "Electra", "DebertaV2", "ModernBert", "Llama"])
@pytest.mark.parametrize("outputs", [1, 3, 16])
@torch.no_grad()
def test_outputs_are_in_the_users_units_afterwards(kind: str, outputs: int) -> None:
    trained, ids = model(kind, outputs), torch.arange(4, 12).view(2, 4)
    before = trained(input_ids=ids).logits
    deviation, mean = np.linspace(0.5, 3e5, outputs), np.linspace(-7, 1e6, outputs)
    if head_layer(trained).bias is None:
        mean = np.zeros(outputs)
    fold_scale(trained, mean, deviation)
    expected = before.double().numpy() * deviation + mean
    assert trained(input_ids=ids).logits.numpy() == pytest.approx(expected, rel=1e-4)
