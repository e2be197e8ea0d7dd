"""Small nested samples of each task and language."""

from __future__ import annotations

import pytest

from limbeck.data.instructions.make import choice
from limbeck.data.instructions.sampling import take_target
from limbeck.errors import ConfigError

SIZES = {("topic", "bg"): 300, ("topic", "sk"): 100, ("nli", "bg"): 10}
RECORDS = [
    choice(source="own", split="train", lang=lang, task=task, key=key, text="x", labels=["a", "b"], label="a")
    for (task, lang), size in SIZES.items()
    for key in range(size)
]


def test_n_of_each_task_and_language() -> None:
    taken = take_target(RECORDS, 16, seed=0)
    assert taken.counts == {("topic", "bg"): 16, ("topic", "sk"): 16, ("nli", "bg"): 10}
    assert len(taken.records) == 42
    assert taken.short(16) == {("nli", "bg"): 10}
    assert taken.records != RECORDS[:16] + RECORDS[300:316] + RECORDS[400:]


def test_samples_are_nested() -> None:
    ids = [{record.id for record in take_target(RECORDS, n, seed=3).records} for n in (0, 16, 128, 1000)]
    assert ids[0] == set()
    assert ids[1] < ids[2] < ids[3]
    assert len(ids[3]) == 410


def test_the_sample_depends_on_the_seed_and_not_on_the_order() -> None:
    def ids(records: list, seed: int) -> set[str]:  # type: ignore[type-arg]
        return {record.id for record in take_target(records, 16, seed).records}

    assert ids(RECORDS, 0) == ids(RECORDS[::-1], 0) != ids(RECORDS, 1)


def test_fewer_than_none() -> None:
    with pytest.raises(ConfigError, match="0 or more"):
        take_target(RECORDS, -1, 0)
