"""Candidates of a tiny masked language model: against its own full output on the ids written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.errors import ModelError
from limbeck.models.masked_words import WordFiller, load_word_filler

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["my", "card", "is", "lost", "note", "coin", "un", "##lock", "##ed", "##s", "bank", "the", "top", "!"]


def save_masked_lm(
    folder: Path, *, lowercase: bool = True, mask: bool = True, positions: int = 24, kind: str = "bert", **fields: Any
) -> Path:
    """Save a masked BERT, or another model, of random weights with the vocabulary above."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedTokenizerFast

    inner = Tokenizer(models.WordPiece({w: i for i, w in enumerate(SPECIAL + WORDS)}, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]" if mask else None,
    )  # fmt: skip
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        kind, vocab_size=len(SPECIAL + WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=positions, initializer_range=0.5, **fields,
    )  # fmt: skip
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def filler(tmp_path_factory: pytest.TempPathFactory) -> WordFiller:
    return load_word_filler(str(save_masked_lm(tmp_path_factory.mktemp("models") / "masked")))


def ids(*words: str) -> list[int]:
    return [(SPECIAL + WORDS).index(word) for word in words]


def by_hand(model: Any, masked: list[int], original: list[int], place: int, count: int) -> list[int]:
    """The likeliest tokens at a place of [CLS] masked [SEP] original [SEP], from the logits of all places."""
    whole = [*ids("[CLS]"), *masked, *ids("[SEP]"), *original, *ids("[SEP]")]
    kinds = [0] * (len(masked) + 2) + [1] * (len(original) + 1)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([whole]), token_type_ids=torch.tensor([kinds])).logits
    return logits[0, place].topk(count).indices.tolist()


def test_the_model_reads_the_text_beside_the_gap(filler: WordFiller) -> None:
    long, short = filler.read("My card is unlocked!"), filler.read("the bank")
    original = ids("my", "card", "is", "un", "##lock", "##ed", "!")
    masked = original.copy()
    masked[1] = ids("[MASK]")[0]
    assert (long.place_of(3, 7), short.place_of(4, 8)) == (2, 2)
    found = filler.likeliest([long, short], [2, 2], 5)
    assert found.tolist() == [
        by_hand(filler.model, masked, original, 2, 5),
        by_hand(filler.model, ids("the", "[MASK]"), ids("the", "bank"), 2, 5),
    ]
    alone = by_hand(filler.model, masked, [], 2, 5)
    assert found[0].tolist() != alone, "it sees the original word"
    assert not filler.model.training
    assert filler.model(**filler.tokenizer("my card", return_tensors="pt")).logits.shape[1] == 4  # no hook is left


def test_a_head_that_does_not_call_its_output_embeddings(tmp_path: Path) -> None:
    fields = {"intra_bottleneck_size": 8, "embedding_size": 4}
    filler = load_word_filler(str(save_masked_lm(tmp_path / "mobile", kind="mobilebert", **fields)))
    found = filler.likeliest([filler.read("my card"), filler.read("the bank")], [2, 1], 5)
    mask = ids("[MASK]")[0]
    assert found.tolist() == [
        by_hand(filler.model, [*ids("my"), mask], ids("my", "card"), 2, 5),
        by_hand(filler.model, [mask, *ids("bank")], ids("the", "bank"), 1, 5),
    ]


def test_words_of_several_pieces_have_no_place(filler: WordFiller) -> None:
    text = filler.read("my cards unlocked the bank")
    assert text.place_of(3, 8) is None
    assert text.place_of(9, 17) is None
    assert text.place_of(22, 26) == text.first + 7
    assert text.place_of(90, 94) is None


def test_whole_words_are_candidates_in_their_order(filler: WordFiller) -> None:
    assert filler.words(ids("note", "##s", "[MASK]", "bank", "[UNK]", "##ed", "!")) == ["note", "bank", "!"]
    assert filler.words(np.array(ids("coin"))) == ["coin"]


def test_words_of_vocabularies_that_mark_beginnings() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.Unigram([("<mask>", 0.0), ("▁", -3.0), ("▁a", -1.0), ("▁card", -1.0), ("s", -2.0)]))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, mask_token="<mask>")
    assert WordFiller(None, tokenizer, 9).words([4, 3, 0, 2]) == ["card", "a"]


def test_a_long_text_is_read_up_to_half_the_window(filler: WordFiller) -> None:
    assert filler.max_length == 24
    text = filler.read("card " * 9 + "unlocked bank")
    assert len(text.inputs["input_ids"]) == 2 * 10 + 3
    assert text.place_of(40, 44) == 9
    assert text.place_of(45, 53) is None, "it is cut"
    assert text.place_of(54, 58) is None
    assert filler.likeliest([text], [9], 3).shape == (1, 3)


def test_capitals(filler: WordFiller, tmp_path: Path) -> None:
    assert filler.lowers
    assert not load_word_filler(str(save_masked_lm(tmp_path / "cased", lowercase=False))).lowers


def test_models_that_cannot_fill_gaps(tmp_path: Path, encoder_folder: Path) -> None:
    folder = str(save_masked_lm(tmp_path / "without", mask=False))
    with pytest.raises(ModelError, match=r"has no mask token: give a masked language model, such as BERT"):
        load_word_filler(folder)
    with pytest.raises(ModelError, match=r"cls\.predictions"):
        load_word_filler(str(encoder_folder))
    with pytest.raises(ModelError, match="no such folder"):
        load_word_filler(str(tmp_path / "nowhere"))
