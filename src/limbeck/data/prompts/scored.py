"""Prompts for a student that scores labels: tokenised labels, and rows as tokenised prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from limbeck.data.encode import Encoded, encode_rows
from limbeck.data.prompts.label_prompt import LabelPrompt, check_prompt, student_prompt
from limbeck.data.prompts.label_render import RenderedPrompt, render_fitting, render_for_scoring
from limbeck.errors import ConfigError, ModelError
from limbeck.models.label_scorer import LabelScorer, Verbaliser
from limbeck.models.padding import padding_of
from limbeck.models.verbaliser import LabelTokens, label_tokens
from limbeck.types import Rows

__all__ = ["encode_for", "make_verbaliser", "row_fields", "tokens_behind"]

_PROBE = "limbeck"


def make_verbaliser(
    prompt: LabelPrompt, labels: Sequence[str], fields: Sequence[str], tokenizer: Any, *, explains: bool = False
) -> Verbaliser:
    """Return the labels in a model's tokens, after a prompt.

    Args:
        prompt: the prompt that a text is put into.
        labels: the task's labels.
        fields: names of the text, and of the second text of a pair, in the prompt.
        tokenizer: the model's tokenizer.
        explains: whether the model also learns to generate rationales.

    Raises:
        ConfigError: the prompt does not fit the task.
        ModelError: the tokenizer joins the end of the prompt with a label.
    """
    check_prompt(prompt, labels, fields)
    made, rendered = tokens_behind(prompt, labels, dict.fromkeys(fields, _PROBE), tokenizer, labels)
    bare = tokenizer(rendered.text, add_special_tokens=False)["input_ids"]
    for label, one in zip(labels, made, strict=True):
        if one.ids[: one.start][-len(bare) :] != bare:
            raise ModelError(
                f"the tokenizer of {tokenizer.name_or_path} joins the end of the prompt with the label '{label}'; "
                "let the prompt end in a colon (prompt.answer), or use student.head: linear"
            )
    label_ids = tuple(tuple(one.ids[one.start :]) for one in made)
    return Verbaliser(
        tuple(labels), label_ids, prompt=prompt.model_dump(mode="json"), fields=tuple(fields), explains=explains
    )


def encode_for(model: Any, rows: Rows, tokenizer: Any, max_length: int) -> Encoded:
    """Tokenise rows as `model` reads them: as prompts for a student that scores labels, else unchanged.

    Batches of them are padded as the model needs. A prompt that is too long loses demonstrations, as the
    teacher's does.

    Raises:
        ConfigError: a prompt leaves no room for the labels.
        ModelError: as `padding_of`; or the model lacks a token.
    """
    encoded = (
        _encode_prompts(model, rows, tokenizer, max_length)
        if isinstance(model, LabelScorer)
        else encode_rows(rows, tokenizer, max_length, padding_of(model, tokenizer))
    )
    highest = max(encoded.pad_id, int(encoded.ids.max(initial=0)))
    known = len(model.get_input_embeddings().weight)
    if highest >= known:
        raise ModelError(
            f"the tokenizer of {tokenizer.name_or_path} gives token {highest}, but its model knows {known} tokens: "
            "the two do not belong together. Copy or download the model again, with its tokenizer"
        )
    return encoded


def _encode_prompts(model: LabelScorer, rows: Rows, tokenizer: Any, max_length: int) -> Encoded:
    verbaliser = model.verbaliser
    prompt = student_prompt(verbaliser.prompt)
    budget = max_length - verbaliser.longest
    ids: list[list[int]] = []
    cut = 0

    def prompt_ids(rendered: RenderedPrompt) -> list[int]:
        (one,) = _behind(rendered, verbaliser.labels[:1], tokenizer)
        return one.ids[: one.start]

    def fits(rendered: RenderedPrompt) -> bool:
        return len(prompt_ids(rendered)) <= budget

    for i in range(len(rows)):
        row = row_fields(verbaliser, rows, i)
        rendered = render_fitting(
            prompt, verbaliser.labels, row, tokenizer, fits, end_of_turn=tokenizer.eos_token or ""
        )
        ids.append(prompt_ids(rendered))
        cut += rendered.cut or rendered.dropped > 0
        if len(ids[-1]) > budget:
            raise ConfigError(
                f"{rows.origin[i]}: its prompt has {len(ids[-1])} tokens, but {budget} are left next to the labels. "
                "Use a smaller prompt.max_body_tokens, a shorter instruction, or a larger "
                "training.max_length"
            )
    lengths = np.array([len(row) for row in ids], dtype=np.int64)
    return Encoded(
        ids=np.array([token for row in ids for token in row], dtype=np.int32),
        token_types=None,
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        pad_id=0,  # never read: a label scorer uses the mask
        pad_left=False,
        rows_at_limit=cut,
    )


def row_fields(verbaliser: Verbaliser, rows: Rows, i: int) -> dict[str, str]:
    """Return row i's texts by their names in the prompt."""
    texts = [rows.text[i]] if rows.text_pair is None else [rows.text[i], rows.text_pair[i]]
    return dict(zip(verbaliser.fields, texts, strict=False))


def tokens_behind(
    prompt: LabelPrompt, labels: Sequence[str], row: dict[str, str], tokenizer: Any, answers: Sequence[str]
) -> tuple[list[LabelTokens], RenderedPrompt]:
    """Return a row's prompt followed by each of `answers`, in tokens; and the prompt as text."""
    rendered = render_for_scoring(prompt, labels, row, tokenizer, end_of_turn=tokenizer.eos_token or "")
    return _behind(rendered, answers, tokenizer), rendered


def _behind(rendered: RenderedPrompt, answers: Sequence[str], tokenizer: Any) -> list[LabelTokens]:
    return label_tokens(
        tokenizer, rendered.text, answers, lead=rendered.lead, end=rendered.end, special_tokens=rendered.special_tokens
    )
