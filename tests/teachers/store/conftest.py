"""Small stores whose samples all differ, so that a wrong join shows."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.teachers.store.fingerprint import Fingerprint
from limbeck.teachers.store.writer import StoreWriter
from limbeck.types import SparseLogits

VOCABULARY, TOP_K = 50, 4


def keep_top_k(logits_SV: Tensor, k: int, temperature: float = 1.0) -> SparseLogits:
    """The K likeliest tokens and the log of all others' mass, in float64 and then float32."""
    log_probs_SV = (logits_SV.double() / temperature).log_softmax(dim=-1)
    top = log_probs_SV.topk(k, dim=-1)
    tail_S = log_probs_SV.scatter(1, top.indices, -torch.inf).logsumexp(dim=-1)
    return SparseLogits(top.indices, top.values.float(), tail_S.float(), logits_SV.shape[1], temperature)


def sample(number: int) -> SparseLogits:
    """Between one and five distributions, with values that no other number has."""
    generator = torch.Generator().manual_seed(number)
    return keep_top_k(torch.randn(1 + number % 5, VOCABULARY, generator=generator) * 3, TOP_K)


def sorted_by_id(logits: SparseLogits) -> tuple[Tensor, Tensor, Tensor]:
    """Ids and log-probabilities in the order of the ids, and tails."""
    ids_SK, order_SK = logits.ids_SK.sort(dim=1)
    return ids_SK, logits.log_probs_SK.gather(1, order_SK), logits.tail_S


FINGERPRINT = Fingerprint("weights", "tokenizer", "template", VOCABULARY, TOP_K, precision="exact")
"""Of a store that keeps float32 as it is, so that tests may compare bits."""


@pytest.fixture
def fingerprint() -> Fingerprint:
    return FINGERPRINT


@pytest.fixture(autouse=True)
def fsync(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Files that would have been brought to disk, in order: a busy disk takes seconds, and no test cuts the power."""
    brought: list[int] = []
    monkeypatch.setattr(os, "fsync", brought.append)
    return brought


@pytest.fixture
def make_sample() -> Callable[[int], SparseLogits]:
    """Return the function that makes the sample of a number."""
    return sample


@pytest.fixture
def make_store(tmp_path: Path, fingerprint: Fingerprint) -> Callable[..., Path]:
    """Return a function that writes samples of the given numbers under the keys ``row-NUMBER``."""

    def make(numbers: Sequence[int], **options: Any) -> Path:
        folder = tmp_path / "store"
        with StoreWriter(folder, fingerprint, **options) as writer:
            for number in numbers:
                writer.append(f"row-{number}", sample(number))
        return folder

    return make


@pytest.fixture
def require_samples() -> Callable[[SparseLogits, Sequence[int]], None]:
    """Return a check that a store's answer is exactly the samples of these numbers, in this order."""

    def require(found: SparseLogits, numbers: Sequence[int]) -> None:
        parts = [sorted_by_id(sample(number)) for number in numbers]
        assert found.rows == sum(len(tail_S) for *_, tail_S in parts)
        for ours, theirs in zip(sorted_by_id(found), zip(*parts, strict=True), strict=False):
            assert torch.equal(ours, torch.cat(theirs))
        assert (found.vocabulary, found.temperature) == (VOCABULARY, 1.0)

    return require
