"""A live regression teacher in the standardised numbers that its student learns."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.types import Batch, Mixup, Needs, Signal, Teacher

__all__ = ["StandardisedTeacher"]


class StandardisedTeacher:
    """A teacher whose values are ``(z - mean) / deviation``; gold values reach it in its own units.

    Args:
        teacher: a teacher in the user's units.
        mean_C: mean of the user's numbers.
        deviation_C: their standard deviation.
    """

    def __init__(self, teacher: Teacher, mean_C: NDArray[np.float64], deviation_C: NDArray[np.float64]) -> None:
        self._teacher = teacher
        self._mean_C, self._deviation_C = torch.from_numpy(mean_C), torch.from_numpy(deviation_C)

    def signal(self, batch: Batch, needs: Needs) -> Signal:
        """Return the teacher's signals; attributions, whose scale means nothing, and states as they are."""
        if "targets_BC" in batch:
            batch = {**batch, "targets_BC": self._in_units(batch["targets_BC"])}
        signal = self._teacher.signal(batch, needs)
        if "logits" in signal:
            signal["logits"] = self._standardised(signal["logits"])
        if "probes" in signal:
            signal["probes"] = {probe: self._standardised(found) if isinstance(probe, Mixup) else found
                                for probe, found in signal["probes"].items()}  # fmt: skip
        return signal

    def _standardised(self, values_BC: Tensor) -> Tensor:
        return (values_BC - self._mean_C.to(values_BC)) / self._deviation_C.to(values_BC)

    def _in_units(self, values_BC: Tensor) -> Tensor:
        return values_BC * self._deviation_C.to(values_BC) + self._mean_C.to(values_BC)
