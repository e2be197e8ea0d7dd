"""Bytes of a distribution: size, what comes back, how far off it is, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from limbeck.errors import ConfigError, DataError
from limbeck.teachers.store.format import LEAST_LOG_PROB, Distributions, Precision, RowFormat

HALF_STEP = 1 / 131068
ROUNDING = 1e-6


def distributions(logits_SV: torch.Tensor, top_k: int) -> tuple[Distributions, NDArray[np.float64]]:
    """The top K with its tail, and all log-probabilities."""
    log_probs_SV = logits_SV.double().log_softmax(dim=-1)
    top = log_probs_SV.topk(top_k, dim=-1)
    tail_S = log_probs_SV.scatter(1, top.indices, -torch.inf).logsumexp(dim=-1)
    kept = Distributions(top.indices.numpy(), top.values.float().numpy(), tail_S.float().numpy())
    return kept, log_probs_SV.numpy()


def like_a_language_model(rows: int, vocabulary: int, seed: int = 0) -> torch.Tensor:
    """Logits from sure to undecided, with the heavy tail that real ones have."""
    generator = torch.Generator().manual_seed(seed)
    ranks = torch.rand(rows, vocabulary, generator=generator).argsort(dim=1).double() + 1
    sharpness = torch.linspace(0.6, 4.0, rows)[:, None]
    return -sharpness * ranks.log() + 0.3 * torch.randn(rows, vocabulary, generator=generator)


@pytest.mark.parametrize(
    ("vocabulary", "top_k", "precision", "size"),
    [
        (128_256, 64, "compact", 240),
        (151_936, 64, "compact", 242),
        (32_000, 64, "compact", 224),
        (256_000, 64, "compact", 248),
        (128_256, 64, "exact", 364),
        (32_000, 8, "compact", 38),
    ],
)
def test_size_of_a_token(vocabulary: int, top_k: int, precision: Precision, size: int) -> None:
    layout = RowFormat(vocabulary, top_k, precision)
    rows, _ = distributions(like_a_language_model(2, vocabulary), top_k)
    assert layout.pack(rows).shape == (2, size)
    assert layout.bytes_per_row == size


def test_the_size_asked_for() -> None:
    assert RowFormat(128_256, 64).bytes_per_row <= 264


@st.composite
def any_rows(draw: st.DrawFn) -> tuple[RowFormat, Distributions]:
    """Distributions of any size, with tokens ruled out, certain tokens and extreme ids among them."""
    vocabulary = draw(st.one_of(st.integers(1, 40), st.integers(41, 300_000), st.just(2**32)))
    top_k = draw(st.integers(1, min(vocabulary, 70)))
    rows = draw(st.integers(0, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    edges = np.unique(np.clip(np.r_[np.arange(top_k), vocabulary - 1 - np.arange(top_k)], 0, vocabulary - 1))
    ids, log_probs, tails = [], [], []
    for _ in range(rows):
        pool = edges if draw(st.booleans()) else np.unique(np.r_[rng.integers(vocabulary, size=3 * top_k), edges])
        ids.append(rng.permutation(pool)[:top_k])
        weights = rng.exponential(size=top_k + 1) ** draw(st.sampled_from([1, 4, 30]))
        weights[rng.random(top_k + 1) < 0.2] = 0
        weights[rng.integers(top_k + 1)] += 1
        with np.errstate(divide="ignore"):
            logs = np.log(weights / weights.sum())
        log_probs.append(logs[:-1])
        tails.append(logs[-1])
    return RowFormat(vocabulary, top_k, draw(st.sampled_from(["compact", "exact"]))), Distributions(
        np.array(ids, np.int64).reshape(rows, top_k),
        np.array(log_probs, np.float32).reshape(rows, top_k),
        np.array(tails, np.float32),
    )


@given(any_rows())
def test_what_is_packed_comes_back(case: tuple[RowFormat, Distributions]) -> None:
    layout, rows = case
    packed = layout.pack(rows)
    assert packed.dtype == np.uint8
    assert packed.shape == (len(rows.ids_SK), layout.bytes_per_row)
    found = layout.unpack(packed)
    order_SK = np.argsort(rows.ids_SK, axis=1)
    np.testing.assert_array_equal(found.ids_SK, np.take_along_axis(rows.ids_SK, order_SK, axis=1))
    np.testing.assert_array_equal(found.tail_S, rows.tail_S)
    given_SK = np.take_along_axis(rows.log_probs_SK, order_SK, axis=1)
    if layout.precision == "exact":
        np.testing.assert_array_equal(found.log_probs_SK, given_SK)
    else:
        require_within_the_bound(found.log_probs_SK, given_SK)


def require_within_the_bound(found_SK: NDArray[np.float32], given_SK: NDArray[np.float32]) -> None:
    """The bound that the module's first lines promise."""
    np.testing.assert_array_equal(np.isneginf(found_SK), np.isneginf(given_SK))
    there_SK = np.isfinite(given_SK)
    size_SK = np.where(there_SK, -given_SK.astype(np.float64), 0).clip(0, -LEAST_LOG_PROB)
    range_S = size_SK.max(axis=1, initial=0)[:, None]
    bound_SK = 2 * HALF_STEP * np.sqrt(range_S * size_SK) + HALF_STEP**2 * range_S + ROUNDING * size_SK
    error_SK = np.where(there_SK, np.abs(-size_SK - np.where(there_SK, found_SK, 0)), 0)
    assert (error_SK <= bound_SK).all()


def test_error_on_distributions_like_those_of_language_models() -> None:
    """What docs/store.md tells users."""
    torch.manual_seed(0)
    vocabulary, top_k = 10_000, 64
    logits_SV = like_a_language_model(60, vocabulary)
    rows, log_probs_SV = distributions(logits_SV, top_k)
    layout = RowFormat(vocabulary, top_k)
    found = layout.unpack(layout.pack(rows))
    given_SK = np.take_along_axis(log_probs_SV, found.ids_SK, axis=1)
    require_within_the_bound(found.log_probs_SK, given_SK.astype(np.float32))
    probs_SK, stored_SK = np.exp(given_SK), np.exp(found.log_probs_SK.astype(np.float64))
    assert np.abs(stored_SK - probs_SK).max() < 5e-5
    assert np.abs(stored_SK.sum(axis=1) + np.exp(found.tail_S.astype(np.float64)) - 1).max() < 5e-5
    student_SV = (0.9 * logits_SV + torch.randn(logits_SV.shape)).log_softmax(dim=-1).numpy()
    student_SK = np.take_along_axis(student_SV, found.ids_SK, axis=1)
    forward_S = (probs_SK * (given_SK - student_SK)).sum(axis=1)
    stored_S = (stored_SK * (found.log_probs_SK - student_SK)).sum(axis=1)
    assert forward_S.mean() > 0.1
    assert np.abs(stored_S - forward_S).max() < 1e-4
    assert abs((stored_S - forward_S).mean()) < 1e-5
    reverse_S = (np.exp(student_SK) * (given_SK - found.log_probs_SK)).sum(axis=1)
    assert np.abs(reverse_S).max() < 1e-4


def test_one_excluded_token_does_not_coarsen_the_others() -> None:
    log_probs = np.log(np.array([[0.6, 0.3, 1.0]], np.float32))
    log_probs[0, 2] = -3e38  # a mask of finite size
    rows = Distributions(np.array([[5, 9, 2]]), log_probs, np.log(np.array([0.1], np.float32)))
    found = RowFormat(100, 3).unpack(RowFormat(100, 3).pack(rows))
    assert found.ids_SK.tolist() == [[2, 5, 9]]
    np.testing.assert_allclose(found.log_probs_SK, [[LEAST_LOG_PROB, math.log(0.6), math.log(0.3)]], atol=2e-4)


def test_a_certain_token_is_exact() -> None:
    rows = Distributions(np.array([[3, 1]]), np.array([[0, -np.inf]], np.float32), np.array([-np.inf], np.float32))
    found = RowFormat(7, 2).unpack(RowFormat(7, 2).pack(rows))
    assert found.log_probs_SK.tolist() == [[-math.inf, 0.0]]
    assert found.tail_S.tolist() == [-math.inf]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids_SK": [[1, 1]]}, "same token id twice"),
        ({"ids_SK": [[1, 10]]}, "outside the vocabulary of 10"),
        ({"ids_SK": [[-1, 1]]}, "outside the vocabulary of 10"),
        ({"log_probs_SK": [[math.nan, -1.0]]}, "sum to nan, not 1"),
        ({"log_probs_SK": [[4.0, 1.0]]}, "sum to 57.5"),
        ({"tail_S": [-math.inf]}, "sum to 0.75, not 1"),
        ({"tail_S": [math.nan]}, "sum to nan"),
        ({"ids_SK": [[1, 2, 3]]}, r"keeps 2 tokens .* ids \[1, 3\]"),
        ({"tail_S": [0.0, 0.0]}, r"tails \[2\]"),
    ],
    ids=["twice", "above", "below", "nan", "logits", "no tail", "nan tail", "another k", "too many tails"],
)
def test_what_is_no_distribution_is_refused(change: dict[str, list[list[float]]], message: str) -> None:
    fields = {"ids_SK": [[1, 2]], "log_probs_SK": [[math.log(0.5), math.log(0.25)]], "tail_S": [math.log(0.25)]}
    good = Distributions(*(np.array(fields[name]) for name in Distributions._fields))
    RowFormat(10, 2).pack(good)
    with pytest.raises(DataError, match=message):
        RowFormat(10, 2).pack(good._replace(**{name: np.array(values) for name, values in change.items()}))


def test_the_message_names_the_position() -> None:
    rows, _ = distributions(torch.zeros(3, 8), 2)
    rows.log_probs_SK[1, 0] = np.nan
    with pytest.raises(DataError, match="position 1 "):
        RowFormat(8, 2).pack(rows)


@pytest.mark.parametrize("top_k", [0, -1, 11])
def test_an_impossible_k_is_refused(top_k: int) -> None:
    with pytest.raises(ConfigError, match=f"top_k is {top_k}, .* to all 10"):
        RowFormat(10, top_k)
