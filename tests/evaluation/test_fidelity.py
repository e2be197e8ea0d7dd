"""Agreement with the teacher, and the divergence from it."""

from __future__ import annotations

import numpy as np
import pytest

from limbeck.evaluation.fidelity import agreed, kl_to_teacher

TEACHER = np.array([[2.0, 1.0, 0.1, -1.0], [1.0, 1.5, 0.2, -0.5], [0.0, 1.0, 2.0, 3.0]], dtype=np.float32)
STUDENT = np.array([[1.0, 1.5, 0.2, -0.5], [2.0, 1.0, 0.1, -1.0], [0.0, 1.0, 2.0, 3.0]], dtype=np.float32)


def test_agreement_is_the_same_label() -> None:
    assert agreed(TEACHER, STUDENT).tolist() == [False, False, True]


def test_divergence_from_teacher_to_student_at_temperature_1() -> None:
    assert kl_to_teacher(TEACHER, STUDENT).tolist() == pytest.approx([0.246281, 0.243229, 0], abs=1e-6)


def test_blind_to_a_constant_and_finite_for_huge_logits() -> None:
    huge = np.array([[1e4, -1e4]], dtype=np.float32)
    assert kl_to_teacher(huge, -huge)[0] == pytest.approx(2e4)
    assert kl_to_teacher(TEACHER + 8, STUDENT)[0] == pytest.approx(kl_to_teacher(TEACHER, STUDENT)[0], rel=1e-5)
