"""Tiny models of several families, with weights large enough that an error of layout shows in their outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ENCODER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 72}
DECODER = ENCODER | {
    "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 48, "bos_token_id": 1, "eos_token_id": 2}
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": ENCODER,
    "roberta": ENCODER | {"pad_token_id": 1},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 72},
    "mpnet": ENCODER | {"pad_token_id": 1, "hidden_size": 40, "num_attention_heads": 5},  # its positions fall into 32
    "electra": ENCODER | {"embedding_size": 32},
    "llama": DECODER,
    "qwen2": {name: value for name, value in DECODER.items() if name != "head_dim"},
    "qwen3": DECODER,
    "gemma3_text": DECODER | {"query_pre_attn_scalar": 8},
    "gpt2": GPT2,
}
REFUSED: dict[str, dict[str, Any]] = {"albert": ENCODER, "gpt_neox": ENCODER, "phi3": DECODER}
CLASSIFIERS = ("bert", "roberta", "distilbert", "mpnet", "electra", "albert")


@pytest.fixture(scope="session")
def make_family() -> Callable[..., Any]:
    """Return the maker of a random model of a family, the same for the same arguments, in evaluation mode."""

    def make(kind: str, *, auto: str = "", **changes: Any) -> Any:
        import torch
        import transformers

        fields = {"vocab_size": 61, "max_position_embeddings": 48, "num_labels": 3} | (FAMILIES | REFUSED)[kind]
        config = transformers.AutoConfig.for_model(kind, **(fields | changes))
        torch.manual_seed(0)
        named = auto or ("AutoModelForSequenceClassification" if kind in CLASSIFIERS else "AutoModelForCausalLM")
        model = getattr(transformers, named).from_config(config).eval()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() == 1:
                    weight += 0.3 * torch.randn_like(weight)
                else:
                    weight *= 4
        return model

    return make
