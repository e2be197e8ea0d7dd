"""Runs whose teacher is a cross-fitted ensemble."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluation.measured import section, value
from tests.runs.interruption import InterruptAfter
from tests.runs.test_several_processes import ENVIRONMENT, PROGRAM
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
def test_with_refit_held_out_rows_are_answered_by_models_that_learned_all_labels(
    few: dict[str, Any], light: None
) -> None:
    few["teacher"]["ensemble"]["refit"] = True
    results = limbeck.distill(**few)
    assert section(results, Ensemble).refit
    kept = {path.name for path in (Path(few["output"]) / "teacher_ensemble").iterdir()}
    of_bag = [f"01-tfidf-{part}.npz" for part in ("all", *(f"fold{fold + 1}" for fold in range(FOLDS)))]
    assert set(of_bag) <= kept
    whole, *folds = (np.load(Path(few["output"]) / "teacher_ensemble" / name)["probs"] for name in of_bag)
    assert sum(map(len, folds)) + len(whole) == results.run.rows["train"] + results.run.rows["test"]


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


@pytest.mark.slow
def test_two_ranks_give_the_answers_that_one_process_gives(
    few: dict[str, Any], run_file: Path, tmp_path: Path
) -> None:
    members = few["teacher"]["ensemble"]["members"]
    members[1]["training"]["dropout"] = 0.0
    members.append(members[1] | {"recipe": "linear_probe"})
    few["training"]["max_steps"] = 4
    run_file.write_text(json.dumps(few), encoding="utf-8")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    one = [sys.executable, str(program)]
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program)]
    for name, command in (("one", one), ("two", two)):
        words = ["distill", str(run_file), "--set", f"output={tmp_path / name}"]
        answer = subprocess.run([*command, *words], env=ENVIRONMENT, capture_output=True, text=True, timeout=240)
        assert answer.returncode == 0, answer.stderr
    files = sorted(file.name for file in (tmp_path / "one" / "teacher_ensemble").iterdir())
    assert files == sorted(file.name for file in (tmp_path / "two" / "teacher_ensemble").iterdir())
    assert len(files) == 3 * FOLDS
    for file in files:
        ours, theirs = (np.load(tmp_path / name / "teacher_ensemble" / file)["probs"] for name in ("one", "two"))
        np.testing.assert_allclose(ours, theirs, atol=1e-3)
