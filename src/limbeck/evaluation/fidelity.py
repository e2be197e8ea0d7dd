"""Fidelity: how close the student is to its teacher, right or wrong."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.numerics.divergences import forward_kl

__all__ = ["agreed", "kl_to_teacher"]


def agreed(teacher_logits: NDArray[np.float32], student_logits: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return whether both give the same label for each row."""
    same: NDArray[np.bool_] = teacher_logits.argmax(axis=-1) == student_logits.argmax(axis=-1)
    return same


def kl_to_teacher(teacher_logits: NDArray[np.float32], student_logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return KL(teacher || student) of each row in nats, at temperature 1."""
    divergence = forward_kl(
        teacher_logits=torch.from_numpy(teacher_logits).double(),
        student_logits=torch.from_numpy(student_logits).double(),
    )
    values: NDArray[np.float64] = divergence.numpy()
    return values
