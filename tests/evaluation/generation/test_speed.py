"""Size and speed of writing models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tasks.generation.text_models import LLAMA, T5, make_model, make_tokenizer, train_rows

from limbeck.data.generation.encode import encode_examples
from limbeck.data.generation.records import Example, Examples, Message
from limbeck.data.generation.task import Generation
from limbeck.evaluation.generation import speed
from limbeck.evaluation.generation.speed import writing_speed
from limbeck.types import Origin

GPT2 = {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2}
CONFIGS = {"llama": LLAMA, "gpt2": GPT2, "t5": {**T5, "decoder_start_token_id": 0}}


def made(kind: str, max_length: int = 96, **options: Any) -> tuple[Any, Any]:
    """Return a model and ten rows as it reads them."""
    model = make_model({**CONFIGS[kind], **options}, rows=len(make_tokenizer()))
    rows = [
        Example((Message("user", r["question"]), Message("assistant", r["answer"])), None, Origin("rows", i))
        for i, r in enumerate(train_rows()[:10])
    ]
    task = Generation(prompt="question", completion="answer")
    examples = Examples(task, rows, 0, 0, "", ())
    start = 0 if kind == "t5" else None
    return model, encode_examples(examples, make_tokenizer(), max_length, decoder_start=start)


def test_size_is_that_of_the_weights(tmp_path: Path) -> None:
    model, encoded = made("llama")
    found = writing_speed(model, encoded, np.arange(10))
    model.save_pretrained(tmp_path)
    assert found.parameters == sum(tensor.numel() for tensor in model.state_dict().values())
    assert found.size_bytes == (tmp_path / "model.safetensors").stat().st_size > 4 * found.parameters


def test_tied_weights_are_counted_once() -> None:
    model, encoded = made("gpt2")
    found = writing_speed(model, encoded, np.arange(2))
    assert found.parameters * 4 < found.size_bytes < found.parameters * 4 + 20_000


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_speed_is_written_tokens_over_the_second_calls_seconds(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock ticks 2 seconds a call; 8 prompts, 32 tokens each, whatever end tokens a model would like."""
    ticks = iter(range(0, 100, 2))
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(ticks))
    model, encoded = made(kind)
    found = writing_speed(model, encoded, np.arange(10))
    assert found.batch_size == 8
    assert found.tokens_per_second == 8 * 32 / 2


def test_no_more_is_written_than_a_model_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """GPT-2 fails behind its last position."""
    ticks = iter(range(0, 100, 2))
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(ticks))
    longest = max(len(made("gpt2")[1].prompt_ids(row)) for row in range(8))
    model, encoded = made("gpt2", longest + 9, n_positions=longest + 9)
    found = writing_speed(model, encoded, np.arange(10))
    assert found.tokens_per_second == found.batch_size * 9 / 2


def test_no_prompts_no_speed() -> None:
    model, encoded = made("llama")
    found = writing_speed(model, encoded, np.empty(0, dtype=np.int64))
    assert (found.tokens_per_second, found.batch_size) == (None, None)
    assert found.size_bytes > 0
