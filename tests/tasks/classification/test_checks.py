from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import write_rows

from limbeck.models.classifier_head import features
from limbeck.models.load import load_tokenizer, new_classifier, save_model
from limbeck.numerics.logistic_regression import fit_logistic_regression, one_hot
from limbeck.runs.config import run_config
from limbeck.runs.examine import examine
from limbeck.runs.folder import resolved_yaml
from limbeck.tasks.finding import Finding
from limbeck.types import SilentProgress


def findings(sections: dict[str, Any]) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(run_config(sections), SilentProgress())}


@pytest.fixture
def train(sections: dict[str, Any], tmp_path: Path) -> list[dict[str, Any]]:
    """Training rows that the test may spoil; written back by `examine_rows`."""
    return [json.loads(line) for line in Path(sections["data"]["train"][0]).read_text(encoding="utf-8").splitlines()]


def examine_rows(sections: dict[str, Any], rows: list[dict[str, Any]], folder: Path) -> dict[str, Finding]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    sections["data"]["train"] = str(path)
    return findings(sections)


def test_leaked_and_repeated_rows_are_found(
    sections: dict[str, Any], train: list[dict[str, Any]], tmp_path: Path
) -> None:
    held_out = json.loads(Path(sections["data"]["test"]).read_text(encoding="utf-8").splitlines()[0])
    found = examine_rows(sections, [*train, train[0], held_out], tmp_path)
    assert found["leaks"].level == "warning"
    assert "test.jsonl:1" in found["leaks"].message
    assert "1 training rows repeat" in found["duplicates"].message


def test_development_rows_that_are_training_rows_are_found(sections: dict[str, Any]) -> None:
    sections["data"]["dev"] = sections["data"]["train"][0]
    found = findings(sections)["leaks"]
    assert found.level == "warning"
    assert "texts of data.dev also occur in the training rows" in found.message


def test_a_rare_class_is_found(sections: dict[str, Any], train: list[dict[str, Any]], tmp_path: Path) -> None:
    rare = [row for row in train if row["label"] == "top_up_failed"][:1]
    found = examine_rows(sections, [row for row in train if row["label"] != "top_up_failed"] * 3 + rare, tmp_path)
    assert found["labels"].level == "warning"
    assert "'top_up_failed' only 1" in found["labels"].message


def test_labels_that_look_alike_are_found(
    sections: dict[str, Any], train: list[dict[str, Any]], tmp_path: Path
) -> None:
    for row in train[::2]:
        row["label"] = {"top_up_failed": "Top_up_failed", "card_arrival": "card_arrival\u200b"}.get(
            row["label"], row["label"]
        )
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in train), encoding="utf-8")
    config = run_config(sections | {"data": {"train": str(path)}})
    found = [f.message for f in examine(config, SilentProgress()) if f.check == "labels" and f.level == "warning"]
    assert len(found) == 2
    assert "'card_arrival' and 'card_arrival\\u200b'" in found[1]
    assert "'Top_up_failed' and 'top_up_failed'" in found[0]


def test_long_rows_are_found(sections: dict[str, Any]) -> None:
    sections["training"]["max_length"] = 8
    found = findings(sections)
    assert found["length"].level == "warning"
    assert "limit of 8 tokens" in found["length"].message


def test_a_teacher_that_guesses_is_a_fault(sections: dict[str, Any], tmp_path: Path) -> None:
    """Pitfall 25: a teacher at random."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    labels = ("card_arrival", "exchange_rate", "lost_or_stolen_card", "top_up_failed")
    encoder = sections["teacher"]["model"]
    model = AutoModelForSequenceClassification.from_pretrained(
        encoder, num_labels=4, id2label=dict(enumerate(labels)), label2id={name: i for i, name in enumerate(labels)}
    )
    model.classifier.weight.data *= 40
    model.save_pretrained(tmp_path / "random")
    AutoTokenizer.from_pretrained(encoder).save_pretrained(tmp_path / "random")
    sections["teacher"] = {"model": str(tmp_path / "random")}
    found = findings(sections)
    assert found["teacher"].level == "fault"
    assert "nothing to teach" in found["teacher"].message


@pytest.mark.parametrize(("wrong_in", "level"), [(10**6, "ok"), (3, "warning")])
def test_given_labels_are_compared_with_a_bag_of_words(
    wrong_in: int, level: str, sections: dict[str, Any], train: list[dict[str, Any]], tmp_path: Path
) -> None:
    """With every third label wrong the field is worse than the words themselves."""
    labels = sorted({row["label"] for row in train})
    for n, row in enumerate(train):
        right = (n + 1) % wrong_in
        row["said"] = row["label"] if right else labels[(labels.index(row["label"]) + 1) % len(labels)]
    sections |= {
        "teacher": {"labels_from": "said"}, "student": {"model": sections["teacher"]["model"]},
        "simple_baselines": True,
    }  # fmt: skip
    sections["data"] = {}
    found = examine_rows(sections, train, tmp_path)
    assert found["teacher"].level == "ok"
    assert found["bag of words"].level == level
    assert "by cross-validation" not in found["bag of words"].message  # a tenth of the rows was held out
    assert ("has little to teach" in found["bag of words"].message) == (level == "warning")
    assert "bag of words" not in examine_rows(sections | {"simple_baselines": False}, train, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("held_out", [True, False])
def test_a_trained_classifier_is_compared_with_a_bag_of_words(
    held_out: bool, sections: dict[str, Any], train: list[dict[str, Any]], tmp_path: Path
) -> None:
    """One whose head was fitted to random features of a few words, which the words themselves beat."""
    labels = sorted({row["label"] for row in train})
    encoder = sections["teacher"]["model"]
    model, tokenizer = new_classifier(encoder, labels=labels), load_tokenizer(encoder)
    model.config.id2label = dict(enumerate(labels))
    batch = tokenizer([row["text"] for row in train], padding=True, truncation=True, max_length=8, return_tensors="pt")
    with torch.no_grad():
        vectors = features(model.eval(), batch).numpy()
        ids = np.array([labels.index(row["label"]) for row in train])
        head = fit_logistic_regression(vectors, one_hot(ids, len(labels)), 1.0)
        model.classifier.weight.copy_(torch.from_numpy(head.weight_CD))
        model.classifier.bias.copy_(torch.from_numpy(head.bias_C))
    save_model(model, tokenizer, tmp_path / "finished")
    sections |= {"teacher": {"model": str(tmp_path / "finished")}, "simple_baselines": True}
    if not held_out:
        sections["data"] = {"test": str(write_rows(tmp_path / "test.jsonl", [{"text": "no label"}] * 5))}
    found = examine_rows(sections, train, tmp_path)
    assert found["teacher"].level == "ok"
    assert found["bag of words"].level == "warning"
    assert ("by cross-validation" in found["bag of words"].message) != held_out


def test_few_steps_are_warned_of(sections: dict[str, Any]) -> None:
    found = findings(sections)["steps"].message
    assert found.startswith("12 optimiser steps are few")
    assert found.endswith("raise training.max_steps"), "which decides on their number"
    assert "the teacher's" in findings(sections)["teacher's steps"].message
    sections["training"]["max_steps"] = 200
    sections["teacher"]["fine_tune"]["max_steps"] = 50
    assert not {"steps", "teacher's steps"} & set(findings(sections))
    del sections["teacher"]["fine_tune"]["max_steps"]
    sections["teacher"]["recipe"] = "linear_probe"
    assert "teacher's steps" not in findings(sections), "it has none to be few"


def test_a_student_is_timed_on_tokens_of_its_own(
    sections: dict[str, Any], make_tokenizer: Callable[..., Any], tmp_path: Path
) -> None:
    """Its vocabulary is smaller than the teacher's, whose ids it has no embeddings for."""
    from transformers import BertConfig, BertModel

    tokenizer = make_tokenizer()
    small = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertModel(small).save_pretrained(tmp_path / "small")
    tokenizer.save_pretrained(tmp_path / "small")
    sections["student"] = {"model": str(tmp_path / "small")}
    found = findings(sections)
    assert "write different token ids" in found["tokenizers"].message
    assert found["time"].level == "note"


def test_the_expected_time_counts_the_trials_of_a_search(
    sections: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.tasks.classification.checks.seconds_per_row", lambda *words: 1.0)
    monkeypatch.setattr("limbeck.tasks.classification.checks._duration", str)
    sections["data"]["dev"] = sections["data"]["test"]
    plain, searching = (findings({**sections, "search": s}) for s in (None, {"learning_rate": [1e-5, 1e-4, 1e-3]}))
    seconds, more = (float(found["time"].message.split()[1]) for found in (plain, searching))
    assert more - seconds == 3 * 12 * 16 * 2 * 2, "two students, two trainings more of each"
    assert "search" not in plain
    assert "1e-05, 0.0001, 0.001, and the best on 40 development rows" in searching["search"].message


def test_faults_of_the_data_end_the_examination(sections: dict[str, Any]) -> None:
    sections["data"]["train"] = "/nowhere/rows.jsonl"
    (only,) = examine(run_config(sections), SilentProgress())
    assert (only.level, only.check) == ("fault", "data")


def test_a_model_whose_labels_cannot_be_read_is_no_fault_of_the_data(sections: dict[str, Any]) -> None:
    sections["teacher"] = {"model": "/nowhere/teacher"}
    (only,) = examine(run_config(sections), SilentProgress())
    assert (only.level, only.check) == ("fault", "models")


def test_held_out_rows_without_labels_are_found(sections: dict[str, Any], tmp_path: Path) -> None:
    assert "held-out labels" not in findings(sections)
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"text": "one"}\n{"text": "two"}\n', encoding="utf-8")
    sections["data"]["test"] = str(bare)
    found = findings(sections)["held-out labels"]
    assert found.level == "warning"
    assert "none of the 2 held-out rows has a label in field 'label'" in found.message
    sections["data"]["dev"] = str(bare)
    (only,) = examine(run_config(sections), SilentProgress())
    assert only.level == "fault"
    assert "none of the 2 rows of data.dev has a label" in only.message


def test_an_output_that_is_no_folder_is_a_fault(sections: dict[str, Any], tmp_path: Path) -> None:
    sections["output"] = str(tmp_path / "file")
    (tmp_path / "file").touch()
    words = f"{tmp_path}/file is not a folder. Choose another output"
    assert findings(sections)["output"] == Finding("fault", "output", words)
    sections["data"]["train"] = str(tmp_path / "nowhere.jsonl")
    found = {check: finding.level for check, finding in findings(sections).items()}
    assert found == {"data": "fault", "output": "fault"}


def test_a_folder_of_another_run_is_a_fault(sections: dict[str, Any]) -> None:
    folder = Path(sections["output"])
    (folder / "predictions").mkdir(parents=True)
    (folder / "predictions" / "teacher-seed0.npy").touch()
    config = run_config(sections)
    (folder / "run.yaml").write_text(resolved_yaml(config, {"train": "a", "test": "b"}), encoding="utf-8")
    assert "holds another run: the train rows have changed" in findings(sections)["output"].message
