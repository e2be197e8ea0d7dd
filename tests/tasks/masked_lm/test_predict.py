"""A saved masked language model fills in masks, and is measured as in its run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.evaluation.measured import value
from tests.tasks.masked_lm.masked_models import make_model, make_tokenizer, save, texts, trained_teacher, write_texts

from limbeck.errors import DataError, LimbeckError, ModelError
from limbeck.runs.predict import load
from limbeck.tasks.options import checked_options
from limbeck.types import SilentProgress


@pytest.fixture
def student(tmp_path: Path) -> str:
    folder = save(trained_teacher(), tmp_path / "student")
    (tmp_path / "student" / "task.json").write_text(
        json.dumps({"kind": "masked_lm", "text": "body", "max_length": 12}), encoding="utf-8"
    )
    return folder


def predict(student: str, file: Path, **options: Any) -> list[dict[str, Any]]:
    saved = load(student)
    checked = checked_options(saved.predict_options, options, saved.students)
    return list(saved.predict(saved.rows(str(file), checked), checked))


def test_every_mask_gets_its_most_likely_tokens(student: str, tmp_path: Path) -> None:
    rows = ["ba be [MASK] bo", "[MASK] de di [MASK] du ga", "ka ke [MASK]"]
    file = Path(write_texts(tmp_path / "new.jsonl", rows, "body"))
    answers = predict(student, file, top=2)
    assert [answer["text"] for answer in answers] == rows
    assert [len(answer["masks"]) for answer in answers] == [1, 2, 1]
    tokenizer, model = make_tokenizer(), trained_teacher()
    for row, answer in zip(rows, answers, strict=True):
        inputs = tokenizer(row, return_tensors="pt")
        logits = model(inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits[0]
        expected = logits[inputs["input_ids"][0] == tokenizer.mask_token_id].softmax(-1).topk(2)
        for mask, ids, probs in zip(answer["masks"], expected.indices, expected.values, strict=True):
            assert [one["token"] for one in mask] == tokenizer.convert_ids_to_tokens(ids.tolist())
            assert [one["probability"] for one in mask] == pytest.approx(probs.tolist(), rel=1e-4)
    (tmp_path / "lines.txt").write_text("\n".join(rows), encoding="utf-8")
    assert [answer["text"] for answer in predict(student, tmp_path / "lines.txt")] == rows
    assert len(predict(student, tmp_path / "lines.txt")[0]["masks"][0]) == 5


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("ba be bi", r"1: the text has no \[MASK\], so there is nothing to fill in"),
        ("ba [MASK] " + "be bi " * 6, "the text has more than the 12 tokens this student reads"),
    ],
)
def test_texts_that_cannot_be_filled_in(row: str, message: str, student: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        predict(student, Path(write_texts(tmp_path / "new.jsonl", [row], "body")))


def test_options_of_other_students_are_refused(student: str) -> None:
    with pytest.raises(LimbeckError, match="max-new-tokens"):
        predict(student, Path("none.jsonl"), max_new_tokens=3)


def test_evaluation_beside_a_model_with_the_same_tokens(student: str, tmp_path: Path) -> None:
    saved = load(student)
    data = write_texts(tmp_path / "held-out.jsonl", texts(12, seed=9), "body")
    alone = saved.evaluate(data, checked_options(saved.evaluate_options, {}, ""), SilentProgress())
    assert {figure.metric for figure in alone.figures} == {"nll", "accuracy"}
    options = {"against": save(make_model(5), tmp_path / "other")}
    both = saved.evaluate(data, checked_options(saved.evaluate_options, options, ""), SilentProgress())
    assert value(both, "distilled", "nll") == value(alone, "distilled", "nll") < value(both, "teacher", "nll")
    assert value(both, "distilled", "kl") > 0
    tokenizer = make_tokenizer.__wrapped__()
    tokenizer.add_tokens(["more"])
    options = {"against": save(make_model(vocab_size=26), tmp_path / "more", tokenizer)}
    with pytest.raises(ModelError, match="can only be compared between models with the same tokens"):
        saved.evaluate(data, checked_options(saved.evaluate_options, options, ""), SilentProgress())


def test_a_task_file_of_another_kind(tmp_path: Path) -> None:
    folder = save(make_model(), tmp_path / "student")
    (tmp_path / "student" / "task.json").write_text(json.dumps({"kind": "masked_lm", "text": 3}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"task\.json is damaged"):
        predict(folder, tmp_path / "none.jsonl")
    assert torch.is_grad_enabled()
