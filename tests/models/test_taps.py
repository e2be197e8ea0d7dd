"""What is at the sites inside models, against what the models report themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.errors import ModelError
from limbeck.models.layers import layer_list
from limbeck.models.taps import capture, run_model
from limbeck.types import Site, Tap

BOTH = pytest.mark.parametrize("kind", ["bert", "distilbert"])
Make = Callable[..., Any]
T, HEADS, LAYERS = 7, 4, 3


def taps(*layers: int, site: Site = "hidden", half: Any = None) -> frozenset[Tap]:
    return frozenset(Tap(site, layer, half) for layer in layers)


@BOTH
def test_captured_states_are_those_that_the_model_itself_reports(
    make_classifier: Make, make_task: Make, kind: str
) -> None:
    model = make_classifier(kind, layers=3).eval()
    inputs = make_task().batch(range(5))["student"]
    signal = run_model(model, inputs, taps(1, 3))
    known = {name: x for name, x in inputs.items() if kind == "bert" or name != "token_type_ids"}
    reported = model(**known, output_hidden_states=True)
    assert frozenset(signal["states"]) == taps(1, 3)
    for tap, states in signal["states"].items():
        assert torch.equal(states, reported.hidden_states[tap.layer])
    assert torch.equal(signal["logits"], reported.logits)


@BOTH
def test_hooks_are_gone_afterwards(make_classifier: Make, make_task: Make, kind: str) -> None:
    model = make_classifier(kind)
    inputs = make_task().batch(range(2))["student"]
    signal = run_model(model, inputs, taps(1, 2))
    before = dict(signal["states"])
    assert not any(layer._forward_hooks for layer in layer_list(model)[1])
    run_model(model, make_task(seed=1).batch(range(2))["student"])
    assert all(signal["states"][tap] is states for tap, states in before.items())


def test_hooks_are_gone_after_an_error(make_classifier: Make) -> None:
    model = make_classifier()
    with pytest.raises(AttributeError):
        run_model(model, {"input_ids": "no tensor"}, taps(1))
    assert not any(layer._forward_hooks for layer in layer_list(model)[1])


def test_gradients_flow_through_captured_states(make_classifier: Make, make_task: Make) -> None:
    model = make_classifier(layers=3)
    signal = run_model(model, make_task().batch(range(2))["student"], taps(2))
    signal["states"][Tap("hidden", 2)].sum().backward()
    layers = layer_list(model)[1]
    used = [any(p.grad is not None for p in layer.parameters()) for layer in layers]
    assert used == [True, True, False]


def test_without_layers_there_are_no_states(make_classifier: Make, make_task: Make) -> None:
    assert set(run_model(make_classifier("albert"), make_task().batch(range(2))["student"])) == {"logits"}


def test_each_model_is_given_the_inputs_it_reads(make_classifier: Make, make_task: Make) -> None:
    inputs = make_task().batch(range(3))["student"]
    other_types = {**inputs, "token_type_ids": 1 - inputs["token_type_ids"]}
    bert, distilbert = make_classifier("bert", scale=4.0).eval(), make_classifier("distilbert").eval()
    assert not torch.allclose(run_model(bert, inputs)["logits"], run_model(bert, other_types)["logits"])
    assert torch.equal(run_model(distilbert, inputs)["logits"], run_model(distilbert, other_types)["logits"])


# Every architecture, with its own kind of attention and of fast kernel: a tiny one of random weights.

_SIZES = {"hidden_size": 32, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": 48}
_ENCODER = _SIZES | {"max_position_embeddings": 40, "attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0}
_DECODER = _SIZES | {"num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
FIELDS: dict[str, dict[str, Any]] = {
    "bert": _ENCODER,
    "roberta": _ENCODER | {"pad_token_id": 0},
    "mpnet": _ENCODER | {"pad_token_id": 0},
    "distilbert": {"dim": 32, "n_layers": LAYERS, "n_heads": HEADS, "hidden_dim": 48, "max_position_embeddings": 40},
    "mobilebert": _ENCODER | {"intra_bottleneck_size": 16, "embedding_size": 8, "num_feedforward_networks": 2},
    "llama": _DECODER,
    "qwen2": _DECODER | {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1},
    "gemma3_text": _DECODER | {"head_dim": 8, "sliding_window": 3, "layer_types": ["sliding_attention"] * 2
                               + ["full_attention"], "attn_logit_softcapping": None},
    "gemma2": _DECODER | {"head_dim": 8, "sliding_window": 3, "attn_logit_softcapping": 2.0},
    "t5": {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_heads": HEADS, "num_layers": LAYERS, "dropout_rate": 0.0,
           "decoder_start_token_id": 0, "pad_token_id": 0},
    "bart": {"d_model": 32, "encoder_layers": LAYERS, "decoder_layers": 2, "encoder_attention_heads": HEADS,
             "decoder_attention_heads": HEADS, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "dropout": 0.0,
             "max_position_embeddings": 40},
}  # fmt: skip
HALVES = {"t5": ("encoder", "decoder"), "bart": ("encoder", "decoder")}
CASES = [(kind, half) for kind in FIELDS for half in HALVES.get(kind, (None,))]
KERNELS = {"mpnet": ["eager"], "gemma2": ["eager"]}
EVERY = pytest.mark.parametrize(("kind", "half"), CASES)
WITH_KERNELS = pytest.mark.parametrize(
    ("kind", "half", "kernel"), [(k, h, kernel) for k, h in CASES for kernel in KERNELS.get(k, ["eager", "sdpa"])]
)


def tiny(kind: str, kernel: str = "eager") -> Any:
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(3)
    config = AutoConfig.for_model(kind, vocab_size=50, **FIELDS[kind])
    model = AutoModel.from_config(config, attn_implementation=kernel).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)  # biases too, and attention that is not flat
    return model


def inputs(kind: str, *, left: bool = False) -> dict[str, Tensor]:
    """Two rows, of 7 and of 4 tokens."""
    ids = torch.arange(5, 5 + 2 * T).view(2, T)
    mask = torch.ones(2, T, dtype=torch.int64)
    mask[1, : T - 4] = 0
    found = {"input_ids": ids * mask, "attention_mask": mask} if left else {
        "input_ids": ids * mask.flip(1), "attention_mask": mask.flip(1)
    }  # fmt: skip
    if kind in HALVES:
        found["decoder_input_ids"] = torch.arange(20, 20 + 2 * 5).view(2, 5)
    return found


def reported(output: Any, what: str, half: str | None) -> Any:
    names = {"hidden": "hidden_states", "attention": "attentions"}
    return output[f"{half}_{names[what]}" if half else names[what]]


def seen(model: Any, given: dict[str, Tensor], wanted: frozenset[Tap]) -> dict[Tap, Tensor]:
    with torch.no_grad(), capture(model, wanted, given["attention_mask"]) as found:
        model(**given)
    return found


@EVERY
def test_hidden_states_and_what_the_first_layer_reads(kind: str, half: Any) -> None:
    model, given = tiny(kind), inputs(kind)
    expected = reported(model(**given, output_hidden_states=True), "hidden", half)
    layers = len(layer_list(model, half)[1])
    found = seen(model, given, taps(*range(1, layers), half=half) | taps(0, site="embedding", half=half))
    for layer in range(layers):  # the last is reported behind the last norm
        torch.testing.assert_close(found[Tap("hidden" if layer else "embedding", layer, half)], expected[layer])


@pytest.mark.fast_cases(14)
@WITH_KERNELS
@pytest.mark.parametrize("left", [False, True])
def test_scores_of_attention_are_those_that_softmax_reads(kind: str, half: Any, kernel: str, left: bool) -> None:
    """With fast kernels as well, which have none: against the probabilities that the slow ones report."""
    model, given = tiny(kind, kernel), inputs(kind, left=left)
    layers = range(1, 1 + len(layer_list(model, half)[1]))
    found = seen(model, given, taps(*layers, site="attention", half=half))
    expected = reported(tiny(kind)(**given, output_attentions=True), "attention", half)
    mask = given["attention_mask"].bool() if half != "decoder" else torch.ones(2, 5, dtype=torch.bool)
    for layer in layers:
        probs = found[Tap("attention", layer, half)].softmax(-1)
        reads = mask[:, None, :, None].expand_as(probs)  # what padding looks at is nobody's concern
        torch.testing.assert_close(probs[reads], expected[layer - 1][reads], atol=1e-6, rtol=1e-4)
        assert found[Tap("attention", layer, half)].shape == expected[layer - 1].shape


@pytest.mark.fast_cases(11)
@WITH_KERNELS
def test_queries_keys_and_values_give_the_scores_and_the_output_of_attention(
    kind: str, half: Any, kernel: str
) -> None:
    model, given = tiny(kind, kernel), inputs(kind)
    sites: tuple[Site, ...] = ("query", "key", "value", "attention")
    found = seen(model, given, frozenset(Tap(site, 2, half) for site in sites))
    query, key, value, scores = (found[Tap(site, 2, half)] for site in sites)
    groups = 2 if kind in ("llama", "qwen2", "gemma2", "gemma3_text") else HEADS
    width = 4 if kind == "mobilebert" else 8
    assert query.shape == (2, HEADS, scores.shape[-1], width)
    assert key.shape == value.shape == (2, groups, scores.shape[-1], width)
    outputs: list[Tensor] = []
    projection = next(
        module
        for name, module in layer_list(model, half)[1][1].named_modules()
        if name.endswith(("o_proj", ".o", "out_lin", "self_attn.out_proj", "attention.output.dense"))
    )
    handle = projection.register_forward_pre_hook(lambda _, given: outputs.append(given[0]))
    seen(model, given, frozenset())
    handle.remove()
    mixed = scores.softmax(-1) @ value.repeat_interleave(HEADS // groups, dim=1)
    real = given["attention_mask"].bool() if half != "decoder" else torch.ones(2, 5, dtype=torch.bool)
    torch.testing.assert_close(mixed.transpose(1, 2).flatten(2)[real], outputs[0][real], atol=1e-5, rtol=1e-4)


def test_rotary_positions_are_in_queries_and_keys() -> None:
    model, given = tiny("llama"), inputs("llama")
    projected: list[Tensor] = []
    handle = model.layers[0].self_attn.q_proj.register_forward_hook(lambda m, i, o: projected.append(o))
    query = seen(model, given, frozenset({Tap("query", 1)}))[Tap("query", 1)]
    handle.remove()
    before = projected[0].view(2, T, HEADS, 8).transpose(1, 2)
    torch.testing.assert_close(query[:, :, 0], before[:, :, 0])  # position 0 turns nothing
    assert not torch.allclose(query[:, :, 1:], before[:, :, 1:], atol=1e-2)


@EVERY
def test_the_feed_forward_block_is_what_is_added_last(kind: str, half: Any) -> None:
    """Replaced by zeros, a layer gives what it gives without it: that of another input is not mixed in."""
    model, given = tiny(kind), inputs(kind)
    tap = Tap("ffn", 1, half)
    found = seen(model, given, frozenset({tap}))[tap]
    hidden = Tap("hidden", 1, half)
    state = seen(model, given, frozenset({hidden}))[hidden]
    width = 16 if kind == "mobilebert" else state.shape[-1]  # it is inside a bottleneck
    assert found.shape == (*state.shape[:-1], width)
    if kind in ("llama", "qwen2", "t5"):  # pre-norm: the layer's output is its residual and this, and no more
        layer = layer_list(model, half)[1][0]
        name = {"t5": f"layer.{2 if half == 'decoder' else 1}.DenseReluDense"}.get(kind, "mlp")
        handle = layer.get_submodule(name).register_forward_hook(lambda m, i, o: torch.zeros_like(o))
        without = seen(model, given, frozenset({hidden}))[hidden]
        handle.remove()
        torch.testing.assert_close(without + found, state)


@pytest.mark.fast_cases(11)
@WITH_KERNELS
def test_what_is_watched_changes_nothing_and_nothing_stays(kind: str, half: Any, kernel: str) -> None:
    from transformers import AttentionInterface

    model, given, look_up = tiny(kind, kernel), inputs(kind), AttentionInterface.get_interface
    with torch.no_grad():
        plain = model(**given)[0]
        with capture(model, frozenset(Tap(site, 1, half) for site in ("attention", "hidden", "ffn"))):
            watched = model(**given)[0]
    assert torch.equal(plain, watched)
    assert AttentionInterface.get_interface is look_up
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_gradients_flow_through_scores_of_a_fast_kernel() -> None:
    model, given = tiny("bert", "sdpa"), inputs("bert")
    tap = Tap("attention", 2)
    with capture(model, frozenset({tap}), given["attention_mask"]) as found:
        model(**given)
    scores = found[tap]
    scores[torch.isfinite(scores)].square().sum().backward()
    used = [
        any(p.grad is not None and bool(p.grad.any()) for p in layer.parameters()) for layer in model.encoder.layer
    ]
    assert used == [True, True, False]


@pytest.mark.parametrize("left", [False, True])
def test_the_first_token_is_that_of_the_text(left: bool) -> None:
    model, given = tiny("bert"), inputs("bert", left=left)
    hidden, first = Tap("hidden", 2), Tap("first", 2)
    found = seen(model, given, frozenset({hidden, first}))
    assert torch.equal(found[first][0], found[hidden][0, 0])
    assert torch.equal(found[first][1], found[hidden][1, T - 4 if left else 0])


def test_kernels_with_other_masks_have_queries_and_no_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As flash attention, which is given lengths and windows."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, "fast", sdpa_attention_forward)
    model, given = tiny("llama", "sdpa"), inputs("llama")
    model.config._attn_implementation = "fast"
    del given["attention_mask"]
    with torch.no_grad(), capture(model, frozenset({Tap("query", 1)})) as found:
        model(**given)
    assert found[Tap("query", 1)].shape == (2, HEADS, T, 8)
    refused = pytest.raises(ModelError, match="runs with attention 'fast', whose masks cannot be read")
    with refused, capture(model, frozenset({Tap("attention", 1)})):
        model(**given)


def test_models_without_such_a_site_are_refused() -> None:
    from transformers import BloomConfig, BloomModel

    model = BloomModel(BloomConfig(vocab_size=50, hidden_size=32, n_layer=2, n_head=4))
    with pytest.raises(ModelError, match="cannot read the attention of layer 2 of BloomModel"):
        seen(model, inputs("bloom"), frozenset({Tap("attention", 2)}))
    with pytest.raises(ModelError, match="BertModel has one list of layers and no decoder"):
        seen(tiny("bert"), inputs("bert"), frozenset({Tap("hidden", 1, "decoder")}))
    with pytest.raises(ModelError, match="BertModel has 3 layers, but a term asks for layer 4"):
        seen(tiny("bert"), inputs("bert"), frozenset({Tap("hidden", 4)}))
    with pytest.raises(ModelError, match="BartModel has an encoder and a decoder"):
        seen(tiny("bart"), inputs("bart"), frozenset({Tap("hidden", 1)}))
