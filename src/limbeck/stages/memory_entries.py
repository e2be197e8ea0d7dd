"""The entries of a student's memory: the teacher's answers and mapped embeddings of all training rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from limbeck.errors import ConfigError
from limbeck.losses.embeddings import EMBEDDING_MAP
from limbeck.numerics.retrieval import unit
from limbeck.stages.kept_modules import kept_file
from limbeck.stages.on_device import on_device
from limbeck.types import Batch, Needs, Progress, Tap, Teacher

__all__ = ["memory_entries"]

_BATCH_ROWS = 64


def memory_entries(
    teacher: Teacher,
    *,
    layer: int,
    stages: Sequence[Path],
    rows: int,
    make_batch: Callable[[NDArray[np.int64]], Batch],
    progress: Progress,
) -> NDArray[np.float32]:
    """Return the teacher's probabilities and mapped embedding of each row, side by side: ``[N, C + D]``.

    Args:
        teacher: gives logits and [CLS] states.
        layer: of these states.
        stages: folders of the student's stages, one of which has trained the map.
        rows: number of training rows.
        make_batch: builds the batch of given rows, with the teacher's own encoding if it has one.
        progress: shows the progress.

    Raises:
        ConfigError: no stage has trained a map.
    """
    try:
        weights = load_file(kept_file(stages, EMBEDDING_MAP))
    except FileNotFoundError as error:
        raise ConfigError("a recipe with a memory needs a stage that trains an EmbeddingMap first") from error
    first = Tap("first", layer)
    needs, found = Needs(logits=True, teacher_taps=frozenset([first])), []
    with torch.no_grad(), progress.track("memory of the training rows", rows) as update:
        for start in range(0, rows, _BATCH_ROWS):
            picked = np.arange(start, min(start + _BATCH_ROWS, rows))
            signal = teacher.signal(on_device(make_batch(picked)), needs)
            states_BD = signal["states"][first].float().cpu()
            keys_BD = unit(torch.nn.functional.linear(states_BD, weights["weight"], weights["bias"]))
            found.append(torch.cat([signal["logits"].float().cpu().softmax(dim=-1), keys_BD], dim=-1))
            update(len(picked))
    return torch.cat(found).numpy()
