"""Prompt, separator, completion, end token; and plain text in blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from limbeck.data.generation import plain
from limbeck.data.generation.plain import plain_pairs, text_blocks
from limbeck.data.generation.task import Generation
from limbeck.data.generation.truncation import Built, Unencodable
from limbeck.errors import ModelError

Make = Callable[..., Any]
PAIRS = Generation(prompt="q", completion="a", separator="\n")
TEXT = Generation(text="t")
ROWS = [("What is the capital of France?", "Paris."), ("Колко е часът?", "三つ 🙂"), ("one", None)]


@pytest.fixture
def build(make_bpe: Make, examples_of: Make) -> Make:
    def built(rows: list[Any], task: Generation = PAIRS, **options: Any) -> list[Built | Unencodable]:
        settings = {"max_length": 64, "max_prompt": None, "encoder_decoder": False, "tokenizer": make_bpe(bos=True)}
        return list(plain_pairs(examples_of(task, rows).rows, task, **(settings | options)))

    return built


def only(item: Built | Unencodable) -> Any:
    assert isinstance(item, Built)
    (sequence,) = item.sequences
    return sequence


def test_prompt_and_completion_are_tokenised_apart(build: Make, make_bpe: Make) -> None:
    tokenizer = make_bpe()
    for (prompt, completion), item in zip(ROWS, build(ROWS), strict=True):
        row = only(item)
        assert row.prompt_ids.tolist() == [1, *tokenizer(prompt + "\n")["input_ids"]]
        own = [] if completion is None else [*tokenizer(completion)["input_ids"], 2]
        assert row.completion_ids.tolist() == own
        assert row.supervised.tolist() == [False] * len(row.prompt_ids) + [True] * len(own)
        assert row.ended == (completion is not None)


def test_no_token_spans_the_border(build: Make, make_bpe: Make) -> None:
    # " capital" is one token where both are read as one text, but not here: the prompt is what it is when writing.
    tokenizer = make_bpe(bos=True)
    (item,) = build([("What is the ", "capital")], Generation(prompt="q", completion="a", separator=""))
    row = only(item)
    assert row.prompt_ids.tolist() == tokenizer("What is the ")["input_ids"]
    assert row.ids.tolist() != tokenizer("What is the capital</s>")["input_ids"]
    assert tokenizer.decode(row.completion_ids) == "capital</s>"


def test_a_completion_stops_at_its_own_end_token(build: Make, make_bpe: Make) -> None:
    first, second = build([("one", "two</s>"), ("one", "two</s> three")])
    assert only(first).completion_ids.tolist() == only(second).completion_ids.tolist()
    assert only(first).completion_ids.tolist().count(2) == 1


def test_the_system_text_stands_above(build: Make, make_bpe: Make) -> None:
    (item,) = build([ROWS[0]], PAIRS.model_copy(update={"system": "You are a helpful assistant."}))
    text = "<s>You are a helpful assistant.\n\nWhat is the capital of France?\n"
    assert make_bpe().decode(only(item).prompt_ids) == text


def test_an_encoder_has_prompts_and_targets_as_the_tokenizer_lays_them_out(make_bpe: Make, build: Make) -> None:
    from tokenizers import processors

    tokenizer = make_bpe()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 2)]
    )
    built = build(ROWS[:2], tokenizer=tokenizer, encoder_decoder=True)
    for (prompt, completion), item in zip(ROWS[:2], built, strict=True):
        row = only(item)
        assert row.prompt_ids.tolist() == tokenizer(prompt)["input_ids"]
        assert row.completion_ids.tolist() == tokenizer(text_target=completion)["input_ids"]
        assert row.ended
    (item,) = build([ROWS[0]], tokenizer=tokenizer, encoder_decoder=True, max_length=5)
    assert isinstance(item, Built)
    assert item.cut
    assert only(item).prompt_ids.tolist() == tokenizer(ROWS[0][0])["input_ids"][-5:]
    (refused,) = build([ROWS[0][::-1]], tokenizer=tokenizer, encoder_decoder=True, max_length=5)
    assert isinstance(refused, Unencodable)
    assert "but max_length is 5" in refused.reason


def test_limits(build: Make) -> None:
    tokens = len(only(build([ROWS[0]])[0]).completion_ids)
    (item,) = build([ROWS[0]], max_length=tokens + 3)
    assert isinstance(item, Built)
    assert item.cut
    assert only(item).prompt_ids.tolist() == [1, *only(build([ROWS[0]])[0]).prompt_ids.tolist()[-2:]]
    (refused,) = build([ROWS[0]], max_length=tokens + 1)
    assert isinstance(refused, Unencodable)


def test_a_tokenizer_without_an_end_token_is_refused(build: Make, make_bpe: Make) -> None:
    with pytest.raises(ModelError, match="could not learn where to stop"):
        build(ROWS, tokenizer=make_bpe(eos_token=None))


@pytest.mark.parametrize("limit", [2, 3, 5, 7, 64])
@pytest.mark.parametrize("bos", [False, True], ids=["no_bos", "bos"])
def test_each_token_of_a_text_but_the_first_is_learnt_once(
    make_bpe: Make, examples_of: Make, limit: int, bos: bool
) -> None:
    tokenizer = make_bpe(bos=bos)
    texts = ["The river runs through the old city.", "フランスの首都はパリです。"]
    for text, item in zip(texts, text_blocks(examples_of(TEXT, texts).rows, tokenizer, max_length=limit), strict=True):
        assert isinstance(item, Built)
        whole = [*tokenizer(text)["input_ids"], 2]
        learnt = [int(token) for block in item.sequences for token in block.ids[block.supervised]]
        assert learnt == whole[1:]
        assert [len(block.ids) for block in item.sequences][:-1] == [limit] * (len(item.sequences) - 1)
        assert all(2 <= len(block.ids) <= limit for block in item.sequences)
        assert [block.ended for block in item.sequences] == [False] * (len(item.sequences) - 1) + [True]
        for before, after in zip(item.sequences, item.sequences[1:], strict=False):
            assert before.ids[-1] == after.ids[0]


def test_rows_are_the_same_whatever_is_tokenised_at_once(
    build: Make, make_bpe: Make, examples_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = examples_of(TEXT, [prompt for prompt, _ in ROWS]).rows
    whole = build(ROWS), list(text_blocks(texts, make_bpe(), max_length=5))
    monkeypatch.setattr(plain, "_ROWS_AT_ONCE", 2)
    parts = build(ROWS), list(text_blocks(texts, make_bpe(), max_length=5))
    keys = [[[s.key for s in item.sequences] for item in items] for items in (*whole, *parts)]  # type: ignore[union-attr]
    assert keys[:2] == keys[2:]
