from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.tasks.classification.ensemble.conftest import read, write

from limbeck.runs.config import run_config
from limbeck.runs.examine import examine
from limbeck.tasks.finding import Finding
from limbeck.types import SilentProgress


def findings(sections: dict[str, Any]) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(run_config(sections), SilentProgress())}


def test_a_sound_ensemble_is_examined_without_training(few: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fit_bag_of_words", "run_stage"):
        monkeypatch.delattr(f"limbeck.tasks.classification.ensemble.members.{name}")
    found = findings(few)
    assert not [one for one in found.values() if one.level == "fault"]
    rows = read(few["data"]["train"])
    gold = sum("label" in row for row in rows)
    assert found["ensemble"].message == f"3 members learn {len(rows)} rows ({gold} with a gold label) in 2 folds"
    assert "to train them and to answer all rows" in found["ensemble time"].message
    assert "labels in the field 'said'" in found["teacher"].message
    assert "folds" not in found
    assert not (Path(few["output"]) / "teacher_ensemble").exists()


def test_weights_that_follow_another_models_labels_are_pointed_out(without_gold: dict[str, Any]) -> None:
    assert "their weights follow another model's labels" in findings(without_gold)["ensemble"].message


def test_a_label_with_fewer_rows_than_folds_is_pointed_out(few: dict[str, Any], tmp_path: Path) -> None:
    few["teacher"]["ensemble"] = {"members": ["tfidf"], "folds": 4}
    rows = [row for row in read(few["data"]["train"]) if row.get("label") != "top_up_failed"]
    rare = {"text": "why did it not work", "label": "top_up_failed"}
    few["data"]["train"] = write(tmp_path / "rare.jsonl", [*rows, rare, rare])
    found = findings(few)["folds"]
    assert found.level == "warning"
    assert found.message.startswith("'top_up_failed' has 1 different labelled rows, fewer than the 4 folds: no member")


def test_too_few_labels_and_a_model_that_is_not_there_are_faults(few: dict[str, Any], tmp_path: Path) -> None:
    few["teacher"]["ensemble"]["members"][1]["model"] = str(tmp_path / "nothing")
    found = findings(few)["ensemble"]
    assert found.level == "fault"
    assert found.message.startswith("nothing (fine_tune): ")
    few["teacher"]["ensemble"] = {"members": ["tfidf"], "folds": 20}
    gold = [row for row in read(few["data"]["train"]) if "label" in row]
    few["task"] = {"labels": sorted({row["label"] for row in gold})}
    few["data"]["train"] = write(tmp_path / "few.jsonl", gold[:: len(gold) // 8][:8])
    assert "in 20 folds, but 8 different training rows" in findings(few)["ensemble"].message


def test_a_field_that_is_worth_nothing_is_a_warning(few: dict[str, Any], tmp_path: Path) -> None:
    rows = read(few["data"]["train"])
    labels = sorted({row["said"] for row in rows})
    wrong = [row | {"said": labels[(labels.index(row["said"]) + 1) % len(labels)]} for row in rows]
    tested = [{"text": row["text"], "label": row["label"]} for row in read(few["data"]["test"])]
    few["data"] = {"train": write(tmp_path / "wrong.jsonl", wrong), "test": write(tmp_path / "bare.jsonl", tested)}
    few["teacher"]["ensemble"]["members"] = ["tfidf", {"labels_from": "said"}]
    assert findings(few)["teacher"].level == "warning"
