"""Each row meets its own distributions, wherever shuffling, accumulation, epochs and ranks have put it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.errors import ConfigError, DataError
from limbeck.sequences.fixed import FixedSequences
from limbeck.teachers.store.reader import TokenStore
from limbeck.teachers.store.teacher import StoredTokenTeacher
from limbeck.types import UNLABELLED, Batch, Needs, SparseLogits, Tap

Make = Callable[..., Path]
Require = Callable[[SparseLogits, Sequence[int]], None]

ROWS = 24
LENGTH = 8
NEEDS = Needs(logits=True)


def number_of(row: int) -> int:
    """The sample that belongs to a row: another number, as a content hash is."""
    return (7 * row + 3) % 101


KEYS = [f"row-{number_of(row)}" for row in range(ROWS)]


def batch_of(rows: Sequence[int]) -> Batch:
    """Supervised positions at the end of each row, as many as its sample has."""
    labels_BT = torch.full((len(rows), LENGTH), UNLABELLED)
    for place, row in enumerate(rows):
        labels_BT[place, LENGTH - (1 + number_of(row) % 5) :] = 1
    return {"rows_B": torch.tensor(rows), "labels_BT": labels_BT}


@pytest.fixture
def store(make_store: Make) -> TokenStore:
    written = np.random.default_rng(1).permutation([number_of(row) for row in range(ROWS)])
    return TokenStore.open(make_store(written.tolist(), shard_bytes=500))


@pytest.mark.parametrize("per_step", [2, 4, 8], ids=lambda n: f"{n}-micro-batches")
def test_every_rank_gets_its_own_rows_in_every_epoch(
    store: TokenStore, require_samples: Require, per_step: int
) -> None:
    teacher = StoredTokenTeacher(store, KEYS)
    lengths = np.array([1 + number_of(row) % 5 for row in range(ROWS)])
    plan = FixedSequences(np.arange(ROWS), lengths, batch_size=8, steps=6, seed=0)
    seen = []
    for rank in range(2):
        for rows in plan.micro_batches(per_step, rank=rank, ranks=2):
            tokens = teacher.signal(batch_of(rows.tolist()), NEEDS)["tokens"]
            assert isinstance(tokens, SparseLogits)
            require_samples(tokens, [number_of(row) for row in rows.tolist()])
            seen += rows.tolist()
    assert sorted(seen) == sorted([*range(ROWS)] * 2)


def test_rows_differ_so_that_a_wrong_join_would_show(store: TokenStore) -> None:
    firsts = {tuple(store.read([key]).tail_S.tolist()) for key in KEYS}
    assert len(firsts) == ROWS


def test_a_row_that_is_not_stored(store: TokenStore) -> None:
    with pytest.raises(DataError, match=r"2 of 26 rows are not .* row 24: the data or the template has changed"):
        StoredTokenTeacher(store, [*KEYS, "changed", "changed too"])


def test_another_number_of_supervised_positions(store: TokenStore) -> None:
    teacher = StoredTokenTeacher(store, KEYS)
    batch = batch_of([4, 9, 2])
    teacher.signal(batch, NEEDS)
    batch["labels_BT"][1, -1] = UNLABELLED
    stored = 1 + number_of(9) % 5
    with pytest.raises(
        DataError, match=f"row 9 has {stored - 1} supervised positions, but .* has {stored} for its key"
    ):
        teacher.signal(batch, NEEDS)


def test_equal_totals_do_not_hide_a_row_that_differs(store: TokenStore) -> None:
    batch = batch_of([0, 1])
    counts = (batch["labels_BT"] != UNLABELLED).sum(1).tolist()
    assert counts[0] != counts[1]
    batch["labels_BT"] = batch["labels_BT"].flip(0)
    with pytest.raises(DataError, match="row 0 has"):
        StoredTokenTeacher(store, KEYS).signal(batch, NEEDS)


def test_packed_rows(store: TokenStore, require_samples: Require) -> None:
    rows = [4, 9, 2, 17, 11]
    labels_BT = batch_of(rows)["labels_BT"]
    packed: Batch = {"rows_B": torch.tensor(rows), "labels_BT": torch.full((2, 3 * LENGTH), UNLABELLED)}
    packed["labels_BT"][0, : 2 * LENGTH] = labels_BT[:2].flatten()
    packed["labels_BT"][1] = labels_BT[2:].flatten()
    teacher = StoredTokenTeacher(store, KEYS)
    tokens = teacher.signal(packed, NEEDS)["tokens"]
    assert isinstance(tokens, SparseLogits)
    require_samples(tokens, [number_of(row) for row in rows])
    packed["labels_BT"][0, 0], packed["labels_BT"][1, -1] = 1, UNLABELLED  # as many in all, not in each
    with pytest.raises(DataError, match=r"rows \[4, 9, 2, 17, 11\], packed, have \["):
        teacher.signal(packed, NEEDS)
    packed["labels_BT"][0, 0] = UNLABELLED  # the first row is right, and the last position is missing
    with pytest.raises(DataError, match="packed"):
        teacher.signal(packed, NEEDS)


def test_hidden_states_are_not_in_a_store(store: TokenStore) -> None:
    teacher = StoredTokenTeacher(store, KEYS)
    for needs in (Needs(teacher_taps=frozenset({tap})) for tap in (Tap("hidden", 1), Tap("first", 1))):
        with pytest.raises(ConfigError, match="hidden states"):
            teacher.signal(batch_of([0]), needs)


def test_the_signal_is_on_the_device_of_the_batch(store: TokenStore) -> None:
    batch = batch_of([3, 1])

    class Elsewhere(torch.Tensor):
        """Labels that are on another device, as far as a machine without one can tell."""

        device = torch.device("meta")  # type: ignore[assignment]

    batch["labels_BT"] = batch["labels_BT"].as_subclass(Elsewhere)
    tokens = StoredTokenTeacher(store, KEYS).signal(batch, NEEDS)["tokens"]
    assert isinstance(tokens, SparseLogits)
    assert {t.device.type for t in (tokens.ids_SK, tokens.log_probs_SK, tokens.tail_S)} == {"meta"}
