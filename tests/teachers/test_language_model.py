"""A language model as a teacher: what it says, and that it stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from limbeck.data.generation.collate import TokenSequence, collate
from limbeck.teachers.language_model import LanguageTeacher, TeacherStates
from limbeck.types import UNLABELLED, Batch, DenseLogits, LazyLogits, Needs, Tap

VOCABULARY = 17
LOGITS = Needs(logits=True)


def make(kind: str = "gpt2", **options: Any) -> Any:
    """Return a random model in training mode, with dropout."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    sizes: dict[str, dict[str, Any]] = {
        "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32, "initializer_range": 0.5},
        "t5": {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0},
    }
    torch.manual_seed(0)
    special = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = AutoConfig.for_model(kind, **(special | sizes[kind] | options))
    auto = AutoModelForSeq2SeqLM if kind == "t5" else AutoModelForCausalLM
    return auto.from_config(config).train()


def make_batch(decoder_start: int | None = None) -> Batch:
    rng = np.random.default_rng(0)
    sequences = []
    for prompt, completion in [(3, 2), (1, 5)]:
        ids = rng.integers(3, VOCABULARY, prompt + completion).astype(np.int32)
        sequences.append(TokenSequence(ids, np.arange(len(ids)) >= prompt, prompt, False))
    return collate(sequences, 0, decoder_start=decoder_start)


def multiplied(source: LazyLogits) -> Any:
    return source.hidden_SD @ source.weight_VD.T


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_its_distributions_are_the_models_at_the_supervised_positions(kind: str) -> None:
    teacher, batch = LanguageTeacher(make(kind)), make_batch(0 if kind == "t5" else None)
    source = teacher.signal(batch, LOGITS)["tokens"]
    assert isinstance(source, LazyLogits)
    assert source.rows == 7
    with torch.no_grad():
        own_BTV = teacher.model(**batch["student"]).logits
    torch.testing.assert_close(multiplied(source), own_BTV[batch["labels_BT"] != UNLABELLED])


def test_two_passes_are_equal_even_after_someone_trained_it() -> None:
    """Pitfall 26."""
    teacher, batch = LanguageTeacher(make()), make_batch()
    first = teacher.signal(batch, LOGITS)["tokens"]
    teacher.model.train()
    second = teacher.signal(batch, LOGITS)["tokens"]
    assert isinstance(first, LazyLogits)
    assert isinstance(second, LazyLogits)
    assert torch.equal(first.hidden_SD, second.hidden_SD)
    assert not teacher.model.training


def test_nothing_of_it_has_a_gradient() -> None:
    model = make()
    source = LanguageTeacher(model).signal(make_batch(), LOGITS)["tokens"]
    assert isinstance(source, LazyLogits)
    assert not source.hidden_SD.requires_grad
    assert not source.weight_VD.requires_grad
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_padding_of_its_vocabulary_is_cut() -> None:
    teacher, batch = LanguageTeacher(make(), vocabulary=VOCABULARY - 4), make_batch()
    source = teacher.signal(batch, LOGITS)["tokens"]
    assert isinstance(source, LazyLogits)
    whole = LanguageTeacher(teacher.model).signal(batch, LOGITS)["tokens"]
    assert isinstance(whole, LazyLogits)
    assert source.vocabulary == VOCABULARY - 4
    torch.testing.assert_close(multiplied(source), multiplied(whole)[:, :-4])


def test_a_head_of_its_own_kind_gives_dense_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make()
    monkeypatch.setattr(model, "get_output_embeddings", lambda: None)
    batch = make_batch()
    source = LanguageTeacher(model, vocabulary=VOCABULARY - 4).signal(batch, LOGITS)["tokens"]
    assert isinstance(source, DenseLogits)
    own_BTV = model(**batch["student"]).logits
    assert torch.equal(source.logits_SV, own_BTV[batch["labels_BT"] != UNLABELLED][:, :-4])


def test_it_is_not_run_where_no_logits_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = LanguageTeacher(make())
    monkeypatch.setattr(teacher, "model", None)
    assert teacher.signal(make_batch(), Needs(labels=True)) == {}


def test_its_hidden_states_are_those_of_the_students_tokens() -> None:
    model, batch = make(), make_batch()
    batch["rows_B"] = torch.arange(2)
    teacher = TeacherStates(model)
    states = teacher.signal(batch, Needs(teacher_taps=frozenset({Tap("hidden", 1), Tap("hidden", 2)})))["states"]
    with torch.no_grad():
        own = model.eval()(**batch["student"], output_hidden_states=True).hidden_states
    mask = batch["student"]["attention_mask"].bool()
    torch.testing.assert_close(states[Tap("hidden", 1)][mask], own[1][mask])
    last = model.transformer.ln_f(states[Tap("hidden", 2)])  # transformers puts the last norm into its last state
    torch.testing.assert_close(last[mask], own[2][mask])
    assert not any(parameter.requires_grad for parameter in teacher.model.parameters())
