"""Answers in the words of the language."""

from __future__ import annotations

from typing import Any

import pytest
from tests.data.instructions.originals import original

from limbeck.data.instructions.labels import verbalise
from limbeck.data.instructions.make import choice
from limbeck.data.instructions.pairing import pair_records
from limbeck.errors import ConfigError

NAMES = {"bg": {"yes": "да", "no": "не"}}
RECORDS = [
    choice(
        source="own",
        split="train",
        lang=lang,
        task="qa",
        key=key,
        text="q",
        pair="a",
        labels=["yes", "no"],
        label="yes",
        parallel=f"own/{key}",
    )
    for lang in ("en", "bg")
    for key in range(9)
]


def test_labels_in_the_words_of_the_language() -> None:
    said = verbalise(RECORDS, NAMES)
    assert [original(record).answer for record in said] == ["yes"] * 9 + ["да"] * 9
    students, teachers = pair_records(said[9:], said[:9])
    assert [record.gold for record in students] == [record.gold for record in teachers]


def test_a_label_without_a_name() -> None:
    with pytest.raises(ConfigError, match=r"label_words.bg: no word for 'no'. Give one for every label"):
        verbalise(RECORDS, {"bg": {"yes": "да"}})


def test_no_words_and_a_code_of_the_sets_own() -> None:
    assert verbalise(RECORDS, None) == verbalise(RECORDS, {}) == RECORDS
    assert verbalise(RECORDS, {"bul_Cyrl": NAMES["bg"]}) == verbalise(RECORDS, NAMES)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("target", "expected LANGUAGE: {LABEL: WORD}, got 'target'"),
        ({"bg": ["да", "не"]}, "expected LANGUAGE: {LABEL: WORD}"),
        ({"bg": {True: "да", False: "не"}}, "label_words.bg: expected texts, got True.*put them in quotes"),
        ({"bg": {"yes": "да", "no": False}}, "label_words.bg: expected texts, got False"),
        ({False: NAMES["bg"]}, "label_words.False: expected texts, got False"),
    ],
)
def test_what_is_no_table_of_words(words: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        verbalise(RECORDS, words)
