"""Ids, the order of candidates, and the way back to the source row."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tests.data.instructions.originals import original

from limbeck.data.instructions.make import by_hash, choice, digest, fold

LABELS = ["politics", "sports", "health"]


def record(**changes: Any) -> Any:
    row: dict[str, Any] = {
        "source": "own",
        "split": "train",
        "lang": "en",
        "task": "topic",
        "key": 1,
        "text": "They won.",
        "labels": LABELS,
        "label": "sports",
    }
    return choice(**{**row, **changes})


@pytest.mark.parametrize("label", LABELS)
def test_the_source_row_comes_back(label: str) -> None:
    made = record(label=label, pair="They lost.")
    assert original(made) == ("topic", "They won.", "They lost.", label)
    assert made.id == "own/train/en/topic/1"


def test_a_row_without_a_label() -> None:
    made = record(label=None)
    assert made.gold == ()
    assert original(made).answer is None


def test_the_answer_is_at_every_place_equally_often() -> None:
    places = Counter(record(key=key).gold[0] for key in range(3000))
    assert set(places) == {0, 1, 2}
    assert all(900 < count < 1100 for count in places.values())


def test_the_order_does_not_depend_on_the_order_of_the_labels_nor_on_the_process() -> None:
    assert by_hash(LABELS, "key") == by_hash(LABELS[::-1], "key") == ["health", "politics", "sports"]


def test_translations_list_the_candidates_in_one_order() -> None:
    made = [record(lang=lang, key=key, parallel=f"own/{key}") for lang in ("en", "bg") for key in range(50)]
    assert [r.candidates for r in made[:50]] == [r.candidates for r in made[50:]]
    assert len({r.candidates for r in made}) == 6
    alone = [record(lang=lang, key=key) for lang in ("en", "bg") for key in range(50)]
    assert [r.candidates for r in alone[:50]] != [r.candidates for r in alone[50:]]


def test_parts_of_a_digest_do_not_run_together() -> None:
    assert digest("a", "bc") != digest("ab", "c")


def test_folding() -> None:
    assert fold("Cafe\u0301\u00a0 x\n") == fold("Caf\u00e9 x")
    assert fold("a b") != fold("ab")
