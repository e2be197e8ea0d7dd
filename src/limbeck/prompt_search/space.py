"""The search space of prompts: wordings, keywords, system message, demonstrations and their order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.prompt_search.demonstrations import DemonstrationSet, in_order

__all__ = ["Candidate", "PromptSpace", "swap_keywords"]


@dataclass(frozen=True)
class Candidate:
    """A prompt, with a short description of how it differs from the default."""

    prompt: LabelPrompt
    what: str


@dataclass(frozen=True)
class PromptSpace:
    """All combinations of the parts; the first of each part is the default's."""

    default: LabelPrompt
    labels: tuple[str, ...]
    instructions: tuple[str, ...]
    """Other wordings, as templates."""
    keywords: tuple[Mapping[str, str], ...]
    sets: tuple[DemonstrationSet, ...]
    orders: int

    def draw(self, count: int, seed: int) -> list[Candidate]:
        """Return `count` different prompts, or all if there are fewer; the first is the default."""
        systems = [True, False] if self.default.system is not None else [True]
        own = DemonstrationSet("own", self.default.demonstrations)
        sets = [own, DemonstrationSet("none", ()), *self.sets] if own.shown else [own, *self.sets]
        places = list(
            product(
                range(1 + len(self.instructions)), range(1 + len(self.keywords)), systems, sets, range(self.orders)
            )
        )
        drawn = {self.default.hash: Candidate(self.default, "the default")}
        for place in np.random.default_rng(seed).permutation(len(places)):
            if len(drawn) == count:
                break
            made = self._made(*places[place])
            drawn.setdefault(made.prompt.hash, made)
        return list(drawn.values())

    def _made(self, wording: int, swap: int, system: bool, shown: DemonstrationSet, order: int) -> Candidate:
        instruction = (self.default.instruction, *self.instructions)[wording]
        keywords = ({}, *self.keywords)[swap]
        changes = {
            "instruction": swap_keywords(instruction, keywords, self.labels),
            "demonstrations": in_order(shown.shown, order),
        }
        if not system:
            changes["system"] = None  # type: ignore[assignment]
        words = [
            f"wording {wording}" if wording else "",
            f"keywords {swap}" if swap else "",
            "" if system else "no system",
            f"demonstrations: {shown.name}" if shown.name != "own" else "",
            f"order {order}" if order and len(shown.shown) > 1 else "",
        ]
        return Candidate(self.default.model_copy(update=changes), "; ".join(filter(None, words)) or "the default")


def swap_keywords(instruction: str, keywords: Mapping[str, str], labels: Sequence[str]) -> str:
    """Return `instruction` with words swapped, except in label names and slots.

    >>> swap_keywords("Find danger: 'danger ahead' or 'calm'.", {"danger": "hazard"}, ["danger ahead", "calm"])
    "Find hazard: 'danger ahead' or 'calm'."
    """
    if not keywords:
        return instruction
    kept = "|".join(
        [r"\{\{.*?\}\}", r"\{%.*?%\}", *(re.escape(label) for label in sorted(labels, key=len, reverse=True))]
    )
    words = "|".join(rf"\b{re.escape(word)}\b" for word in sorted(keywords, key=len, reverse=True))
    by_fold = {word.casefold(): synonym for word, synonym in keywords.items()}

    def swapped(match: re.Match[str]) -> str:
        return match[0] if match["kept"] else by_fold[match[0].casefold()]

    return re.sub(rf"(?P<kept>{kept})|(?:{words})", swapped, instruction, flags=re.IGNORECASE | re.DOTALL)
