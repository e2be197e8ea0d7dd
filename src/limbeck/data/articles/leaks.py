"""Finding training articles that repeat test articles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from limbeck.data.articles.article import Article
from limbeck.data.articles.tokens import plain_tokens

__all__ = ["Leak", "find_leaks"]

_RUN_TOKENS = 13
_LEAST_TITLE_TOKENS = 3
"""Titles of one or two words, such as "Weather", do not identify an article."""


class Leak(NamedTuple):
    """A training article that repeats a test article."""

    train: int
    """Its index among the training articles."""
    train_id: str
    test_id: str
    kind: Literal["title", "13-gram"]
    """The shared title, or the shared run of 13 words."""


def find_leaks(train: Sequence[Article], test: Sequence[Article]) -> list[Leak]:
    """Return the training articles that share a title or a run of 13 tokens with a test article, each once.

    Case, punctuation and web addresses do not matter; titles of fewer than three tokens are ignored.

    Reference: Brown et al. 2020, "Language Models are Few-Shot Learners", arXiv:2005.14165, appendix C (13-grams).
    """
    titles: dict[tuple[str, ...], str] = {}
    runs: dict[tuple[str, ...], str] = {}
    for article in test:
        titles.setdefault(plain_tokens(article.title or ""), article.id)
        for run in _runs(article):
            runs.setdefault(run, article.id)
    found = []
    for index, article in enumerate(train):
        title = plain_tokens(article.title or "")
        if len(title) >= _LEAST_TITLE_TOKENS and title in titles:
            found.append(Leak(index, article.id, titles[title], "title"))
        elif shared := [runs[run] for run in _runs(article) if run in runs]:
            found.append(Leak(index, article.id, shared[0], "13-gram"))
    return found


def _runs(article: Article) -> Sequence[tuple[str, ...]]:
    tokens = plain_tokens(article.whole_text)
    return [tokens[start : start + _RUN_TOKENS] for start in range(len(tokens) - _RUN_TOKENS + 1)]
