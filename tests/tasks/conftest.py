"""A small encoder, and rows with entities that a model can learn in a minute."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NAMES = {"PER": ["Anna", "Omar", "Ivo", "Li Wei"], "LOC": ["Rome", "Accra", "New York", "Kyiv"]}
PLAIN = ["saw", "went", "to", "in", "with", "the", "old", "and", "sang", "near"]


def words_and_tags(number: int, length: int) -> tuple[list[str], list[str]]:
    """Words and BIO tags; the label of a name is in the name."""
    draw = random.Random(number)
    words: list[str] = []
    tags: list[str] = []
    while len(words) < length:
        label = draw.choice(["PER", "LOC"]) if draw.random() < 0.4 else None
        name = draw.choice(PLAIN if label is None else NAMES[label]).split()
        words += name
        tags += ["O"] if label is None else [f"B-{label}", *[f"I-{label}"] * (len(name) - 1)]
    return words, tags


def as_spans(words: list[str], tags: list[str]) -> tuple[str, list[dict[str, Any]]]:
    """A text, and its entities in characters."""
    spans: list[dict[str, Any]] = []
    text = " ".join(words)
    start = 0
    for word, tag in zip(words, tags, strict=True):
        if tag.startswith("B-"):
            spans.append({"start": start, "end": start + len(word), "label": tag[2:]})
        elif tag.startswith("I-"):
            spans[-1]["end"] = start + len(word)
        start += len(word) + 1
    return text, spans


@pytest.fixture
def tagged(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows with entities."""

    def write(
        name: str,
        rows: int,
        *,
        start: int = 0,
        form: str = "words",
        labelled: float = 1.0,
        teacher: str | None = None,
        length: int = 6,
    ) -> Path:
        written = []
        for number in range(start, start + rows):
            words, tags = words_and_tags(number, length)
            fields, answers = ("tokens", "tags"), (words, tags)
            if form == "spans":
                fields, answers = ("text", "spans"), as_spans(words, tags)
            row = {fields[0]: answers[0]}
            if number < start + labelled * rows:
                row[fields[1]] = answers[1]
            if teacher is not None:
                row[teacher] = answers[1]
            written.append(row)
        return write_rows(tmp_path / f"{name}.jsonl", written)

    return write


def valued_row(number: int) -> tuple[str, float, int]:
    """A text, and a price and a year that its words add up to."""
    draw = random.Random(number)
    words = [draw.choice(PLAIN) for _ in range(4)]
    points = sum(PLAIN.index(word) - 4.5 for word in words) / 4
    return " ".join(words), 250_000 + 60_000 * points, round(1990 + 8 * points)


@pytest.fixture
def valued(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows with two numbers."""

    def write(
        name: str, rows: int, *, start: int = 0, pair: bool = False, labelled: bool = True, teacher: bool = False
    ) -> Path:
        written = []
        for number in range(start, start + rows):
            text, price, year = valued_row(number)
            row: dict[str, Any] = {"text": text}
            if pair:
                row["text"], row["other"] = " ".join(text.split()[:2]), " ".join(text.split()[2:])
            if labelled:
                row |= {"price": price, "year": year}
            if teacher:
                row["by"] = price + 1000
            written.append(row)
        return write_rows(tmp_path / f"{name}.jsonl", written)

    return write


@pytest.fixture
def labelled(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows with any number of the labels per, loc and old."""

    def write(name: str, rows: int, *, start: int = 0, form: str = "names", gold: bool = True) -> Path:
        written = []
        for number in range(start, start + rows):
            words, tags = words_and_tags(number, 3)
            found = {"per": "B-PER" in tags, "loc": "B-LOC" in tags, "old": "old" in words}
            row: dict[str, Any] = {"text": " ".join(words)}
            if form == "columns":
                row |= {f"t_{label}": int(there) for label, there in found.items()}
                row |= {label: int(there) if gold else None for label, there in found.items()}
            else:
                row["labels"] = [label for label, there in found.items() if there]
            written.append(row)
        return write_rows(tmp_path / f"{name}.jsonl", written)

    return write


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BERT, 2 layers x 32, random weights, the words of the rows as vocabulary."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "encoder"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = sorted({word.lower() for names in NAMES.values() for name in names for word in name.split()} | set(PLAIN))
    inner = Tokenizer(
        models.WordPiece({word: i for i, word in enumerate([*special, *words, ";", "."])}, unk_token="[UNK]")
    )
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=64,
    )  # fmt: skip
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def no_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peak memory is not measured in a process of its own."""
    monkeypatch.setattr("limbeck.evaluation.speed._measure_on_disk", lambda model, longest: (1, 1))
