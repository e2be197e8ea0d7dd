"""Gold labels where there are any, else the teacher's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from limbeck.runs.config import run_config
from limbeck.tasks.classification.importance import classifier_importance
from limbeck.types import UNLABELLED, SilentProgress

Make = Callable[..., Any]


def test_unlabelled_rows_have_the_teachers_labels(
    sections: dict[str, Any], make_classifier: Make, make_task: Make
) -> None:
    sections["student"] = {"pruned": {"hidden": "half", "rows": 16}}
    config: Any = run_config(sections)
    teacher, task = make_classifier(scale=4.0), make_task(16, labelled=1.0)
    inputs = task.encoded.batch(np.arange(16))
    with torch.no_grad():
        own = teacher.eval()(**inputs).logits.argmax(dim=-1).numpy()
    assert len(set(own)) > 1

    def found(labels: Any) -> Any:
        return classifier_importance(config, teacher, task.encoded, labels, SilentProgress()).neurons_LF

    some = np.where(np.arange(16) % 2, own, UNLABELLED)
    assert torch.equal(found(np.full(16, UNLABELLED)), found(own))
    assert torch.equal(found(some), found(own))
    assert not torch.equal(found((own + 1) % 3), found(own))
