"""Keyword scores by hand."""

from __future__ import annotations

import pytest

from limbeck.data.articles.article import Article
from limbeck.data.articles.keywords import keyword_score, lead


@pytest.mark.parametrize(
    ("title", "text", "score"),
    [
        ("Blackout in the north", "Nothing", 1.0),
        (None, "A black-out and a Blackout!", 1.0),
        (None, "word " * 60 + "blackout", 0.4),
        (None, "blackouts are not a keyword", 0.0),
        (None, "Die ENERGIEKRISEN Europas", 1.0),
        (None, "the energy, crisis", 1.0),
        (None, "energy and crisis", 0.0),
        (None, "電力危機が続く", 1.0),
    ],
)
def test_the_place_of_the_first_keyword_decides(title: str | None, text: str, score: float) -> None:
    keywords = ["blackout", "energiekrise*", "energy crisis", "電力危機"]
    assert keyword_score(Article("1", text, title=title), keywords) == score


def test_no_keyword_no_score() -> None:
    assert keyword_score(Article("1", "anything"), []) == 0
    assert keyword_score(Article("1", "anything"), ["!", ""]) == 0


def test_the_lead_is_the_title_and_the_first_sixty_words() -> None:
    assert lead(Article("1", "w " * 70, title="T")) == "T. " + " ".join(["w"] * 60)
