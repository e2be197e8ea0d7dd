"""Position of a crisis' keywords in an article."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.data.articles.article import Article
from limbeck.data.articles.tokens import plain_tokens

__all__ = ["keyword_score", "lead"]

_LEAD_TOKENS = 60
_IN_TITLE_OR_LEAD, _LATER = 1.0, 0.4


def keyword_score(article: Article, keywords: Sequence[str]) -> float:
    """Return 1 if a keyword is in the title or the first 60 words, 0.4 if one occurs later, else 0.

    Case and punctuation do not matter. A keyword that ends in ``*`` matches all words with that prefix.

    >>> keyword_score(Article("1", "Die Energiekrisen", title="Heute"), ["energiekrise*"])
    1.0
    """
    wanted = [(plain_tokens(word), word.endswith("*")) for word in keywords]
    title, text = plain_tokens(article.title or ""), plain_tokens(article.text)
    for tokens, score in ((title, _IN_TITLE_OR_LEAD), (text[:_LEAD_TOKENS], _IN_TITLE_OR_LEAD), (text, _LATER)):
        if any(_occurs(keyword, begins, tokens) for keyword, begins in wanted):
            return score
    return 0.0


def lead(article: Article) -> str:
    """Return the title and the first 60 words of the text, as written."""
    words = article.text.split()
    start = " ".join(words[:_LEAD_TOKENS])
    return f"{article.title}. {start}" if article.title else start


def _occurs(keyword: tuple[str, ...], begins: bool, tokens: tuple[str, ...]) -> bool:
    size = len(keyword)
    if not size:
        return False
    *first, last = keyword
    for start in range(len(tokens) - size + 1):
        end = tokens[start + size - 1]
        if (end.startswith(last) if begins else end == last) and list(tokens[start : start + size - 1]) == first:
            return True
    return False
