"""Relations of whole models: against projections that the test reads itself, with and without shared heads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.hints.relations import AttentionRelation
from limbeck.models.layers import layer_list, shapes
from limbeck.models.taps import capture
from limbeck.types import Batch, Needs, Shapes, Signal, Tap

LENGTHS, HEADS = (6, 3), 4
AT, VR = AttentionRelation("query", "key"), AttentionRelation("value", "value")
QQ, KK, VV = (AttentionRelation(side, side, "auto") for side in ("query", "key", "value"))
KINDS = pytest.mark.parametrize("kind", ["bert", "mpnet", "llama"])
EVERY = pytest.mark.parametrize("term", [AT, VR, QQ, KK, VV], ids=["AT", "VR", "QQ", "KK", "VV"])
PROJECTIONS = {
    "bert": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "mpnet": ("attention.attn.q", "attention.attn.k", "attention.attn.v"),
    "llama": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
}


def tiny(kind: str, layers: int, width: int, seed: int, groups: int = 2) -> Any:
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(seed)
    fields = {"num_key_value_heads": groups} if kind == "llama" else {}
    config = AutoConfig.for_model(
        kind, vocab_size=30, hidden_size=width, num_hidden_layers=layers, num_attention_heads=HEADS,
        intermediate_size=16, initializer_range=0.1 if kind == "llama" else 0.2, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, pad_token_id=0, max_position_embeddings=40, **fields,
    )  # fmt: skip
    return AutoModel.from_config(config).double()


def batch_of(more: int = 0, *, left: bool = False) -> Batch:
    mask = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).long()
    ids = (3 + (torch.arange(mask.shape[1]) + torch.tensor([[0], [7]])) % 20) * mask
    pad = (more, 0) if left else (0, more)
    ids, mask = (torch.nn.functional.pad(x, pad) for x in (ids, mask))
    return {"student": {"input_ids": ids, "attention_mask": mask}, "rows_B": torch.arange(2)}


def seen(model: Any, batch: Batch, taps: frozenset[Tap]) -> Signal:
    inputs: dict[str, Any] = {**batch["student"]}
    if model.config.model_type == "llama":  # as padding on the left needs
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
    with capture(model, taps, inputs["attention_mask"]) as states:
        model(**inputs)
    return {"states": states}


def values(term: AttentionRelation, student: Any, teacher: Any, batch: Batch) -> Tensor:
    return term.values(
        seen(student, batch, term.needs.student_taps), seen(teacher, batch, term.needs.teacher_taps), batch
    )


def gradient_of(model: Any) -> Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def projected(model: Any, kind: str, layer: int, batch: Batch) -> dict[str, Tensor]:
    """Queries, keys and values ``[B, T, width]`` of a layer, as attention reads them."""
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    found: list[Tensor] = []
    block = layer_list(model)[1][layer - 1]
    handles = [block.get_submodule(name).register_forward_hook(lambda m, i, o: found.append(o))
               for name in PROJECTIONS[kind]]  # fmt: skip
    model(**batch["student"])
    for handle in handles:
        handle.remove()
    query, key, value = found
    if kind == "llama":
        positions = torch.arange(query.shape[1])[None]
        turns = model.rotary_emb(query, positions)
        heads = [x.unflatten(-1, (-1, model.config.head_dim)).transpose(1, 2) for x in (query, key)]
        query, key = (x.transpose(1, 2).flatten(2) for x in apply_rotary_pos_emb(*heads, *turns))
    return {"query": query, "key": key, "value": value}


def slow(
    term: AttentionRelation, own: Mapping[str, Tensor], other: Mapping[str, Tensor], heads: int, causal: bool
) -> Tensor:
    """Token by token, with `heads` heads; shared ones are repeated if they are the models' own."""

    def relation(vectors: Mapping[str, Tensor], row: int, head: int, t: int, keys: list[int]) -> Tensor:
        width = vectors["query"].shape[-1] // heads
        parts = []
        for side in (term.first, term.second):
            size = width if term.heads == "own" else vectors[side].shape[-1] // heads
            there = head * (vectors[side].shape[-1] // size) // heads  # its own head, or the one that it shares
            parts.append(vectors[side][row, :, there * size : (there + 1) * size])
        a, b = parts
        return torch.stack([a[t] @ b[k] / a.shape[-1] ** 0.5 for k in keys]).softmax(-1)

    found = []
    for row, length in enumerate(LENGTHS):
        total = torch.zeros((), dtype=torch.float64)
        for head in range(heads):
            for t in range(length):
                keys = list(range(t + 1 if causal else length))
                p, q = (relation(x, row, head, t, keys) for x in (other, own))
                total = total + (p * (p / q).log()).sum()
        found.append(total / (heads * length))
    return torch.stack(found)


@pytest.mark.fast_cases(8)
@KINDS
@EVERY
def test_values_and_gradients_are_those_of_a_slow_loop(term: AttentionRelation, kind: str) -> None:
    """Widths of the models differ, and so does the number of query heads that share keys in a Llama: 4 and 2."""
    teacher, student, batch = tiny(kind, 3, 128, 2, groups=1), tiny(kind, 2, 64, 1), batch_of()
    heads = HEADS if term.heads == "own" or kind == "llama" else 8  # keys of a Llama are 32 wide in both
    bound = term.bind(shapes(teacher, student))
    assert bound.heads == ("own" if term.heads == "own" else heads)
    results = []
    for value in (
        values(bound, student, teacher, batch),
        slow(
            term, projected(student, kind, 2, batch), projected(teacher, kind, 3, batch), heads, causal=kind == "llama"
        ),
    ):
        student.zero_grad()
        (value * torch.tensor([1.0, 3.0])).sum().backward()
        results.append((value.detach(), gradient_of(student)))
        assert (value > 1e-3).all()
        assert results[-1][1].abs().max() > 1e-3
    torch.testing.assert_close(results[0], results[1], rtol=1e-6, atol=1e-8)


@pytest.mark.fast_cases(8)
@KINDS
@EVERY
def test_padding_changes_nothing(term: AttentionRelation, kind: str) -> None:
    teacher, student = tiny(kind, 3, 64, 2), tiny(kind, 2, 32, 1)
    bound = term.bind(shapes(teacher, student))
    found = []
    batches = [batch_of(), batch_of(more=3)] + ([batch_of(more=2, left=True)] if kind == "llama" else [])
    for batch in batches:
        assert bound.mask(batch).tolist() == [True, True]
        student.zero_grad()
        value = values(bound, student, teacher, batch)
        value.sum().backward()
        found.append((value.detach(), gradient_of(student)))
        assert all(p.grad is None for p in teacher.parameters())
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-6, atol=1e-8)


@pytest.mark.fast_cases(8)
@KINDS
@EVERY
def test_a_copy_is_at_0_and_another_teacher_is_not(term: AttentionRelation, kind: str) -> None:
    student, batch = tiny(kind, 2, 32, 1), batch_of()
    bound = term.bind(shapes(student, student))
    assert values(bound, student, student, batch).abs().max() == 0
    gradients = []
    for seed in (2, 3):
        student.zero_grad()
        values(bound, student, tiny(kind, 2, 32, seed), batch).sum().backward()
        gradients.append(gradient_of(student))
    assert (gradients[0] - gradients[1]).abs().max() > 1e-3


def test_the_attention_of_v1_is_that_which_a_model_without_bias_reports() -> None:
    """Query heads share those of keys, positions are turned, later tokens are hidden: as in the models themselves."""
    teacher, student, batch = tiny("llama", 3, 64, 2), tiny("llama", 2, 32, 1, groups=1), batch_of()
    bound = AT.bind(shapes(teacher, student))
    probs = []
    for model, layer in ((teacher, 3), (student, 2)):
        model.set_attn_implementation("eager")
        probs.append(model(**batch["student"], output_attentions=True).attentions[layer - 1])
    p, q = probs
    each = torch.where(p > 0, p * (p.log() - q.log()), 0.0).sum(-1).mean(1)
    read = batch["student"]["attention_mask"].bool()
    expected = (each * read).sum(1) / read.sum(1)
    torch.testing.assert_close(values(bound, student, teacher, batch), expected)


FITTING = Shapes(12, 768, 6, 384, 12, 12, 12, 12, 64, 32)


def test_what_it_asks_for() -> None:
    query, key = Tap("query", 6), Tap("key", 6)
    bound = AT.bind(FITTING)
    assert bound.needs == Needs(
        frozenset({query, key}), frozenset({Tap("query", 12), Tap("key", 12)}), same_tokens=True, same_heads=True
    )
    assert bound.by_row
    assert not bound.causal
    assert AT.bind(FITTING._replace(causal=True)).causal
    assert AT.needs.teacher_hidden
    lower = replace(AT, student_layer=2, teacher_layer=4).bind(FITTING).needs
    assert {tap.layer for tap in lower.student_taps} == {2}
    assert {tap.layer for tap in lower.teacher_taps} == {4}
    earlier = AttentionRelation("value", "value", 48, teacher_layer=9).bind(FITTING)
    assert earlier.needs == Needs(frozenset({Tap("value", 6)}), frozenset({Tap("value", 9)}), same_tokens=True)


@pytest.mark.parametrize(
    ("pair", "heads"),
    [
        (FITTING, 48),  # of 768 and 384, as in the released code: 8 wide in the student
        (Shapes(24, 1024, 6, 384, 16, 12, 16, 12, 64, 32), 16),
        (Shapes(24, 1024, 12, 768, 16, 12, 16, 12, 64, 64), 32),
        (Shapes(32, 4096, 16, 2048, 32, 32, 8, 4, 128, 64), 32),  # keys and values 1024 and 256 wide
        (Shapes(4, 6, 2, 6, 2, 2, 2, 2, 3, 3), 1),
    ],
)
def test_the_number_of_heads_that_is_chosen(pair: Shapes, heads: int) -> None:
    assert QQ.bind(pair).heads == heads


@pytest.mark.parametrize(
    ("term", "pair", "message"),
    [
        (AT, FITTING._replace(student_heads=6), "the teacher has 12 in each layer and the student 6. Use a student"),
        (VR, FITTING._replace(student_heads=0), "the configuration of the student does not give one"),
        (QQ, FITTING._replace(teacher_heads=0), "the configuration of the teacher does not give one"),
        (replace(AT, student_layer=7), FITTING, "student_layer must be between 1 and 6, not 7"),
        (replace(QQ, teacher_layer=13), FITTING, "teacher_layer must be between 1 and 12, not 13"),
        (
            replace(QQ, heads=5),
            FITTING,
            "relation_heads 5 does not divide the width 768 (the teacher's queries), 768 (the teacher's keys and "
            "values), 384 (the student's queries), 384 (the student's keys and values). Choose a divisor of 384",
        ),
        (
            replace(QQ, heads=48),
            FITTING._replace(student_groups=2, student_head_width=64, student_heads=6),
            "relation_heads 48 does not divide the width 128 (the student's keys and values). Choose a divisor of 128",
        ),
    ],
)
def test_what_it_refuses(term: AttentionRelation, pair: Shapes, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        term.bind(pair)
