"""Runs that train their teacher too: refused early where they cannot, quiz rows kept away, the same after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from tests.conftest import write_rows
from tests.evaluation.measured import value
from tests.runs.interruption import StopAfter

import limbeck
from limbeck.errors import ConfigError, DataError
from limbeck.runs.config import run_config
from limbeck.runs.examine import examine
from limbeck.tasks.classification.memory import plan_memory
from limbeck.tasks.classification.outer import quiz_and_learned
from limbeck.tasks.classification.rows import read_rows
from limbeck.tasks.classification.task import TASK
from limbeck.teachers.local import LocalTeacher
from limbeck.types import SilentProgress

RECIPE = {"name": "metadistil", "teacher_learning_rate": 1e-3, "pilot_learning_rate": 1e-2, "quiz_fraction": 0.25}


@pytest.fixture
def taught(sections: dict[str, Any]) -> dict[str, Any]:
    return {**sections, "recipe": RECIPE, "baselines": []}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"batch_size": 16, "micro_batch_size": 4}}, "training.micro_batch_size: stage 'metadistil'"),
        ({"training": {"precision": "bf16"}}, "training.precision: .* float32 and not bf16"),
        ({"teacher": {"labels_from": "said"}}, "trains the teacher too, and with teacher.labels_from it has no class"),
        ({"teacher": {"ensemble": {"members": ["tfidf"]}}}, "with teacher.ensemble it has no classifier to train"),
        (
            {"student": {"model": "m", "adapter": {"kind": "qlora"}}},
            r"4-bit weights \(kind: qlora\) have no second derivative. Use student.adapter with kind: lora",
        ),
        ({"student": {"model": "m", "head": "verbaliser"}}, "student.head: verbaliser is not for that"),
    ],
)
@pytest.mark.parametrize("place", ["recipe", "baselines"])
def test_refused_in_the_run_file(changes: dict[str, Any], message: str, place: str, sections: dict[str, Any]) -> None:
    without_hints = {"name": "metadistil", "hint_weight": 0}
    own = {"recipe": without_hints} if place == "recipe" else {"baselines": [without_hints]}
    student = {} if "student" in changes else {"student": {"model": "m"}}
    with pytest.raises(ConfigError, match=message):
        run_config({**sections, **own, **student, **changes})


def test_refused_before_anything_is_trained(
    taught: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(sections: dict[str, Any]) -> None:
        config = run_config(sections)
        TASK.open(config, TASK.read(config, None), tmp_path, SilentProgress())

    few = {**taught, "recipe": {"name": "metadistil", "quiz_fraction": 0.005}}
    with pytest.raises(DataError, match="recipe 'metadistil': one in 200 labelled training texts is set aside"):
        opened(few)
    with monkeypatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")
        with pytest.raises(ConfigError, match="needs one process, and this run has 2"):
            opened(taught)
    opened(taught)
    unlabelled = {**taught, "data": {"train": taught["data"]["train"][1]}}
    unlabelled["teacher"] = {"model": taught["teacher"]["model"]}
    unlabelled["task"] = {"labels": ["a", "b"]}
    unlabelled["recipe"] = {"name": "metadistil", "soft_target_weight": 1}
    config = run_config(unlabelled)
    with pytest.raises(ConfigError, match="recipe 'metadistil' reads labels with these arguments"):
        TASK.read(config, None)


def test_the_student_never_sees_its_quiz_nor_a_copy_of_it(taught: dict[str, Any], tmp_path: Path) -> None:
    labelled, unlabelled = taught["data"]["train"]
    texts = [json.loads(line)["text"] for line in Path(labelled).read_text(encoding="utf-8").splitlines()]
    copies = write_rows(tmp_path / "copies.jsonl", [{"text": text} for text in texts])
    taught["data"]["train"] = [labelled, unlabelled, str(copies)]
    config = run_config(taught)
    rows = TASK.read(config, None)
    run = TASK.open(config, rows, tmp_path, SilentProgress())
    run.signals = LocalTeacher(run.context.teacher.model)  # not trained yet, which would be refused
    found = set()
    for seed in (0, 1):
        (system,) = (one for one in run.systems(seed) if one.name == "distilled")
        stages = [planned.stage for planned in system.stages]
        quiz, learned = quiz_and_learned(rows, stages, seed)
        of_quiz = {rows.train.text[row] for row in quiz}
        assert len(of_quiz) == pytest.approx(len(set(texts)) / 4, abs=4)
        assert set(rows.train_labels[quiz]) == {0, 1, 2, 3}
        prepared = run.stage(system, system.stages[0], seed, run.model(system, seed))
        seen = np.unique(np.concatenate(list(prepared.sequences.micro_batches(1))))
        for read in (seen, prepared.head_rows, learned):
            assert not of_quiz & {rows.train.text[row] for row in read}
        asked = {row for step in prepared.outer._quiz.drawn() for batch in step for row in batch.tolist()}
        assert asked <= set(quiz.tolist())
        assert not of_quiz & set(rows.test.text)
        found.add(tuple(quiz))
    assert len(found) == 2


def test_other_systems_learn_all_rows(sections: dict[str, Any]) -> None:
    rows = read_rows(run_config(sections))
    stages = run_config(sections).recipe.build().stages
    quiz, learned = quiz_and_learned(rows, stages, 0)
    assert len(quiz) == 0
    assert np.array_equal(learned, np.arange(len(rows.train)))


def test_the_plan_says_why_it_does_not_know(taught: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="recipe 'metadistil' goes through its gradient as well: count on four"):
        plan_memory(run_config(taught), available=1e12)


def test_the_doctor_counts_quiz_rows_and_finds_too_few(taught: dict[str, Any]) -> None:
    found = {finding.check: finding for finding in examine(run_config(taught), SilentProgress())}
    assert found["teacher's training"].level == "note"
    assert "trains a copy of the teacher by" in found["teacher's training"].message
    taught["recipe"] = {"name": "metadistil", "quiz_fraction": 0.005}
    found = {finding.check: finding for finding in examine(run_config(taught), SilentProgress())}
    assert found["teacher's training"].level == "fault"


@pytest.mark.slow
def test_the_teacher_of_other_systems_stays_and_a_kill_changes_nothing(
    taught: dict[str, Any], tmp_path: Path, light: None
) -> None:
    taught |= {"baselines": ["kd"]}
    taught["training"] |= {"dropout": 0.1}
    whole = limbeck.distill(**taught)
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(("train/quiz_loss" in line) == (line["stage"] == "metadistil") for line in log)

    plain = limbeck.distill(**{**taught, "recipe": "kd", "baselines": [], "output": str(tmp_path / "plain")})
    assert value(plain, "teacher", "accuracy") == value(whole, "teacher", "accuracy")
    assert value(plain, "distilled", "kl") == value(whole, "kd", "kl")

    taught["output"] = str(tmp_path / "killed")
    for steps in (4, 5):
        with pytest.raises(KeyboardInterrupt):
            limbeck.distill(**taught, progress=StopAfter(steps))
    limbeck.distill(**taught)
    first, second = (load_file(tmp_path / name / "student" / "model.safetensors") for name in ("run", "killed"))
    assert all(first[name].equal(second[name]) for name in first)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lora", "prompt"])
def test_a_student_with_an_adapter(kind: str, taught: dict[str, Any], light: None) -> None:
    taught["student"] |= {"adapter": {"kind": kind}}
    limbeck.distill(**taught)
    log = (Path(taught["output"]) / "log.jsonl").read_text(encoding="utf-8")
    assert "train/quiz_loss" in log


@pytest.mark.slow
def test_a_student_of_another_family_with_tokens_of_its_own(taught: dict[str, Any], light: None) -> None:
    taught["recipe"] = RECIPE | {"hint_weight": 0}
    taught["student"] = {"config": {"model_type": "distilbert", "vocab_size": 2000, "dim": 16, "hidden_dim": 32,
                                    "n_layers": 1, "n_heads": 2, "max_position_embeddings": 64}}  # fmt: skip
    limbeck.distill(**taught)
    log = (Path(taught["output"]) / "log.jsonl").read_text(encoding="utf-8")
    assert "train/quiz_loss" in log
