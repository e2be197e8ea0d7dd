"""Small real tokenizers, trained here, and rows as the loader gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from limbeck.data.generation.records import Example, Examples, Message
from limbeck.data.generation.task import Generation
from limbeck.types import Origin

SENTENCES = [
    "What is the capital of France? The capital of France is Paris.",
    "Add one and two. One and two make three, and three and four make seven.",
    "Столицата на България е София. Колко е часът?",
    "フランスの首都はパリです。東京は日本の首都です。",
    "You are a helpful assistant. Hello! How can I help you today? 🙂",
    "The river runs through the old city and down to the sea.",
]
SPECIAL = ["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
PAD, BOS, EOS, START, END = range(5)

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}"
    "{{ '\n' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer(template: str | None = None, *, bos: bool = False, **options: Any) -> Any:
    """Return a byte-level BPE tokenizer trained on the sentences; its special tokens have the ids above."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator(SENTENCES, trainer)
    if bos:
        inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    settings: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"} | options
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, **settings)
    tokenizer.chat_template = template
    return tokenizer


def make_examples(task: Generation, rows: Sequence[Any]) -> Examples:
    """Return checked rows: pairs of prompt and completion, lists of (role, content), or texts."""
    examples = []
    for number, row in enumerate(rows, 1):
        turns: tuple[Message, ...] = ()
        if isinstance(row, tuple):
            prompt, completion = row
            turns = (Message("user", prompt),)
            turns += () if completion is None else (Message("assistant", completion),)
        elif isinstance(row, list):
            turns = tuple(Message(*turn) for turn in row)
        text = row if isinstance(row, str) else None
        examples.append(Example(turns, text, Origin("rows.jsonl", number)))
    return Examples(task, examples, 0, 0, "", ())


@pytest.fixture(scope="session")
def make_bpe() -> Callable[..., Any]:
    return make_tokenizer


@pytest.fixture(scope="session")
def examples_of() -> Callable[..., Examples]:
    return make_examples


@pytest.fixture(scope="session")
def chatml() -> str:
    return CHATML


@pytest.fixture(scope="session")
def marked() -> str:
    return MARKED


@pytest.fixture(scope="session")
def make_llama() -> Callable[..., Any]:
    """Return the maker of tiny random Llamas with logits that differ by a few nats."""

    def make(attention: str = "sdpa", kind: str = "llama", **options: Any) -> Any:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 420}
        special = {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD, "initializer_range": 0.3}
        config = AutoConfig.for_model(kind, **(sizes | special | options))
        return AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()

    return make
