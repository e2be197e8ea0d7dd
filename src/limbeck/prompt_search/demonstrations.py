"""Sets of demonstrations from a pool of labelled rows: random, near the development rows, or diverse."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.data.prompts.label_answer import looks_english
from limbeck.data.prompts.label_prompt import Demonstration

__all__ = ["DemonstrationSet", "demonstration_sets", "in_order"]

_FEATURES = 4096
_FEWEST_WORDS = 6
"""Shorter texts reveal too little about their language."""


@dataclass(frozen=True)
class DemonstrationSet:
    """Demonstrations and how they were found."""

    name: str
    shown: tuple[Demonstration, ...]


def demonstration_sets(
    pool: Sequence[Mapping[str, str]],
    labels_of_pool: Sequence[str],
    dev_texts: Sequence[str],
    labels: Sequence[str],
    per_class: Sequence[int],
    *,
    body: str,
) -> list[DemonstrationSet]:
    """Return three sets for each number in `per_class`, with that many rows of each label (or all it has).

    ``by chance``: in the order of the texts' hashes, so that every call draws the same. ``near``: nearest to the mean
    development row, by words and parts of words. ``diverse``: each far from those chosen before. A set includes a
    non-English row if the pool has one.

    Args:
        pool: the slots of each row.
        labels_of_pool: the label of each row.
        dev_texts: the texts that prompts are measured on; only their words are used.
        labels: the labels of the task.
        per_class: numbers of demonstrations per label.
        body: the slot with the text.
    """
    texts = [row[body] for row in pool]
    vectors = _vectors([*texts, *dev_texts])
    pool_ND, centre_D = vectors[: len(texts)], vectors[len(texts) :].mean(axis=0)
    nearness = pool_ND @ centre_D
    by_hash = sorted(range(len(texts)), key=lambda i: _digest(texts[i]))
    rankings = {
        "by chance": by_hash,
        "near": sorted(by_hash, key=lambda i: -nearness[i]),
        "diverse": _diverse(pool_ND, int(nearness.argmax())) if texts else [],
    }
    foreign = [i for i in by_hash if _is_foreign(texts[i])]
    sets: list[DemonstrationSet] = []
    for number in per_class:
        for name, ranking in rankings.items():
            of_class = {label: [i for i in ranking if labels_of_pool[i] == label][:number] for label in labels}
            # Labels take turns, so that no label comes in one block.
            chosen = [
                of_class[label][turn] for turn in range(number) for label in labels if turn < len(of_class[label])
            ]
            chosen = _with_foreign(chosen, foreign, labels_of_pool)
            shown = tuple(Demonstration.model_validate({**pool[i], "label": labels_of_pool[i]}) for i in chosen)
            if shown and all(shown != other.shown for other in sets):
                sets.append(DemonstrationSet(f"{name}, {number} a label", shown))
    return sets


def in_order(shown: Sequence[Demonstration], order: int) -> tuple[Demonstration, ...]:
    """Return demonstrations in one of several fixed orders; order 0 is their own."""
    if order == 0:
        return tuple(shown)
    return tuple(sorted(shown, key=lambda one: _digest(f"{order}{one.model_dump_json()}")))


def _with_foreign(chosen: list[int], foreign: Sequence[int], labels: Sequence[str]) -> list[int]:
    """Replace the last row of a label by a non-English one, if none is chosen yet."""
    if not foreign or set(chosen) & set(foreign):
        return chosen
    for other in foreign:
        indices = [index for index, i in enumerate(chosen) if labels[i] == labels[other]]
        if indices:
            return [*chosen[: indices[-1]], other, *chosen[indices[-1] + 1 :]]
    return chosen


def _is_foreign(text: str) -> bool:
    return len(text.split()) >= _FEWEST_WORDS and not looks_english(text)


def _diverse(vectors_ND: NDArray[np.float64], first: int) -> list[int]:
    """Order all rows by farthest-first traversal: each is farthest from those before it (Gonzalez 1985)."""
    order = [first]
    likest_N = vectors_ND @ vectors_ND[first]
    for _ in range(len(vectors_ND) - 1):
        likest_N[order[-1]] = np.inf
        order.append(int(likest_N.argmin()))
        likest_N = np.maximum(likest_N, vectors_ND @ vectors_ND[order[-1]])
    return order


def _vectors(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return unit vectors of hashed words and character trigrams, rare ones heavier; any language, no model."""
    counts_ND = np.zeros((len(texts), _FEATURES))
    for row, text in enumerate(texts):
        words = re.findall(r"\w+", text.casefold())
        parts = [f" {word} "[i : i + 3] for word in words for i in range(len(word))]
        for feature in (*words, *parts):
            counts_ND[row, zlib.crc32(feature.encode()) % _FEATURES] += 1
    rows_D = (counts_ND > 0).sum(axis=0)
    weighted_ND = np.log1p(counts_ND) * np.log((1 + len(texts)) / (1 + rows_D))
    norms_N1 = np.linalg.norm(weighted_ND, axis=1, keepdims=True)
    unit_ND: NDArray[np.float64] = weighted_ND / np.maximum(norms_N1, 1e-12)
    return unit_ND


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
