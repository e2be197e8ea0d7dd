"""Which justifications pass: numbers by value, quotes by length."""

from __future__ import annotations

import pytest

from limbeck.evaluation.alerts.justification import fault_of

ARTICLE = (
    "Camp Fire: at least 23 dead, 6,700 buildings gone. Officials ordered 52 000 people out of Paradise on 8.11.2018; "
    "damage of 1.5 million dollars. Wind of 12,5 m/s and three aftershocks."
)


@pytest.mark.parametrize(
    "reason",
    [
        "A fire killed at least 23 people.",
        "It destroyed 6700 buildings and 6.700 homes.",
        "52,000 people had to leave, 52 of them twice.",
        "Damage is 1.5 million dollars.",
        "The wind blew at 12.5 metres a second; three aftershocks (3) followed.",
        "It says \"at least 23 dead\" and 'Camp Fire'.",
        "The date is 8.11.2018.",
        "It don't mention Paradise's mayor's children's names.",
    ],
)
def test_what_the_article_says_passes(reason: str) -> None:
    assert fault_of(reason, ARTICLE) is None


@pytest.mark.parametrize(
    ("reason", "fault"),
    [
        ("24 people died.", "the number 24 is not in the article"),
        ("67 buildings.", "the number 67 "),
        ("6.7 buildings.", "the number 6.7 "),
        ("Winds of 125 m/s.", "the number 125 "),
        ("15 dollars.", "the number 15 "),
        ("1.5 billion dollars.", "'1.5 billion' is not in the article"),
        ("23 million dollars and 7 million dead.", "'7 million' is not"),
        ("Hundreds died.", "'hundreds' is not in the article"),
        ("Four aftershocks.", "the number 'four' is not in the article"),
        ("It happened on 8.12.2018.", "the number 8.12.2018"),
        ("٢٤ died, it says here.", "the number 24"),
        ("   ", "it is empty"),
        ("Пожар убил много людей.", "it is not in English"),
    ],
)
def test_what_the_article_does_not_say_is_a_fault(reason: str, fault: str) -> None:
    found = fault_of(reason, ARTICLE)
    assert found is not None
    assert fault in found


def test_numbers_are_compared_across_scripts_and_spellings() -> None:
    assert fault_of("5 people died, 1200 fled.", "मृत ५, 1.200 geflohen") is None
    assert fault_of("3 million people fled.", "3,000,000 fled") is None
    assert fault_of("Three million people fled.", "3 000 000 fled") is None
    assert fault_of("2 million fled.", "2 Millionen flohen") is None
    assert fault_of("Two million fled.", "5 million fled") is not None
    assert fault_of("Millions fled.", "The million dollar question") is None


WORDS = [f"w{chr(97 + n)}" for n in range(25)]


def test_twenty_quoted_words_pass_and_twenty_one_do_not() -> None:
    article = " ".join(WORDS)
    assert fault_of(f'It says "{" ".join(WORDS[:20])}".', article) is None
    fault = fault_of(f"It says “{' '.join(WORDS[:21])}”.", article)
    assert fault == "it quotes 21 words, more than 20"


def test_quotes_add_up() -> None:
    article = " ".join(WORDS)
    reason = f'"{" ".join(WORDS[:10])}" and «{" ".join(WORDS[12:23])}»'
    assert fault_of(reason, article) == "it quotes 21 words, more than 20"


def test_copying_without_marks_is_quoting() -> None:
    assert fault_of(f"So {' '.join(WORDS[2:24])} it is", " ".join(WORDS)) == "it quotes 22 words, more than 20"
    assert fault_of(f"So {' '.join(WORDS[:15])} and then {' '.join(WORDS[15:])} it is", " ".join(WORDS)) is None
