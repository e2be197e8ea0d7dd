"""Copied layers of every architecture do in the student what they do in the teacher, or are refused by name."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from limbeck.errors import ModelError
from limbeck.models.layers import layer_list
from limbeck.models.load import save_model
from limbeck.models.step_memory import without_memory
from limbeck.students import initialise, layer_check
from limbeck.students.initialise import student_from_layers
from limbeck.students.layer_check import compare_layers, require_like_layers

SHAPE = {
    "vocab_size": 120, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "num_hidden_layers": 6,
    "max_position_embeddings": 256, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.2,
}  # fmt: skip
CLASSIFIER, WRITER = "ForSequenceClassification", "ForCausalLM"
SKV: dict[str, Any] = {"num_key_value_heads": 2, "head_dim": 16}
MOE: dict[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
LATENT: dict[str, Any] = {
    "n_group": 1, "topk_group": 1, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
    "kv_lora_rank": 8, "q_lora_rank": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16,
}  # fmt: skip
MAMBA: dict[str, Any] = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8}
GPT: dict[str, Any] = {"n_embd": 32, "n_layer": 6, "n_head": 2}

COPIED: list[tuple[str, str, dict[str, Any]]] = [
    *((kind, CLASSIFIER, {}) for kind in ("Bert", "Roberta", "XLMRoberta", "Camembert", "Electra", "MPNet", "IBert")),
    ("DebertaV2", CLASSIFIER, {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "conv_kernel_size": 3}),
    ("Deberta", CLASSIFIER, {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}),
    ("DistilBert", CLASSIFIER, {"dim": 32, "hidden_dim": 64}),
    ("Luke", CLASSIFIER, {"entity_vocab_size": 10, "entity_emb_size": 8}),
    ("Longformer", CLASSIFIER, {"attention_window": [4, 8, 4, 16, 4, 32]}),
    ("RoFormer", CLASSIFIER, {}),
    ("BigBird", CLASSIFIER, {"attention_type": "original_full"}),
    *((kind, WRITER, SKV) for kind in ("Llama", "Gemma", "Granite", "StableLm", "Glm4", "Phi3", "Olmo2")),
    ("Starcoder2", WRITER, SKV),
    ("Mistral", WRITER, {**SKV, "sliding_window": 8}),
    ("Mixtral", WRITER, {**SKV, "num_local_experts": 4}),
    ("Qwen2", WRITER, {**SKV, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 3}),
    ("Qwen3", WRITER, {**SKV, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 3}),
    ("Qwen3Moe", WRITER, {**SKV, **MOE, "mlp_only_layers": [0, 2]}),
    ("Qwen3Moe", WRITER, {**SKV, **MOE, "decoder_sparse_step": 2}),
    ("Qwen2Moe", WRITER, {**SKV, **MOE, "decoder_sparse_step": 3, "shared_expert_intermediate_size": 16}),
    ("Qwen3Next", WRITER, {
        **SKV, **MOE, "full_attention_interval": 3, "linear_num_key_heads": 2, "linear_num_value_heads": 2,
        "linear_key_head_dim": 8, "linear_value_head_dim": 8, "shared_expert_intermediate_size": 16,
        "decoder_sparse_step": 2,
    }),
    ("Gemma2", WRITER, {**SKV, "sliding_window": 8}),
    ("Gemma3Text", "Gemma3ForCausalLM", {**SKV, "sliding_window": 8, "sliding_window_pattern": 3}),
    ("Olmo3", WRITER, {**SKV, "sliding_window": 8}),
    ("Cohere2", WRITER, {**SKV, "sliding_window": 8}),
    ("Exaone4", WRITER, {**SKV, "sliding_window": 8, "sliding_window_pattern": 3}),
    ("SmolLM3", WRITER, {**SKV, "no_rope_layer_interval": 3}),
    ("Llama4Text", "Llama4ForCausalLM", {
        **SKV, "attention_chunk_size": 16, "interleave_moe_layer_step": 2, "intermediate_size_mlp": 64,
        "num_local_experts": 4, "num_experts_per_tok": 1, "no_rope_layer_interval": 3,
    }),
    ("GptOss", WRITER, {**SKV, "sliding_window": 8, "num_local_experts": 4, "num_experts_per_tok": 2}),
    ("DeepseekV2", WRITER, {**LATENT, "num_key_value_heads": 2, "first_k_dense_replace": 3}),
    ("DeepseekV3", WRITER, {**LATENT, "num_key_value_heads": 2, "first_k_dense_replace": 3}),
    ("GPT2", "GPT2LMHeadModel", GPT),
    ("GPTNeo", WRITER, {
        "num_layers": 6, "num_heads": 2, "attention_types": [[["global", "local"], 3]], "window_size": 8,
    }),
    ("GPTJ", WRITER, {**GPT, "rotary_dim": 8}),
    ("GPTNeoX", WRITER, {}),
    ("OPT", WRITER, {"ffn_dim": 32, "word_embed_proj_dim": 32}),
    ("Bloom", WRITER, {"n_layer": 6, "n_head": 2}),
    ("Falcon", WRITER, {}),
    ("Lfm2", WRITER, {**SKV, "full_attn_idxs": [1, 2, 4], "block_multiple_of": 16}),
    ("Bamba", WRITER, {"num_key_value_heads": 2, **MAMBA, "attn_layer_indices": [1, 2]}),
    ("GraniteMoeHybrid", WRITER, {
        "num_key_value_heads": 2, **MAMBA, "layer_types": ["mamba", "attention", "attention", "mamba"] + ["mamba"] * 2,
        "num_local_experts": 4, "num_experts_per_tok": 2, "shared_intermediate_size": 16,
    }),
]  # fmt: skip
REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("Albert", CLASSIFIER, {"embedding_size": 16}, "cannot find the 6 layers"),
    ("XLM", CLASSIFIER, {"emb_dim": 32, "n_layers": 6, "n_heads": 2}, "splits its 6 layers over several lists"),
    ("ModernBert", CLASSIFIER, {"local_attention": 8, "cls_token_id": 1, "sep_token_id": 2},
     "layer 1 of the student would not do what layer 2 of the teacher does: attn_norm is Identity, not LayerNorm"),
    ("GPT2", "GPT2LMHeadModel", {**GPT, "scale_attn_by_inverse_layer_idx": True},
     r"layer 1 .* layer 2 of the teacher does: attn.scaling is 0.25, not 0.125"),
    ("Jamba", WRITER, {
        "num_key_value_heads": 2, "attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 4,
        "mamba_d_state": 4, "mamba_dt_rank": 4, "use_mamba_kernels": False,
     }, "layer 1 .* layer 2 of the teacher does: the layer is JambaMambaDecoderLayer, not JambaAttention"),
    ("RecurrentGemma", WRITER, {"num_key_value_heads": 2, "lru_width": 32, "block_types": ["recurrent", "attention"]},
     "layer 1 .* layer 2 .* temporal_block is RecurrentGemmaRecurrentBlock, not"),
    ("Esm", CLASSIFIER, {}, r"no such weights \(esm.contact_head.regression.weight\)"),
    ("Bart", CLASSIFIER, {"d_model": 32, "encoder_layers": 6, "decoder_layers": 6}, "an encoder and a decoder"),
    ("T5", CLASSIFIER, {"d_model": 32, "num_layers": 6, "num_heads": 2, "d_kv": 16, "d_ff": 32}, "an encoder and a"),
]  # fmt: skip


COMMON = {"Bert", "MPNet", "DistilBert", "Llama", "Qwen3", "Gemma3Text", "Mixtral", "GPT2"}
"""Architectures of the fast tests; the others are slow."""


def named(case: tuple[Any, ...]) -> str:
    return "-".join([case[0], *(name for name in case[2] if "step" in name or "scale" in name)])


def teacher_of(kind: str, head: str, options: dict[str, Any], **more: Any) -> Any:
    """Return a model whose norms and biases differ from layer to layer, as after training."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**{**SHAPE, **options, **more})
    model = getattr(transformers, head if head.startswith(kind[:3]) else f"{kind}{head}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() < 2:
                parameter += torch.rand_like(parameter) / 2
    return model


def without_other_layers(teacher: Any, student: Any, layers: list[int]) -> Any:
    """Return the teacher itself with the other layers taken out of its list, and masks by the student's settings."""
    model = copy.deepcopy(teacher)
    name, stack = layer_list(model)
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, nn.ModuleList(stack[layer - 1] for layer in layers))
    for module in model.modules():
        if hasattr(module, "config"):
            module.config = student.config
    return model


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    ids = torch.randint(5, 119, (2, 48), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 30:] = 0
    options = {"use_cache": False} if "CausalLM" in type(model).__name__ or "LMHead" in type(model).__name__ else {}
    found: torch.Tensor = model.eval()(input_ids=ids, attention_mask=mask, **options).logits
    return found[mask.bool()] if options else found


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize(
    "case", [case if case[0] in COMMON else pytest.param(case, marks=pytest.mark.slow) for case in COPIED],
    ids=[named(case) for case in COPIED],
)  # fmt: skip
def test_the_student_is_the_teacher_without_the_other_layers(case: tuple[Any, ...], tmp_path: Path) -> None:
    """Bit for bit, for layers of every kind that there is, at once and when the student is loaded again."""
    layers = [1, 3, 6] if "layer_types" in case[2] else [2, 3, 6]
    teacher = teacher_of(*case)
    student = student_from_layers(teacher, layers)
    assert student.copies_unchecked is None
    assert torch.equal(logits(student), logits(without_other_layers(teacher, student, layers)))
    save_model(student, None, tmp_path)
    assert torch.equal(logits(type(student).from_pretrained(tmp_path)), logits(student))


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("case", REFUSED, ids=named)
def test_layers_that_a_model_treats_by_their_place_are_refused(case: tuple[Any, ...]) -> None:
    with pytest.raises(ModelError, match=case[3]):
        student_from_layers(teacher_of(*case[:3]), [2, 4, 6])


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("case", [case for case in REFUSED if case[0] in ("ModernBert", "GPT2", "Jamba")], ids=named)
def test_layers_that_keep_their_places_are_copied(case: tuple[Any, ...]) -> None:
    teacher = teacher_of(*case[:3])
    student = student_from_layers(teacher, [1, 2, 3])
    assert torch.equal(logits(student), logits(without_other_layers(teacher, student, [1, 2, 3])))


def gpt2(**options: Any) -> Any:
    return teacher_of("GPT2", "GPT2LMHeadModel", GPT, **options)


def test_a_rule_that_no_setting_shows_is_found_at_work() -> None:
    """As where a layer looks at its number when it is run."""
    teacher = gpt2()
    student = student_from_layers(teacher, [1, 2])
    assert compare_layers(teacher, student, [1, 2]) is None
    stack = layer_list(student)[1]
    stack[1].mlp.register_forward_hook(lambda mlp, _args, output: output * (1 + mlp.number / 20))
    stack[1].mlp.number = 1
    with pytest.raises(ModelError, match=r"layer 2 of the student .* layer 2 of the teacher does: its output differs"):
        compare_layers(teacher, student, [1, 2])


def test_masks_and_positions_of_the_wrong_kind_are_found_at_work() -> None:
    """`layer_types` cut to its first values instead of along the map gives layers other masks."""
    case = ("Gemma2", WRITER, {**SKV, "sliding_window": 8})
    teacher = teacher_of(*case)
    student = student_from_layers(teacher, [2, 4])
    assert student.config.layer_types == ["full_attention"] * 2
    wrong = type(student)(teacher_of(*case, num_hidden_layers=2).config)
    assert wrong.config.layer_types == ["sliding_attention", "full_attention"]
    wrong.load_state_dict(student.state_dict())
    with pytest.raises(ModelError, match=r"layer 1 of the student .* layer 2 of the teacher does: its output differs"):
        compare_layers(teacher, wrong, [2, 4])
    with pytest.raises(ModelError, match=r"layer 1 of the student .* layer 2 .*sliding_attention, not full_attention"):
        require_like_layers(teacher, wrong, [2, 4])


@pytest.mark.parametrize("kind", ["SmolLM3", "Gemma2"])
def test_settings_that_are_not_cut_are_found(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_the_number(config: Any, layers: Any) -> None:
        config.num_hidden_layers = len(layers)
        config.layer_types = config.layer_types[: len(layers)]

    monkeypatch.setattr(initialise, "cut_settings", only_the_number)
    (case,) = (case for case in COPIED if case[0] == kind)
    with pytest.raises(ModelError, match="of the student would not do what"):
        student_from_layers(teacher_of(*case), [2, 3, 6])


def test_a_teacher_in_half_precision_is_compared_as_well() -> None:
    teacher = gpt2().bfloat16()
    student = student_from_layers(teacher, [2, 4])
    assert student.copies_unchecked is None
    with torch.no_grad():
        layer_list(student)[1][1].mlp.c_proj.weight *= 1.5
    with pytest.raises(ModelError, match="layer 2 of the student"):
        compare_layers(teacher, student, [2, 4])


def test_what_cannot_be_compared_is_said() -> None:
    """The teacher cannot be run on text alone: the student is made, and says that nobody looked."""
    teacher = gpt2()
    teacher.base_model.forward = lambda *_args, **_options: 1 / 0
    assert student_from_layers(teacher, [2, 4]).copies_unchecked == (
        "the teacher cannot be run on two rows (division by zero)"
    )


def test_no_more_than_two_passes_and_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, tokens, read = gpt2(attn_pdrop=0.5).train(), [], layer_check._read

    def count(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> None:
        tokens.append(ids.numel())
        read(model, ids, mask)

    monkeypatch.setattr(layer_check, "_read", count)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    torch.manual_seed(1)
    student = student_from_layers(teacher, [2, 4, 6])
    after = torch.get_rng_state()
    torch.manual_seed(1)
    type(teacher)(student.config)
    assert torch.equal(torch.get_rng_state(), after), "comparing drew random numbers"
    assert tokens == [320, 320]
    assert all(module.training for module in teacher.modules())
    assert not any(layer._forward_hooks for layer in layer_list(teacher)[1])
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())


def test_a_plan_makes_such_students_without_weights() -> None:
    with without_memory():
        student = student_from_layers(gpt2(), [2, 4])
    assert student.copies_unchecked is None
    assert next(student.parameters()).is_meta


def test_a_teacher_with_layers_of_an_adapter_is_refused() -> None:
    """Its copies would lose what was trained."""
    from limbeck.models.adapter_layers import AdapterLayers, insert_adapter_layers

    teacher = gpt2()
    site = "transformer.h.1.mlp.c_proj"
    insert_adapter_layers(teacher, AdapterLayers("houlsby", sites=(site,), width=4))
    with pytest.raises(
        ModelError, match=r"cannot be copied: a model of these layers has no such weights .*series_adapter"
    ):
        student_from_layers(teacher, [2, 4])
