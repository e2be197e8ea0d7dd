"""A tiny encoder and real customer questions: whole runs in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limbeck.demo.setting import read_banking77

INTENTS = ("card_arrival", "exchange_rate", "lost_or_stolen_card", "top_up_failed")


@pytest.fixture(autouse=True, scope="session")
def quiet() -> None:
    """As on the command line: other libraries' chatter is not ours."""
    from limbeck.cli.terminal import quiet_libraries

    quiet_libraries()


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained-looking encoder folder: BERT, 4 layers x 32, random weights, words of the data as vocabulary."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "encoder"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    texts = [row["text"].lower() for row in read_banking77("train") if row["label"] in INTENTS]
    pre = pre_tokenizers.BertPreTokenizer()
    words = sorted({word for text in texts for word, _ in pre.pre_tokenize_str(text)})
    vocabulary = {word: i for i, word in enumerate(special + words)}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=64,
    )  # fmt: skip
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=4, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of real questions on four intents: some labelled, some not, and held-out ones."""
    folder = tmp_path_factory.mktemp("tickets")
    train = [row for row in read_banking77("train") if row["label"] in INTENTS]
    train = [train[i] for i in range(0, len(train), 4)]
    test = [row for row in read_banking77("test") if row["label"] in INTENTS][::4]
    return {
        "labelled": write_rows(folder / "labelled.jsonl", train[::2]),
        "unlabelled": write_rows(folder / "unlabelled.jsonl", [{"text": row["text"]} for row in train[1::2]]),
        "test": write_rows(folder / "test.jsonl", test),
    }


@pytest.fixture
def sections(encoder_folder: Path, tickets: dict[str, Path], tmp_path: Path) -> dict[str, Any]:
    """A small run as nested mappings; tests change what they are about."""
    return {
        "data": {"train": [str(tickets["labelled"]), str(tickets["unlabelled"])], "test": str(tickets["test"])},
        "teacher": {"model": str(encoder_folder), "fine_tune": {"epochs": 6, "learning_rate": 3e-3, "batch_size": 8}},
        "student": {"from_teacher": {"layers": "uniform", "keep": 2}},
        "recipe": {"name": "word_level_kd", "label_weight": 0.0},
        "training": {"steps": 12, "learning_rate": 1e-3, "batch_size": 16, "log_every": 3, "checkpoints": 4},
        "output": str(tmp_path / "run"),
    }


@pytest.fixture
def run_file(sections: dict[str, Any], tmp_path: Path) -> Path:
    """The same as a run file."""
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps(sections, indent=1), encoding="utf-8")  # JSON is YAML
    return path
