"""How a teacher is trained, and where heads begin, in a run file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from limbeck.errors import ConfigError
from limbeck.runs.config import load_run_file, run_config

RUN: dict[str, Any] = {
    "data": {"train": "rows.jsonl"},
    "teacher": {"model": "m", "fine_tune": {}},
    "student": {"model": "s"},
    "recipe": "kd",
    "output": "run",
}


def test_a_teacher_is_fine_tuned_unless_another_recipe_is_named() -> None:
    plain = run_config(RUN).teacher
    assert (plain.recipe.name, plain.fine_tune.fit_head) == ("fine_tune", True)
    alone = run_config({**RUN, "teacher": {"model": "m", "recipe": "setfit"}}).teacher
    assert alone.recipe.arguments == {"loss": "cosine", "similarity_temperature": 0.1, "spread_labels": False}
    assert alone.fine_tune == plain.fine_tune
    finished = run_config({**RUN, "teacher": {"model": "m", "recipe": "fine_tune"}}).teacher
    assert finished.fine_tune is None


@pytest.mark.parametrize("teacher", [{"model": "m"}, {"model": "m", "recipe": {"name": "setfit"}}])
def test_what_run_yaml_says_is_the_same_run(teacher: dict[str, Any], tmp_path: Path) -> None:
    config = run_config({**RUN, "teacher": teacher})
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8")
    assert load_run_file(tmp_path / "run.yaml") == config


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (
            {"model": "m", "recipe": "kd"},
            r"teacher.recipe: 'kd' needs a teacher .* Recipes without one: fine_tune, lin",
        ),
        ({"model": "m", "recipe": "pdk"}, "teacher.recipe: unknown recipe 'pdk'"),
        ({"model": "m", "recipe": {"name": "setfit", "los": 1}}, "'setfit' has no such argument; did you mean 'loss'"),
        ({"labels_from": "said", "recipe": "setfit"}, "fine_tune is for a teacher with a classifier's model"),
    ],
)
def test_recipes_that_train_no_teacher(teacher: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run_config({**RUN, "teacher": teacher})


@pytest.mark.parametrize("section", ["recipe", "baselines", "teacher", "members"])
def test_micro_batches_that_separate_pairs_are_refused_in_the_file(section: str) -> None:
    training = {"batch_size": 8, "micro_batch_size": 1}
    run = {
        "recipe": {"recipe": "setfit", "training": training},
        "baselines": {"baselines": ["setfit"], "training": training},
        "teacher": {"teacher": {"model": "m", "recipe": "setfit", "fine_tune": training}},
        "members": {"teacher": {"ensemble": {"members": [{"model": "m", "recipe": "setfit", "training": training}]}}},
    }[section]
    with pytest.raises(ConfigError, match="the term 'cosine' compares 2 rows of an optimiser step with each other"):
        run_config({**RUN, **run})
    training["micro_batch_size"] = 2
    run_config({**RUN, **run})


def test_members_of_an_ensemble_are_not_judged() -> None:
    member = {"model": "m", "training": {"early_stopping": {}}}
    with pytest.raises(ConfigError, match="early_stopping is not for members of an ensemble"):
        run_config({**RUN, "teacher": {"ensemble": {"members": ["tfidf", member]}}})


@pytest.mark.parametrize("recipe", ["linear_probe", "setfit"])
def test_a_student_that_answers_in_words_has_no_head_to_fit(recipe: str) -> None:
    message = f"recipe '{recipe}' with these arguments reads the features below a linear head, and student.head: verb"
    with pytest.raises(ConfigError, match=message):
        run_config({**RUN, "student": {"model": "s", "head": "verbaliser"}, "recipe": recipe})
