"""Removing a model's reasoning from its answer."""

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
"""Marks around models' reasoning, in one expression, so that they are found in order."""
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^<]{0,200}<\|message\|>")
_CHANNEL_END = re.compile(r"<\|(?:end|start|return|call)\|>")
_BARE_CHANNELS = re.compile(r"\A\s*analysis(?=[A-Z\s]).*assistant\s?final", re.DOTALL)
"""The remains of marks if a server drops special tokens but keeps the words between."""


def marks_thoughts(text: str) -> bool:
    """Return whether there is a reasoning mark in a text."""
    return _MARK.search(text) is not None


def without_thoughts(text: str) -> str:
    """Return `text` without the parts between reasoning marks: ``<think>``, ``[THINK]``, gpt-oss's channels.

    Reasoning ends at its own closing mark, whatever it contains. If it is never closed, everything after it is
    removed. A closing mark alone ends reasoning that the prompt began, so everything before it is removed.

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
    """Return the last channel of a model with channels if it is the final one, else nothing."""
    channels = list(_CHANNEL.finditer(text))
    if not channels:
        return _BARE_CHANNELS.sub("", text, count=1)
    last = channels[-1]
    said = text[last.end() :]
    end = _CHANNEL_END.search(said)
    return (said[: end.start()] if end else said) if last[1].casefold() == "final" else ""
