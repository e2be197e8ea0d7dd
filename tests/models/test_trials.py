"""What a model can read is found by trying, and trying changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from limbeck.errors import ModelError
from limbeck.models.step_memory import without_memory
from limbeck.models.trials import (
    probe_ids,
    readable_tokens,
    require_second_derivatives,
    require_taps,
    undisturbed,
)
from limbeck.types import Tap

SHAPE = {
    "vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 34, "pad_token_id": 3, "bos_token_id": 0, "eos_token_id": 2,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "Luke": {"entity_vocab_size": 5, "entity_emb_size": 8},
    "Longformer": {"attention_window": 8},
    "GPT2": {"n_embd": 16, "n_layer": 2, "n_head": 2},
    "ModernBert": {"cls_token_id": 0, "sep_token_id": 2},
    "Albert": {"embedding_size": 8},
}


def made(kind: str, **options: Any) -> Any:
    config = getattr(transformers, f"{kind}Config")(**{**SHAPE, **OWN.get(kind, {}), **options})
    return getattr(transformers, f"{kind}Model")(config)


@pytest.mark.fast_cases(6)
@pytest.mark.parametrize(
    ("kind", "positions"),
    [
        *((kind, 34) for kind in ("Bert", "DistilBert", "DebertaV2", "Albert", "GPT2", "OPT", "Llama", "ModernBert")),
        *((kind, 30) for kind in ("Roberta", "XLMRoberta", "Camembert", "Data2VecText")),  # begin behind id 3
        *((kind, 30) for kind in ("IBert", "Luke", "Longformer", "Esm")),
        ("MPNet", 32),  # begins behind 1, whatever the padding id is
        ("Bart", 34),
    ],
)
def test_the_longest_row_is_found_by_reading_and_by_the_table(kind: str, positions: int) -> None:
    """A model reads so many tokens and not one more; where it cannot be run its table says the same."""
    model = made(kind)
    assert readable_tokens(model, 512) == positions
    assert readable_tokens(model, 20) == 20
    with without_memory():
        assert readable_tokens(made(kind), 512) == positions
    ids = probe_ids(model, 1, positions)
    model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))


def test_a_configuration_that_claims_more_than_the_table_holds() -> None:
    model = made("Bert")
    model.config.max_position_embeddings = 512
    assert readable_tokens(model, 512) == 34


def test_a_model_that_needs_other_inputs_is_judged_by_its_table() -> None:
    model = made("Xmod", languages=["en_XX"])
    model.forward = None
    assert readable_tokens(model, 512) == 30


def test_trying_changes_nothing() -> None:
    model = made("Roberta", hidden_dropout_prob=0.5).train()
    model.encoder.eval()
    before = torch.get_rng_state()
    modes = [module.training for module in model.modules()]
    readable_tokens(model, 512)
    assert torch.equal(torch.get_rng_state(), before)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_pre_hooks for module in model.modules())
    with undisturbed(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == modes


def test_probe_ids_are_no_special_tokens() -> None:
    ids = probe_ids(made("Bert"), 4, 500)
    assert ids.shape == (4, 500)
    assert set(ids.unique().tolist()) == set(range(60)) - {0, 2, 3}
    characters = transformers.CanineModel(transformers.CanineConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, max_position_embeddings=34
    ))  # fmt: skip
    assert 0 not in probe_ids(characters, 1, 500)
    assert readable_tokens(characters, 512) == 34


def test_taps_are_tried_on_a_short_row() -> None:
    taps = frozenset({Tap("embedding"), Tap("hidden", 2), Tap("attention", 1)})
    for kind in ("Bert", "Llama", "MPNet"):
        model = made(kind).train()
        before = torch.random.get_rng_state()
        require_taps(model, taps)
        assert model.training
        assert torch.equal(torch.random.get_rng_state(), before)
    with pytest.raises(ModelError, match="has 2 layers, but a term asks for layer 3"):
        require_taps(made("Bert"), frozenset({Tap("hidden", 3)}))
    with pytest.raises(ModelError, match="cannot find the 2 layers of AlbertModel"):
        require_taps(made("Albert"), taps)
    with pytest.raises(ModelError, match=r"cannot read the attention of layer 1 of DebertaV2Model.*non-standard"):
        require_taps(made("DebertaV2"), taps)
    require_taps(made("DebertaV2"), frozenset({Tap("embedding"), Tap("hidden", 2)}))
    require_taps(torch.nn.Identity(), frozenset())


def test_attention_without_masks_of_pairs_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, "fast", sdpa_attention_forward)
    model = made("Llama")
    model.config._attn_implementation = "fast"
    with pytest.raises(ModelError, match=r"runs with attention 'fast'.*attn_implementation sdpa or eager"):
        require_taps(model, frozenset({Tap("attention", 1)}))


def test_second_derivatives_are_tried() -> None:
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**SHAPE)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    require_second_derivatives(model, "the student")
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


class _Once(torch.autograd.Function):
    """An operation with a first derivative only, as in fused kernels."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * 2


def test_models_without_second_derivatives_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**SHAPE))
    with monkeypatch.context() as patch:
        patch.setattr(model.classifier, "forward", lambda x: _Once.apply(x[:, :2]))
        with pytest.raises(ModelError, match=r"the student \(BertForSeq\w+\) has no second derivative"):
            require_second_derivatives(model, "the student")
    model.bert.encoder.gradient_checkpointing = True
    with pytest.raises(ModelError, match="recomputes its activations"):
        require_second_derivatives(model, "the student")
