"""Translations of a record, and what student and teacher read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from limbeck.data.instructions.make import choice
from limbeck.data.instructions.pairing import pair_records
from limbeck.errors import DataError
from limbeck.types import Instruction


def record(lang: str, key: int, **changes: Any) -> Instruction:
    made = choice(
        source="own",
        split="train",
        lang=lang,
        task="nli",
        key=key,
        text=f"{lang} {key}",
        labels=["a", "b", "c"],
        label="a",
        parallel=f"own/{key}",
    )
    return replace(made, **changes)


def test_pairs_are_aligned_and_those_without_a_translation_left_out() -> None:
    targets = [record("bg", 3), record("de", 1), record("bg", 1), record("bg", 9), record("bg", 4, parallel=None)]
    students, teachers = pair_records(targets, [record("en", key) for key in (1, 2, 3, 4)])
    assert students == targets[:3]
    assert [teacher.input for teacher in teachers] == ["en 3", "en 1", "en 1"]


def test_gold_labels_may_differ() -> None:
    target, source = record("bg", 1), record("en", 1)
    assert pair_records([replace(target, gold=(2,))], [replace(source, gold=(0,))])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidates": ("a", "b")}, "2 and 3 candidates"),
        ({"candidates": ("c", "b", "a")}, "not in the same order: .* is at another position"),
        ({"candidates": ("x", "y", "z"), "task": "translation", "gold": (1,)}, r"gold is \(1,\) and \(0,\)"),
    ],
)
def test_other_candidates(change: dict[str, Any], message: str) -> None:
    source = record("en", 1, candidates=("a", "b", "c"), gold=(0,))
    with pytest.raises(DataError, match=message):
        pair_records([record("bg", 1, **change)], [source])


def test_translated_candidates() -> None:
    target = record("bg", 1, candidates=("x", "y", "z"), gold=(0,))
    source = record("en", 1, candidates=("a", "b", "c"), gold=(0,))
    assert pair_records([target], [source]) == ([target], [source])


def test_no_pair_at_all_or_two_for_one() -> None:
    with pytest.raises(DataError, match="none of 1 records has a translation among 1"):
        pair_records([record("bg", 1)], [record("en", 2)])
    with pytest.raises(DataError, match="both have the key 'own/1', in 'en' and 'de'"):
        pair_records([record("bg", 1)], [record("en", 1), record("de", 1)])
