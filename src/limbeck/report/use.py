"""How to use a student: the part of the card apart from figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Use", "classifier_use", "masked_use", "writer_use"]

_FOLDER = "path/to/this/folder"


@dataclass(frozen=True)
class Use:
    """The facts about a student on its card that do not depend on figures."""

    what: str
    """What it is, after "A small"."""
    task: str
    """The hub's name of the task (``pipeline_tag``)."""
    command: str
    """Command that uses it on whole files."""
    snippet: str = ""
    """Python that uses it on one example."""
    library: str = "limbeck"
    """The library that loads all of it."""
    limits: tuple[str, ...] = ()


Reader = Literal["transformers", "sentence-transformers", "limbeck"]
"""A library that loads all of a model."""


def classifier_use(*, max_length: int | None = None, pairs: bool = False, reader: Reader = "transformers") -> Use:
    """Return how a classifier is used.

    Args:
        max_length: most tokens of a text; longer ones are cut. ``None``: unknown, the tokenizer's own limit is used.
        pairs: whether a row is two texts.
        reader: what loads all of it: Sentence Transformers, if its head reads pooled states; only limbeck, if it has
            separate adapter layers, labels that are words of a language model, or a class of limbeck's own.
    """
    if reader == "sentence-transformers":
        text = '["first text", "second text"]' if pairs else '"a text to label"'
        snippet = "\n".join(
            [
                "from sentence_transformers import SentenceTransformer",
                "from transformers import AutoConfig",
                "",
                f'classifier = SentenceTransformer("{_FOLDER}")',
                f'names = AutoConfig.from_pretrained("{_FOLDER}").id2label',
                f"logits = classifier.encode([{text}], convert_to_tensor=True)",
                "print([(names[int(i)], float(p)) for p, i in zip(*logits.softmax(-1).max(-1))])",
            ]
        )
    elif reader == "transformers":
        text = '{"text": "first text", "text_pair": "second text"}' if pairs else '"a text to label"'
        limit = f", max_length={max_length}" if max_length else ""
        snippet = (
            "from transformers import pipeline\n\n"
            f'classifier = pipeline("text-classification", model="{_FOLDER}")\n'
            f"print(classifier({text}, truncation=True{limit}))"
        )
    else:
        texts = '["first text"], ["second text"]' if pairs else '["a text to label"]'
        snippet = (
            "from limbeck.tasks.classification.predict import Predictor\n\n"
            f'predictor = Predictor("{_FOLDER}")\nprint(predictor.predict({texts}))'
        )
    return Use(
        what="text classifier",
        task="text-classification",
        command="limbeck predict THIS_FOLDER texts.jsonl > labelled.jsonl",
        snippet=snippet,
        library=reader,
        limits=("It only knows the classes it was trained on, and assigns one of them to any text.",),
    )


def writer_use(
    *, encoder_decoder: bool = False, chat: bool = False, system: str | None = None, separator: str = ""
) -> Use:
    """Return how a generative student is used, with a prompt as in training.

    Args:
        encoder_decoder: whether it is a sequence-to-sequence model.
        chat: whether prompts use the tokenizer's chat template.
        system: text before every prompt.
        separator: text after a prompt without chat template.
    """
    model_class = "AutoModelForSeq2SeqLM" if encoder_decoder else "AutoModelForCausalLM"
    own = "written[0]" if encoder_decoder else 'written[0, prompt["input_ids"].shape[1] :]'
    snippet = "\n".join(
        [
            f"from transformers import {model_class}, AutoTokenizer",
            "",
            f'tokenizer = AutoTokenizer.from_pretrained("{_FOLDER}")',
            f'model = {model_class}.from_pretrained("{_FOLDER}")',
            *_prompt_lines(chat, system, separator),
            'asked = {"input_ids": prompt["input_ids"], "attention_mask": prompt["attention_mask"]}',
            "written = model.generate(**asked, max_new_tokens=128)",
            f"print(tokenizer.decode({own}, skip_special_tokens=True))",
        ]
    )
    return Use(
        what="language model",
        task="text-generation",
        command="limbeck predict THIS_FOLDER prompts.jsonl > answers.jsonl",
        snippet=snippet,
        library="transformers",
        limits=("It can state falsehoods fluently. None of the figures above measures whether what it says is true.",),
    )


def masked_use(mask: str) -> Use:
    """Return how a masked language model is used; `mask` is its mask token."""
    snippet = (
        "from transformers import pipeline\n\n"
        f'fill = pipeline("fill-mask", model="{_FOLDER}")\n'
        f'print(fill("a text with one {mask} in it"))'
    )
    return Use(
        what="masked language model",
        task="fill-mask",
        command="limbeck predict THIS_FOLDER texts.jsonl > filled.jsonl",
        snippet=snippet,
        library="transformers",
        limits=(
            "It is meant to be fine-tuned for a task (in limbeck: student.model); the figures above say how well it "
            "predicts masked tokens, not how well it will do that.",
        ),
    )


def _prompt_lines(chat: bool, system: str | None, separator: str) -> list[str]:
    asked = "a prompt as in training"
    if not chat:
        text = (f"{system}\n\n" if system is not None else "") + asked
        return [f'prompt = tokenizer({text + separator!r}, return_tensors="pt")']
    turns = [{"role": "system", "content": system}] if system is not None else []
    turns.append({"role": "user", "content": asked})
    return [
        f"messages = {turns!r}",
        "prompt = tokenizer.apply_chat_template(",
        '    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True',
        ")",
    ]
