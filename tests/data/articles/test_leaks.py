"""What training articles may not share with the test."""

from __future__ import annotations

from limbeck.data.articles.article import Article
from limbeck.data.articles.leaks import find_leaks

RUN = "one two three four five six seven eight nine ten eleven twelve thirteen"


def leaks(train: list[Article], test: list[Article]) -> list[tuple[int, str, str]]:
    return [(leak.train, leak.test_id, leak.kind) for leak in find_leaks(train, test)]


def test_thirteen_words_in_a_row_are_a_leak_and_twelve_are_not() -> None:
    test = [Article("t", f"before {RUN} after")]
    train = [
        Article("a", f"Other: {RUN.upper()}!"),
        Article("b", f"other {RUN.removesuffix(' thirteen')} other"),
        Article("c", RUN.replace("seven", "seventy")),
    ]
    assert leaks(train, test) == [(0, "t", "13-gram")]


def test_equal_titles_are_a_leak_whatever_their_spelling() -> None:
    test = [Article("t", "text", title="Gas prices — at a RECORD")]
    train = [Article("a", "other", title="Gas prices, at a record!"), Article("b", "other", title="Gas prices")]
    assert leaks(train, test) == [(0, "t", "title")]


def test_a_short_title_says_nothing() -> None:
    assert leaks([Article("a", "x", title="The weather")], [Article("t", "y", title="The weather")]) == []


def test_an_article_is_found_once_with_the_first_it_repeats() -> None:
    test = [Article("t", RUN), Article("u", RUN + " more", title="Gas at a record")]
    train = [Article("a", RUN + " more", title="Gas at a record")]
    assert leaks(train, test) == [(0, "u", "title")]


def test_no_title_equals_no_title_is_no_leak() -> None:
    assert leaks([Article("a", "x")], [Article("t", "y")]) == []
