"""Adapters: what is trained, what stays, and that a saved student computes what the trained one did."""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import norm
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    GPT2Config,
    LlamaConfig,
    OPTConfig,
)

from limbeck.errors import ModelError
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.objective import Objective
from limbeck.losses.term import WeightedTerm
from limbeck.models.load import load_classifier, load_language_model, load_weights, save_model
from limbeck.models.taps import run_model
from limbeck.students.adapters import (
    Adapter,
    adapter_notes,
    add_adapter,
    all_parameters,
    merged_for_export,
    trainable_parameters,
)
from limbeck.types import Tap

LLAMA_7B = LlamaConfig(vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32)
OPT_1_3B = OPTConfig(hidden_size=2048, ffn_dim=8192, num_hidden_layers=24, num_attention_heads=32)
GPT2_124M = GPT2Config()
BERT_BASE = AutoConfig.for_model("bert", num_labels=3)
SMALL = {
    "bert": {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32},
    "roberta": {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32},
    "llama": {"hidden_size": 16, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 32},
    "gpt2": {"n_embd": 16, "n_head": 2, "n_inner": 32},
    "opt": {"hidden_size": 16, "num_attention_heads": 2, "ffn_dim": 32, "word_embed_proj_dim": 16},
}
EVERY_KIND = [
    Adapter(kind="lora", rank=2, dropout=0.0),
    Adapter(kind="lora", rank=2, dropout=0.0, targets="all_linear"),
    Adapter(kind="houlsby", width=3),
    Adapter(kind="prompt", vectors=4),
    Adapter(kind="prefix", vectors=4),
    Adapter(kind="bitfit"),
]


def short(value: Any) -> str:
    return f"{value.kind}-{value.targets or ''}" if isinstance(value, Adapter) else str(value)


def small(kind: str, *, auto: Any = AutoModelForSequenceClassification, seed: int = 0) -> Any:
    """Return a random model of 2 layers, without dropout, whose token 0 is padding."""
    fields: dict[str, Any] = {"num_hidden_layers": 2, "vocab_size": 40, "max_position_embeddings": 40}
    fields |= {"num_labels": 3, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    fields |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0} if "bert" in kind else {}
    fields |= {"dropout": 0.0} if kind == "opt" else {}
    fields |= {"resid_pdrop": 0.0, "attn_pdrop": 0.0, "embd_pdrop": 0.0} if kind == "gpt2" else {}
    if kind == "gpt2":
        fields |= {"n_layer": fields.pop("num_hidden_layers"), "n_positions": fields.pop("max_position_embeddings")}
    torch.manual_seed(seed)
    return auto.from_config(AutoConfig.for_model(kind, **fields, **SMALL[kind]))


def empty(config: Any, auto: Any = AutoModelForCausalLM, layers: int | None = None) -> Any:
    """Return a model of full width without memory, and with fewer layers where asked for."""
    config = copy.deepcopy(config)
    config.num_hidden_layers = layers or config.num_hidden_layers
    with torch.device("meta"):
        return auto.from_config(config)


def rows() -> dict[str, torch.Tensor]:
    ids = torch.tensor([[5, 6, 7, 8, 9, 10], [11, 12, 13, 0, 0, 0]])
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


def logits(model: Any) -> torch.Tensor:
    """Return the logits at text positions, in evaluation mode."""
    with torch.no_grad():
        found: torch.Tensor = model.eval()(**rows()).logits
    return found


def disturb(model: Any) -> None:
    """Give every trained parameter another value, as training does."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)


def fits(adapter: Adapter, kind: str) -> bool:
    """Encoders have no prefix and Llama has no biases: both are refused, see the tests of that."""
    return not ((adapter.kind == "prefix" and "bert" in kind) or (adapter.kind == "bitfit" and kind == "llama"))


PAIRS = [(kind, adapter) for kind in SMALL for adapter in EVERY_KIND if fits(adapter, kind)]


# Oracles of shared counts: r (in + out) for each matrix; 2 (2dm + d + m) for each layer.
@pytest.mark.fast_cases(4)
@pytest.mark.parametrize(
    ("config", "rank", "targets", "expected"),
    [
        (LLAMA_7B, 64, "query_value", 33_554_432),
        (LLAMA_7B, 64, "attention", 67_108_864),
        (LLAMA_7B, 16, "all_linear", 39_976_960),
        (OPT_1_3B, 64, "query_value", 12_582_912),
        (OPT_1_3B, 64, ["q_proj", "k_proj", "v_proj"], 18_874_368),
        (OPT_1_3B, 64, "attention", 25_165_824),
        (GPT2_124M, 64, "query_value", 2_359_296),
        (GPT2_124M, 64, ["c_attn"], 2_359_296),
        (GPT2_124M, 19, ["c_attn"], 700_416),
    ],
)
def test_lora_trains_as_many_parameters_as_the_formula_says(
    config: Any, rank: int, targets: Any, expected: int
) -> None:
    model = add_adapter(empty(config, layers=2), Adapter(kind="lora", rank=rank, targets=targets))
    assert trainable_parameters(model) * config.num_hidden_layers // 2 == expected


def test_lora_counts_all_layers() -> None:
    model = add_adapter(empty(LLAMA_7B), Adapter(kind="lora", rank=16, targets="all_linear"))
    assert trainable_parameters(model) == 39_976_960


@pytest.mark.parametrize(
    ("config", "expected"),
    [(LLAMA_7B, 33_820_672), (BERT_BASE, 2_379_264)],
)
def test_series_adapters_train_as_many_parameters_as_the_formula_says(config: Any, expected: int) -> None:
    auto = AutoModelForSequenceClassification if config.model_type == "bert" else AutoModelForCausalLM
    model = add_adapter(empty(config, auto, layers=2), Adapter(kind="houlsby", width=64))
    head = 768 * 3 + 3 if config.model_type == "bert" else 0
    assert (trainable_parameters(model) - head) * config.num_hidden_layers // 2 == expected


def test_the_other_kinds_train_what_they_say() -> None:
    def count(kind: str, **fields: Any) -> int:
        return trainable_parameters(add_adapter(empty(LLAMA_7B, layers=2), Adapter(kind=kind, **fields)))  # type: ignore[arg-type]

    assert count("prompt", vectors=20) == 20 * 4096
    assert count("prefix", vectors=20) == 2 * 2 * 20 * 4096
    bert = empty(BERT_BASE, AutoModelForSequenceClassification)
    biases = sum(p.numel() for n, p in bert.bert.named_parameters() if n.endswith("bias"))
    assert trainable_parameters(add_adapter(bert, Adapter(kind="bitfit"))) == biases + 768 * 3 + 3


@pytest.mark.fast_cases(6)
@pytest.mark.parametrize(
    ("kind", "adapter"), [p for p in PAIRS if p[1].kind in ("lora", "houlsby", "bitfit")], ids=str
)
def test_a_fresh_adapter_changes_nothing(kind: str, adapter: Adapter) -> None:
    model = small(kind)
    before = logits(model)
    assert torch.equal(logits(add_adapter(model, adapter)), before)
    disturb(model)
    assert not torch.allclose(logits(model), before)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "adapter"), PAIRS, ids=short)
def test_a_saved_student_computes_what_the_trained_one_did(
    kind: str, adapter: Adapter, tmp_path: Path, make_tokenizer: Callable[..., Any]
) -> None:
    model = add_adapter(small(kind), adapter)
    disturb(model)
    trained = logits(model)
    exported = merged_for_export(model)
    assert torch.allclose(logits(exported), trained, atol=1e-5)
    save_model(exported, make_tokenizer(), tmp_path)
    assert torch.allclose(logits(load_classifier(str(tmp_path))), trained, atol=1e-5)
    plain = adapter.kind in ("lora", "bitfit")
    assert (tmp_path / "adapter.json").exists() != plain
    if plain:
        again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
        assert torch.allclose(logits(again), trained, atol=1e-5)
        assert not any("lora" in name or "base_layer" in name for name in exported.state_dict())


@pytest.mark.fast_cases(6)
@pytest.mark.parametrize(("kind", "adapter"), [pair for pair in PAIRS if "bert" not in pair[0]], ids=short)
def test_a_language_model_keeps_its_positions_and_its_head(
    kind: str, adapter: Adapter, tmp_path: Path, make_tokenizer: Callable[..., Any]
) -> None:
    model = small(kind, auto=AutoModelForCausalLM)
    head = model.get_output_embeddings().weight
    add_adapter(model, adapter)
    assert not head.requires_grad
    disturb(model)
    trained = logits(model)
    assert trained.shape == (2, 6, 40)
    save_model(merged_for_export(model), make_tokenizer(), tmp_path)
    assert torch.allclose(logits(load_language_model(str(tmp_path))), trained, atol=1e-5)


@pytest.mark.parametrize(("kind", "adapter"), [p for p in PAIRS if p[1].kind in ("prompt", "prefix")], ids=short)
def test_padding_does_not_change_what_a_prompted_classifier_says(kind: str, adapter: Adapter) -> None:
    model = add_adapter(small(kind), adapter)
    disturb(model)
    short = {name: tensor[1:, :3] for name, tensor in rows().items()}
    with torch.no_grad():
        assert torch.allclose(model.eval()(**short).logits[0], logits(model)[1], atol=1e-6)


def test_a_soft_prompt_is_read_as_words_are() -> None:
    """A prompt of three words' embeddings gives what the three words give (tokens 20, 21, 22 in front)."""
    tap = Tap("hidden", 2)
    for kind in ("gpt2", "llama", "bert"):
        model = add_adapter(small(kind), Adapter(kind="prompt", vectors=3)).eval()
        words = model.base_model.get_input_embeddings().weight
        model.base_model.soft_prompt.data = words[20:23].detach().clone()
        ids = torch.tensor([[5, 6, 7, 8]])
        found = run_model(model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, frozenset({tap}))
        plain = small(kind).eval()
        longer = torch.tensor([[20, 21, 22, 5, 6, 7, 8]])
        expected = run_model(plain, {"input_ids": longer, "attention_mask": torch.ones_like(longer)}, frozenset({tap}))
        assert torch.allclose(found["states"][tap], expected["states"][tap][:, 3:], atol=1e-6)


def test_a_cache_of_keys_and_values_is_refused_with_a_prompt() -> None:
    model = add_adapter(small("gpt2", auto=AutoModelForCausalLM), Adapter(kind="prompt", vectors=3)).eval()
    with pytest.raises(ModelError, match="use_cache=False"):
        model.generate(**rows(), max_new_tokens=3, do_sample=False)
    assert model.generate(**rows(), max_new_tokens=3, do_sample=False, use_cache=False).shape == (2, 9)


@pytest.mark.slow
@pytest.mark.parametrize("adapter", EVERY_KIND, ids=short)
def test_frozen_tensors_are_bit_identical_after_training_and_checkpoints_hold_the_trained_alone(
    adapter: Adapter, tmp_path: Path, make_trainer: Callable[..., Any], make_task: Callable[..., Any]
) -> None:
    kind = "gpt2" if adapter.kind == "prefix" else "bert"
    model = add_adapter(small(kind), adapter)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    objective = Objective(model, (WeightedTerm("labels", LabelCrossEntropy()),))
    trainer = make_trainer(
        objective, make_task(), None, tmp_path,
        steps=10, save_strategy="steps", save_steps=10, optim="adamw_torch", learning_rate=0.001,
    )  # fmt: skip
    trainer.train()
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == trained
    from safetensors.torch import load_file

    saved = load_file(tmp_path / "checkpoint-10" / "model.safetensors")
    own = {name.removeprefix("student.") for name in saved}
    assert own == trained
    fresh = add_adapter(small(kind), adapter)
    lost = Objective(fresh, objective.weighted_terms).load_state_dict(saved)
    assert not lost.missing_keys
    assert not lost.unexpected_keys
    assert torch.equal(logits(fresh), logits(model))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
@pytest.mark.parametrize("adapter", EVERY_KIND[:4], ids=short)
def test_tied_frozen_weights_are_in_no_checkpoint_under_either_name(
    adapter: Adapter, kind: str, tmp_path: Path
) -> None:
    """The head of a language model may be its word embeddings: one frozen tensor, two names in a state."""

    def made() -> Any:
        model = small(kind, auto=AutoModelForCausalLM)
        model.get_output_embeddings().weight = model.get_input_embeddings().weight
        return add_adapter(model, adapter)

    model = made()
    disturb(model)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    saved = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert saved.keys() == trained
    fresh = made()
    fresh.load_state_dict(saved, strict=True)
    assert torch.equal(logits(fresh), logits(model))
    around = Objective(model, ()).state_dict()
    assert {name.removeprefix("student.") for name in around} == trained
    lost = Objective(other := made(), ()).load_state_dict(around)
    assert not lost.missing_keys
    assert torch.equal(logits(other), logits(model))
    save_model(model, None, tmp_path)
    load_weights(again := made(), tmp_path)
    assert torch.equal(logits(again), logits(model))
    for one in (fresh, other, again):
        assert one.get_output_embeddings().weight is one.get_input_embeddings().weight


@pytest.mark.slow
def test_a_resumed_training_ends_where_one_in_one_go_does(
    tmp_path: Path, make_trainer: Callable[..., Any], make_task: Callable[..., Any]
) -> None:
    def train(folder: Path, resume: Path | None) -> Any:
        torch.manual_seed(3)
        model = add_adapter(small("bert"), Adapter(kind="lora", rank=2, dropout=0.1))
        objective = Objective(model, (WeightedTerm("labels", LabelCrossEntropy()),))
        trainer = make_trainer(
            objective, make_task(), None, folder, steps=6, save_strategy="steps", save_steps=3, optim="adamw_torch"
        )
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        return model

    whole = train(tmp_path / "whole", None)
    resumed = train(tmp_path / "resumed", tmp_path / "whole" / "checkpoint-3")
    for (name, a), (_, b) in zip(whole.named_parameters(), resumed.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_a_stage_folder_gives_its_weights_back(tmp_path: Path, make_tokenizer: Callable[..., Any]) -> None:
    adapter = Adapter(kind="lora", rank=2)
    model = add_adapter(small("bert"), adapter)
    disturb(model)
    save_model(model, make_tokenizer(), tmp_path)
    fresh = add_adapter(small("bert"), adapter)
    load_weights(fresh, tmp_path)
    assert torch.equal(logits(fresh), logits(model))
    with pytest.raises(ModelError, match="does not hold the weights of this model"):
        load_weights(small("bert"), tmp_path)


def test_a_state_is_put_back_as_it_was() -> None:
    """As a run does between the distilled and the fine-tuned student of one start."""
    model = add_adapter(small("bert"), Adapter(kind="lora", rank=2))
    start, before = copy.deepcopy(model.state_dict()), logits(model)
    disturb(model)
    model.load_state_dict(start)
    assert torch.equal(logits(model), before)


def test_a_copy_is_trained_apart() -> None:
    model = add_adapter(small("bert"), Adapter(kind="houlsby", width=3))
    other = copy.deepcopy(model)
    before = logits(model)
    disturb(other)
    assert not torch.allclose(logits(other), before)
    assert torch.equal(logits(model), before)
    assert trainable_parameters(merged_for_export(other)) > 0
    assert len(other.state_dict()) > len(model.state_dict())


def test_faults_say_what_there_is() -> None:
    with pytest.raises(ModelError, match=r"no linear maps q_prj in its layers; choose from .*q_proj"):
        add_adapter(small("llama"), Adapter(kind="lora", targets=["q_prj"]))
    with pytest.raises(ModelError, match="no biases for bitfit to train; use lora"):
        add_adapter(small("llama"), Adapter(kind="bitfit"))
    with pytest.raises(ModelError, match="adapter kind 'prefix' needs a decoder"):
        add_adapter(small("bert"), Adapter(kind="prefix"))
    model = add_adapter(small("llama"), Adapter(kind="lora"))
    with pytest.raises(ModelError, match="already has an adapter of kind 'lora'"):
        add_adapter(model, Adapter(kind="lora"))
    with pytest.raises(ValidationError, match="'houlsby' has no option rank; its options: width"):
        Adapter(kind="houlsby", rank=8)
    with pytest.raises(ValidationError, match="'lora', 'qlora'"):
        Adapter(kind="lore")  # type: ignore[arg-type]


def test_a_section_written_with_every_value_reads_back() -> None:
    for adapter in EVERY_KIND:
        assert Adapter.model_validate(adapter.model_dump()) == adapter
    paper = Adapter()
    assert (paper.rank, paper.alpha, paper.dropout, paper.targets) == (64, 16, 0.1, "attention")


def test_a_base_that_was_not_quantised_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.students.adapters.find_spec", lambda name: None)
    (note,) = adapter_notes(Adapter(kind="qlora"))
    assert "not quantised" in note
    assert adapter_notes(Adapter(kind="lora")) == []
    model = small("llama")
    before = logits(model)
    assert torch.equal(logits(add_adapter(model, Adapter(kind="qlora", rank=2))), before)


needs_bitsandbytes = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")


@needs_bitsandbytes
def test_nf4_has_its_levels_at_quantiles_of_the_normal_distribution() -> None:
    """Seven levels below 0 and eight above, at equal steps of probability up to the mean of 1 - 1/30 and 1 - 1/32."""
    import bitsandbytes as bnb

    outermost = 1 - (1 / 30 + 1 / 32) / 2
    above, below = (norm.ppf(np.linspace(outermost, 0.5, number)[:-1]) for number in (9, 8))
    expected = np.sort(np.concatenate([-below, [0.0], above])) / above.max()
    levels = bnb.functional.get_4bit_type("nf4", device="cpu").sort().values
    np.testing.assert_allclose(levels.numpy(), expected, atol=2e-6)


@needs_bitsandbytes
@pytest.mark.parametrize("length", [64, 100, 1])
def test_nf4_keeps_zeros_and_the_largest_of_each_block(length: int) -> None:
    """Block 64, constants not quantised again: zeros and maxima are exact, errors bounded, twice is once."""
    import bitsandbytes as bnb

    def there_and_back(weights: torch.Tensor) -> torch.Tensor:
        packed, state = bnb.functional.quantize_4bit(weights, blocksize=64, quant_type="nf4")
        return bnb.functional.dequantize_4bit(packed, state).reshape(weights.shape)

    levels = bnb.functional.get_4bit_type("nf4", device="cpu")
    assert len(levels) == 16
    assert (levels.min(), levels.max()) == (-1, 1)
    assert (levels == 0).sum() == 1
    assert torch.equal(there_and_back(torch.zeros(length)), torch.zeros(length))
    torch.manual_seed(0)
    weights = torch.randn(length)
    found = there_and_back(weights)
    widest = (levels.sort().values.diff()).max()
    for start in range(0, length, 64):
        block, back = weights[start : start + 64], found[start : start + 64]
        largest = block.abs().argmax()
        assert back[largest] == block[largest]
        assert (back - block).abs().max() <= block[largest].abs() * widest / 2 + 1e-6
    assert torch.equal(there_and_back(found), found)


@needs_bitsandbytes
def test_a_quantised_base_is_bit_identical_after_training() -> None:
    model = add_adapter(small("gpt2"), Adapter(kind="qlora", rank=2, dropout=0.0))

    def tensors() -> dict[str, torch.Tensor]:
        """All parameters, packed ones as bytes, with the constants that unpack them."""
        found = {name: p.detach().clone() for name, p in model.named_parameters()}
        states = {name: p.quant_state for name, p in model.named_parameters() if hasattr(p, "quant_state")}
        assert states
        return found | {f"{name}.absmax": state.absmax.clone() for name, state in states.items()}

    before = tensors()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=0.01, weight_decay=0.1)
    for _ in range(10):
        model(**rows(), labels=torch.tensor([0, 2])).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    after = tensors()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name, p in model.named_parameters() if p.requires_grad}


@needs_bitsandbytes
def test_nf4_takes_as_many_bits_as_the_arithmetic_says() -> None:
    """4 + 8/64 + 32/(64 * 256) = 4.126953 bits a weight."""
    import bitsandbytes as bnb

    weights = torch.randn(256, 1024)
    packed, state = bnb.functional.quantize_4bit(weights, blocksize=64, quant_type="nf4", compress_statistics=True)
    constants = state.absmax.numel() * state.absmax.element_size()
    second = state.state2.absmax.numel() * state.state2.absmax.element_size()
    bits = 8 * (packed.numel() * packed.element_size() + constants + second) / weights.numel()
    assert bits == pytest.approx(4.126953, abs=1e-6)


@needs_bitsandbytes
@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_a_quantised_base_is_exported_as_what_it_computes(
    kind: str, tmp_path: Path, make_tokenizer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU whose kernels would repack the weights at the first prediction, too."""
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: True)
    model = small(kind)
    before = logits(model)
    whole = all_parameters(model)
    add_adapter(model, Adapter(kind="qlora", rank=2, dropout=0.0))
    assert all_parameters(model) - whole == sum(p.numel() for name, p in model.named_parameters() if "lora_" in name)
    quantised = logits(model)
    assert not torch.equal(quantised, before)
    assert torch.allclose(quantised, before, atol=0.1)
    model(**rows()).logits.sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
    disturb(model)
    trained = logits(model)
    save_model(merged_for_export(model), make_tokenizer(), tmp_path)
    assert torch.allclose(logits(load_classifier(str(tmp_path))), trained, atol=1e-5)
