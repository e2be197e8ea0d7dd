"""ROUGE-L: how much of the reference an answer contains, in the same order."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.evaluation.generation.words import words

__all__ = ["longest_common_subsequence", "rouge_l"]


def rouge_l(answer: str, reference: str) -> float:
    """Return ``F1 = 2 LCS / (words of the answer + words of the reference)``, between 0 and 1.

    Words are those of `limbeck.evaluation.generation.words`, not the English-only ones of the usual package: figures
    in other scripts are not 0, and English ones can differ in the third digit. A text without words scores 0.

    Reference: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004, equations 2 to 4 with beta = 1.

    >>> rouge_l("police kill the gunman", "Police killed the gunman.")
    0.75
    """
    said, wanted = words(answer), words(reference)
    if not said or not wanted:
        return 0.0
    return 2 * longest_common_subsequence(said, wanted) / (len(said) + len(wanted))


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest sequence contained in both, gaps allowed.

    Each row of the usual table is one integer, with a bit per word of `first`, so there is no loop over pairs.
    Reference: Hyyrö, "Bit-Parallel LCS-length Computation Revisited", 2004, figure 2.
    """
    indices: dict[str, int] = {}
    for index, word in enumerate(first):
        indices[word] = indices.get(word, 0) | 1 << index
    everything = (1 << len(first)) - 1
    unmatched = everything
    for word in second:
        matched = unmatched & indices.get(word, 0)
        unmatched = ((unmatched + matched) | (unmatched - matched)) & everything
    return len(first) - unmatched.bit_count()
