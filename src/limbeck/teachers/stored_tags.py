"""What a teacher says of the tags of fixed texts, computed once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.types import Batch, Needs, Signal, Teacher

__all__ = ["StoredTags"]

Places = Callable[[NDArray[np.int64]], tuple[NDArray[np.int64], ...]]


class StoredTags:
    """Serves stored logits of units where the student reads them.

    Args:
        logits_UC: of all units of the texts.
        places: says for some windows where their units are read: row of the batch, token and unit.
        states: is asked for hidden states, which are too large to keep; ``None``: the teacher has none.
    """

    def __init__(self, logits_UC: NDArray[np.float32], places: Places, states: Teacher | None = None) -> None:
        self._logits_UC = logits_UC
        self._places = places
        self._states = states

    def signal(self, batch: Batch, needs: Needs) -> Signal:
        """Return logits ``[B, T, C]``, 0 where no unit is read, and other signals live."""
        signal: Signal = {}
        if needs.logits:
            ids_BT = batch["student"]["input_ids"]
            row_S, token_S, unit_S = self._places(batch["rows_B"].cpu().numpy())
            logits_BTC = np.zeros((*ids_BT.shape, self._logits_UC.shape[1]), dtype=np.float32)
            logits_BTC[row_S, token_S] = self._logits_UC[unit_S]
            signal["logits"] = torch.from_numpy(logits_BTC).to(ids_BT.device)
        if needs.teacher_taps:
            assert self._states is not None
            signal["states"] = self._states.signal(batch, Needs(teacher_taps=needs.teacher_taps))["states"]
        return signal
