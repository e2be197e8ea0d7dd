"""The parts of a model: what follows the last layer, by the gradient that passes it, and groups of layers below."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from limbeck.errors import ConfigError, ModelError
from limbeck.models.layers import layer_list
from limbeck.models.parts import Parts, parts_of, require_parts
from limbeck.models.pooled_classifier import with_pooling
from limbeck.models.step_memory import without_memory
from limbeck.models.trials import short_row
from limbeck.students.adapters import Adapter, add_adapter

Make = Callable[..., Any]
SIZES = {
    "vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8,
    "num_labels": 3, "pad_token_id": 0,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "bert": {},  # a pooler after the layers
    "distilbert": {"dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 8},
    "mpnet": {},  # a bias of positions, made after the layers and read before them
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["c2p"], "max_relative_positions": 4},  # the same
    "modernbert": {"global_attn_every_n_layers": 1},
    "gpt2": {"n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 16},
    "opt": {
        "ffn_dim": 8,
        "word_embed_proj_dim": 8,
        "max_position_embeddings": 16,
    },  # a last norm before the layers
    "llama": {},
}


def model_of(kind: str, classes: str = "AutoModelForSequenceClassification") -> Any:
    import transformers

    fields = (SIZES if kind not in ("distilbert", "gpt2") else {"vocab_size": 30, "pad_token_id": 0}) | KINDS[kind]
    config = transformers.AutoConfig.for_model(kind, **fields)
    return getattr(transformers, classes).from_config(config).eval()


def names(model: Any, parameters: list[torch.nn.Parameter]) -> set[str]:
    of = {id(parameter): name for name, parameter in model.named_parameters()}
    return {of[id(parameter)] for parameter in parameters}


def learns_above(model: Any) -> set[str]:
    """Names of the parameters that learn if no gradient passes the end of the last layer downwards."""

    def cut(_module: object, _inputs: object, output: Any) -> Any:
        return (output[0].detach(), *output[1:]) if isinstance(output, tuple) else output.detach()

    handle = layer_list(model)[1][-1].register_forward_hook(cut)
    model(**short_row(model)).logits.square().sum().backward()
    handle.remove()
    return {name for name, parameter in model.named_parameters() if parameter.grad is not None}


def require_a_partition(model: Any, parts: Parts) -> None:
    listed = [id(parameter) for part in (parts.head, *parts.below) for parameter in part]
    assert len(set(listed)) == len(listed)
    assert set(listed) == {id(parameter) for parameter in model.parameters()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_head_is_what_learns_above_the_last_layer(kind: str) -> None:
    model = model_of(kind)
    parts = parts_of(model, 3)
    require_a_partition(model, parts)
    assert names(model, parts.head) == learns_above(model) != set()
    prefix = layer_list(model)[0]
    for place, layer in ((0, 1), (1, 0)):
        of_layer = {name for name, _ in model.named_parameters() if name.startswith(f"{prefix}.{layer}.")}
        assert names(model, parts.below[place]) == of_layer != set()
    assert any(model.get_input_embeddings().weight is parameter for parameter in parts.below[2])


@pytest.mark.parametrize("kind", ["distilbert", "llama"])
def test_other_heads(kind: str) -> None:
    tagger = model_of(kind, "AutoModelForTokenClassification")
    assert names(tagger, parts_of(tagger).head) == learns_above(tagger)
    pooled = with_pooling(model_of(kind), "mean")
    assert names(pooled, parts_of(pooled).head) == learns_above(pooled)


def test_a_table_that_is_also_the_output_belongs_to_the_head() -> None:
    model = model_of("gpt2", "AutoModelForCausalLM")
    parts = parts_of(model)
    require_a_partition(model, parts)
    assert names(model, parts.head) == {"transformer.wte.weight", "transformer.ln_f.weight", "transformer.ln_f.bias"}


@pytest.mark.parametrize(
    ("layers", "number", "expected"),
    [
        (2, 1, [{0, 1}]),
        (2, 2, [{0, 1}, set()]),
        (5, 3, [{4, 3}, {2, 1, 0}, set()]),
        (5, 4, [{4}, {3, 2}, {1, 0}, set()]),
        (4, 5, [{3}, {2}, {1}, {0}, set()]),
    ],
)
def test_groups_of_layers_from_the_top_and_the_embeddings_last(
    layers: int, number: int, expected: list[set[int]], make_classifier: Make
) -> None:
    model = make_classifier(layers=layers, width=8)
    parts = parts_of(model, number)
    require_a_partition(model, parts)
    found = [{name.split(".")[3] for name in names(model, part) if ".layer." in name} for part in parts.below]
    assert found == [{str(layer) for layer in group} for group in expected]
    assert all(("embeddings" in "".join(names(model, part))) == (part is parts.below[-1]) for part in parts.below)


def test_finding_the_parts_changes_nothing(make_classifier: Make) -> None:
    model = make_classifier(dropout=0.5)
    state, before = torch.get_rng_state(), {name: value.clone() for name, value in model.state_dict().items()}
    parts_of(model, 2)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


def test_an_adapter_is_in_its_layer(make_classifier: Make) -> None:
    model = add_adapter(make_classifier(), Adapter(kind="lora", rank=2))
    parts = parts_of(model, 3)
    require_a_partition(model, parts)
    for part, layer in zip(parts.below, ("1", "0"), strict=False):
        trained = {name for name in names(model, part) if model.get_parameter(name).requires_grad}
        assert {name.split(".layer.")[1][0] for name in trained} == {layer}
    assert all(parameter.requires_grad == ("classifier" in name) for name, parameter in model.named_parameters()
               if name in names(model, parts.head))  # fmt: skip


def test_what_cannot_be_divided_is_refused(make_classifier: Make) -> None:
    with pytest.raises(ConfigError, match=r"in 4 parts .* it has 2 layers: at most 3 parts \(recipe.modules\)"):
        parts_of(make_classifier(), 4)
    with without_memory():
        require_parts(make_classifier(), 3)
        with pytest.raises(ConfigError, match="at most 3 parts"):
            require_parts(make_classifier(), 4)
    with pytest.raises(ModelError, match="cannot find the 2 layers of AlbertForSequenceClassification"):
        require_parts(make_classifier("albert"), 1)
    model = make_classifier()
    model.forward = lambda input_ids, images: None
    with pytest.raises(ModelError, match="cannot tell the head of BertForSequenceClassification"):
        parts_of(model)
