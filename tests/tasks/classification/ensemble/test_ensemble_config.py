"""The sections of an ensemble in a run file."""

from __future__ import annotations

from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.runs.config import run_config
from limbeck.tasks.classification.config import RunConfig


def checked(ensemble: Any, **teacher: Any) -> RunConfig:
    config = run_config(
        {
            "data": {"train": "rows.jsonl"},
            "teacher": {"ensemble": ensemble, **teacher},
            "student": {"model": "encoder"},
            "recipe": "kd",
            "output": "run",
        }
    )
    assert isinstance(config, RunConfig)
    return config


def test_an_ensemble_reads_as_it_was_written_out() -> None:
    config = checked({"members": ["tfidf", {"model": "m"}, {"labels_from": "gpt", "confidence": "sure"}]})
    assert config.teacher.ensemble is not None
    assert config.teacher.ensemble.folds == 3
    assert config.teacher.ensemble.members[1].training is not None
    assert config.teacher.label_fields == {
        "ensemble.members.labels_from": "gpt",
        "ensemble.members.confidence": "sure",
    }
    assert run_config(config.model_dump()) == config
    assert not config.teacher.is_classifier


@pytest.mark.parametrize(
    ("ensemble", "message"),
    [
        ({"members": []}, "members"),
        ({"members": ["tfidf"], "folds": 1}, "folds"),
        ({"members": [{}]}, r"give exactly one of tfidf, model, api, labels_from \(given: none\)"),
        ({"members": [{"model": "m", "labels_from": "f"}]}, r"\(given: model, labels_from\)"),
        (
            {"members": [{"tfidf": True, "training": {}}]},
            "recipe, training and pooling are for a member",
        ),
        ({"members": [{"model": "m", "confidence": "f"}]}, "confidence needs labels_from"),
        ({"members": ["tfidf", "tfidf"]}, "tfidf is there twice"),
        (
            {"members": ["tfidf", {"labels_from": "a"}, {"labels_from": "b"}]},
            "only one of them can be labels_from or have",
        ),
        ({"members": ["tfidf"], "rounds": 2}, "more rounds need a member with labels_from or a prompt"),
        ({"members": [{"labels_from": "a"}]}, "labels_from alone is no ensemble"),
        ({"members": ["bert"]}, "members"),
    ],
)
def test_ensembles_that_cannot_be(ensemble: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        checked(ensemble)


def test_the_recipe_of_a_member_is_spelled_out_and_needs_no_teacher() -> None:
    ensemble = checked({"members": [{"model": "m", "recipe": "setfit"}]}).teacher.ensemble
    assert ensemble is not None
    assert ensemble.members[0].recipe.arguments["loss"] == "cosine"
    with pytest.raises(ConfigError, match=r"teacher\.ensemble\.members\.1\.recipe: 'kd' needs a teacher or its texts"):
        checked({"members": ["tfidf", {"model": "m", "recipe": "kd"}]})


def test_an_ensemble_is_no_other_teacher_too() -> None:
    with pytest.raises(ConfigError, match="give exactly one of model, api, labels_from, ensemble"):
        checked({"members": ["tfidf"]}, model="m")
    with pytest.raises(ConfigError, match="an ensemble reads the texts as they are"):
        checked({"members": ["tfidf"]}, prompt={"input": "{{ text }}", "body": "text"})
