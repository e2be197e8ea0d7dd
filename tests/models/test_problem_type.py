"""Classifiers whose outputs are no logits of labels that exclude each other."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import BertConfig

from limbeck.errors import ModelError
from limbeck.models.problem_type import call_single_label, require_problem, require_single_label

HEAD = {"architectures": ["BertForSequenceClassification"]}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"problem_type": "multi_label_classification", "num_labels": 3}, "gives each label its own probability"),
        ({"problem_type": "regression", "num_labels": 3}, "gives numbers"),
        ({"problem_type": "regression", "num_labels": 1}, "gives one number"),
        ({"num_labels": 1, **HEAD}, "gives one number"),
    ],
)
def test_other_kinds_are_refused_with_a_way_out(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=rf"it {said}.*Take another"):
        require_single_label(BertConfig(**values), "it", "Take another")


@pytest.mark.parametrize(
    "values",
    [{"num_labels": 3}, {"problem_type": "single_label_classification", "num_labels": 2}, {"num_labels": 1}, HEAD],
)
def test_single_labels_and_models_without_a_head_are_taken(values: dict[str, Any]) -> None:
    require_single_label(BertConfig(**values), "it", "")


@pytest.mark.parametrize("problem", ["multi_label_classification", "regression", "single_label_classification", None])
def test_a_student_says_that_its_labels_exclude_each_other(problem: str | None) -> None:
    config = BertConfig(problem_type=problem)
    call_single_label(config)
    assert config.problem_type == (None if problem is None else "single_label_classification")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"problem_type": "regression", "num_labels": 3}, "regression"),
        ({"num_labels": 1, **HEAD}, "regression"),
        ({"problem_type": "multi_label_classification", "num_labels": 1}, "multi_label_classification"),
    ],
)
def test_models_of_the_wanted_kind_are_taken(values: dict[str, Any], problem: Any) -> None:
    require_problem(BertConfig(**values), problem, "it", "")


@pytest.mark.parametrize(
    ("values", "problem", "said"),
    [
        (
            {"num_labels": 3},
            "regression",
            r"it gives no numbers \(problem_type: None, not regression\)\. Take another",
        ),
        ({"num_labels": 3}, "multi_label_classification", "it gives no probability for each label"),
        ({"problem_type": "regression"}, "multi_label_classification", r"\(problem_type: regression, not multi_label"),
        ({"problem_type": "multi_label_classification", "num_labels": 1}, "regression", "it gives no numbers"),
    ],
)
def test_models_of_another_kind_are_refused(values: dict[str, Any], problem: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        require_problem(BertConfig(**values), problem, "it", "Take another")
