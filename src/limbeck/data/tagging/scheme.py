"""Converting tags of words (BIO, BIOES, IO) to entities and back.

BIO    B-PER opens an entity, I-PER continues it, O is outside all entities (IOB2)
BIOES  also E-PER, which ends an entity, and S-PER, an entity of one word
IO     I-PER (or PER) is inside an entity: two adjacent ones of one type cannot be told apart
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from limbeck.data.records import excerpt

__all__ = ["OUTSIDE", "Scheme", "Span", "spans_of", "split_tag", "tag_names", "tags_of"]

Scheme = Literal["bio", "bioes", "io"]

OUTSIDE = "O"
"""The tag of a word outside all entities."""

_PREFIXES: dict[Scheme, str] = {"bio": "BI", "bioes": "BIES", "io": "I"}
_ADVICE = {
    "U": "that is BILOU: write S- for U- and E- for L-, and set task.scheme: bioes",
    "L": "that is BILOU: write S- for U- and E- for L-, and set task.scheme: bioes",
    "E": "set task.scheme: bioes",
    "S": "set task.scheme: bioes",
    "B": "set task.scheme: bio, or bioes",
}


class Span(NamedTuple):
    """An entity from `start` to `end` (not included), counted from 0, in characters or in words."""

    start: int
    end: int
    label: str


def tag_names(labels: Iterable[str], scheme: Scheme) -> list[str]:
    """Return all tags of a scheme in the order of a tagger's logits.

    >>> tag_names(["LOC", "PER"], "bio")
    ['O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER']
    """
    return [OUTSIDE, *(f"{prefix}-{label}" for label in labels for prefix in _PREFIXES[scheme])]


def split_tag(tag: object, scheme: Scheme) -> tuple[str, str]:
    """Return a tag's prefix and label; ``("O", "")`` outside. IO tags may be bare labels.

    Raises:
        ValueError: the tag is not in the scheme; the message suggests what it could be.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    if isinstance(tag, str) and tag.strip():
        prefix, dash, label = tag.partition("-")
        if dash and label.strip() and prefix in _PREFIXES[scheme]:
            return prefix, label
        if scheme == "io" and not (dash and prefix in _ADVICE):
            return "I", tag
    expected = ", ".join([OUTSIDE, *(f"{prefix}-LABEL" for prefix in _PREFIXES[scheme])])
    prefix = tag.partition("-")[0] if isinstance(tag, str) and "-" in tag else ""
    hint = f"; {_ADVICE[prefix]}" if prefix in _ADVICE else ""
    raise ValueError(f"tag {excerpt(tag)} is not in the scheme {scheme} ({expected}){hint}")


def spans_of(tags: Sequence[str], scheme: Scheme) -> list[Span]:
    """Return the entities of tags, in words.

    A tag that continues nothing opens an entity, and an entity without an end is ended by the next tag, as in the
    scorer of the CoNLL shared tasks (conlleval): so IOB1, where B- only separates neighbours, is read correctly as
    BIO.

    Raises:
        ValueError: a tag is not in the scheme.

    Example:
        >>> spans_of(["I-PER", "I-PER", "O", "B-LOC", "I-ORG"], "bio")
        [Span(start=0, end=2, label='PER'), Span(start=3, end=4, label='LOC'), Span(start=4, end=5, label='ORG')]
    """
    spans: list[Span] = []
    before, label_before = OUTSIDE, ""
    for index, (prefix, label) in enumerate(split_tag(tag, scheme) for tag in tags):
        if prefix != OUTSIDE:
            if prefix in "BS" or before in "OES" or label != label_before:
                spans.append(Span(index, index + 1, label))
            else:
                spans[-1] = spans[-1]._replace(end=index + 1)
        before, label_before = prefix, label
    return spans


def tags_of(spans: Iterable[Span], words: int, scheme: Scheme) -> list[str]:
    """Return the tag of each of `words` words; the entities must not overlap.

    >>> tags_of([Span(0, 1, "PER"), Span(2, 5, "LOC")], 5, "bioes")
    ['S-PER', 'O', 'B-LOC', 'I-LOC', 'E-LOC']
    """
    tags = [OUTSIDE] * words
    for start, end, label in spans:
        inside = ["I"] * (end - start)
        if scheme != "io":
            inside[0] = "B"
        if scheme == "bioes":
            inside[-1] = "E" if end - start > 1 else "S"
        tags[start:end] = [f"{prefix}-{label}" for prefix in inside]
    return tags
