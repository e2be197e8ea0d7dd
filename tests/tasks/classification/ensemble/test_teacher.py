from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.tasks.classification.ensemble.conftest import FOLDS, read, write

from limbeck.models.bag_of_words import fit_bag_of_words
from limbeck.models.classifier_head import features
from limbeck.models.label_spreading import spread_head
from limbeck.runs.config import run_config
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.ensemble import members as members_module
from limbeck.tasks.classification.ensemble.teacher import make_ensemble_teacher
from limbeck.tasks.classification.label_teacher import LabelTeacher
from limbeck.tasks.classification.rows import read_rows
from limbeck.types import SilentProgress


def teacher_of(sections: dict[str, Any]) -> LabelTeacher:
    config = run_config(sections)
    assert isinstance(config, RunConfig)
    return make_ensemble_teacher(config, read_rows(config), Path(sections["output"]), SilentProgress())


class Memory:
    """A member that is sure of the first class for what it learned, and of the second for all else."""

    def __init__(self, texts: Sequence[str], pairs: object, probs_NC: NDArray[Any]) -> None:
        self.learned, self.classes = set(texts), probs_NC.shape[1]

    def probs(self, texts: Sequence[str], pairs: object) -> NDArray[np.float64]:
        known: NDArray[np.float64] = np.eye(self.classes)[[0 if text in self.learned else 1 for text in texts]]
        return known


def test_no_row_is_answered_by_a_model_that_learned_it_or_a_copy(
    few: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members_module, "fit_bag_of_words", Memory)
    train, test = read(few["data"]["train"]), read(few["data"]["test"])
    again = [{"text": row["text"]} for row in train[:5]]
    few["data"] = {
        "train": write(tmp_path / "again.jsonl", [*train, *again]),
        "test": write(tmp_path / "leak.jsonl", [*test, *train[:4]]),
    }
    few["teacher"]["ensemble"]["members"] = ["tfidf"]
    found = teacher_of(few)
    assert (found.train.probs_NC.argmax(axis=1) == 1).all()
    assert (found.test.probs_NC.argmax(axis=1) == 1).all()


def test_each_model_is_fitted_once(few: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = []

    def count(*arguments: Any) -> Any:
        fitted.append(len(arguments[0]))
        return fit_bag_of_words(*arguments)

    monkeypatch.setattr(members_module, "fit_bag_of_words", count)
    few["teacher"]["ensemble"]["members"] = ["tfidf", {"labels_from": "said"}]
    first = teacher_of(few)
    assert len(fitted) == FOLDS
    assert sum(fitted) == (FOLDS - 1) * len(first.train)
    kept = Path(few["output"]) / "teacher_ensemble"
    assert {file.name for file in kept.iterdir()} == {f"01-tfidf-fold{fold + 1}.npz" for fold in range(FOLDS)}
    again = teacher_of(few)
    assert len(fitted) == FOLDS
    assert (again.train.probs_NC == first.train.probs_NC).all()
    (kept / "01-tfidf-fold1.npz").write_bytes(b"damaged")
    mended = teacher_of(few)
    assert len(fitted) == FOLDS + 1
    assert (mended.train.probs_NC == first.train.probs_NC).all()


def test_what_is_told_of_the_members(without_gold: dict[str, Any]) -> None:
    found = teacher_of(without_gold)
    told = found.ensemble
    assert told is not None
    assert told.labels == "teacher"
    assert told.temperature is None
    assert told.learned_rows == told.fitted_rows == len(found.train)
    words, column = told.members
    assert column.title == "labels in the field 'said'"
    assert column.weight == words.weight == pytest.approx(0.5)
    assert column.right == pytest.approx(0.8, abs=0.03)
    assert column.right_out_of_fold is None
    assert words.right_out_of_fold is not None
    assert 0 < words.seconds == pytest.approx(sum(cost.seconds for cost in found.costs.values()))
    assert column.seconds == 0
    assert len(found.costs) == FOLDS


def test_gold_labels_make_the_ensemble_better_than_the_field(few: dict[str, Any]) -> None:
    few["teacher"]["ensemble"]["members"] = ["tfidf", {"labels_from": "said"}]
    found = teacher_of(few)
    gold = read_rows(run_config(few)).test_labels  # type: ignore[arg-type]
    assert (found.test.probs_NC.argmax(axis=1) == gold).mean() > 0.82
    assert found.train.how == "ensemble"
    assert found.train.count()["members_disagree"] > 0


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("recipe", ["linear_probe", "setfit"])
def test_a_model_learns_by_any_recipe_without_a_teacher(few: dict[str, Any], recipe: str) -> None:
    model = few["teacher"]["ensemble"]["members"][1] | {"recipe": recipe}
    few["teacher"]["ensemble"]["members"] = [model]
    found = teacher_of(few)
    stages = {"linear_probe": [""], "setfit": ["-contrastive", "-linear_probe"]}[recipe]
    name = f"01-{Path(model['model']).name}"
    expected = [f"{name}-fold{fold}{stage}" for fold in (1, 2) for stage in stages]
    assert [cost.stage for cost in found.costs.values()] == expected
    assert list(found.costs) == [f"teacher_ensemble/{stage}" for stage in expected]
    assert found.ensemble is not None
    assert found.ensemble.members[0].right_out_of_fold > 0.3  # type: ignore[operator]
    assert [cost.steps for cost in found.costs.values()] == [6 if s.endswith("contrastive") else 0 for s in expected]


@pytest.mark.parametrize("spread_labels", [False, True])
def test_a_frozen_encoder_reads_the_rows_once_and_answers_as_a_stage_would(
    few: dict[str, Any], monkeypatch: pytest.MonkeyPatch, spread_labels: bool
) -> None:
    reads = []

    def count(*arguments: Any) -> Any:
        reads.append(len(arguments[1]["input_ids"]))
        return features(*arguments)

    monkeypatch.setattr(members_module, "features", count)
    recipe = {"name": "linear_probe", "spread_labels": spread_labels}
    few["teacher"]["ensemble"]["members"] = [few["teacher"]["ensemble"]["members"][1] | {"recipe": recipe}]
    found = teacher_of(few)
    assert sum(reads) == len(found.train) + len(found.test)
    kept = Path(few["output"]) / "teacher_ensemble"
    assert sorted(file.suffix for file in kept.iterdir()) == [".npz"] * FOLDS, "features are not kept"
    probed = [np.load(file)["probs"] for file in sorted(kept.iterdir())]

    monkeypatch.setattr(members_module, "only_probes", lambda member: False)
    few["output"] += "-2"
    teacher_of(few)
    again = [np.load(file)["probs"] for file in sorted((Path(few["output"]) / "teacher_ensemble").iterdir())]
    for first, second in zip(probed, again, strict=True):
        # Batches of other lengths change features in their last bits, and with them which row is nearer.
        np.testing.assert_allclose(first, second, atol=0.02 if spread_labels else 1e-4)


def test_labels_spread_to_the_fold_left_out_and_never_from_it(
    few: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def look(features_ND: NDArray[Any], class_N: NDArray[np.int64], *arguments: Any) -> Any:
        given.append(class_N)
        return spread_head(features_ND, class_N, *arguments)

    monkeypatch.setattr(members_module, "spread_head", look)
    recipe = {"name": "linear_probe", "spread_labels": True}
    few["teacher"]["ensemble"]["members"] = [few["teacher"]["ensemble"]["members"][1] | {"recipe": recipe}]
    teacher_of(few)
    rows = read(few["data"]["train"])
    labelled = np.array(["label" in row for row in rows])
    assert [len(class_N) for class_N in given] == [len(rows)] * FOLDS
    times_known_N = np.sum([class_N >= 0 for class_N in given], axis=0)
    np.testing.assert_array_equal(times_known_N, np.where(labelled, FOLDS - 1, 0))


@pytest.mark.slow
def test_a_model_that_is_a_member_twice_is_trained_in_two_ways(few: dict[str, Any]) -> None:
    model = few["teacher"]["ensemble"]["members"][1]
    few["teacher"]["ensemble"]["members"] = [model, model]
    teacher_of(few)
    kept = Path(few["output"]) / "teacher_ensemble"
    first, second = (np.load(file)["probs"] for file in sorted(kept.glob("*-fold1.npz")))
    assert first.shape == second.shape
    assert not np.allclose(first, second)


def test_further_rounds_mend_labels_that_a_pattern_contradicts(
    without_gold: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every text says its label, and every sixth label of the field is wrong."""
    labels = ["fruit", "tool", "sea"]
    words = [["apple", "plum", "fig"], ["saw", "axe", "drill"], ["wave", "salt", "tide"]]
    rows = []
    for number in range(240):
        true = number % 3
        text = f"{words[true][number // 3 % 3]} number {number}"
        said = labels[(true + (number % 7 == 0)) % 3]
        rows.append({"text": text, "said": said, "label": labels[true]})
    train = [{"text": row["text"], "said": row["said"]} for row in rows[:180]]
    files = {"train": write(tmp_path / "a.jsonl", train), "test": write(tmp_path / "b.jsonl", rows[180:])}
    learned: list[dict[str, int]] = []

    def watch(texts: Any, pairs: Any, probs_NC: Any) -> Any:
        learned.append(dict(zip(texts, probs_NC.argmax(axis=1).tolist(), strict=True)))
        return fit_bag_of_words(texts, pairs, probs_NC)

    monkeypatch.setattr(members_module, "fit_bag_of_words", watch)
    without_gold["data"] = files
    without_gold["teacher"]["ensemble"]["rounds"] = 2
    found = teacher_of(without_gold)
    names = sorted(labels)
    gold = {row["text"]: names.index(str(row["label"])) for row in rows}
    right = [np.mean([gold[text] == label for text, label in one.items()]) for one in learned]
    assert len(learned) == 2 * FOLDS
    assert max(right[:FOLDS]) < 0.9
    assert min(right[FOLDS:]) > 0.95
    assert sum(map(len, learned[FOLDS:])) < sum(map(len, learned[:FOLDS])), "some rows are not agreed on"
    assert found.ensemble is not None
    assert found.ensemble.rounds == 2
    assert found.ensemble.relabelled_rows == pytest.approx(180 / 7, abs=6)
    kept = {file.name for file in (Path(without_gold["output"]) / "teacher_ensemble").iterdir()}
    again = {f"01-tfidf-round2-fold{fold + 1}.npz" for fold in range(FOLDS)}
    assert kept == again | {f"01-tfidf-fold{fold + 1}.npz" for fold in range(FOLDS)}
    assert len(found.costs) == 2 * FOLDS
    assert teacher_of(without_gold).train.probs_NC.tolist() == found.train.probs_NC.tolist()
    assert len(learned) == 2 * FOLDS
