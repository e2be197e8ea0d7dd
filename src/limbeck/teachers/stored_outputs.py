"""A teacher's outputs for fixed rows, or for the words in them, computed once; other signals are live."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.types import Batch, Needs, Signal, Teacher

__all__ = ["StoredOutputs"]

Places = Callable[[NDArray[np.int64]], tuple[NDArray[np.int64], ...]]


class StoredOutputs:
    """A teacher that serves stored outputs by row number, or by unit at the student's positions.

    Args:
        outputs: outputs of all rows ``[N, C]``, or of all units of the texts ``[U, C]``.
        live: teacher for hidden states, which are too large to keep, and for probes; ``None``: there is none.
        places: returns, for some windows, where their units are read: row of the batch, token and unit; ``None``:
            outputs are per row.
    """

    def __init__(self, outputs: NDArray[np.float32], live: Teacher | None, places: Places | None = None) -> None:
        self._outputs = outputs
        self._places = places
        self._live = live

    def signal(self, batch: Batch, needs: Needs) -> Signal:
        """Return logits ``[B, C]``, or ``[B, T, C]`` with 0 where no unit is read, and other signals computed live."""
        signal: Signal = {}
        if needs.logits:
            signal["logits"] = torch.from_numpy(self._picked(batch)).to(batch["rows_B"].device)
        if needs.teacher_inside:
            assert self._live is not None
            live = Needs(teacher_taps=needs.teacher_taps, teacher_probes=needs.teacher_probes)
            signal |= self._live.signal(batch, live)
        return signal

    def _picked(self, batch: Batch) -> NDArray[np.float32]:
        rows_B = batch["rows_B"].cpu().numpy()
        if self._places is None:
            of_rows: NDArray[np.float32] = self._outputs[rows_B]
            return of_rows
        row_S, token_S, unit_S = self._places(rows_B)
        logits_BTC = np.zeros((*batch["student"]["input_ids"].shape, self._outputs.shape[1]), dtype=np.float32)
        logits_BTC[row_S, token_S] = self._outputs[unit_S]
        return logits_BTC
