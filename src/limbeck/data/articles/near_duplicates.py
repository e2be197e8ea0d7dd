"""Finding near-duplicates: articles that tell the same story in nearly the same words."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from limbeck.data.articles.tokens import plain_tokens

__all__ = ["jaccard", "stories"]

_SHINGLE_TOKENS = 3
_HASHES = 128
_MISSED = 0.02
"""Maximum share of missed pairs among those whose similarity is exactly the threshold."""
_SLACK = 0.2
"""Pairs whose estimated index is this far below the threshold are not compared word by word: 4.5 standard
deviations of an estimate from 128 minima."""


def jaccard(first: str, second: str) -> float:
    """Return the share of runs of three tokens that two texts have in common, ``|A & B| / |A | B|``.

    >>> round(jaccard("Five dead in flood, says mayor", "Five dead in flood, mayor says"), 2)
    0.33
    """
    a, b = _shingles(first), _shingles(second)
    return len(a & b) / len(a | b)


def stories(texts: Sequence[str], threshold: float) -> list[int]:
    """Give every text the number of the first text of its story.

    Two texts tell the same story if the Jaccard index of their runs of three tokens (`jaccard`) is at least
    `threshold`, or if a chain of such texts links them. Candidates are found by MinHash and banding, then compared
    word by word, so there are no false pairs; of pairs just at the threshold at most 2 % are missed, of more similar
    pairs fewer. The same texts give the same stories on every machine.

    Reference: Broder, "On the resemblance and containment of documents", 1997.

    Args:
        texts: any number.
        threshold: above 0, at most 1.

    >>> stories(["Five people died in the flood", "A calm day", "FIVE people died in the flood!"], 0.6)
    [0, 1, 0]
    """
    first_with: dict[frozenset[tuple[str, ...]], int] = {}
    parent = [first_with.setdefault(_shingles(text), number) for number, text in enumerate(texts)]
    distinct = [number for number, first in enumerate(parent) if number == first]
    signatures = np.array([_signature(_shingles(texts[number])) for number in distinct], dtype=np.uint32)
    rows = _rows_of_a_band(threshold)
    for start in range(0, _HASHES if distinct else 0, rows):
        for indices in _buckets(signatures[:, start : start + rows]):
            _link(indices, distinct, signatures, texts, threshold, parent)
    return [_root(parent, number) for number in range(len(texts))]


def _rows_of_a_band(threshold: float) -> int:
    """Return how many hashes must be equal: with more, there are fewer candidates, but more pairs are missed."""
    return next((rows for rows in (8, 4, 2) if (1 - threshold**rows) ** (_HASHES / rows) <= _MISSED), 1)


def _buckets(keys: NDArray[np.uint32]) -> list[list[int]]:
    """Return groups of indices with the same key, if there are several."""
    found: dict[bytes, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        found[key.tobytes()].append(index)
    return [indices for indices in found.values() if len(indices) > 1]


def _link(
    indices: list[int],
    distinct: list[int],
    signatures: NDArray[np.uint32],
    texts: Sequence[str],
    threshold: float,
    parent: list[int],
) -> None:
    """Join the stories of similar texts among `indices`."""
    for position, index in enumerate(indices[1:], 1):
        earlier = indices[:position]
        alike = (signatures[earlier] == signatures[index]).mean(axis=1)
        for other in np.flatnonzero(alike >= threshold - _SLACK):
            a, b = _root(parent, distinct[earlier[other]]), _root(parent, distinct[index])
            if a != b and jaccard(texts[distinct[earlier[other]]], texts[distinct[index]]) >= threshold:
                parent[max(a, b)] = min(a, b)


def _root(parent: list[int], number: int) -> int:
    while parent[number] != number:
        parent[number] = parent[parent[number]]
        number = parent[number]
    return number


@lru_cache(maxsize=4096)
def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    tokens = plain_tokens(text)
    if not tokens:
        return frozenset([(text.strip(),)])
    if len(tokens) <= _SHINGLE_TOKENS:
        return frozenset([tokens])
    return frozenset(zip(tokens, tokens[1:], tokens[2:], strict=False))


def _multipliers() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    rng = np.random.default_rng(1997)
    odd = rng.integers(0, 2**63, _HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return odd, rng.integers(0, 2**63, _HASHES, dtype=np.uint64)


_MULTIPLY, _ADD = _multipliers()


def _signature(shingles: frozenset[tuple[str, ...]]) -> NDArray[np.uint32]:
    """Return the minimum of each of 128 hashes over the shingles, ``[128]``."""
    hashes = np.array([_hash(shingle) for shingle in shingles], dtype=np.uint64)
    mixed = hashes[:, None] * _MULTIPLY + _ADD  # modulo 2^64
    least: NDArray[np.uint32] = (mixed >> np.uint64(32)).min(axis=0).astype(np.uint32)
    return least


def _hash(shingle: tuple[str, ...]) -> int:
    # Python's own hash of texts differs from process to process.
    return int.from_bytes(hashlib.blake2b("\n".join(shingle).encode(), digest_size=8).digest(), "little")
