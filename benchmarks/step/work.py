"""What every arm of the step benchmark works on: models, rows, and how many multiplications a step needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

LEARNING_RATE, CLIP, PAD = 1e-4, 1.0, 0
BATCH, LENGTH = 4, 512
POLICY_BATCH, PROMPT, NEW_TOKENS = 8, 32, 64
SHORT = 16
"""Tokens of a row in the very first step, which makes the optimiser's states and little else."""
POOL = 2
"""Full batches, which take turns."""


@dataclass(frozen=True)
class Shape:
    """A Llama: gated feed-forward of 2.6875 times the width, heads of 64, a head of its own beside the embedding."""

    layers: int
    width: int

    @property
    def inner(self) -> int:
        """Width of the feed-forward part, as wide as in Llama 7B (11008 / 4096)."""
        return self.width * 43 // 16

    @property
    def weights_per_layer(self) -> int:
        """Weights that every token is multiplied with."""
        return 4 * self.width**2 + 3 * self.width * self.inner


TEACHER, STUDENT = Shape(12, 512), Shape(4, 256)


def build_model(shape: Shape, vocabulary: int, seed: int, *, tied: bool = False) -> Any:
    """Return a model with random weights that ends no text by itself."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.width // 64,
        num_key_value_heads=shape.width // 64,
        max_position_embeddings=2 * LENGTH,
        tie_word_embeddings=tied,
        pad_token_id=PAD,
        bos_token_id=None,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).float()


def build_models(vocabulary: int, *, tied: bool = False) -> tuple[Any, Any]:
    """Return teacher and student; the teacher's logits are spread widely enough to say something."""
    teacher = build_model(TEACHER, vocabulary, 0, tied=tied)
    with torch.no_grad():
        teacher.model.norm.weight.mul_(8)
    return teacher.eval().requires_grad_(False), build_model(STUDENT, vocabulary, 1, tied=tied)


def build_rows(vocabulary: int, batch: int, length: int) -> list[NDArray[np.int32]]:
    """Return rows of token ids: one batch of short ones, then `POOL` batches of full ones."""
    rng = np.random.default_rng(0)
    lengths = [min(SHORT, length)] * batch + [length] * (POOL * batch)
    return [rng.integers(1, vocabulary, n).astype(np.int32) for n in lengths]


def rows_of_step(step: int, batch: int) -> NDArray[np.int64]:
    """Return the row numbers of an optimiser step."""
    first = 0 if step == 0 else 1 + (step - 1) % POOL
    return np.arange(first * batch, (first + 1) * batch)


def step_flops(vocabulary: int, *, tokens: int = BATCH * LENGTH, supervised: int = BATCH * (LENGTH - 1)) -> float:
    """Return the floating-point operations of a step's matrix products that cannot be left out.

    Two for each weight and token in a forward pass, four in a backward pass; heads at supervised positions only.
    Attention looks back only: half of the square.
    """
    total = 0.0
    for shape, passes in ((TEACHER, 1), (STUDENT, 3)):
        layers = shape.layers * shape.weights_per_layer * 2 * tokens
        attention = shape.layers * 2 * LENGTH * tokens * shape.width
        head = 2 * shape.width * vocabulary * supervised
        total += passes * (layers + attention + head)
    return total
