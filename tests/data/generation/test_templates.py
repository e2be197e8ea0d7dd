"""What tokenizers add, and where rows go through a chat template."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from limbeck.data.generation.task import Generation
from limbeck.data.generation.templates import end_tokens, padding_token, special_tokens, uses_chat_template
from limbeck.errors import ConfigError, ModelError

Make = Callable[..., Any]
PAIRS = Generation(prompt="q", completion="a")
CHAT = Generation(messages="m")


def test_special_tokens_around_a_text(make_bpe: Make) -> None:
    assert special_tokens(make_bpe()) == ([], [])
    assert special_tokens(make_bpe(bos=True)) == ([1], [])
    assert special_tokens(make_bpe(bos=True), target=True) == ([1], [])


def test_rows_are_filled_with_the_end_token_where_there_is_no_padding_token(make_bpe: Make) -> None:
    assert padding_token(make_bpe()) == 0
    assert padding_token(make_bpe(pad_token=None)) == 2
    with pytest.raises(ModelError, match="neither a padding nor an end token"):
        padding_token(make_bpe(pad_token=None, eos_token=None))


def test_the_token_that_closes_a_turn_ends_a_completion_too(make_bpe: Make, chatml: str) -> None:
    assert end_tokens(make_bpe(chatml), chat=False) == (2,)
    assert end_tokens(make_bpe(chatml), chat=True) == (4, 2)
    assert end_tokens(make_bpe(chatml, eos_token="<|im_end|>"), chat=True) == (4,)
    assert end_tokens(make_bpe("{{ messages[-1].content }}"), chat=True) == (2,)
    assert end_tokens(make_bpe("{{ raise_exception('no') }}"), chat=True) == (2,)


def test_conversations_and_tokenizers_with_a_template_use_it(make_bpe: Make, chatml: str) -> None:
    plain, chat = make_bpe(), make_bpe(chatml)
    assert not uses_chat_template(PAIRS, plain)
    assert uses_chat_template(PAIRS, chat)
    assert uses_chat_template(CHAT, chat)
    assert not uses_chat_template(PAIRS.model_copy(update={"template": "plain"}), chat)
    assert not uses_chat_template(Generation(text="t"), chat)
    assert not uses_chat_template(PAIRS, chat, encoder_decoder=True)


def test_a_template_that_is_needed_and_not_there(make_bpe: Make, chatml: str) -> None:
    with pytest.raises(ModelError, match=r"task\.messages needs a chat template, .* has none"):
        uses_chat_template(CHAT, make_bpe())
    with pytest.raises(ModelError, match="template: chat needs a chat template"):
        uses_chat_template(PAIRS.model_copy(update={"template": "chat"}), make_bpe())
    with pytest.raises(ConfigError, match="a model with an encoder reads the prompt separately"):
        uses_chat_template(CHAT, make_bpe(chatml), encoder_decoder=True)
