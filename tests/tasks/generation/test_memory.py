"""The memory plan of a step, item by item, against what the models are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tasks.generation.text_models import text_sections

from limbeck.runs.config import run_config
from limbeck.runs.examine import examine
from limbeck.tasks.generation.config import TextRunConfig
from limbeck.tasks.generation.context import Context, set_up
from limbeck.tasks.generation.memory import _kept_bytes, step_memory
from limbeck.tasks.generation.rows import read_texts
from limbeck.types import SilentProgress


def context_of(folder: Path, **training: Any) -> Context:
    sections = text_sections(folder)
    sections["training"] |= {"batch_size": 8, "micro_batch_size": 4, **training}
    config = run_config(sections)
    assert isinstance(config, TextRunConfig)
    return set_up(config, folder, read_texts(config), SilentProgress())


def planned(context: Context, student: Any) -> dict[str, float]:
    return {item.name: item.bytes for item in step_memory(context, student)}


def test_items_are_what_the_models_hold(tmp_path: Path) -> None:
    context = context_of(tmp_path)
    student = context.new_student(0)
    parameters, teachers = (sum(p.numel() for p in model.parameters()) for model in (student, context.teacher))
    tokens, width = 360, 16
    found = planned(context, student)
    longest = int(np.argmax(context.train_rows.lengths))
    supervised = 4 * int(context.train_rows.supervised[longest])
    assert found["student's weights"] == found["gradients"] == 4 * parameters
    assert found["optimiser states"] == 8 * parameters
    assert found["teacher's weights"] == 4 * teachers
    assert found["gradients of head and embeddings"] == 2 * 4 * tokens * width
    assert found["logits"] == 2 * 4 * tokens * supervised  # of both models
    direct = _kept_bytes(context, student, [longest] * 4)
    assert found["activations"] == pytest.approx(direct, rel=1e-6)  # from one row and two
    assert found["activations"] > 4 * int(context.train_rows.lengths[longest]) * width * 4
    assert not student.training


def test_what_a_run_leaves_out_is_not_counted(tmp_path: Path) -> None:
    context = context_of(tmp_path, optim="sgd", precision="bf16")
    student = context.new_student(0)
    student.get_input_embeddings().requires_grad_(False)
    whole = planned(context_of(tmp_path), context.new_student(0))
    found = planned(context, student)
    trained = sum(p.numel() for p in student.parameters() if p.requires_grad)
    assert found["optimiser states"] == found["gradients"] == 4 * trained
    assert found["activations"] < whole["activations"]  # half of them are half as large
    context.teacher = None
    assert "teacher's weights" not in planned(context, student)


def test_a_device_that_is_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.tasks.generation.checks.device_memory_bytes", lambda: 1_000_000)
    config = run_config(text_sections(tmp_path))
    assert isinstance(config, TextRunConfig)
    (finding,) = (found for found in examine(config, SilentProgress()) if found.check == "memory")
    assert finding.level == "warning"
    assert "The device has 1.0 MB: set training.micro_batch_size lower" in finding.message
