"""Parsing a label, and any rationale, from a model's answer."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.data.prompts.thoughts import marks_thoughts, without_thoughts

__all__ = ["ParsedAnswer", "looks_english", "parse_answer", "usable_rationale"]

Outcome = Literal["label", "refused", "conflict", "unknown_label", "empty", "only_thoughts", "malformed_json"]
RationaleOutcome = Literal[
    "not_asked", "rationale", "missing", "not_english", "too_short", "too_long", "restates_label"
]

FEWEST_WORDS, MOST_WORDS = 8, 120
_FEWEST_OWN_WORDS = 3
_QUOTES = "'\"`\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb*_<>[]() .,;:!"
_FENCE = re.compile(r"^```(?:json)?\s*|\s*```$")
_COMMONEST = (
    "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which "
    "one you were all her she there would their we him been has when who will no more if out so up said what its "
    "about than into them can only other time new some could these two may first then do any like my now over such "
    "our me even most made after also did many off before must well because article text does"
)
_ENGLISH = frozenset(_COMMONEST.split())
_ENGLISH_SHARE, _LATIN_SHARE = 0.2, 0.9
_OF_LABELLING = ("article", "text", "label", "categor", "class", "belong", "contain")
_CANNOT = r"(?:i (?:cannot|can't|can not|won't|will not)|i(?: am|'m) (?:unable|not able) to)"
_REFUSAL = re.compile(
    rf"\b{_CANNOT} (?:assist|help|comply|fulfil|provide|answer|respond|process|classify)"
    r"|\b(?:ich kann|kann ich) (?:\w+ ){0,4}nicht (?:\w+ ){0,2}(?:helfen|weiterhelfen|beantworten|einordnen)"
    r"|\bje ne peux (?:malheureusement )?pas (?:vous )?(?:aider|répondre|fournir|traiter|classer)"
    r"|\bno puedo (?:ayudar|responder|proporcionar|clasificar)"
    r"|\bnon posso (?:aiutar|risponder|fornir|classificar)"
    r"|\bnão posso (?:ajudar|responder|fornecer|classificar)"
    r"|\bя не могу (?:помочь|ответить|предоставить|выполнить|классифицировать)"
    r"|(?:无法|不能)(?:协助|帮助|回答|提供|处理)"
)
"""First sentences of refusals, in some languages; an API's content filter has its own field."""


@dataclass(frozen=True)
class ParsedAnswer:
    """The parsed content of an answer."""

    outcome: Outcome
    label: str | None = None
    """One of the task's labels; present if and only if the outcome is ``label``."""
    rationale: str | None = None
    rationale_outcome: RationaleOutcome = "not_asked"

    @property
    def ask_again(self) -> bool:
        """Whether there is a label but the requested rationale is unusable; the second time it is dropped."""
        return self.label is not None and self.rationale_outcome not in ("not_asked", "rationale")


def parse_answer(text: str, prompt: LabelPrompt, labels: Sequence[str]) -> ParsedAnswer:
    """Parse an answer to `prompt`, without reasoning (``only_thoughts``: there is nothing else).

    The label follows the answer's heading, or is on the first line: one of `labels` after folding case, quotes, spaces
    and the full stop, or the only label mentioned there. Two different labels are a ``conflict``, none is
    ``unknown_label``. An answer whose first sentence refuses is ``refused``, whatever labels it mentions. A rationale
    must be English, have 8 to 120 words, and say more than the label.
    """
    own_marks = marks_thoughts(f"{prompt.answer} {prompt.rationale}")  # then the prompt asks for them
    stripped = (text if own_marks else without_thoughts(text)).strip()
    if not stripped:
        return ParsedAnswer("only_thoughts" if text.strip() else "empty")
    if prompt.format == "json":
        return _parse_json(stripped, labels)
    if _refuses(stripped):
        return ParsedAnswer("refused")
    heading, rest = _after(stripped, prompt.answer)
    first, *more = rest.strip().splitlines() or [""]
    outcome, label = _find(first, labels)
    if outcome == "unknown_label" and not heading:
        # A chatty model may start with a sentence; the text after a rationale's heading is about other things.
        outcome, label = _find(_before(rest, prompt.rationale), labels)
    if prompt.format != "label_and_rationale" or label is None:
        return ParsedAnswer(outcome, label)
    found, rationale = _after("\n".join(more), prompt.rationale)
    return _with_rationale(label, rationale if found else "")


def looks_english(text: str) -> bool:
    """Return whether a text is English: Latin letters, and a fifth of its words among the most common English ones.

    A rule of thumb: very terse English fails it. A rationale that fails is requested again, then dropped; it never
    decides labels.
    """
    words = re.findall(r"[^\W\d_]+", text.lower())
    letters = "".join(words)
    if not words or sum("a" <= letter <= "z" for letter in letters) < _LATIN_SHARE * len(letters):
        return False
    return sum(word in _ENGLISH for word in words) >= _ENGLISH_SHARE * len(words)


def usable_rationale(text: str) -> str | None:
    """Return a rationale on one line, without reasoning, if it is English and has 8 to 120 words, else ``None``."""
    return _with_rationale("", without_thoughts(text)).rationale


def _parse_json(text: str, labels: Sequence[str]) -> ParsedAnswer:
    try:
        content = json.loads(_FENCE.sub("", text))
        label, rationale = content["label"], content.get("reason")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ParsedAnswer("refused" if _refuses(text) else "malformed_json")
    outcome, found = _find(str(label), labels)
    if found is None:
        return ParsedAnswer(outcome)
    return _with_rationale(found, rationale if isinstance(rationale, str) else "")


def _with_rationale(label: str, given: str) -> ParsedAnswer:
    rationale = " ".join(given.split())
    words = len(rationale.split())
    outcome: RationaleOutcome = "rationale"
    if not words:
        outcome = "missing"
    elif words < FEWEST_WORDS:
        outcome = "too_short"
    elif words > MOST_WORDS:
        outcome = "too_long"
    elif not looks_english(rationale):
        outcome = "not_english"
    elif _own_words(rationale, label) < _FEWEST_OWN_WORDS:
        outcome = "restates_label"
    return ParsedAnswer("label", label, rationale if outcome == "rationale" else None, outcome)


def _refuses(text: str) -> bool:
    first_sentence = re.split(r"[.!?。\n]", text.strip(), maxsplit=1)[0]
    return _REFUSAL.search(_fold(first_sentence).replace("\u2019", "'")) is not None


def _own_words(rationale: str, label: str) -> int:
    """Count a rationale's different words that are not common, in the label, or about labelling."""
    known = tuple(word for word in _fold(label).split() if word not in _ENGLISH) + _OF_LABELLING
    words = set(re.findall(r"[^\W\d_]+", _fold(rationale)))
    return sum(word not in _ENGLISH and not word.startswith(known) for word in words)


def _find(text: str, labels: Sequence[str]) -> tuple[Outcome, str | None]:
    said = _fold(text)
    exact = said.strip(_QUOTES)
    by_fold = {_fold(label).strip(_QUOTES) or _fold(label): label for label in labels}
    if exact in by_fold:
        return "label", by_fold[exact]
    mentioned = set()
    # The longest first: "risk and warning" does not mention "risk".
    for fold in sorted(by_fold, key=len, reverse=True):
        pattern = _edge(fold[0], "(?<!\\w)") + re.escape(fold) + _edge(fold[-1], "(?!\\w)")
        said, times = re.subn(pattern, "\x00", said)
        if times:
            mentioned.add(by_fold[fold])
    if len(mentioned) == 1:
        return "label", mentioned.pop()
    return ("conflict" if mentioned else "unknown_label"), None


def _edge(character: str, boundary: str) -> str:
    """Return the pattern of a label's edge. Caseless scripts (Chinese, Thai) have no spaces: a label ends anywhere."""
    return boundary if character.lower() != character.upper() or character.isdigit() else ""


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _after(text: str, heading: str) -> tuple[bool, str]:
    """Return whether a line begins with `heading`, and what follows it; else the text unchanged."""
    match = re.search(rf"^[\s*_#>-]*{re.escape(heading)}[\s*_]*", text, re.MULTILINE | re.IGNORECASE)
    return (True, text[match.end() :]) if match else (False, text)


def _before(text: str, heading: str) -> str:
    match = re.search(rf"^[\s*_#>-]*{re.escape(heading)}", text, re.MULTILINE | re.IGNORECASE)
    return text[: match.start()] if match else text
