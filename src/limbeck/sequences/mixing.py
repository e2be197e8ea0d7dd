"""With whom each row of a step is mixed, and by how much."""

from __future__ import annotations

from typing import Any

import numpy as np

from limbeck.types import Batch, Mixup, Needs

__all__ = ["MixedPairs", "mixing_for"]


class MixedPairs:
    """Draws a row's own share for each step; its partner is the other row of its pair: 1 and 2, 3 and 4, and so on.

    Rows of a step come in random order within a length, so a pair is as random as rows of similar length can be, and
    little of a mixture is mixed with nothing. A share depends on seed, step and row number, not on the split into
    micro-batches or ranks; a `limbeck.types.Writer` without a state, so a resumed run draws the same.

    Args:
        concentration: both parameters of the Beta distribution of a share.
        seed: of the run.
    """

    def __init__(self, concentration: float, seed: int) -> None:
        self._concentration, self._seed = concentration, seed

    def write(self, step: int, batches: list[Batch]) -> list[Batch]:
        """Return the micro-batches with their ``mixing``; each has whole pairs."""
        return [self._mixed(step, batch) for batch in batches]

    def _mixed(self, step: int, batch: Batch) -> Batch:
        import torch

        rows_B = batch["rows_B"]
        assert len(rows_B) % 2 == 0, "a pair was split"
        drawn = (np.random.default_rng([self._seed, step, row]) for row in rows_B.tolist())
        shares = [rng.beta(self._concentration, self._concentration) for rng in drawn]
        share_B = torch.tensor(shares, dtype=torch.float32, device=rows_B.device)
        partner_B = torch.arange(len(rows_B), device=rows_B.device) ^ 1
        return {**batch, "mixing": {"partner_B": partner_B, "share_B": share_B}}

    def state(self) -> dict[str, Any]:
        """Return nothing: steps are counted by the caller."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state, which is empty."""


def mixing_for(needs: Needs, seed: int) -> MixedPairs | None:
    """Return what draws the mixtures that a stage's terms read; ``None`` if they read none."""
    read = [probe.concentration for probe in needs.student_probes | needs.teacher_probes if isinstance(probe, Mixup)]
    assert len(set(read)) <= 1, "a row has one share"
    return MixedPairs(read[0], seed) if read else None
