"""Whole runs of taggers: words and spans, a teacher that is fine-tuned, a finished one, and a column of tags."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

import limbeck
from limbeck.errors import ConfigError, ModelError
from limbeck.results.record import Results
from limbeck.runs.predict import load
from limbeck.tasks.options import Options
from limbeck.tasks.saved_head import EvaluateOptions
from limbeck.types import SilentProgress

pytestmark = pytest.mark.usefixtures("no_new_process")


@pytest.fixture
def sections(tmp_path: Path, encoder: Path, tagged: Callable[..., Path]) -> dict[str, Any]:
    return {
        "task": {"kind": "token_classification", "words": "tokens", "tags": "tags"},
        "data": {"train": str(tagged("train", 160)), "test": str(tagged("test", 40, start=1000))},
        "teacher": {
            "model": str(encoder),
            "fine_tune": {"num_train_epochs": 5, "learning_rate": 3e-3, "batch_size": 16},
        },
        "student": {"model": str(encoder)},
        "recipe": "kd",
        "training": {"num_train_epochs": 5, "learning_rate": 3e-3, "batch_size": 16},
        "output": str(tmp_path / "run"),
    }


def figure(results: Results, system: str, metric: str = "entity_f1", **slices: str) -> float:
    found = results.figure(system, metric, slice={name.rstrip("_"): value for name, value in slices.items()})
    assert found is not None
    return found.value


@pytest.mark.slow
def test_words_a_teacher_that_is_fine_tuned_and_then_one_that_is_finished(
    sections: dict[str, Any], tmp_path: Path
) -> None:
    results = limbeck.distill(**sections)
    assert [system.role for system in results.systems] == ["teacher", "student_init", "main", "baseline"]
    assert min(figure(results, name) for name in ("teacher", "distilled", "fine_tune")) > 0.9
    assert figure(results, "student_init") < 0.5
    assert figure(results, "distilled", class_="PER") > 0.9
    assert figure(results, "distilled", "agreement") > 0.9
    student = tmp_path / "run" / "student"
    assert json.loads((student / "task.json").read_text())["labels"] == ["LOC", "PER"]
    model = AutoModelForTokenClassification.from_pretrained(student)
    assert model.config.id2label == {0: "O", 1: "B-LOC", 2: "I-LOC", 3: "B-PER", 4: "I-PER"}
    inputs = AutoTokenizer.from_pretrained(student)("Anna saw New York", return_tensors="pt")
    with torch.no_grad():
        tags = [model.config.id2label[i] for i in model.eval()(**inputs).logits[0].argmax(-1).tolist()]
    assert tags[1:-1] == ["B-PER", "O", "B-LOC", "I-LOC"]
    saved = load(str(student))
    rows = list(saved.rows(sections["data"]["test"], Options()))
    answers = list(saved.predict(rows, Options()))
    gold = [json.loads(line)["tags"] for line in Path(sections["data"]["test"]).read_text().splitlines()]
    assert sum(answer["tags"] == tags for answer, tags in zip(answers, gold, strict=True)) > 30
    assert all(
        row.text[s["start"] : s["end"]] == s["text"] for row, a in zip(rows, answers, strict=True) for s in a["spans"]
    )
    measured = load(str(student)).evaluate(sections["data"]["test"], EvaluateOptions(), SilentProgress())
    assert figure(measured, "distilled") == pytest.approx(figure(results, "distilled"))
    again = limbeck.distill(**sections)
    assert again.figures == results.figures
    finished = {**sections, "teacher": {"model": str(student)}, "output": str(tmp_path / "again")}
    finished["baselines"], finished["recipe"] = [], {"name": "kd", "label_weight": 0}
    second = limbeck.distill(**finished)
    assert figure(second, "teacher") == figure(results, "distilled")
    assert figure(second, "distilled") > 0.9


@pytest.mark.slow
def test_spans_in_texts_with_a_column_of_spans_and_rows_without_gold(
    sections: dict[str, Any], tmp_path: Path, tagged: Callable[..., Path]
) -> None:
    spans = {"form": "spans", "teacher": "by"}
    train = tagged("rows", 160, labelled=0.0, **spans)
    test = tagged("held_out", 40, start=1000, **spans)
    sections |= {
        "task": {"kind": "token_classification", "text": "text", "spans": "spans", "scheme": "bioes"},
        "data": {"train": str(train), "test": str(test)},
        "teacher": {"labels_from": "by"},
        "recipe": {"name": "kd", "label_weight": 0},
    }
    results = limbeck.distill(**sections)
    assert [system.name for system in results.systems] == ["teacher", "student_init", "distilled"]
    assert figure(results, "teacher") == 1.0
    assert figure(results, "distilled") > 0.9
    assert any("no baseline fine_tune" in warning for warning in results.warnings)


@pytest.mark.slow
def test_long_texts_are_read_in_windows(sections: dict[str, Any], tagged: Callable[..., Path]) -> None:
    sections["data"] = {
        "train": str(tagged("long", 60, length=40)),
        "test": str(tagged("longer", 20, start=500, length=40)),
    }
    sections["training"] |= {"max_length": 16, "num_train_epochs": 3}
    sections["teacher"]["fine_tune"] |= {"num_train_epochs": 3}
    results = limbeck.distill(**sections)
    assert figure(results, "distilled") > 0.9


def test_a_finished_teacher_of_another_scheme_or_without_tags_is_refused(
    sections: dict[str, Any], encoder: Path, tmp_path: Path
) -> None:
    sections["teacher"] = {"model": str(encoder)}
    with pytest.raises(ModelError, match=r"tag .LABEL_0. is not in the scheme bio"):
        limbeck.distill(**sections)


def test_labels_that_are_needed_and_not_there(sections: dict[str, Any], tagged: Callable[..., Path]) -> None:
    sections["data"]["train"] = str(tagged("bare", 30, labelled=0.0))
    sections["task"]["labels"] = ["LOC", "PER"]
    with pytest.raises(ConfigError, match=r"teacher\.fine_tune needs labelled rows, but none of the 30 training rows"):
        limbeck.distill(**sections)
    sections["teacher"], sections["student"] = {"labels_from": "by"}, sections["student"]
    with pytest.raises(ConfigError, match=r"teacher\.labels_from: no training row has an answer in by"):
        limbeck.distill(**sections)


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe", ["distilbert", "minilm", "minilm_v2", "mixkd", "xtremedistil", {"name": "pkd", "strategy": "last"}]
)
def test_recipes_that_read_states_of_the_teacher(sections: dict[str, Any], recipe: Any) -> None:
    sections |= {"recipe": recipe, "baselines": [], "student": {"from_teacher": {"layers": "first", "keep": 2}}}
    sections["teacher"]["fine_tune"] = {"num_train_epochs": 0.5, "batch_size": 16}
    sections["training"] = {"num_train_epochs": 0.5, "batch_size": 16, "log_every": 1}
    results = limbeck.distill(**sections)
    assert {curve.series for curve in results.curves} >= {"loss", "learning_rate"}
