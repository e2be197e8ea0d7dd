"""Attention against attention: a slow loop in float64, of encoders and decoders."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.hints.attention import AttentionMSE
from limbeck.models.layers import shapes
from limbeck.models.taps import capture
from limbeck.types import Batch, Needs, Shapes, Signal, Tap

LENGTHS = (5, 3)


def tiny(kind: str, layers: int, seed: int, heads: int = 2) -> Any:
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        kind, vocab_size=30, hidden_size=16, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=16,
        initializer_range=0.5, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return AutoModel.from_config(config).double()


def batch_of(more: int = 0) -> Batch:
    mask = (torch.arange(max(LENGTHS) + more) < torch.tensor(LENGTHS)[:, None]).long()
    ids = 3 + (torch.arange(mask.shape[1]) + torch.tensor([[0], [7]])) % 20
    return {"student": {"input_ids": ids * mask, "attention_mask": mask}, "rows_B": torch.arange(2)}


def seen(model: Any, batch: Batch, taps: frozenset[Tap]) -> Signal:
    with capture(model, taps, batch["student"]["attention_mask"]) as states:
        model(**batch["student"])
    return {"states": states}


def values(term: Any, student: Any, teacher: Any, batch: Batch) -> Tensor:
    signals = seen(student, batch, term.needs.student_taps), seen(teacher, batch, term.needs.teacher_taps)
    found: Tensor = term.values(*signals, batch)
    return found


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_values_are_those_of_a_slow_loop(kind: str) -> None:
    student, teacher, batch = tiny(kind, 2, 1), tiny(kind, 4, 2), batch_of()
    term = AttentionMSE().bind(shapes(teacher, student))
    assert term.pairs == ((1, 2), (2, 4))
    found = values(term, student, teacher, batch)
    own, other = (
        seen(model, batch, taps)["states"]
        for model, taps in ((student, term.needs.student_taps), (teacher, term.needs.teacher_taps))
    )
    assert term.mask(batch).equal(batch["student"]["attention_mask"].bool())
    for row, length in enumerate(LENGTHS):
        for t in range(length):
            keys = range(t + 1) if kind == "llama" else range(length)
            expected = 0.0
            for layer, of_teacher in term.pairs:
                a, b = own[Tap("attention", layer)][row], other[Tap("attention", of_teacher)][row]
                squares = [(a[h, t, k] - b[h, t, k]).item() ** 2 for h in range(2) for k in keys]
                expected += sum(squares) / len(squares)
            assert found[row, t].item() == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_padding_changes_nothing_and_has_no_gradient(kind: str) -> None:
    student, teacher = tiny(kind, 2, 1), tiny(kind, 4, 2)
    term = AttentionMSE().bind(shapes(teacher, student))
    gradients = []
    for batch in (batch_of(), batch_of(more=3)):
        student.zero_grad()
        found = values(term, student, teacher, batch).masked_fill(~term.mask(batch), 0.0)
        found.sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in student.parameters() if p.grad is not None]))
        assert found[:, : max(LENGTHS)].isfinite().all()
    torch.testing.assert_close(gradients[1], gradients[0])
    assert gradients[0].isfinite().all()
    assert gradients[0].abs().max() > 0.1
    assert all(p.grad is None for p in teacher.parameters())


def test_a_copy_is_at_0_and_half_precision_is_computed_in_float32() -> None:
    student, batch = tiny("bert", 2, 1), batch_of()
    term = AttentionMSE().bind(shapes(student, student))
    assert values(term, student, student, batch).abs().max() == 0
    half = {tap: x.bfloat16() for tap, x in seen(student, batch, term.needs.student_taps)["states"].items()}
    assert term.values({"states": half}, {"states": half}, batch).dtype == torch.float32


def test_what_it_asks_for_and_refuses() -> None:
    term = AttentionMSE("last").bind(Shapes(4, 16, 1, 8, 2, 2))
    taps = frozenset({Tap("attention", 1)}), frozenset({Tap("attention", 4)})
    assert term.needs == Needs(*taps, same_tokens=True, same_heads=True)
    assert not term.by_row
    with pytest.raises(ConfigError, match="the teacher has 4 in each layer and the student 2"):
        AttentionMSE().bind(Shapes(4, 16, 2, 16, 4, 2))


@pytest.mark.parametrize("size", [2, 4])
def test_the_published_example_however_long_its_padding(size: int) -> None:
    """((1, 2), (0, 1)) against ((0, 2), (1, 1)): 0.5; over all pairs of a batch padded to 4 it would be 0.125."""
    term, taps = AttentionMSE().bind(Shapes(1, 4, 1, 4, 1, 1)), []
    for scores in ([[1.0, 2.0], [0.0, 1.0]], [[0.0, 2.0], [1.0, 1.0]]):
        padded = torch.full((1, 1, size, size), 7.0 * len(taps))
        padded[..., 2:] = -torch.inf
        padded[0, 0, :2, :2] = torch.tensor(scores)
        taps.append({Tap("attention", 1): padded})
    mask = (torch.arange(size) < 2).long()[None]
    batch: Batch = {"student": {"attention_mask": mask}, "rows_B": torch.arange(1)}
    found = term.values({"states": taps[0]}, {"states": taps[1]}, batch)
    assert found[term.mask(batch)].mean().item() == pytest.approx(0.5)
