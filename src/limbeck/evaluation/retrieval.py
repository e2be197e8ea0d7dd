"""How a classifier should look up its memory, by rows that nothing is trained on."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.data.encode import Encoded
from limbeck.evaluation.predict import predict_answers
from limbeck.models.retrieval_memory import Memory, Retrieval

__all__ = ["best_retrieval"]

_NEIGHBOURS, _TEMPERATURES, _SHARES = (4, 16, 64), (0.02, 0.1, 0.5), (0.0, 0.25, 0.5, 0.75, 1.0)


def best_retrieval(model: Any, memory: Memory, encoded: Encoded, gold_N: NDArray[np.int64]) -> Retrieval:
    """Return the settings with the least cross-entropy; of equal ones, those that rely least on the memory.

    The memory's own settings are tried, too.

    Args:
        model: the classifier.
        memory: its entries.
        encoded: development rows as the model reads them.
        gold_N: their labels; below 0: none.
    """
    labelled = np.flatnonzero(gold_N >= 0)
    logits_NC, states_ND = predict_answers(model, encoded, labelled)
    gold = torch.from_numpy(gold_N[labelled])

    def loss(settings: Retrieval) -> float:
        probs_NC = Memory(memory.keys_ND, memory.probs_NC, settings).probs(logits_NC, states_ND)
        of_gold_N = probs_NC.double()[torch.arange(len(gold)), gold]
        return -float(of_gold_N.clamp(min=torch.finfo(torch.float32).tiny).log().mean())

    tried = (
        Retrieval(neighbours=k, temperature=t, own_share=share)
        for share, k, t in itertools.product(_SHARES, _NEIGHBOURS, _TEMPERATURES)
    )
    return min([memory.settings, *tried], key=lambda settings: (loss(settings), -settings.own_share))
