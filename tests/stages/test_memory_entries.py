"""Entries of a memory: the teacher's answers and embeddings through the trained map, row by row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from limbeck.errors import ConfigError
from limbeck.stages.memory_entries import memory_entries
from limbeck.teachers.local import LocalTeacher
from limbeck.types import SilentProgress

Make = Callable[..., Any]


def entries_of(teacher: Any, task: Any, folder: Path, rows: int) -> Any:
    return memory_entries(
        LocalTeacher(teacher), layer=4, stages=[folder], rows=rows, make_batch=task.batch, progress=SilentProgress()
    )


def test_each_row_has_the_teachers_probabilities_and_mapped_embedding(
    make_classifier: Make, make_task: Make, tmp_path: Path
) -> None:
    teacher, task = make_classifier(layers=4, scale=3.0), make_task(70)  # more than one batch
    linear = torch.nn.Linear(16, 5)
    (tmp_path / "model" / "terms").mkdir(parents=True)
    save_file(dict(linear.state_dict()), tmp_path / "model" / "terms" / "embedding_map.safetensors")
    found = entries_of(teacher, task, tmp_path, 70)
    assert found.shape == (70, 3 + 5)
    for row in (0, 13, 69):
        with torch.no_grad():
            output = teacher(**task.batch([row])["teacher"], output_hidden_states=True)
            key = torch.nn.functional.normalize(linear(output.hidden_states[-1][0, 0]), dim=-1)
        assert found[row, :3] == pytest.approx(output.logits[0].softmax(dim=-1).numpy(), abs=1e-5)
        assert found[row, 3:] == pytest.approx(key.numpy(), abs=1e-5)
    assert np.isfinite(found).all()


def test_a_recipe_without_a_map_is_refused(make_classifier: Make, make_task: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a stage that trains an EmbeddingMap"):
        entries_of(make_classifier(layers=4), make_task(8), tmp_path, 8)
