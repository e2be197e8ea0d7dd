"""Outputs that are kept find their rows, or the places where a student reads their words."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from limbeck.teachers.stored_outputs import StoredOutputs
from limbeck.types import Batch, Needs, Signal, Tap

BATCH: Batch = {"rows_B": torch.tensor([2, 0]), "student": {"input_ids": torch.zeros(2, 3, dtype=torch.int64)}}


def test_outputs_of_rows_are_joined_by_row_number() -> None:
    outputs = np.arange(6, dtype=np.float32).reshape(3, 2)
    signal = StoredOutputs(outputs, None).signal(BATCH, Needs(logits=True))
    assert signal["logits"].tolist() == [[4.0, 5.0], [0.0, 1.0]]


def test_outputs_of_words_are_where_the_student_reads_them() -> None:
    outputs = np.arange(4, dtype=np.float32).reshape(4, 1) + 1
    asked: list[list[int]] = []

    def places(windows: np.ndarray) -> tuple[np.ndarray, ...]:
        asked.append(windows.tolist())
        return np.array([0, 1, 1]), np.array([1, 0, 2]), np.array([3, 0, 1])

    signal = StoredOutputs(outputs, None, places).signal(BATCH, Needs(logits=True))
    assert asked == [[2, 0]]
    assert signal["logits"][..., 0].tolist() == [[0.0, 4.0, 0.0], [1.0, 0.0, 2.0]]


@pytest.mark.parametrize("logits", [False, True])
def test_states_are_asked_for_live(logits: bool) -> None:
    tap = Tap("hidden", 1)

    class Live:
        def signal(self, batch: Batch, needs: Needs) -> Signal:
            assert not needs.logits
            return {"states": {found: torch.ones(1) for found in needs.teacher_taps}}

    teacher = StoredOutputs(np.zeros((3, 2), dtype=np.float32), Live())
    signal = teacher.signal(BATCH, Needs(logits=logits, teacher_taps=frozenset((tap,))))
    assert list(signal["states"]) == [tap]
    assert ("logits" in signal) == logits
