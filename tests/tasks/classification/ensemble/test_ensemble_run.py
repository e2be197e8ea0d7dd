"""Runs whose teacher is a cross-fitted ensemble."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.evaluation.measured import section, value
from tests.runs.interruption import InterruptAfter
from tests.tasks.classification.ensemble.conftest import FOLDS

import limbeck
from limbeck.results.sections import Ensemble, TeacherLabels
from limbeck.runs.config import load_run_file


def weights(folder: str) -> bytes:
    return (Path(folder) / "student" / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_a_whole_run(few: dict[str, Any], light: None) -> None:
    results = limbeck.distill(**few)
    folder = Path(few["output"])
    told = section(results, Ensemble)
    assert [member.title for member in told.members][::2] == ["TF-IDF", "labels in the field 'said'"]
    assert sum(member.weight for member in told.members) == pytest.approx(1)
    assert told.labels == "gold"
    assert told.learned_rows == results.run.rows["train"]
    assert told.fitted_rows == results.run.rows["labelled"]
    assert told.members[2].right == pytest.approx(0.8, abs=0.03)
    assert value(results, "teacher", "accuracy") > 0.8
    assert section(results, TeacherLabels).route == "ensemble"
    stages = [cost.stage for cost in results.costs if cost.system == "teacher"]
    assert len(stages) == 2 * FOLDS
    assert not [path for path in (folder / "teacher_ensemble").iterdir() if path.is_dir()], "weights are not kept"

    log = (folder / "log.jsonl").read_bytes()
    resolved = load_run_file(folder / "run.yaml")
    assert limbeck.distill(**resolved.model_dump()) == results
    assert (folder / "log.jsonl").read_bytes() == log


@pytest.mark.slow
def test_a_run_that_is_cut_off_anywhere_ends_with_the_same_student(few: dict[str, Any], light: None) -> None:
    few["teacher"]["ensemble"]["rounds"] = 2
    limbeck.distill(**few)
    other = few | {"output": few["output"] + "-2"}
    for advances in (1, 3, 4, 5, 5, 5):
        with pytest.raises(KeyboardInterrupt):
            limbeck.distill(**other, progress=InterruptAfter(advances))
    limbeck.distill(**other)
    assert weights(other["output"]) == weights(few["output"])
