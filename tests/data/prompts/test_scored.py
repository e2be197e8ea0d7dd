"""Prompts and labels in a student's tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from limbeck.data.prompts.label_prompt import Demonstration, LabelPrompt
from limbeck.data.prompts.scored import encode_for, make_verbaliser
from limbeck.errors import ConfigError
from limbeck.models.label_scorer import LabelScorer
from limbeck.types import Origin, Rows

LABELS = ("risk", "no risk", "safe")
WORDS = ["<end>", "<unk>", "Input", "Output", ":", *"abcdefgh", "risk", "no", "safe", "Classify", "these"]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>", unk_token="<unk>")


def scorer(tokenizer: Any, prompt: LabelPrompt, fields: tuple[str, ...] = ("text",)) -> LabelScorer:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=len(WORDS), n_embd=8, n_layer=1, n_head=1, bos_token_id=0, eos_token_id=0)
    return LabelScorer(GPT2LMHeadModel(config), make_verbaliser(prompt, LABELS, fields, tokenizer))


def rows(texts: list[str], pairs: list[str] | None = None) -> Rows:
    return Rows(texts, pairs, [None] * len(texts), [Origin("a", i) for i in range(len(texts))])


def test_a_row_becomes_its_prompt_up_to_the_label(tokenizer: Any) -> None:
    model = scorer(tokenizer, LabelPrompt(instruction="Classify these:", format="none"))
    assert [tokenizer.decode(ids) for ids in model.verbaliser.label_ids] == [
        "risk <end>",
        "no risk <end>",
        "safe <end>",
    ]
    encoded = encode_for(model, rows(["a b", "c"]), tokenizer, 64)
    assert encoded.lengths.tolist() == [9, 8]
    assert tokenizer.decode(encoded.ids[:9]) == "Classify these : Input : a b Output :"
    assert encoded.rows_at_limit == 0


def test_both_texts_of_a_pair_have_their_names(tokenizer: Any) -> None:
    prompt = LabelPrompt(instruction="Classify these:", format="none", input="{{ title }}: {{ body }}", body="body")
    model = scorer(tokenizer, prompt, ("title", "body"))
    encoded = encode_for(model, rows(["a"], ["b c"]), tokenizer, 64)
    assert tokenizer.decode(encoded.ids) == "Classify these : a : b c Output :"
    with pytest.raises(ConfigError, match="rows have no field 'title'"):
        make_verbaliser(prompt, LABELS, ("text", "body"), tokenizer)


def test_long_texts_are_cut_and_prompts_without_room_refused(tokenizer: Any) -> None:
    model = scorer(tokenizer, LabelPrompt(instruction="Classify these:", format="none", max_body_tokens=3))
    encoded = encode_for(model, rows(["a b c d e"]), tokenizer, 64)
    assert tokenizer.decode(encoded.ids) == "Classify these : Input : a b c Output :"
    assert encoded.rows_at_limit == 1
    with pytest.raises(ConfigError, match=r"a:0: its prompt has 10 tokens, but 9 are left"):
        encode_for(model, rows(["a b c d e"]), tokenizer, 12)


def test_a_prompt_that_is_too_long_loses_its_last_demonstrations(tokenizer: Any) -> None:
    shown = tuple(Demonstration.model_validate({"text": text, "label": "safe"}) for text in ("d e", "f g"))
    model = scorer(tokenizer, LabelPrompt(instruction="Classify these:", format="none", demonstrations=shown))
    longest = "Classify these : Input : d e Output : safe Input : f g Output : safe Input : a Output :"
    for room, expected in [(64, longest), (20, longest.replace("Input : f g Output : safe ", ""))]:
        encoded = encode_for(model, rows(["a"]), tokenizer, room)
        assert tokenizer.decode(encoded.ids) == expected
        assert encoded.rows_at_limit == (expected != longest)


def test_a_classifier_reads_rows_as_they_are(make_classifier: Any, make_tokenizer: Any, tmp_path: Path) -> None:
    encoded = encode_for(make_classifier(), rows(["the cat"]), make_tokenizer(), 16)
    assert encoded.lengths.tolist() == [4]
