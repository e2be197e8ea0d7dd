"""The temperature of a student: read, refused, fitted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from limbeck.errors import ModelError
from limbeck.tasks.classification.temperature import read_temperature, student_temperature


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[1]",
        '{"temperature": 0}',
        '{"temperature": "hot"}',
        '{"temperature": Infinity}',
        '{"temperature": true}',
    ],
)
def test_a_damaged_calibration_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"calibration.json.*(damaged|above 0)"):
        read_temperature(tmp_path)


def test_without_the_file_there_is_no_temperature(tmp_path: Path) -> None:
    assert read_temperature(tmp_path) is None


def test_labels_that_say_nothing_leave_the_temperature_at_one() -> None:
    """Labels drawn from the student's own probabilities: no other temperature is better but by chance."""
    kept = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        logits = rng.normal(0, 2, (40, 3)).astype(np.float32)
        probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        wanted = np.array([rng.choice(3, p=p / p.sum()) for p in probs.astype(float)])
        kept += student_temperature(logits, wanted) == 1.0
    assert kept >= 10


def test_a_student_that_is_too_sure_is_cooled_on_few_rows_as_well() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (40, 3)).astype(np.float32)
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    wanted = np.array([rng.choice(3, p=p / p.sum()) for p in probs.astype(float)])
    assert student_temperature(5 * logits, wanted) > 3
