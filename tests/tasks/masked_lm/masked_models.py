"""A tiny masked language model that knows its texts, and these texts: words that follow each other in one order."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [f"{first}{second}" for first in "bdgk" for second in ("a", "e", "i", "o", "u")]
TINY = {
    "model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 32,
}  # fmt: skip
"""A configuration; dropout is BERT's."""


def texts(count: int, seed: int = 0) -> list[str]:
    """Return texts of 4 to 10 words, each the successor of the one before."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        start, length = draw.randrange(len(WORDS)), draw.randint(4, 10)
        found.append(" ".join(WORDS[(start + i) % len(WORDS)] for i in range(length)))
    return found


def write_texts(path: Path, rows: list[str], field: str = "text") -> str:
    path.write_text("".join(json.dumps({field: row}) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@cache
def make_tokenizer(longest: int = 32) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordPiece({word: i for i, word in enumerate([*SPECIAL, *WORDS])}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=longest,
    )  # fmt: skip


def make_model(seed: int = 0, **changes: Any) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForMaskedLM

    torch.manual_seed(seed)
    fields: dict[str, Any] = {**TINY, "vocab_size": len(SPECIAL) + len(WORDS), **changes}
    if fields["model_type"] == "distilbert":
        fields = {name: value for name, value in fields.items() if not name.startswith(("hidden_", "num_", "interm"))}
    return AutoModelForMaskedLM.from_config(AutoConfig.for_model(fields.pop("model_type"), **fields))


@cache
def trained_teacher() -> Any:
    """Return a model that predicts most masked words."""
    import torch
    from torch.nn.functional import cross_entropy

    from limbeck.data.generation.records import Example, Examples
    from limbeck.data.generation.task import Generation
    from limbeck.data.masked.encode import encode_texts
    from limbeck.data.masked.task import MaskedLM
    from limbeck.types import UNLABELLED, Origin

    model = make_model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    rows = [Example((), text, Origin("rows", i)) for i, text in enumerate(texts(64, seed=7))]
    encoded = encode_texts(Examples(Generation(text="text"), rows, 0, 0, "", ()), MaskedLM(), make_tokenizer(), 32)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(120):
        batch = encoded.batch([row + step * len(encoded) for row in range(len(encoded))])
        logits_BTV = model(**batch["student"]).logits
        loss = cross_entropy(logits_BTV.flatten(0, 1), batch["labels_BT"].flatten(), ignore_index=UNLABELLED)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def save(model: Any, folder: Path, tokenizer: Any = None) -> str:
    """Write a model folder and return it as a run file has it."""
    model.save_pretrained(folder)
    (tokenizer or make_tokenizer()).save_pretrained(folder)
    return str(folder)


def masked_sections(folder: Path, **changes: Any) -> dict[str, Any]:
    """Write a teacher and texts into `folder`, and return a small run on them; `changes` replace sections."""
    if not (teacher := folder / "teacher").exists():
        save(trained_teacher(), teacher)
    sections: dict[str, Any] = {
        "task": {"kind": "masked_lm"},
        "data": {
            "train": write_texts(folder / "train.jsonl", texts(48)),
            "test": write_texts(folder / "test.jsonl", texts(24, seed=1)),
        },
        "teacher": {"model": str(teacher)},
        "student": {"from_teacher": {"layers": [2]}},
        "recipe": "distilbert",
        "training": {"max_steps": 6, "batch_size": 16, "learning_rate": 5e-3, "log_every": 2, "warmup_ratio": 0.0},
        "output": str(folder / "run"),
    }
    return {**sections, **changes}
