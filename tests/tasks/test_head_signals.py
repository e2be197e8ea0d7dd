"""The teacher's pass over the training rows of a run with a head is kept in parts, whatever the head is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runs.interruption import InterruptAfter

from limbeck.results.record import StageCost
from limbeck.runs.config import run_config
from limbeck.tasks import head_signals
from limbeck.tasks.head_context import HeadContext
from limbeck.tasks.head_signals import stored_signals
from limbeck.tasks.table import task_of
from limbeck.teachers import kept_arrays
from limbeck.types import Needs, SilentProgress


@pytest.fixture(params=["entities", "spans", "numbers", "labels"])
def context(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    encoder: Path,
    tagged: Callable[..., Path],
    valued: Callable[..., Path],
    labelled: Callable[..., Path],
) -> HeadContext:
    """A run whose teacher has weights, and has read nothing yet."""
    task, rows = {
        "entities": ({"kind": "token_classification", "words": "tokens"}, lambda: tagged("rows", 60, length=20)),
        "spans": ({"kind": "token_classification", "text": "text"}, lambda: tagged("rows", 60, form="spans")),
        "numbers": ({"kind": "regression", "value": ["price", "year"]}, lambda: valued("rows", 60)),
        "labels": ({"kind": "multi_label"}, lambda: labelled("rows", 60)),
    }[request.param]
    sections: dict[str, Any] = {
        "task": task,
        "data": {"train": str(rows())},
        "teacher": {"model": str(encoder), "fine_tune": {}},
        "student": {"from_teacher": {"layers": "first", "keep": 1}},
        "recipe": "kd",
        "training": {"max_length": 16},
        "output": str(tmp_path / "run"),
    }
    config = run_config(sections)
    kind = task_of(config)
    run: Any = kind.open(config, kind.read(config, None), tmp_path / "run", SilentProgress())
    return run.context


@pytest.mark.fast_cases(1)
def test_a_pass_that_is_cut_off_goes_on(context: HeadContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_arrays, "_SAVE_EVERY_BATCHES", 1)
    monkeypatch.setattr(head_signals, "_BATCH_SEQUENCES", 16)
    with pytest.raises(KeyboardInterrupt):
        stored_signals(context, {}, InterruptAfter(3))
    assert context.teacher is not None
    coded, asked = context.teacher.train, []
    predict = type(coded).predict

    def counted(self: Any, model: Any, sequences: Any = None, update: Any = None) -> Any:
        asked.append(sequences)
        return predict(self, model, sequences, update)

    monkeypatch.setattr(type(coded), "predict", counted)
    costs: dict[str, StageCost] = {}
    teacher = stored_signals(context, costs, SilentProgress())
    every = -(-len(coded.inputs.lengths) // 16)
    assert len(asked) == every - 3
    assert (costs["teacher_signals"].system, costs["teacher_signals"].rows_seen) == ("teacher", 54)
    kept = np.load(context.folder / "signals" / "outputs.npy")
    np.testing.assert_allclose(kept, predict(coded, context.teacher.model), rtol=1e-5, atol=1e-6)
    assert np.unique(kept, axis=0).shape[0] > 10, "a wrong join of rows would show"
    sequences = np.arange(5)
    signal = teacher.signal(context.student.train.batch(sequences), Needs(logits=True))
    assert signal["logits"].shape[0] == 5
