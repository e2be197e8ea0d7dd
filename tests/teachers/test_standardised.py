"""A live regression teacher answers, and is asked, in the numbers of its student."""

from __future__ import annotations

import numpy as np
import torch

from limbeck.teachers.standardised import StandardisedTeacher
from limbeck.types import Attribution, Batch, Mixup, Needs, Signal, Tap

MEAN, DEVIATION = np.array([10.0, -1.0]), np.array([2.0, 0.5])
UNITS, STANDARD = torch.tensor([[14.0, -1.5], [10.0, 0.0]]), torch.tensor([[2.0, -1.0], [0.0, 2.0]])


class Live:
    asked: Batch

    def signal(self, batch: Batch, needs: Needs) -> Signal:
        self.asked = batch
        probes = {probe: UNITS if isinstance(probe, Mixup) else torch.ones(1) for probe in needs.teacher_probes}
        return {"logits": UNITS, "probes": probes, "states": dict.fromkeys(needs.teacher_taps, torch.ones(1))}


def test_values_have_no_unit_and_gold_ones_have_the_teachers() -> None:
    live, tap = Live(), Tap("hidden", 1)
    needs = Needs(
        logits=True, teacher_probes=frozenset({Mixup(), Attribution("values")}), teacher_taps=frozenset({tap})
    )
    batch: Batch = {"rows_B": torch.arange(2), "targets_BC": STANDARD}
    signal = StandardisedTeacher(live, MEAN, DEVIATION).signal(batch, needs)
    torch.testing.assert_close(signal["logits"], STANDARD)
    torch.testing.assert_close(signal["probes"][Mixup()], STANDARD)
    assert signal["probes"][Attribution("values")].tolist() == signal["states"][tap].tolist() == [1.0]
    torch.testing.assert_close(live.asked["targets_BC"], UNITS)
    torch.testing.assert_close(batch["targets_BC"], STANDARD)


def test_batches_without_gold_values() -> None:
    signal = StandardisedTeacher(Live(), MEAN, DEVIATION).signal({"rows_B": torch.arange(2)}, Needs(logits=True))
    torch.testing.assert_close(signal["logits"], STANDARD)
