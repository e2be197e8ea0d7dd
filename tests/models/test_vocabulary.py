"""Tokens are compared by their ids, never by how many there are."""

from __future__ import annotations

from typing import Any

import pytest

from limbeck.errors import ModelError
from limbeck.models.vocabulary import align_vocabularies

SENTENCES = [
    "What is the capital of France? The capital of France is Paris.",
    "Столицата на България е София.",
    "東京は日本の首都です。 🙂",
]


def tokenizer(*, drop_merges: int = 0, swap: bool = False, extra: list[str] | None = None, lower: bool = False) -> Any:
    """Return a small byte-level BPE tokenizer, or one that differs from it in one way."""
    import json

    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<pad>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(SENTENCES, trainer)
    written = json.loads(inner.to_str())
    if drop_merges:
        written["model"]["merges"] = written["model"]["merges"][:-drop_merges]
    if swap:
        ids = written["model"]["vocab"]
        ids["A"], ids["B"] = ids["B"], ids["A"]
    inner = Tokenizer.from_str(json.dumps(written))
    if lower:
        inner.normalizer = normalizers.Lowercase()
    made = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", pad_token="<pad>")
    made.add_tokens(extra or [], special_tokens=True)
    return made


def test_padded_embeddings_are_cut_to_the_tokens_that_there_are() -> None:
    tokens = len(tokenizer())
    assert align_vocabularies(tokenizer(), tokenizer(), teacher_rows=152_064, student_rows=151_936) == tokens
    assert align_vocabularies(tokenizer(), tokenizer(), teacher_rows=tokens, student_rows=tokens) == tokens


def test_added_tokens_are_compared_and_counted() -> None:
    one, other = tokenizer(extra=["<|im_end|>"]), tokenizer(extra=["<|im_end|>"])
    assert align_vocabularies(one, other, teacher_rows=512, student_rows=400) == len(tokenizer()) + 1
    with pytest.raises(ModelError, match=r"1 tokens are only the teacher's \('<\|im_end\|>' = \d+\)"):
        align_vocabularies(one, tokenizer(), teacher_rows=512, student_rows=512)
    with pytest.raises(
        ModelError, match=r"1 tokens are only the student's .*1 tokens are|1 tokens are only the student's"
    ):
        align_vocabularies(tokenizer(), one, teacher_rows=512, student_rows=512)


def test_equal_sizes_with_other_ids_are_refused_and_what_would_work_is_said() -> None:
    with pytest.raises(ModelError, match=r"2 tokens have other ids \('A' is \d+ and \d+, 'B'") as caught:
        align_vocabularies(tokenizer(), tokenizer(swap=True), teacher_rows=512, student_rows=512)
    assert "seqkd" in str(caught.value)
    assert "a student of the teacher's family" in str(caught.value)


@pytest.mark.parametrize("change", [{"drop_merges": 40}, {"lower": True}], ids=["merges", "normaliser"])
def test_equal_maps_that_split_text_otherwise_are_refused(change: dict[str, Any]) -> None:
    assert tokenizer().get_vocab() == tokenizer(**change).get_vocab()
    with pytest.raises(ModelError, match="the same tokens but split text differently"):
        align_vocabularies(tokenizer(), tokenizer(**change), teacher_rows=512, student_rows=512)


@pytest.mark.parametrize("side", ["teacher", "student"])
def test_a_model_with_fewer_rows_than_ids_is_refused(side: str) -> None:
    rows = {"teacher_rows": 512, "student_rows": 512, f"{side}_rows": len(tokenizer()) - 1}
    with pytest.raises(ModelError, match=f"the {side} has logits for"):
        align_vocabularies(tokenizer(), tokenizer(), **rows)


def test_roles_of_tokens_are_no_matter_of_ids() -> None:
    other = tokenizer()
    other.pad_token = "</s>"
    assert align_vocabularies(tokenizer(), other, teacher_rows=512, student_rows=512) == len(other)
