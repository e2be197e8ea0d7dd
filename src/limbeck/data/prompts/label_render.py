"""Rendering a prompt for a row: as plain text for base models, or as a chat."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from limbeck.data.prompts.cleaning import cleaned
from limbeck.data.prompts.label_prompt import Demonstration, LabelPrompt
from limbeck.data.prompts.sandbox import fill, folded
from limbeck.errors import ConfigError
from limbeck.models.chat_template import at_date
from limbeck.types import BYTES_A_TOKEN

__all__ = [
    "RenderedPrompt",
    "cut_body",
    "is_chat",
    "named_labels",
    "render_chat",
    "render_fitting",
    "render_for_scoring",
    "render_letters",
    "render_plain",
]

_FORMATS = {
    "none": "",
    "label": "Answer with one of the categories and nothing else.",
    "label_and_rationale": (
        "Answer in two lines:\n{answer} <one of the categories>\n{rationale} <in English, 8 to 120 words>"
    ),
    "json": 'Answer with JSON: {{"label": <one of {names}>, "reason": <in English, 8 to 120 words>}}',
}


@dataclass(frozen=True)
class RenderedPrompt:
    """Everything that a causal model reads before a label, and the text around the label."""

    text: str
    lead: str
    """The text between `text` and the label: a space, or nothing."""
    end: str
    """The end of the label, which distinguishes it from a longer label that begins with it."""
    special_tokens: bool
    """Whether the tokenizer's own tokens (BOS) go before `text`; a chat template already includes them."""
    cut: bool
    """Whether the body was cut."""
    dropped: int = 0
    """Number of demonstrations left out because they did not fit."""


def named_labels(labels: Sequence[str]) -> str:
    """Return the labels in quotes, as in a sentence.

    >>> named_labels(["risk and warning", "caution and advice", "safe and harmless"])
    "'risk and warning', 'caution and advice', and 'safe and harmless'"
    """
    quoted = [f"'{label}'" for label in labels]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return ", ".join(quoted[:-1]) + ", and " + quoted[-1]


def cut_body(text: str, most_tokens: int, tokenizer: Any = None) -> tuple[str, bool]:
    """Return the first `most_tokens` tokens of a text, and whether it had more.

    Without a tokenizer (for an API) a token counts as four bytes of UTF-8.
    """
    if tokenizer is None:
        content = text.encode()
        if len(content) <= most_tokens * BYTES_A_TOKEN:
            return text, False
        return content[: most_tokens * BYTES_A_TOKEN].decode(errors="ignore").rstrip(), True
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    if len(offsets) <= most_tokens:
        return text, False
    # A character of several tokens is dropped as a whole.
    end = min(offsets[most_tokens - 1][1], offsets[most_tokens][0])
    return text[:end].rstrip(), True


def render_plain(
    prompt: LabelPrompt, labels: Sequence[str], row: Mapping[str, str], *, tokenizer: Any = None
) -> tuple[str, bool]:
    """Return the plain layout up to and including the answer's heading, and whether the body was cut.

    Sections are lines; demonstrations have blank lines around them. Every slot is one line, so a row's text cannot
    begin a section, and special tokens of the tokenizer are broken up in it.
    """
    return _plain(prompt, _blocks(prompt, labels, row, tokenizer))


def _plain(prompt: LabelPrompt, blocks: tuple[_Blocks, bool]) -> tuple[str, bool]:
    (head, shown, asked), cut = blocks
    worked = [f"{text}\n{prompt.answer} {answer}" for text, answer in shown]
    parts = ["\n".join(head), *worked, f"{asked}\n{prompt.answer}"]
    return ("\n\n" if shown else "\n").join(part for part in parts if part), cut


def render_chat(
    prompt: LabelPrompt, labels: Sequence[str], row: Mapping[str, str], *, tokenizer: Any = None
) -> tuple[list[dict[str, str]], bool]:
    """Return the chat layout, and whether the body was cut.

    Demonstrations are turns: the user gives an input, the assistant answers. Instruction and format are in the first
    turn of the user.
    """
    return _chat(prompt, _blocks(prompt, labels, row, tokenizer))


def _chat(prompt: LabelPrompt, blocks: tuple[_Blocks, bool]) -> tuple[list[dict[str, str]], bool]:
    (head, shown, asked), cut = blocks
    messages = []
    if prompt.system is not None:
        messages.append({"role": "system", "content": head.pop(0)})
    opening = "\n".join(head) + "\n\n"
    for text, answer in shown:
        own_heading = f"{prompt.answer} " if prompt.format == "label_and_rationale" else ""
        messages.append({"role": "user", "content": opening + text})
        messages.append({"role": "assistant", "content": own_heading + answer})
        opening = ""
    messages.append({"role": "user", "content": opening + asked})
    return messages, cut


def render_letters(
    prompt: LabelPrompt, labels: Sequence[str], row: Mapping[str, str], *, turn: int, chat: bool
) -> tuple[list[dict[str, str]] | str, bool]:
    """Return the prompt with option letters, for an API that gives log-probabilities of only the first token.

    Letter j stands for label ``(j + turn) mod M``. Demonstrations are answered with letters, without rationales.

    Returns:
        The messages, or the text if `chat` is false; and whether the body was cut.
    """
    turned = [labels[(index + turn) % len(labels)] for index in range(len(labels))]
    by_label = {label: chr(ord("A") + index) for index, label in enumerate(turned)}
    meaning = {label: f": {line}" for label, line in prompt.descriptions.items()}
    options = [f"{letter}. {label}{meaning.get(label, '')}" for label, letter in by_label.items()]
    lettered = prompt.model_copy(
        update={
            "format": "none",
            "demonstrations": tuple(
                Demonstration.model_validate({**shown.slots, "label": by_label[shown.label]})
                for shown in prompt.demonstrations
            ),
        }
    )
    blocks = _blocks(lettered, labels, row, None, [*options, "Answer with the letter alone."])
    return _chat(lettered, blocks) if chat else _plain(lettered, blocks)


def is_chat(prompt: LabelPrompt, tokenizer: Any) -> bool:
    """Return whether the prompt is rendered as a chat.

    Raises:
        ConfigError: it should be, but the tokenizer has no chat template.
    """
    if prompt.layout == "chat" and not tokenizer.chat_template:
        raise ConfigError(
            f"prompt.layout: chat needs a chat template, but the tokenizer of {tokenizer.name_or_path} has none; "
            "use layout: plain, or a model trained for chat"
        )
    return prompt.layout != "plain" and bool(tokenizer.chat_template)


def render_for_scoring(
    prompt: LabelPrompt, labels: Sequence[str], row: Mapping[str, str], tokenizer: Any, *, end_of_turn: str = ""
) -> RenderedPrompt:
    """Return the text that a local model reads before a label.

    Args:
        prompt: the teacher's prompt.
        labels: the task's labels.
        row: the fields of the text to label.
        tokenizer: the model's tokenizer.
        end_of_turn: the token that closes the assistant's turn in its chat template.

    Raises:
        ConfigError: a slot is missing, or the chat template refuses the prompt.
    """
    json_start = '{"label": "'
    if not is_chat(prompt, tokenizer):
        text, cut = render_plain(prompt, labels, row, tokenizer=tokenizer)
        if prompt.format == "json":
            return RenderedPrompt(f"{text} {json_start}", "", '"', True, cut)
        return RenderedPrompt(text, " ", "\n", True, cut)
    messages, cut = render_chat(prompt, labels, row, tokenizer=tokenizer)
    try:
        dated = at_date(tokenizer, prompt.date)
        text = dated.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # a template may raise anything: some refuse a system message
        raise ConfigError(
            f"the chat template of {tokenizer.name_or_path} refuses the prompt: {error}. If it supports no system "
            "message, write it into prompt.instruction; or use prompt.layout: plain"
        ) from error
    if prompt.format == "json":
        return RenderedPrompt(text + json_start, "", '"', False, cut)
    if prompt.format == "label_and_rationale":
        return RenderedPrompt(text + prompt.answer, " ", "\n", False, cut)
    return RenderedPrompt(text, "", end_of_turn or "\n", False, cut)


def render_fitting(
    prompt: LabelPrompt,
    labels: Sequence[str],
    row: Mapping[str, str],
    tokenizer: Any,
    fits: Callable[[RenderedPrompt], bool],
    *,
    end_of_turn: str = "",
) -> RenderedPrompt:
    """Return the result of `render_for_scoring` with as many demonstrations as fit, according to `fits`.

    They are dropped from the last one on, as a search puts the nearest ones first. Instruction and input stay, so a
    row may not fit even without any.

    Raises:
        ConfigError: as `render_for_scoring`.
    """
    for kept in range(len(prompt.demonstrations), -1, -1):
        shorter = prompt.model_copy(update={"demonstrations": prompt.demonstrations[:kept]})
        rendered = render_for_scoring(shorter, labels, row, tokenizer, end_of_turn=end_of_turn)
        if kept == 0 or fits(rendered):
            break
    return replace(rendered, dropped=len(prompt.demonstrations) - kept)


_Blocks = tuple[list[str], list[tuple[str, str]], str]


def _blocks(
    prompt: LabelPrompt,
    labels: Sequence[str],
    row: Mapping[str, str],
    tokenizer: Any,
    options: Sequence[str] | None = None,
) -> tuple[_Blocks, bool]:
    """Return the first lines, the worked examples as input and answer, and the input to label.

    `options` follow the instruction, instead of the descriptions of labels.
    """
    common = {"labels": named_labels(labels)}
    if options is None:
        options = [f"- '{label}': {prompt.descriptions[label]}" for label in labels if label in prompt.descriptions]
    head = ["\n".join([fill(prompt.instruction, common), *options])]
    if prompt.system is not None:
        head.insert(0, fill(prompt.system, common))
    names = json.dumps(list(labels), ensure_ascii=False)
    if wanted := _FORMATS[prompt.format].format(answer=prompt.answer, rationale=prompt.rationale, names=names):
        head.append(wanted)
    marks = _marks(tokenizer)

    def asked(fields: Mapping[str, str]) -> tuple[str, bool]:
        slots = {name: _sealed(folded(cleaned(value, prompt.clean)), marks) for name, value in fields.items()}
        cut = False
        if prompt.body in slots:
            slots[prompt.body], cut = cut_body(slots[prompt.body], prompt.max_body_tokens, tokenizer)
        return fill(prompt.input, slots | common), cut

    shown = [(asked(one.slots)[0], _answer(prompt, one)) for one in prompt.demonstrations]
    text, cut = asked(row)
    return (head, shown, text), cut


def _answer(prompt: LabelPrompt, shown: Demonstration) -> str:
    rationale = folded(shown.rationale or "")
    if prompt.format == "json":
        return json.dumps({"label": shown.label, "reason": rationale}, ensure_ascii=False)
    if prompt.format == "label_and_rationale":
        return f"{shown.label}\n{prompt.rationale} {rationale}"
    return shown.label


def _marks(tokenizer: Any) -> re.Pattern[str] | None:
    """Return a pattern that finds the tokenizer's special tokens in a text."""
    if tokenizer is None:
        return None
    tokens = {str(token) for token in tokenizer.all_special_tokens}
    tokens |= {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    long_first = sorted((token for token in tokens if len(token) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, long_first))) if long_first else None


def _sealed(text: str, marks: re.Pattern[str] | None) -> str:
    """Break up special tokens in a row's text: unbroken, they would end a turn or open another."""
    if marks is None:
        return text
    text = marks.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)
    while marks.search(text):
        text = marks.sub("", text)
    return text
