"""Takes a model's thoughts out of what it wrote: what is thought is not yet said."""

from __future__ import annotations

import re

__all__ = ["marks_thoughts", "without_thoughts"]

_WORDS = "think|thinking|thought|thoughts|reasoning|reflection|analysis|scratchpad"
_MARK = re.compile(
    rf"(?:<|&lt;)\s?(?P<close>/?)(?P<name>(?:\w{{1,20}}:)?(?:{_WORDS}))(?:\s[^<>]{{0,200}}?)?(?P<empty>/?)(?:>|&gt;)"
    r"|\[(?P<close2>/?)(?P<name2>THINK)\]"
    r"|◁(?P<close3>/?)(?P<name3>think)▷"
    r"|<\|(?:begin|(?P<close4>end))_of_(?P<name4>thought|thinking)\|>"
    r"|<\|(?:START|(?P<close5>END))_(?P<name5>THINKING)\|>",
    re.IGNORECASE,
)
"""Marks around thoughts, as models write them, in one expression: they are met in their order."""
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^<]{0,200}<\|message\|>")
_CHANNEL_END = re.compile(r"<\|(?:end|start|return|call)\|>")
_BARE_CHANNELS = re.compile(r"\A\s*analysis(?=[A-Z\s]).*assistant\s?final", re.DOTALL)
"""What is left of them where a server drops special tokens and keeps the words between."""


def marks_thoughts(text: str) -> bool:
    """Whether there is a mark of thoughts in a text."""
    return _MARK.search(text) is not None


def without_thoughts(text: str) -> str:
    """Return `text` without what stands between marks of thoughts: ``<think>``, ``[THINK]``, gpt-oss's channels.

    A thought ends at its own closing mark, whatever stands in it. One that is never closed takes all that follows with
    it. A closing mark alone ends a thought that the prompt began, so all before it goes.

    >>> without_thoughts("<think>It seems safe.\\nClassification: safe</think> risk").strip()
    'risk'
    """
    text = _final_channel(text)
    kept: list[str] = []
    inside, start = "", 0
    for mark in _MARK.finditer(text):
        found = {key: value for key, value in mark.groupdict().items() if value}
        name = next(f"{key} {value}" for key, value in found.items() if key.startswith("name")).casefold()
        closes = any(key.startswith("close") for key in found)
        if inside and not (closes and name == inside):
            continue
        if not inside:
            kept.append(text[start : mark.start()])
            if closes:
                kept.clear()
        inside = "" if inside or closes or "empty" in found else name
        start = mark.end()
    return "".join(kept) if inside else "".join([*kept, text[start:]])


def _final_channel(text: str) -> str:
    """Return what a model with channels says in the last one if that is the final one, else nothing."""
    channels = list(_CHANNEL.finditer(text))
    if not channels:
        return _BARE_CHANNELS.sub("", text, count=1)
    last = channels[-1]
    said = text[last.end() :]
    end = _CHANNEL_END.search(said)
    return (said[: end.start()] if end else said) if last[1].casefold() == "final" else ""
