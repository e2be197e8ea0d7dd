"""Rows and models of the golden runs, made from seeds and without limbeck, so that they stay as they are.

One toy world for all: sentences of five made-up words, three of which belong to the sentence's topic. Another language
is the same sentence with every word swapped for another one of the vocabulary.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOPICS = ("health", "politics", "sports")
LANGUAGES = ("en", "de", "bg")
_PER_TOPIC, _FILLERS = 6, 8
_BLOCK = _PER_TOPIC * len(TOPICS) + _FILLERS
"""Words of a language."""
_REASON = "It says this word so it is of the topic of {} ."
_PROMPT_WORDS = (
    "Classify the following text into one of these categories : Is advertisement relevant to query ? Options yes no "
    "Text is in English German Bulgarian Latin Cyrillic script explain Reason it about not"
)
_TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def make_inputs(folder: Path) -> None:
    """Write ``rows/`` and ``models/``, which the run files name."""
    (folder / "rows").mkdir(parents=True)
    for split, count, seed in (("train", 48, 0), ("dev", 12, 1), ("test", 24, 2)):
        _write(folder / "rows" / f"topics-{split}.jsonl", _topic_rows(count, seed, split))
        _write(folder / "rows" / f"answers-{split}.jsonl", _answer_rows(count, seed))
        _write(folder / "rows" / f"heads-{split}.jsonl", _head_rows(count, seed, split))
        for name in ("topic", "ads"):
            (folder / "rows" / name).mkdir(exist_ok=True)
            if split != "dev":
                _write(folder / "rows" / name / f"{split}.jsonl", _parallel_rows(name, count // 2, seed))
    _write(folder / "rows" / "corpus.jsonl", [{"text": _in_language(words, "de")} for words, _ in _sentences(24, 3)])
    _make_models(folder / "models")


# ---- rows --------------------------------------------------------------------------------------------------------


def _word(number: int) -> str:
    """Return a word of the vocabulary."""
    return "".join(
        consonant + "aeiou"[number // power % 5] for consonant, power in zip("bktl", (1, 5, 25, 125), strict=True)
    )


def _in_language(numbers: list[int], lang: str) -> str:
    return " ".join(_word(number + LANGUAGES.index(lang) * _BLOCK) for number in numbers)


def _sentences(count: int, seed: int) -> Iterator[tuple[list[int], int]]:
    """Yield different sentences and their topics, which take turns. No two seeds share a sentence."""
    chance, taken = random.Random(seed), set()
    while len(taken) < count:
        topic = len(taken) % len(TOPICS)
        own = [_PER_TOPIC * topic + word for word in chance.sample(range(_PER_TOPIC), 3)]
        other = [_PER_TOPIC * len(TOPICS) + 2 * seed + word for word in chance.sample(range(2), 2)]
        words = chance.sample(own + other, 5)
        if tuple(words) not in taken:
            taken.add(tuple(words))
            yield words, topic


def _topic_rows(count: int, seed: int, split: str) -> list[dict[str, Any]]:
    """Rows to classify. Every third training row has no label; a teacher's word on all is wrong on every fifth."""
    rows: list[dict[str, Any]] = []
    for i, (words, topic) in enumerate(_sentences(count, seed)):
        said = TOPICS[(topic + (i % 5 == 0)) % len(TOPICS)]
        row = {"text": _in_language(words, "en"), "said": said, "sure": 0.6 if i % 5 == 0 else 0.8 + i % 4 * 0.05}
        row["why"] = _REASON.format(said)
        rows.append(row if split == "train" and i % 3 == 2 - i // 3 % 3 else row | {"label": TOPICS[topic]})
    return rows


def _answer_rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Prompts and completions."""
    return [
        {"question": _in_language(words, "en"), "answer": f"it is about {TOPICS[topic]}"}
        for words, topic in _sentences(count, seed)
    ]


def _head_rows(count: int, seed: int, split: str) -> list[dict[str, Any]]:
    """Rows with entities, numbers and several labels; every fourth training row has none of them."""
    rows: list[dict[str, Any]] = []
    for i, (words, topic) in enumerate(_sentences(count, seed)):
        of_topic = [number < _PER_TOPIC * len(TOPICS) for number in words]
        starts = [there and not before for there, before in zip(of_topic, [False, *of_topic], strict=False)]
        tags = [f"{'B' if start else 'I'}-{TOPICS[topic]}" if there else "O"
                for start, there in zip(starts, of_topic, strict=True)]  # fmt: skip
        row: dict[str, Any] = {"text": _in_language(words, "en"), "words": _in_language(words, "en").split()}
        gold = {"tags": tags, "spans": _spans(row["words"], tags), "length": 20 + 5 * topic + words[0] / 2,
                "sum": sum(words), "labels": [TOPICS[topic], *(["even"] if words[0] % 2 == 0 else [])]}  # fmt: skip
        rows.append(row if split == "train" and i % 4 == 3 else row | gold)
    return rows


def _spans(words: list[str], tags: list[str]) -> list[dict[str, Any]]:
    spans: list[dict[str, Any]] = []
    start = 0
    for word, tag in zip(words, tags, strict=True):
        if tag.startswith("B"):
            spans.append({"start": start, "end": start + len(word), "label": tag[2:]})
        elif tag.startswith("I"):
            spans[-1]["end"] = start + len(word)
        start += len(word) + 1
    return spans


def _parallel_rows(name: str, count: int, seed: int) -> list[dict[str, Any]]:
    """The same sentences in all languages, to be named by topic or, with a query, to be judged."""
    rows = []
    sentences = list(_sentences(count, seed))
    for lang in LANGUAGES:
        for key, (words, topic) in enumerate(sentences):
            row = {"lang": lang, "key": key, "label": TOPICS[topic], "text": _in_language(words, lang)}
            if name == "ads":
                row |= {"query": _in_language(words[1::-1], lang), "label": ("relevant", "not relevant")[topic % 2]}
            rows.append(row)
    return rows


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


# ---- models ------------------------------------------------------------------------------------------------------


def _make_models(folder: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

    words = _word_tokenizer()
    positions = {"vocab_size": len(words), "max_position_embeddings": 130, "pad_token_id": 1}
    bert = AutoConfig.for_model("bert", **_TINY, **positions, initializer_range=0.1)
    deep = AutoConfig.for_model(
        "bert", **{**_TINY, "num_hidden_layers": 4, "hidden_size": 24}, **positions, initializer_range=0.2
    )
    deep.id2label = dict(enumerate(TOPICS))
    deep.label2id = {label: i for i, label in enumerate(TOPICS)}
    xlmr = AutoConfig.for_model("xlm-roberta", **_TINY, **positions, type_vocab_size=1, initializer_range=0.1)
    for name, auto, config in (
        ("encoder", AutoModel, bert),
        ("classifier", AutoModelForSequenceClassification, deep),
        ("multilingual", AutoModelForMaskedLM, xlmr),
    ):
        torch.manual_seed(0)
        _save(auto.from_config(config), words, folder / name)
    _make_writers(folder)


def _make_writers(folder: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    pieces = _piece_tokenizer()
    import torch

    special = {"vocab_size": len(pieces), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    llama = {**_TINY, **special, "max_position_embeddings": 128}
    torch.manual_seed(1)
    student = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **{**llama, "num_hidden_layers": 1}))
    _save(student, pieces, folder / "small")
    torch.manual_seed(2)
    wide = {**llama, "hidden_size": 32, "intermediate_size": 64}
    teacher = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **wide))
    _teach(teacher, pieces)
    _save(teacher, pieces, folder / "large")
    torch.manual_seed(3)
    t5 = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}
    _save(AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model("t5", **special, **t5)), pieces, folder / "t5")


def _teach(model: Any, tokenizer: Any) -> None:
    """Train a language model on the rows of answers for a moment; a run refuses a teacher that has learnt nothing."""
    import torch

    texts = [f"{row['question']}\n\n{row['answer']}</s>" for row in _answer_rows(48, 0)]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    for _ in range(40):
        optimiser.zero_grad()
        model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _word_tokenizer() -> Any:
    """Return an encoder's tokenizer: a token for each word."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *TOPICS, *_PROMPT_WORDS.split()]
    words += [_word(number) for number in range(_BLOCK * len(LANGUAGES))]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", cls_token="<s>", sep_token="</s>", eos_token="</s>",
        pad_token="<pad>", unk_token="<unk>", mask_token="<mask>", model_max_length=128,
    )  # fmt: skip


def _piece_tokenizer() -> Any:
    """Return a tokenizer of byte pairs, for models that write."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [f"{row['question']} {row['answer']}" for row in _answer_rows(48, 0)]
    inner.train_from_iterator([*texts, _PROMPT_WORDS, _REASON], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="<pad>", model_max_length=128
    )
