from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tasks.classification.ensemble.conftest import FOLDS, read, write

from limbeck.errors import ConfigError
from limbeck.numerics.cross_fitting import answered_rows, learned_rows
from limbeck.runs.config import run_config
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.ensemble.lesson import Lesson, lesson_of
from limbeck.tasks.classification.rows import RunRows, read_rows
from limbeck.types import Origin, Rows


def learned(sections: dict[str, Any]) -> tuple[Lesson, RunRows]:
    config = run_config(sections)
    assert isinstance(config, RunConfig)
    rows = read_rows(config)
    return lesson_of(config, rows), rows


def test_members_learn_gold_labels_and_where_there_is_none_those_of_the_field(few: dict[str, Any]) -> None:
    lesson, rows = learned(few)
    train, labels = read(few["data"]["train"]), rows.labels
    assert [labels[c] for c in lesson.class_N[: len(train)]] == [row.get("label", row["said"]) for row in train]
    assert (lesson.class_N[len(train) :] < 0).all(), "held-out rows are not learned"
    assert lesson.gold_N[: len(train)].tolist() == ["label" in row for row in train]
    assert lesson.judged_by == "gold"
    assert (lesson.wanted_N >= 0).tolist() == lesson.gold_N.tolist()


def test_without_gold_labels_members_are_compared_on_those_they_learn(without_gold: dict[str, Any]) -> None:
    lesson, _ = learned(without_gold)
    assert lesson.judged_by == "teacher"
    assert lesson.wanted_N.tolist() == lesson.class_N.tolist()


def test_without_the_field_only_rows_with_a_gold_label_are_learned(few: dict[str, Any]) -> None:
    few["teacher"]["ensemble"]["members"] = ["tfidf"]
    lesson, rows = learned(few)
    assert (lesson.class_N >= 0).sum() == rows.labelled
    assert (lesson.fold_N[(lesson.class_N < 0)] >= 0).sum() <= 2, "copies of learned rows at most"


def test_with_refit_one_more_model_answers_what_is_not_learned(few: dict[str, Any]) -> None:
    ensemble = few["teacher"]["ensemble"]
    ensemble["members"] = ["tfidf"]
    plain, _ = learned(few)
    few["teacher"]["ensemble"] = ensemble | {"refit": True}
    lesson, rows = learned(few)
    assert (plain.models, lesson.models) == (FOLDS, FOLDS + 1)
    whole = learned_rows(lesson.class_N, lesson.fold_N, FOLDS)
    assert len(whole) == rows.labelled
    answered = answered_rows(lesson.fold_N, FOLDS)
    assert answered.tolist() == np.flatnonzero(plain.fold_N < 0).tolist()
    assert not set(answered) & set(whole)
    for fold in range(FOLDS):
        assert answered_rows(lesson.fold_N, fold).tolist() == np.flatnonzero(plain.fold_N == fold).tolist()
        assert learned_rows(lesson.class_N, lesson.fold_N, fold).tolist() == (
            learned_rows(plain.class_N, plain.fold_N, fold).tolist()
        )


def test_a_held_out_copy_of_a_training_row_is_in_its_fold(few: dict[str, Any], tmp_path: Path) -> None:
    train, test = read(few["data"]["train"]), read(few["data"]["test"])
    few["data"]["test"] = write(tmp_path / "leak.jsonl", [*test, train[3]])
    lesson, _ = learned(few)
    assert lesson.fold_N[-1] == lesson.fold_N[3] >= 0


def test_pairs_are_the_same_row_only_if_both_texts_are() -> None:
    config = run_config(
        {
            "task": {"text": "a", "text_pair": "b"},
            "data": {"train": "t"},
            "teacher": {"ensemble": {"members": ["tfidf"], "folds": 2}},
            "student": {"model": "m"},
            "recipe": "kd",
            "output": "o",
        }
    )
    assert isinstance(config, RunConfig)
    origin = [Origin("f", 1)] * 4
    train = Rows(["x", "x", "y", "x"], ["p", "q", "p", "p"], ["c", "d", "c", None], origin)
    test = Rows([], [], [], [])
    given = np.array([0, 1, 0, -100])
    none = np.array([], dtype=np.int64)
    rows = RunRows(train, test, ["c", "d"], given, none, 0, {})
    fold_N = lesson_of(config, rows).fold_N
    assert fold_N[3] == fold_N[0]
    assert (fold_N[:3] >= 0).all()


def test_too_few_labels_are_refused_before_anything_is_trained(few: dict[str, Any], tmp_path: Path) -> None:
    rows = read(few["data"]["train"])
    bare = [
        {"text": row["text"], "label": row.get("label") if number < 3 else None} for number, row in enumerate(rows)
    ]
    few["data"]["train"] = write(tmp_path / "bare.jsonl", bare)
    few["task"] = {"labels": sorted({row["label"] for row in rows if "label" in row})}
    few["teacher"]["ensemble"] = {"members": ["tfidf"], "folds": 3}
    with pytest.raises(ConfigError, match="in 3 folds, but 2 different training rows have a label in field 'label'"):
        learned(few)


def test_the_next_round_learns_new_labels_where_there_is_no_gold_one(few: dict[str, Any]) -> None:
    lesson, _ = learned(few)
    label_N = (lesson.class_N + 1) % lesson.classes
    agreement_N = np.full(len(lesson.class_N), 0.4)
    found = lesson.relabelled(label_N, agreement_N)
    changed_N = (lesson.class_N >= 0) & ~lesson.gold_N
    assert changed_N.any()
    assert (found.class_N == np.where(changed_N, label_N, lesson.class_N)).all()
    assert (found.agreement_N == np.where(changed_N, 0.4, 1.0)).all()
    assert (found.fold_N == lesson.fold_N).all()
    assert (found.wanted_N == lesson.wanted_N).all(), "gold labels"
    assert (lesson.agreement_N == 1).all()
