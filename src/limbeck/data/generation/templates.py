"""A tokenizer's additions to texts: special tokens, end tokens and chat templates."""

from __future__ import annotations

from typing import Any, NamedTuple

from limbeck.data.generation.task import Generation
from limbeck.errors import ConfigError, ModelError

__all__ = ["Specials", "end_tokens", "padding_token", "special_tokens", "uses_chat_template"]

_PROBE = "limbeck"


class Specials(NamedTuple):
    """Ids that a tokenizer puts before and after a text on its own."""

    before: list[int]
    after: list[int]


def special_tokens(tokenizer: Any, *, target: bool = False) -> Specials:
    """Return the tokens that `tokenizer` puts around a text, or around a decoder's target with `target`.

    Raises:
        ModelError: it also changes the text's own tokens.
    """
    side = "text_target" if target else "text"
    bare = tokenizer(**{side: _PROBE}, add_special_tokens=False)["input_ids"]
    full = tokenizer(**{side: _PROBE})["input_ids"]
    for start in range(len(full) - len(bare) + 1):
        if bare and full[start : start + len(bare)] == bare:
            return Specials(full[:start], full[start + len(bare) :])
    raise ModelError(
        f"the tokenizer of {tokenizer.name_or_path} reads '{_PROBE}' as {bare} without special tokens and as {full} "
        "with them: expected the same ids inside. Use the tokenizer that came with the model."
    )


def padding_token(tokenizer: Any) -> int:
    """Return the id that pads rows: the padding token, else the end token. Masks are explicit, so any id will do.

    Raises:
        ModelError: the tokenizer has neither.
    """
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise ModelError(
        f"the tokenizer of {tokenizer.name_or_path} has neither a padding nor an end token; set tokenizer.eos_token "
        "to the token that ends a text, and save the tokenizer"
    )


def uses_chat_template(task: Generation, tokenizer: Any, *, encoder_decoder: bool = False) -> bool:
    """Return whether rows of `task` use the tokenizer's chat template.

    Raises:
        ModelError: the rows or the task need a template, but there is none.
        ConfigError: they need one, but the model has an encoder.
    """
    if task.text is not None or task.template == "plain":
        return False
    needed = task.template == "chat" or task.messages is not None
    if encoder_decoder:
        if needed:
            raise ConfigError(
                "chat templates render one text that a causal model continues, but a model with an encoder reads the "
                "prompt separately. Use task.prompt and task.completion with template: plain."
            )
        return False
    if needed and not tokenizer.chat_template:
        raise ModelError(
            f"{'task.messages' if task.messages else 'template: chat'} needs a chat template, but the tokenizer of "
            f"{tokenizer.name_or_path} has none. Use a model trained for chat, set tokenizer.chat_template and save "
            "the tokenizer, or use task.prompt and task.completion with template: plain."
        )
    return bool(tokenizer.chat_template)


def end_tokens(tokenizer: Any, *, chat: bool) -> tuple[int, ...]:
    """Return the ids that end a completion: the end token, and the one that closes a chat template's turn."""
    closing = _closing_token(tokenizer) if chat else None
    ends = (closing, tokenizer.eos_token_id)
    return tuple(dict.fromkeys(int(end) for end in ends if end is not None))


def _closing_token(tokenizer: Any) -> int | None:
    """Return the first special token that the template writes after the assistant's text."""
    probe = [{"role": "user", "content": _PROBE}, {"role": "assistant", "content": _PROBE}]
    try:
        rendered = tokenizer.apply_chat_template(probe, tokenize=False)
    except Exception:  # a template may raise anything; rows that it refuses are reported later
        return None
    tail = tokenizer(rendered.rpartition(_PROBE)[2], add_special_tokens=False)["input_ids"]
    marks = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return next((int(i) for i in tail if i in marks), None)
