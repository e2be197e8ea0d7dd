"""The last linear map of classifiers, and the vectors it reads."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import nn

from limbeck.errors import ModelError
from limbeck.models.classifier_head import features, head_layer

SHAPE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
KINDS = ["Bert", "Roberta", "Electra", "DebertaV2", "ModernBert", "MPNet", "DistilBert", "XLNet", "Llama", "GPT2"]
OTHER_NAMES: dict[str, dict[str, Any]] = {
    "DistilBert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16},
    "XLNet": {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 16},
    "GPT2": {"n_embd": 16, "n_layer": 1, "n_head": 2},
}
BATCH = {
    "input_ids": torch.tensor([[3, 4, 5, 6, 7], [8, 9, 10, 0, 0], [7, 7, 7, 7, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]]),
}


def classifier(kind: str, outputs: int = 3) -> Any:
    torch.manual_seed(0)
    fields = OTHER_NAMES.get(kind, SHAPE)
    config = getattr(transformers, f"{kind}Config")(vocab_size=50, num_labels=outputs, pad_token_id=0, **fields)
    return getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("outputs", [1, 3, 16])
def test_the_map_of_the_features_gives_the_logits(kind: str, outputs: int) -> None:
    model = classifier(kind, outputs)
    found = features(model, BATCH)
    assert found.shape == (3, 16)
    torch.testing.assert_close(head_layer(model)(found), model(**BATCH).logits)


@pytest.mark.parametrize("kind", KINDS)
def test_no_other_module_is_between_the_map_and_the_logits(kind: str) -> None:
    model = classifier(kind)
    with torch.no_grad():
        head_layer(model).weight.zero_()
        if head_layer(model).bias is not None:
            head_layer(model).bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    expected = [[0.0] * 3 if head_layer(model).bias is None else [1.0, 2.0, 3.0]] * 3
    assert model(**BATCH).logits.tolist() == expected


def test_features_have_gradients_and_leave_no_hook_behind() -> None:
    model = classifier("Bert")
    features(model, BATCH).sum().backward()
    assert model.bert.embeddings.word_embeddings.weight.grad is not None
    assert not head_layer(model)._forward_hooks


def test_a_model_without_such_a_map_is_refused() -> None:
    model = classifier("Bert")
    model.classifier = nn.Identity()
    with pytest.raises(ModelError, match="has no linear map to its 3 outputs"):
        head_layer(model)


def test_labels_of_tokens_have_no_vector_for_a_text() -> None:
    config = transformers.BertConfig(vocab_size=50, num_labels=3, **SHAPE)
    with pytest.raises(ModelError, match="one linear map of one vector for each text"):
        features(transformers.BertForTokenClassification(config).eval(), BATCH)


def test_a_map_whose_outputs_are_changed_afterwards_is_refused() -> None:
    model = classifier("Llama")

    def shift(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        output.logits = output.logits + 1
        return output

    model.register_forward_hook(shift)
    with pytest.raises(ModelError, match="logits are those of no position"):
        features(model, BATCH)
