"""Copies of a text with words masked, replaced by others of their part of speech, or cut to a few in a row."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from limbeck.errors import ConfigError

__all__ = ["LONGEST_CUT", "Noise", "Tagged", "noisy_pairs", "noisy_texts"]

LONGEST_CUT = 5
"""The most words that are left of a text that is cut."""


@dataclass(frozen=True)
class Noise:
    """How texts are altered: Tang et al. 2019, arXiv:1903.12136, section 4.2."""

    copies: int | None = None
    """Copies tried for each row; equal ones are dropped. ``None``: the paper's 20, for pairs 10."""
    probability: float = 0.1
    """With which each word is masked, and with which it is replaced."""
    cut_probability: float = 0.25
    """With which only some words in a row are kept. The paper's; 0 in the released scripts."""
    seed: int = 0
    keep_labels: bool = False
    """Whether altered rows keep their row's label."""

    def __post_init__(self) -> None:
        if self.copies is not None and self.copies < 1:
            raise ConfigError(f"--copies must be at least 1, not {self.copies}")
        if not 0 <= self.probability <= 0.5:
            raise ConfigError(
                f"--probability must be from 0 to 0.5, not {self.probability}: a word is masked with it, and replaced "
                "with it"
            )
        if not 0 <= self.cut_probability <= 1:
            raise ConfigError(f"--cut-probability must be from 0 to 1, not {self.cut_probability}")

    def tries(self, *, pairs: bool) -> int:
        """Return the copies that are tried for each row."""
        return self.copies if self.copies is not None else 10 if pairs else 20


@dataclass(frozen=True)
class Tagged:
    """The words of a text, and their parts of speech if they are known."""

    words: Sequence[str]
    tags: Sequence[str] | None = None

    @property
    def text(self) -> str:
        """The words with spaces between them."""
        return " ".join(self.words)


@dataclass(frozen=True)
class _Drawing:
    noise: Noise
    mask: str
    by_tag: Mapping[str, Sequence[str]]
    draw: random.Random

    def altered(self, text: Tagged) -> tuple[list[str], bool]:
        """Return the words of a copy before it is cut, and whether each was masked or replaced."""
        probability, found, kept = self.noise.probability, [], 0
        for place, word in enumerate(text.words):
            u = self.draw.random()
            if u < probability:
                found.append(self.mask)
            elif u < 2 * probability and text.tags is not None:
                found.append(self.draw.choice(self.by_tag[text.tags[place]]))
            else:
                found.append(word)
                kept += 1
        return found, not kept

    def cut(self, words: list[str]) -> str:
        """Return the words, or with the probability of a cut, 1 to 5 of them in a row; all of a shorter text."""
        if self.draw.random() < self.noise.cut_probability:
            length = self.draw.randint(1, LONGEST_CUT)
            if length < len(words):
                start = self.draw.randint(0, len(words) - length)  # the last one too
                words = words[start : start + length]
        return " ".join(words)


def noisy_texts(
    text: Tagged, noise: Noise, *, mask: str, by_tag: Mapping[str, Sequence[str]], draw: random.Random
) -> list[str]:
    """Return the different copies of a text, without the text itself.

    For each word a number u from 0 to 1 is drawn: below p the word is masked, from p to 2 p it is replaced by a word
    of its part of speech, as often as these occur. A copy of which no word is left is thrown away. Then the copy may
    be cut.

    Args:
        text: the text.
        noise: how it is altered.
        mask: the mask token.
        by_tag: the words of all texts by part of speech, each as often as it occurs.
        draw: random numbers.
    """
    drawing = _Drawing(noise, mask, by_tag, draw)
    different = {text.text: None}
    for _ in range(noise.tries(pairs=False)):
        words, all_gone = drawing.altered(text)
        if not all_gone:
            different[drawing.cut(words)] = None
    return list(different)[1:]


def noisy_pairs(
    first: Tagged,
    second: Tagged,
    noise: Noise,
    *,
    mask: str,
    by_tag: Mapping[str, Sequence[str]],
    draw: random.Random,
) -> list[tuple[str, str]]:
    """Return the different copies of a pair, without the pair itself.

    In a third of the copies both texts are altered, in a third only the first, in a third only the second, each as in
    `noisy_texts`; no copy is thrown away.
    """
    drawing = _Drawing(noise, mask, by_tag, draw)
    different = {(first.text, second.text): None}
    for _ in range(noise.tries(pairs=True)):
        which = draw.choice([(True, True), (True, False), (False, True)])
        one, other = (
            drawing.cut(drawing.altered(text)[0]) if changed else text.text
            for text, changed in zip((first, second), which, strict=True)
        )
        different[one, other] = None
    return list(different)[1:]
