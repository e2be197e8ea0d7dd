"""Time per row of a scorer, in a training step and in a forward pass."""

from __future__ import annotations

import time

import numpy as np

from limbeck.data.candidates import EncodedRecords, ScorerKind
from limbeck.models.taps import run_model
from limbeck.ranks import device
from limbeck.students.scorer import Scorer

__all__ = ["seconds_per_row"]

_TIMED_ROWS: dict[ScorerKind, int] = {"cross_encoder": 4, "dual_encoder": 16, "verbaliser": 2}
"""On a CPU; four times as many elsewhere. A dual encoder's batch shares its candidates."""
_TIMED_STEPS = 2


def seconds_per_row(scorer: Scorer, encoded: EncodedRecords, kind: ScorerKind) -> tuple[float, float]:
    """Return the seconds per row in a training step (without the optimiser's update) and in a forward pass."""
    import torch

    scorer.to(device())
    rows = _TIMED_ROWS[kind] * (1 if device() == "cpu" else 4)
    order = np.random.default_rng(0).permutation(len(encoded.records))
    batches = [np.resize(np.roll(order, -rows * i), rows) for i in range(1 + _TIMED_STEPS)]
    spent = []
    for backward in (True, False):
        scorer.train(backward)
        for number, batch in enumerate(batches):
            if number == 1:  # the first one warms up
                started = time.perf_counter()
            inputs = {name: tensor.to(device()) for name, tensor in encoded.batch(batch).items()}
            with torch.set_grad_enabled(backward):
                scores_BK = run_model(scorer, inputs)["logits"]
                total = scores_BK[scores_BK.isfinite()].sum()
            if backward:
                total.backward()  # type: ignore[no-untyped-call]
            total.item()  # waits for an accelerator
        spent.append((time.perf_counter() - started) / (rows * _TIMED_STEPS))
    scorer.zero_grad(set_to_none=True)
    return spent[0], spent[1]
