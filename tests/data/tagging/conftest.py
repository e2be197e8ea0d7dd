"""Texts in twelve scripts, and tokenizers of three families that were trained on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from limbeck.data.tagging.rows import TaggedRow
from limbeck.data.tagging.scheme import Span


class Sample(NamedTuple):
    """A text and the names in it, with their labels."""

    text: str
    names: tuple[tuple[str, str], ...]

    @property
    def spans(self) -> tuple[Span, ...]:
        """The names in characters, in their order."""
        found = []
        for name, label in self.names:
            start = self.text.index(name)
            found.append(Span(start, start + len(name), label))
        return tuple(sorted(found))

    @property
    def row(self) -> TaggedRow:
        return TaggedRow(self.text, None, self.spans)


SAMPLES = {
    "latin": Sample("Zoë Müller flew from São Paulo to Çanakkale.", (("Zoë Müller", "PER"), ("São Paulo", "LOC"))),
    "cyrillic": Sample("Анна Ахматова жила в Ташкенте.", (("Анна Ахматова", "PER"), ("Ташкенте", "LOC"))),
    "greek": Sample("Ο Γιώργος Σεφέρης γεννήθηκε στη Σμύρνη.", (("Γιώργος Σεφέρης", "PER"), ("Σμύρνη", "LOC"))),
    "arabic": Sample("وُلِدَ نجيب محفوظ في القاهرة.", (("نجيب محفوظ", "PER"), ("القاهرة", "LOC"))),
    "hebrew": Sample("עמוס עוז נולד בירושלים.", (("עמוס עוז", "PER"), ("ירושלים", "LOC"))),
    "devanagari": Sample("महात्मा गांधी पोरबंदर में पैदा हुए।", (("महात्मा गांधी", "PER"), ("पोरबंदर", "LOC"))),
    "bengali": Sample("রবীন্দ্রনাথ ঠাকুর কলকাতায় জন্মেছিলেন।", (("রবীন্দ্রনাথ ঠাকুর", "PER"), ("কলকাতা", "LOC"))),
    "tamil": Sample("பாரதியார் எட்டயபுரத்தில் பிறந்தார்.", (("பாரதியார்", "PER"), ("எட்டயபுரத்தில்", "LOC"))),
    "thai": Sample("สุนทรภู่เกิดที่กรุงเทพมหานคร", (("สุนทรภู่", "PER"), ("กรุงเทพมหานคร", "LOC"))),
    "chinese": Sample("鲁迅出生于浙江绍兴。", (("鲁迅", "PER"), ("浙江绍兴", "LOC"))),
    "japanese": Sample("夏目漱石は東京のカフェで生まれた。", (("夏目漱石", "PER"), ("東京", "LOC"))),
    "korean": Sample("한강은 광주에서 태어났다.", (("한강", "PER"), ("광주", "LOC"))),
    "emoji": Sample("👩‍🚀 Ada 🇫🇷Paris🎉 x", (("Ada", "PER"), ("Paris", "LOC"))),
    "invisible": Sample("Ada\u200b L\u00adve\ufeff, e\u0301 Ro\u200dm", (("L\u00adve", "PER"), ("Ro\u200dm", "LOC"))),
}  # fmt: skip


def _wrap(tokenizer: Tokenizer, **special: str) -> Any:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **special)


def word_pieces(texts: list[str]) -> Any:
    """Like BERT's: lower case, accents and control characters dropped, Chinese characters one by one."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return _wrap(tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")


def byte_pairs(texts: list[str]) -> Any:
    """Like GPT-2's: pieces of bytes, a blank belongs to the word after it, no special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<|end|>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    return _wrap(tokenizer, pad_token="<|end|>", eos_token="<|end|>")


def sentence_pieces(texts: list[str]) -> Any:
    """Like XLM-R's: no word boundaries but blanks, compatibility forms folded."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return _wrap(tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


FAMILIES: dict[str, Callable[[list[str]], Any]] = {
    "word_pieces": word_pieces,
    "byte_pairs": byte_pairs,
    "sentence_pieces": sentence_pieces,
}


@pytest.fixture(scope="session", params=FAMILIES)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    """A tokenizer of each family."""
    return FAMILIES[request.param]([sample.text for sample in SAMPLES.values()])


@pytest.fixture(scope="session")
def characters() -> Any:
    """A tokenizer whose pieces are single characters."""
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("."), "isolated")]
    )
    return _wrap(tokenizer, unk_token="<unk>", pad_token="<unk>")


@pytest.fixture(scope="session")
def samples() -> dict[str, Sample]:
    """Texts by script."""
    return SAMPLES
