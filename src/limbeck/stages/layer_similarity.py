"""How alike the layers of a student and its teacher are, on some rows of a run, before the student is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.errors import ConfigError
from limbeck.losses.readout import Readout
from limbeck.numerics.cka import LEAST_ROWS, layer_similarity
from limbeck.numerics.masking import mean_of_tokens, read_positions
from limbeck.ranks import device
from limbeck.stages.on_device import on_device
from limbeck.types import Batch, Needs, Progress, Shapes, Signal, Tap, Teacher

__all__ = ["SAMPLE_ROWS", "measure_similarity", "sampled"]

SAMPLE_ROWS = 512
"""The estimate is unbiased for any number; with so many, it varies by about a hundredth."""
_BATCH_ROWS = 32


def sampled(rows: int) -> NDArray[np.int64]:
    """Return the numbers of the rows that layers are compared on; the same for the same number of rows."""
    return np.sort(np.random.default_rng(0).permutation(rows)[:SAMPLE_ROWS])


def measure_similarity(
    student: Any,
    teacher: Teacher,
    *,
    readout: Readout,
    shapes: Shapes,
    rows: NDArray[np.int64],
    make_batch: Callable[[NDArray[np.int64]], Batch],
    progress: Progress,
) -> NDArray[np.float32]:
    """Return the unbiased linear CKA of each student layer with each teacher layer, ``[layers, layers]``.

    A row's state at a layer is the mean over its tokens, without padding. Both models are in evaluation mode.

    Args:
        student: before training.
        teacher: gives states at all layers for batches of `make_batch`.
        readout: how the student is run.
        shapes: of both.
        rows: row numbers.
        make_batch: builds the batch of given rows, with the teacher's own encoding if it has one.
        progress: shows the progress.

    Raises:
        ConfigError: too few rows.
    """
    if len(rows) < LEAST_ROWS:
        raise ConfigError(
            f"a layer map by similarity (cka) is measured on at least {LEAST_ROWS} training rows, and there are "
            f"{len(rows)}. Use a map by depth"
        )
    own = Needs(student_taps=_layers(shapes.student_layers))
    others = Needs(teacher_taps=_layers(shapes.teacher_layers))
    found: tuple[list[list[torch.Tensor]], ...] = ([], [])
    student.to(device()).eval()
    with torch.no_grad(), progress.track("comparing layers", len(rows)) as update:
        for start in range(0, len(rows), _BATCH_ROWS):
            picked = rows[start : start + _BATCH_ROWS]
            batch = on_device(make_batch(picked))
            read_BT = read_positions(batch)
            of_teacher_BT = batch["teacher"]["attention_mask"] if "teacher" in batch else read_BT
            signals = ((readout.run(student, batch, own), read_BT), (teacher.signal(batch, others), of_teacher_BT))
            for kept, (signal, mask_BT) in zip(found, signals, strict=True):
                kept.append(_means(signal, mask_BT))
            update(len(picked))
    by_layer = ([torch.cat(parts) for parts in zip(*kept, strict=True)] for kept in found)
    return layer_similarity(*by_layer).float().numpy()


def _layers(layers: int) -> frozenset[Tap]:
    return frozenset(Tap("hidden", layer) for layer in range(1, layers + 1))


def _means(signal: Signal, mask_BT: torch.Tensor) -> list[torch.Tensor]:
    """Return the mean state of each row at each layer, in order."""
    states = signal["states"]
    return [mean_of_tokens(states[tap].float(), mask_BT).cpu() for tap in sorted(states, key=lambda tap: tap.layer)]
