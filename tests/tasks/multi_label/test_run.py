"""Whole runs of classifiers with several labels: lists and columns, a teacher's labels, and none of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForSequenceClassification

import limbeck
from limbeck.results.record import Results
from limbeck.runs.predict import load
from limbeck.tasks.options import Options
from limbeck.tasks.saved_head import EvaluateOptions
from limbeck.types import SilentProgress

pytestmark = pytest.mark.usefixtures("no_new_process")


@pytest.fixture
def sections(tmp_path: Path, encoder: Path, labelled: Callable[..., Path]) -> dict[str, Any]:
    return {
        "task": {"kind": "multi_label"},
        "data": {"train": str(labelled("train", 200)), "test": str(labelled("test", 50, start=1000))},
        "teacher": {
            "model": str(encoder),
            "fine_tune": {"num_train_epochs": 16, "learning_rate": 3e-3, "batch_size": 16},
        },
        "student": {"model": str(encoder)},
        "recipe": "kd",
        "training": {"num_train_epochs": 16, "learning_rate": 3e-3, "batch_size": 16},
        "output": str(tmp_path / "run"),
    }


def figure(results: Results, system: str, metric: str = "micro_f1") -> float:
    found = results.figure(system, metric)
    assert found is not None
    return found.value


@pytest.mark.slow
def test_lists_of_labels_and_a_teacher_that_is_fine_tuned(sections: dict[str, Any], tmp_path: Path) -> None:
    results = limbeck.distill(**sections)
    assert min(figure(results, name) for name in ("teacher", "distilled", "fine_tune")) > 0.7
    assert figure(results, "distilled", "subset_accuracy") > 0.6
    of_one = results.figure("distilled", "f1", slice={"class": "loc"})
    assert of_one is not None
    assert of_one.value > 0.7
    student = tmp_path / "run" / "student"
    config = AutoModelForSequenceClassification.from_pretrained(student).config
    assert (config.problem_type, config.id2label) == ("multi_label_classification", {0: "loc", 1: "old", 2: "per"})
    measured = load(str(student)).evaluate(sections["data"]["test"], EvaluateOptions(), SilentProgress())
    assert figure(measured, "distilled") == pytest.approx(figure(results, "distilled"))
    saved = load(str(student))
    answers = list(saved.predict(saved.rows(sections["data"]["test"], Options()), Options()))
    gold = [json.loads(line)["labels"] for line in Path(sections["data"]["test"]).read_text().splitlines()]
    assert sum(answer["labels"] == sorted(labels) for answer, labels in zip(answers, gold, strict=True)) > 30
    assert [] in gold, "rows without any label are learnt and measured like others"


@pytest.mark.slow
def test_columns_with_a_teachers_and_rows_that_are_not_labelled(
    sections: dict[str, Any], labelled: Callable[..., Path]
) -> None:
    sections |= {
        "task": {"kind": "multi_label", "label": ["per", "loc", "old"]},
        "data": {
            "train": str(labelled("columns", 150, form="columns", gold=False)),
            "test": str(labelled("more", 40, start=1000, form="columns")),
        },
        "teacher": {"labels_from": ["t_per", "t_loc", "t_old"]},
        "recipe": {"name": "kd", "label_weight": 0},
    }
    results = limbeck.distill(**sections)
    assert figure(results, "teacher") == 1.0
    assert figure(results, "distilled") > 0.7
    assert results.run.rows["labelled"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["mixkd", {"name": "ad_kd", "steps": 2, "anneal": True}])
def test_a_teacher_on_changed_embeddings(sections: dict[str, Any], recipe: Any, tmp_path: Path) -> None:
    sections |= {"recipe": recipe, "baselines": []}
    sections["training"] = {"num_train_epochs": 4, "learning_rate": 3e-3, "batch_size": 16, "log_every": 1}
    limbeck.distill(**sections)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    of_student = [line for line in lines if line["system"] == "distilled"]
    (name,) = {"term/mixed_targets", "term/attribution"} & of_student[0].keys()
    assert 0 < of_student[0][name] < 10
    assert of_student[-1][name] < of_student[0][name]
