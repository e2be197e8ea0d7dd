"""Peak memory of a training step of a generation run, item by item.

Activations are not guessed from the architecture: the student reads the longest row once and twice, and what autograd
keeps is counted. Generation (`gkd`, `minillm`, ...) adds caches that are not included.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch

from limbeck.models.language_model import head_of, token_logits
from limbeck.models.layers import depth
from limbeck.numerics.logits import rows_per_chunk
from limbeck.numerics.memory_plan import MemoryItem, adamw_bytes
from limbeck.ranks import ranks
from limbeck.tasks.baselines import loss_temperatures
from limbeck.tasks.generation.context import Context
from limbeck.types import UNLABELLED

__all__ = ["step_memory"]


def step_memory(context: Context, student: Any) -> list[MemoryItem]:
    """Return the memory on one device in bytes, without Python and its libraries.

    Args:
        context: the run; its teacher is only inspected.
        student: untrained, on its device. It is left in evaluation mode.
    """
    training = context.config.training
    weights = sum(p.numel() * p.element_size() for p in student.parameters())
    trained = sum(p.numel() for p in student.parameters() if p.requires_grad)
    rows = training.micro_batch_size or max(1, training.batch_size // ranks())
    longest = int(np.argmax(context.train_rows.lengths))
    tokens = int(context.train_rows.lengths[longest])
    moments = adamw_bytes(trained) if training.optim == "adamw" else 4.0 * trained
    activations = _activations(context, student, longest, rows)
    tables = {
        id(m.weight): m.weight.numel() for m in (student.get_input_embeddings(), student.get_output_embeddings())
    }
    items = [
        MemoryItem("student's weights", weights),
        MemoryItem("gradients", 4.0 * trained),
        MemoryItem("optimiser states", moments, training.optim),
        MemoryItem("activations", activations, f"{rows} rows of {tokens} tokens"),
        MemoryItem("backward through a layer", activations / depth(student)),
        MemoryItem("logits", _logits(context, student, rows, longest), "a chunk of rows at a time"),
        # Whole tables for each micro-batch, before they are added to the gradients.
        MemoryItem("gradients of head and embeddings", 4.0 * sum(tables.values())),
    ]
    if context.teacher is not None:
        teacher = sum(p.numel() * p.element_size() for p in context.teacher.parameters())
        items.insert(0, MemoryItem("teacher's weights", teacher, context.config.teacher.precision))
    if ranks() > 1:
        items.append(MemoryItem("buckets of gradients", 4.0 * trained, "between devices"))
    return items


def _logits(context: Context, student: Any, rows: int, longest: int) -> float:
    """Return the buffers of the chunked losses: the student's, plus a live teacher's."""
    vocabulary = context.vocabulary or len(student.get_output_embeddings().weight)
    supervised = rows * max(1, int(context.train_rows.supervised[longest]))
    live = context.config.teacher.store is None and bool(loss_temperatures(context.config.recipes()))
    chunk = min(rows_per_chunk(vocabulary, torch.float32), supervised)
    return 4.0 * vocabulary * chunk * (2 if live else 1)


def _activations(context: Context, student: Any, longest: int, rows: int) -> float:
    """Return the bytes that autograd keeps for a micro-batch of longest rows: a part per row, and a common one."""
    once, twice = (_kept_bytes(context, student, [longest] * times) for times in (1, 2))
    return max(once, once + (twice - once) * (rows - 1))


def _kept_bytes(context: Context, student: Any, picked: list[int]) -> float:
    batch, head = context.train_rows.batch(picked), head_of(student)
    inputs = {name: tensor.to(student.device) for name, tensor in batch["student"].items()}
    supervised_BT = (batch["labels_BT"] != UNLABELLED).to(student.device)
    own = {p.untyped_storage().data_ptr() for p in student.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(context.config.training.precision)
    precision = torch.autocast(student.device.type, half) if half is not None else contextlib.nullcontext()
    student.train()
    with precision, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        source = token_logits(student, inputs, supervised_BT, head, context.vocabulary)
    del source
    student.eval()
    return float(sum(kept.values()))
