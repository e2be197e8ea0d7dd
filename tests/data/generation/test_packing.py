"""Packed sequences do not see each other, and models that mix them up are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.data.generation.collate import TokenSequence, collate, packed_groups
from limbeck.data.generation.packing import check_packing
from limbeck.errors import ConfigError
from limbeck.losses.objective import Objective
from limbeck.losses.readout import TokenReadout

Make = Callable[..., Any]


def random_sequences(lengths: list[int]) -> list[TokenSequence]:
    rng = np.random.default_rng(1)
    return [
        TokenSequence(rng.integers(5, 420, n).astype(np.int32), np.ones(n, dtype=np.bool_), 0, False) for n in lengths
    ]


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_logits_of_packed_sequences_are_those_of_each_alone(make_llama: Make, attention: str, mode: str) -> None:
    model = make_llama(attention, num_key_value_heads=2).train(mode == "train")
    lengths = [4, 1, 9, 2, 2, 7, 13, 1]
    sequences = random_sequences(lengths)
    batch = collate(sequences, 0, pack_to=16)
    with torch.no_grad():
        packed_BTV = model(**batch["student"], use_cache=False).logits
        alone = [model(**collate([one], 0)["student"]).logits[0] for one in sequences]
    assert packed_BTV.shape[:2] == (3, 14)
    flat_NV = torch.cat([packed_BTV[0, :14], packed_BTV[1, :11], packed_BTV[2, :14]])
    torch.testing.assert_close(flat_NV, torch.cat(alone), rtol=1e-5, atol=1e-5)
    check_packing(model)
    assert model.training == (mode == "train")


def test_loss_and_gradient_of_packed_sequences_are_those_of_rows_of_their_own(make_llama: Make) -> None:
    from limbeck.losses.term import WeightedTerm
    from limbeck.losses.tokens import TokenTerm
    from limbeck.numerics.token_losses import LabelLoss, TokenDivergence
    from limbeck.teachers.language_model import LanguageTeacher
    from limbeck.types import Batch

    student, teacher = make_llama("sdpa").double(), LanguageTeacher(make_llama("sdpa", num_key_value_heads=2).double())
    terms = (
        WeightedTerm("divergence", TokenTerm(TokenDivergence("jensen_shannon")), weight=0.7),
        WeightedTerm("labels", TokenTerm(LabelLoss()), weight=0.3),
    )
    objective = Objective(student, terms, TokenReadout())
    sequences = [
        TokenSequence(one.ids, np.arange(len(one.ids)) >= len(one.ids) // 2, 0, False)
        for one in random_sequences([4, 2, 9, 2, 3, 7, 13, 2])
    ]

    def step(batch: Batch) -> tuple[float, torch.Tensor]:
        student.zero_grad(set_to_none=True)
        batch["signal"] = teacher.signal(batch, objective.needs)
        loss, _ = objective(batch, objective.count([batch]))
        loss.backward()
        return loss.item(), torch.cat([p.grad.flatten() for p in student.parameters()])

    packed = collate(sequences, 0, pack_to=16)
    assert packed["read_BT"].sum(dim=1).tolist() == [15, 12, 15]
    (loss, gradient), (expected, expected_gradient) = step(packed), step(collate(sequences, 0))
    assert loss == pytest.approx(expected, rel=1e-6)
    assert gradient.norm() > 0.01
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("kind", ["qwen2", "gpt2", "gpt_neox"])
def test_other_models_that_keep_them_apart(make_llama: Make, kind: str) -> None:
    check_packing(make_llama("eager", kind, **({"num_key_value_heads": 2} if kind == "qwen2" else {})))


@pytest.mark.parametrize("kind", ["opt", "bloom"])
def test_models_that_mix_them_up_are_refused(make_llama: Make, kind: str) -> None:
    widths = {"ffn_dim": 64, "word_embed_proj_dim": 32, "init_std": 0.3} if kind == "opt" else {}
    model = make_llama("eager", kind, **widths).train()
    with pytest.raises(ConfigError, match="mixes up packed sequences"):
        check_packing(model)
    assert model.training


def test_an_attention_that_looks_at_no_mask_is_refused(make_llama: Make) -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    def causal_alone(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any) -> Any:
        return sdpa_attention_forward(module, query, key, value, None, **options)

    AttentionInterface.register("causal_alone", causal_alone)
    AttentionMaskInterface.register("causal_alone", lambda **_: None)
    with pytest.raises(ConfigError, match="attention 'causal_alone' mixes up packed sequences"):
        check_packing(make_llama("causal_alone"))


def least_positions(lengths: list[int], width: int) -> int:
    """Try every place where a new row may begin."""
    found = []
    for cuts in range(2 ** (len(lengths) - 1)):
        rows = [lengths[0]]
        for place, length in enumerate(lengths[1:]):
            if cuts >> place & 1:
                rows.append(length)
            else:
                rows[-1] += length
        if max(rows) <= max(width, max(lengths)):
            found.append(max(rows) * len(rows))
    return min(found)


def test_sequences_share_rows_with_the_least_padding() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        lengths, width = rng.integers(1, 30, rng.integers(1, 10)).tolist(), int(rng.integers(5, 90))
        groups = packed_groups(lengths, width)
        assert [number for group in groups for number in group] == list(range(len(lengths)))
        widths = [sum(lengths[number] for number in group) for group in groups]
        assert max(widths) <= max(width, *lengths)
        assert max(widths) * len(groups) == least_positions(lengths, width)
        assert max(widths) * len(groups) <= max(lengths) * len(lengths)
    assert packed_groups([3], 8) == [[0]]
    assert packed_groups([20, 20, 20], 500) == [[0], [1], [2]]  # as narrow as can be: attention is the square of it
