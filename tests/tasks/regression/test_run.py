"""Whole runs of models of numbers: in euros and years, of pairs, with a teacher's column, from a finished teacher."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import limbeck
from limbeck.errors import ConfigError, DataError, ModelError
from limbeck.results.record import Results
from limbeck.runs.predict import load
from limbeck.tasks.options import Options
from limbeck.tasks.saved_head import EvaluateOptions
from limbeck.types import SilentProgress

pytestmark = pytest.mark.usefixtures("no_new_process")


@pytest.fixture
def sections(tmp_path: Path, encoder: Path, valued: Callable[..., Path]) -> dict[str, Any]:
    return {
        "task": {"kind": "regression", "value": ["price", "year"]},
        "data": {"train": str(valued("train", 200)), "test": str(valued("test", 50, start=1000))},
        "teacher": {
            "model": str(encoder),
            "fine_tune": {"num_train_epochs": 12, "learning_rate": 3e-3, "batch_size": 16},
        },
        "student": {"from_teacher": {"layers": "first", "keep": 1}},
        "recipe": "kd",
        "training": {"num_train_epochs": 10, "learning_rate": 3e-3, "batch_size": 16},
        "output": str(tmp_path / "run"),
    }


def figure(results: Results, system: str, metric: str = "pearson") -> float:
    found = results.figure(system, metric)
    assert found is not None
    return found.value


@pytest.mark.slow
def test_numbers_far_from_0_come_back_in_their_units(sections: dict[str, Any], tmp_path: Path) -> None:
    results = limbeck.distill(**sections)
    roles = {system.name: system.role for system in results.systems}
    assert roles == {
        "teacher": "teacher", "student_init": "student_init", "distilled": "main", "fine_tune": "baseline",
        "constant": "constant",
    }  # fmt: skip
    assert min(figure(results, name) for name in ("teacher", "distilled", "fine_tune")) > 0.8
    assert figure(results, "distilled", "mse") < figure(results, "constant", "mse") / 2
    assert figure(results, "constant") == 0.0
    student = tmp_path / "run" / "student"
    model = AutoModelForSequenceClassification.from_pretrained(student).eval()
    assert model.config.problem_type == "regression"
    assert model.config.id2label == {0: "price", 1: "year"}
    rows = [json.loads(line) for line in Path(sections["data"]["test"]).read_text().splitlines()]
    inputs = AutoTokenizer.from_pretrained(student)([row["text"] for row in rows], padding=True, return_tensors="pt")
    with torch.no_grad():
        found = model(**inputs).logits.double().numpy()
    kept = np.load(tmp_path / "run" / "predictions" / "distilled-seed0.npy")
    assert found == pytest.approx(kept, rel=1e-4)
    assert 1900 < found[:, 1].min() < found[:, 1].max() < 2100
    saved = load(str(student))
    answers = list(saved.predict(saved.rows(sections["data"]["test"], Options()), Options()))
    assert [answer["price"] for answer in answers] == pytest.approx(found[:, 0].tolist(), rel=1e-4)
    measured = load(str(student)).evaluate(sections["data"]["test"], EvaluateOptions(), SilentProgress())
    assert figure(measured, "distilled") == pytest.approx(figure(results, "distilled"))
    finished = {**sections, "teacher": {"model": str(student)}, "output": str(tmp_path / "again"), "baselines": []}
    finished["recipe"] = {"name": "kd", "label_weight": 0}
    second = limbeck.distill(**finished)
    assert figure(second, "teacher") == pytest.approx(figure(results, "distilled"))
    assert figure(second, "student_init") == pytest.approx(figure(second, "teacher")), "the same layer in other units"
    assert figure(second, "distilled", "mse_to_teacher") < figure(second, "constant", "mse") / 4


@pytest.mark.slow
def test_pairs_with_a_column_of_a_teacher_and_without_gold_numbers(
    sections: dict[str, Any], valued: Callable[..., Path], encoder: Path
) -> None:
    options = {"pair": True, "teacher": True}
    sections |= {
        "task": {"kind": "regression", "text_pair": "other", "value": "price"},
        "data": {
            "train": str(valued("pairs", 150, labelled=False, **options)),
            "test": str(valued("more", 40, start=1000, **options)),
        },
        "teacher": {"labels_from": "by"},
        "student": {"model": str(encoder)},
        "recipe": {"name": "kd", "label_weight": 0},
    }
    results = limbeck.distill(**sections)
    assert figure(results, "teacher") == pytest.approx(1.0)
    assert figure(results, "distilled") > 0.7


def test_one_constant_value_is_refused(sections: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "flat.jsonl"
    path.write_text('{"text": "the old", "price": 3, "year": 1990}\n' * 30)
    sections["data"] = {"train": str(path)}
    with pytest.raises(DataError, match=r"'price' is 3 in all 27 training rows that have it"):
        limbeck.distill(**sections)


def test_a_teacher_of_classes_is_refused(sections: dict[str, Any], tmp_path: Path, encoder: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=2)
    model.save_pretrained(tmp_path / "classes")
    AutoTokenizer.from_pretrained(encoder).save_pretrained(tmp_path / "classes")
    sections["teacher"] = {"model": str(tmp_path / "classes")}
    with pytest.raises(ModelError, match="gives no numbers"):
        limbeck.distill(**sections)


@pytest.mark.parametrize(
    ("recipe", "message"), [("minilm", "the teacher has 2 in each layer and the student 4"), ("distilbert", "width")]
)
def test_models_that_a_recipe_cannot_compare_are_refused_before_training(
    sections: dict[str, Any], tmp_path: Path, recipe: str, message: str
) -> None:
    config = {"model_type": "bert", "num_hidden_layers": 1, "num_attention_heads": 4, "hidden_size": 24}
    sections |= {"recipe": recipe, "student": {"config": config | {"vocab_size": 2000, "intermediate_size": 16}}}
    with pytest.raises(ConfigError, match=message):
        limbeck.distill(**sections)
    assert not (tmp_path / "run" / "stages").exists()


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["distilbert", "minilm", "minilm_v2", {"name": "pkd", "strategy": "last"}])
def test_recipes_that_read_states_of_the_teacher(sections: dict[str, Any], recipe: Any) -> None:
    sections |= {"recipe": recipe, "baselines": [], "student": {"from_teacher": {"layers": "first", "keep": 2}}}
    sections["teacher"]["fine_tune"] = {"num_train_epochs": 0.5, "batch_size": 16}
    sections["training"] = {"num_train_epochs": 0.5, "batch_size": 16, "log_every": 1}
    results = limbeck.distill(**sections)
    assert {curve.series for curve in results.curves} >= {"loss", "learning_rate"}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["mixkd", {"name": "ad_kd", "steps": 2, "anneal": True}])
def test_a_teacher_on_changed_embeddings(sections: dict[str, Any], recipe: Any, tmp_path: Path) -> None:
    """In the student's numbers: of prices and years, squared differences would be millions."""
    sections |= {"recipe": recipe, "baselines": []}
    sections["training"] = {"num_train_epochs": 4, "learning_rate": 3e-3, "batch_size": 16, "log_every": 1}
    limbeck.distill(**sections)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    of_student = [line for line in lines if line["system"] == "distilled"]
    (name,) = {"term/mixed_targets", "term/attribution"} & of_student[0].keys()
    assert 0 < of_student[0][name] < 10
    assert of_student[-1][name] < of_student[0][name]
