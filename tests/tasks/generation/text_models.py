"""Tiny language models that can do a task, and rows of it: real customers' questions, answered with their topic.

Models are trained here, once for each kind, because a run refuses a teacher that has learnt nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

SPECIAL = ["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
INTENTS = ("card_arrival", "exchange_rate", "lost_or_stolen_card", "top_up_failed")
LLAMA = {
    "model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
    "num_attention_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip
"""A student's configuration."""
T5 = {"model_type": "t5", "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
_TEACHERS: dict[str, dict[str, Any]] = {
    "llama": {**LLAMA, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2},
    "chat": {**LLAMA, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2},
    "t5": {**T5, "d_model": 32, "d_kv": 16, "d_ff": 64, "decoder_start_token_id": 0},
}
_STEPS, _BATCH = 60, 16
TRAIN_ROWS, TEST_ROWS = 48, 12


@cache
def question_rows() -> tuple[dict[str, str], ...]:
    """Return questions on four topics, each with its topic in words; the last `TEST_ROWS` are held out."""
    from limbeck.demo.setting import read_banking77

    found = {intent: [row["text"] for row in read_banking77("train") if row["label"] == intent] for intent in INTENTS}
    wanted = (TRAIN_ROWS + TEST_ROWS) // len(INTENTS)
    short = {intent: sorted(texts, key=len)[:wanted] for intent, texts in found.items()}
    return tuple(
        {"question": short[intent][i], "answer": intent.replace("_", " ")} for i in range(wanted) for intent in INTENTS
    )


def train_rows() -> list[dict[str, str]]:
    return [dict(row) for row in question_rows()[:TRAIN_ROWS]]


def held_out_rows() -> list[dict[str, str]]:
    return [dict(row) for row in question_rows()[TRAIN_ROWS:]]


def as_messages(rows: Iterable[dict[str, str]]) -> list[dict[str, Any]]:
    return [
        {"messages": [{"role": "user", "content": r["question"]}, {"role": "assistant", "content": r["answer"]}]}
        for r in rows
    ]


def write_jsonl(path: Path, rows: Sequence[Any]) -> str:
    """Write rows and return the path as a run file has it."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def make_tokenizer(*, size: int = 360, template: str | None = None) -> Any:
    """Return a byte-level BPE tokenizer of the rows; another size is another tokenizer."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_bpe(size)), bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        model_max_length=128,
    )  # fmt: skip
    tokenizer.chat_template = template
    return tokenizer


@cache
def _bpe(size: int) -> str:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator([f"{row['question']} {row['answer']}" for row in question_rows()], trainer)
    vocabulary: str = inner.to_str()
    return vocabulary


def make_model(config: dict[str, Any], *, rows: int, seed: int = 0) -> Any:
    """Return a model with random weights, of `rows` rows of logits."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    torch.manual_seed(seed)
    special = {"vocab_size": rows, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    fields = {**special, **config}
    made = AutoConfig.for_model(fields.pop("model_type"), **fields)
    auto = AutoModelForSeq2SeqLM if made.is_encoder_decoder else AutoModelForCausalLM
    return auto.from_config(made)


@cache
def trained(kind: str) -> tuple[Any, Any]:
    """Return a teacher that knows most of the task, and its tokenizer."""
    import torch
    from torch.nn.functional import cross_entropy

    from limbeck.data.generation.encode import encode_examples
    from limbeck.data.generation.records import Example, Examples, Message
    from limbeck.data.generation.task import Generation
    from limbeck.types import UNLABELLED, Origin

    tokenizer = make_tokenizer(template=CHATML if kind == "chat" else None)
    model = make_model(_TEACHERS[kind], rows=len(tokenizer))
    turns = [(Message("user", r["question"]), Message("assistant", r["answer"])) for r in train_rows()]
    examples = [Example(t, None, Origin("rows", i)) for i, t in enumerate(turns)]
    task = Generation(prompt="question", completion="answer")
    start = model.config.decoder_start_token_id if model.config.is_encoder_decoder else None
    encoded = encode_examples(Examples(task, examples, 0, 0, "", ()), tokenizer, 96, decoder_start=start)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(_STEPS):
        first = step * _BATCH % len(encoded)
        batch = encoded.batch(range(first, min(first + _BATCH, len(encoded))))
        logits_BTV = model(**batch["student"]).logits
        loss = cross_entropy(logits_BTV.flatten(0, 1), batch["labels_BT"].flatten(), ignore_index=UNLABELLED)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval(), tokenizer


def reward_of_length(prompts: list[str], texts: list[str]) -> list[float]:
    """Return how long each text is: a reward."""
    return [float(len(text)) for text in texts]


def save(model: Any, tokenizer: Any, folder: Path) -> str:
    """Write a model folder and return it as a run file has it."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def text_sections(folder: Path, kind: str = "llama", **changes: Any) -> dict[str, Any]:
    """Write a teacher and rows into `folder`, and return a small run on them.

    Args:
        folder: of the teacher, the rows and the run.
        kind: of the teacher: ``llama``, ``chat`` (with a chat template) or ``t5``.
        changes: sections that replace those here.
    """
    teacher = folder / f"teacher-{kind}"
    if not teacher.exists():
        save(*trained(kind), teacher)
    chats = kind == "chat"
    train, test = (as_messages(rows) if chats else rows for rows in (train_rows(), held_out_rows()))
    task = {"messages": "messages"} if chats else {"prompt": "question", "completion": "answer"}
    sections: dict[str, Any] = {
        "task": {"kind": "generation", **task},
        "data": {
            "train": write_jsonl(folder / f"train-{kind}.jsonl", train),
            "test": write_jsonl(folder / f"test-{kind}.jsonl", test),
        },
        "teacher": {"model": str(teacher)},
        "student": {"config": T5 if kind == "t5" else LLAMA},
        "recipe": {"name": "kd"},
        "training": {"max_steps": 4, "batch_size": 8, "learning_rate": 1e-2, "log_every": 1, "warmup_ratio": 0.0},
        "answers": {"rows": 0},
        "baselines": [],
        "output": str(folder / "run"),
    }
    return {**sections, **changes}
