"""Toy languages: each is English with its words swapped for other words of one vocabulary."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TOY_LANGUAGES = ("de", "fr", "bg")
"""Codes of real languages, because prompts hang on them."""
TOPICS = ("health", "politics", "sports", "travel")
JUDGEMENTS = ("relevant", "not relevant")
_PER_TOPIC, _FILLERS = 6, 8
_BLOCK = _PER_TOPIC * len(TOPICS) + _FILLERS
"""Words of English. The vocabulary has as many for each language."""


def toy_word(number: int) -> str:
    """Return a word of the vocabulary, in Latin letters."""
    return "".join(
        consonant + "aeiou"[number // power % 5] for consonant, power in zip("bktl", (1, 5, 25, 125), strict=True)
    )


def in_language(numbers: list[int], lang: str) -> str:
    """Translate word by word: a permutation of the whole vocabulary, which turns it by a block for each language."""
    turned = 1 + TOY_LANGUAGES.index(lang) if lang in TOY_LANGUAGES else 0
    whole = _BLOCK * (1 + len(TOY_LANGUAGES))
    return " ".join(toy_word((number + turned * _BLOCK) % whole) for number in numbers)


def toy_sentences(count: int, kinds: int, seed: int) -> Iterator[tuple[list[int], int]]:
    """Yield sentences of 5 words, 3 of them of the sentence's kind, and the kind; all kinds equally often."""
    rng = np.random.default_rng(seed)
    taken: set[tuple[int, ...]] = set()
    while len(taken) < count:
        kind = len(taken) % kinds
        own = _PER_TOPIC * kind + rng.choice(_PER_TOPIC, 3, replace=False)
        filler = _PER_TOPIC * len(TOPICS) + rng.choice(_FILLERS, 2, replace=False)
        words = rng.permutation(np.concatenate([own, filler])).tolist()
        if tuple(words) not in taken:
            taken.add(tuple(words))
            yield words, kind


def write_toy_sets(folder: Path, train: int, test: int, seed: int = 0) -> None:
    """Write ``topic/`` (4 labels) and ``ads/`` (pairs, 2 labels): ``rows`` in English and the toy languages."""
    for name, labels in (("topic", TOPICS), ("ads", JUDGEMENTS)):
        (folder / name).mkdir(parents=True)
        sentences = list(toy_sentences(train + test, len(labels), seed))
        for split, part in (("train", sentences[:train]), ("test", sentences[train:])):
            rows = []
            for lang in ("en", *TOY_LANGUAGES):
                for key, (words, kind) in enumerate(part):
                    row = {"lang": lang, "key": key, "label": labels[kind], "text": in_language(words, lang)}
                    if name == "ads":  # the advertisement is judged, whatever the query
                        row["query"] = in_language(words[:2][::-1], lang)
                    rows.append(row)
            write_jsonl(folder / name / f"{split}.jsonl", rows)


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def toy_sets(folder: Path) -> list[dict[str, Any]]:
    """Return the two sets of `write_toy_sets` as a run file has them."""
    ads = {"layout": "rows", "folder": str(folder / "ads"), "task": "ads", "labels": list(JUDGEMENTS)}
    topic = {"layout": "rows", "folder": str(folder / "topic"), "task": "topic", "labels": list(TOPICS)}
    return [{**topic, "key": "key"}, {**ads, "key": "key", "text_pair": "query"}]


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy_model(tmp_path_factory.mktemp("toy") / "model")


def make_toy_model(folder: Path) -> Path:
    """XLM-R's shape with 2 layers and random weights; its vocabulary is the toy words and those of the prompts."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForMaskedLM

    from limbeck.data.prompts.registry import language_prompt, task_prompt

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    texts = [*TOPICS, *JUDGEMENTS, *(task_prompt(task).template for task in ("topic", "ads"))]
    texts += [language_prompt(lang) for lang in ("en", *TOY_LANGUAGES)]
    pre = pre_tokenizers.Whitespace()
    words = sorted({word for text in texts for word, _ in pre.pre_tokenize_str(text)})
    words += [toy_word(number) for number in range(_BLOCK * (1 + len(TOY_LANGUAGES)))]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(special + words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", cls_token="<s>", sep_token="</s>", eos_token="</s>",
        pad_token="<pad>", unk_token="<unk>", mask_token="<mask>", model_max_length=128,
    )  # fmt: skip
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=len(special + words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=130, type_vocab_size=1, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, initializer_range=0.1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    XLMRobertaForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy sets, small."""
    folder = tmp_path_factory.mktemp("toy") / "data"
    write_toy_sets(folder, train=24, test=12)
    return folder


@pytest.fixture
def own_toy_data(toy_data: Path, tmp_path: Path) -> Path:
    """A copy to write faults into."""
    return Path(shutil.copytree(toy_data, tmp_path / "data"))


@pytest.fixture
def toy_run(toy_model: Path, toy_data: Path, tmp_path: Path) -> dict[str, Any]:
    """A run of two steps a stage as nested mappings; tests change what they are about."""
    return toy_sections(toy_model, toy_data, tmp_path / "run")


def toy_sections(model: Path, data: Path, output: Path) -> dict[str, Any]:
    stage = {"max_steps": 2, "batch_size": 8, "learning_rate": 1e-3, "log_every": 1, "checkpoints": 2}
    return {
        "task": {"kind": "ranking", "languages": ["de", "bg"], "high_resource": ["de"]},
        "data": {"sets": toy_sets(data), "shots": [0]},
        "backbone": {"model": str(model), "scorer": "dual_encoder", "max_length": 96},
        "prompts": {"levels": "T+L", "form": "both", "task_vectors": 2, "language_vectors": 2},
        "recipe": {"name": "ml_ipd", "confidence_threshold": 0.0},
        "baselines": [],
        "training": {"source": dict(stage), "distillation": dict(stage), "target": dict(stage)},
        "output": str(output),
    }


@pytest.fixture(scope="session")
def make_toy_sections() -> Callable[..., dict[str, Any]]:
    return toy_sections


@pytest.fixture(scope="session")
def make_toy_sets() -> Callable[..., None]:
    return write_toy_sets
