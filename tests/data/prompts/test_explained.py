"""Reasons in a student's tokens, and what it reads before it writes one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from limbeck.data.prompts.explained import encode_rationales, rationale_prompts
from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.data.prompts.scored import make_verbaliser
from limbeck.models.label_scorer import Verbaliser
from limbeck.types import Origin, Rows

WORDS = ["<end>", "<unk>", "explain", ":", "Input", "Reason", "Output", "Classify", *"abcdef", "risk", "safe", "why"]
ROWS = Rows(["a b", "c", "d e"], None, [None] * 3, [Origin("a", i) for i in range(3)])


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>", unk_token="<unk>")


@pytest.fixture(scope="module")
def verbaliser(tokenizer: Any) -> Verbaliser:
    prompt = LabelPrompt(instruction="Classify", system="a b c", format="label_and_rationale")
    return make_verbaliser(prompt, ("risk", "safe"), ("text",), tokenizer, explains=True)


def words(ids: Any) -> str:
    return " ".join(WORDS[i] for i in ids)


def test_a_rationale_stands_behind_the_text_alone(tokenizer: Any, verbaliser: Verbaliser) -> None:
    encoded = encode_rationales(verbaliser, ROWS, ["why f", None, "why"], tokenizer, 100)
    assert len(encoded) == 2
    batch = encoded.batch(np.array([2, 1, 0]))
    assert batch["explained_B"].tolist() == [True, False, True]
    rows = [ids[mask.bool()].tolist() for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]
    assert words(rows[0]) == "explain : Input : d e Reason : why <end>"
    assert words(rows[1]) == "explain : Input : a b Reason : why f <end>"
    assert [words(row[start:]) for row, start in zip(rows, batch["starts"].tolist(), strict=True)] == [
        "why <end>", "why f <end>",
    ]  # fmt: skip


def test_a_batch_without_rationales(tokenizer: Any, verbaliser: Verbaliser) -> None:
    batch = encode_rationales(verbaliser, ROWS, ["why f", None, "why"], tokenizer, 100).batch(np.array([1]))
    assert batch["explained_B"].tolist() == [False]
    assert batch["starts"].tolist() == []


def test_a_rationale_that_is_too_long_for_the_student_is_left_out(tokenizer: Any, verbaliser: Verbaliser) -> None:
    encoded = encode_rationales(verbaliser, ROWS, ["why f", None, "why"], tokenizer, 10)
    assert encoded.starts_N.tolist() == [0, 0, 8]


def test_what_is_read_before_a_rationale_is_what_was_trained_on(tokenizer: Any, verbaliser: Verbaliser) -> None:
    prompts = rationale_prompts(verbaliser, ROWS, tokenizer)
    assert [words(ids) for ids in prompts.ids] == [f"explain : Input : {text} Reason :" for text in ROWS.text]
    assert WORDS[prompts.end_id] == "<end>"
