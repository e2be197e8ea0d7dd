"""Baselines: their names, what they need, and which are left out."""

from __future__ import annotations

from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.runs.config import run_config
from limbeck.tasks.baselines import system_of, trained, untrained_warnings

CLASSIFIER: dict[str, Any] = {
    "data": {"train": "a.jsonl"},
    "teacher": {"model": "m"},
    "student": {"model": "s"},
    "recipe": "pkd",
    "output": "runs/x",
}
TEXTS: dict[str, Any] = {
    "task": {"kind": "generation", "prompt": "q", "completion": "a"},
    "data": {"train": "a.jsonl"},
    "teacher": {"model": "m"},
    "student": {"model": "s"},
    "recipe": "kd",
    "output": "runs/x",
}


def recipes(sections: dict[str, Any], **changes: Any) -> Any:
    config: Any = run_config({**sections, **changes})
    return config.recipes()


def test_names_titles_and_roles() -> None:
    other, another = {"name": "pkd", "hint_weight": 0}, {"name": "pkd", "strategy": "last"}
    found = recipes(CLASSIFIER, baselines=["fine_tune", other, "anon", another])
    systems = [system_of(name, recipe, found["distilled"]) for name, recipe in found.items()]
    assert [(one.name, one.role, one.title, one.recipe, one.control) for one in systems] == [
        ("distilled", "main", "Distilled student", "pkd", False),
        ("fine_tune", "baseline", "Fine-tuned student", "fine_tune", True),
        ("pkd", "baseline", "PKD", "pkd", False),
        ("anon", "baseline", "ANON", "anon", False),
        ("pkd_2", "baseline", "PKD 2", "pkd", False),
    ]


def test_every_argument_is_spelled_out() -> None:
    assert recipes(CLASSIFIER, baselines=[{"name": "pkd", "hint_weight": 0}])["pkd"].arguments["loss_temperature"] == 5


@pytest.mark.parametrize("sections", [CLASSIFIER, TEXTS])
def test_plain_fine_tuning_is_the_default(sections: dict[str, Any]) -> None:
    _, name = recipes(sections)
    assert list(recipes(sections, recipe=name)) == ["distilled"]  # and is not compared with itself
    assert list(recipes(sections, baselines=[])) == ["distilled"]


def test_no_labels_no_fine_tuned_student() -> None:
    found = recipes(CLASSIFIER, baselines=["fine_tune", "anon"])
    assert list(trained(found, labelled=3)) == ["distilled", "fine_tune", "anon"]
    assert list(trained(found, labelled=0)) == ["distilled", "anon"]
    assert untrained_warnings(found, 3, "label") == []
    assert untrained_warnings(found, 0, "label") == [
        "No training row has a label, so there is no baseline fine_tune to compare with."
    ]


@pytest.mark.parametrize(
    ("sections", "changes", "said"),
    [
        (CLASSIFIER, {"baselines": ["pkd"]}, "baselines: 'pkd' is already in this run with these very arguments"),
        (CLASSIFIER, {"baselines": ["anon", "anon"]}, "baselines: 'anon' is already in this run"),
        (CLASSIFIER, {"baselines": ["gkd"]}, r"baselines\.gkd: recipe 'gkd' is for"),
        (CLASSIFIER, {"baselines": [{"name": "anon", "stage": 2}]}, r"baselines\.anon: recipe\.stage: .* 'stages'"),
        (
            CLASSIFIER,
            {"recipe": "anon", "teacher": {"labels_from": "said"}, "baselines": ["distilbert"]},
            "baseline 'distilbert' with these arguments reads the teacher's hidden states, and teacher.labels_from",
        ),
        *(
            (
                CLASSIFIER,
                {"recipe": "anon", "teacher": {"labels_from": "said"}, "baselines": [name]},
                f"baseline '{name}' with these arguments runs the teacher on changed embeddings, and teacher",
            )
            for name in ("mixkd", "ad_kd")
        ),
        (
            CLASSIFIER,
            {"baselines": ["mixkd"], "training": {"batch_size": 9}},
            "the term 'mixed_labels' compares 2 rows of an optimiser step with each other",
        ),
        (
            CLASSIFIER | {"task": {"kind": "regression", "value": "price"}},
            {"recipe": "mixkd", "training": {"batch_size": 8, "micro_batch_size": 1}},
            "the term 'mixed_labels' compares 2 rows of an optimiser step with each other",
        ),
        (TEXTS, {"baselines": ["pkd"]}, r"baselines\.pkd: recipe 'pkd' is for"),
        (
            TEXTS,
            {"teacher": {"model": "m", "store": "s"}, "baselines": ["gkd"]},
            "baseline 'gkd' with these arguments generates completions of prompts, and no store holds",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(sections: dict[str, Any], changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        recipes(sections, **changes)


def test_an_option_for_one_baseline_alone_is_no_mistake() -> None:
    teacher = {"model": "m", "engine": "vllm"}
    with pytest.raises(ConfigError, match=r"teacher\.engine: vllm is for a recipe that"):
        recipes(TEXTS, teacher=teacher)
    assert "seqkd" in recipes(TEXTS, teacher=teacher, baselines=[{"name": "seqkd", "decode": "sample"}])
