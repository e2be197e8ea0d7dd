"""Plain text beside other rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.sequences.corpus import BesideCorpus
from limbeck.types import Batch, CompletionSource


def batch_of(rows: NDArray[np.int64] | list[int], width: int = 2) -> Batch:
    ids_BT = torch.tensor(rows)[:, None].repeat(1, width)
    return {
        "student": {"input_ids": ids_BT},
        "labels_BT": ids_BT.clone(),
        "rows_B": torch.tensor(rows),
        "source_B": torch.full((len(rows),), int(CompletionSource.DATA)),
    }


def corpus_batch(rows: NDArray[np.int64]) -> Batch:
    return batch_of(rows + 100, width=4)


class Tripled:
    """A writer with a state."""

    def __init__(self) -> None:
        self.seen = 0

    def write(self, step: int, batches: list[Batch]) -> list[Batch]:
        self.seen += 1
        return [batch_of((3 * batch["rows_B"]).tolist()) for batch in batches]

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def restore(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]


def test_as_many_rows_of_the_corpus_follow_those_of_each_micro_batch() -> None:
    writer = BesideCorpus(None, corpus_batch, rows=50, seed=0)
    joined = writer.write(0, [batch_of([1, 2, 3]), batch_of([4, 5])])
    assert [len(batch["rows_B"]) for batch in joined] == [6, 4]
    assert joined[0]["rows_B"][:3].tolist() == [1, 2, 3]
    assert joined[1]["rows_B"][:2].tolist() == [4, 5]
    for batch, count in zip(joined, (3, 2), strict=True):
        assert (
            batch["source_B"].tolist() == [int(CompletionSource.DATA)] * count + [int(CompletionSource.CORPUS)] * count
        )
        added = batch["rows_B"][count:]
        assert ((added >= 100) & (added < 150)).all()
        assert torch.equal(batch["labels_BT"][count:, 0], added)
        assert batch["labels_BT"].shape[1] == 4
    assert joined[0]["rows_B"][3:5].tolist() != joined[1]["rows_B"][2:].tolist()


def test_the_rows_depend_on_seed_step_and_rank_alone() -> None:
    def drawn(seed: int, step: int, rank: int) -> list[int]:
        writer = BesideCorpus(None, corpus_batch, rows=1000, seed=seed, rank=rank)
        return writer.write(step, [batch_of([0] * 8)])[0]["rows_B"][8:].tolist()

    assert drawn(0, 5, 0) == drawn(0, 5, 0)
    assert len({tuple(drawn(*place)) for place in [(0, 5, 0), (1, 5, 0), (0, 6, 0), (0, 5, 1)]}) == 4
    writer = BesideCorpus(None, corpus_batch, rows=20, seed=0)
    found = [writer.write(step, [batch_of([0] * 8)])[0]["rows_B"][8:].tolist() for step in range(50)]
    assert {row for rows in found for row in rows} == set(range(100, 120))


def test_another_writer_comes_first_and_its_state_is_kept() -> None:
    inner = Tripled()
    writer = BesideCorpus(inner, corpus_batch, rows=5, seed=0)
    (joined,) = writer.write(0, [batch_of([1, 2])])
    assert joined["rows_B"][:2].tolist() == [3, 6]
    assert writer.state() == {"seen": 1}
    writer.restore({"seen": 7})
    assert inner.seen == 7


def test_without_another_writer_there_is_no_state() -> None:
    writer = BesideCorpus(None, corpus_batch, rows=5, seed=0)
    assert writer.state() == {}
    writer.restore({})
