"""A run with few gold labels, a field of mostly right ones, and an ensemble."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FOLDS = 2


def read(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def few(sections: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """Every other row has a gold label; every fifth label of the field is wrong."""
    labels = sorted({row["label"] for row in read(sections["data"]["train"][0])})
    files = {}
    for split, source in (("train", sections["data"]["train"][0]), ("test", sections["data"]["test"])):
        rows = read(source)
        for number, row in enumerate(rows):
            row["said"] = labels[(labels.index(row["label"]) + (number % 5 == 0)) % len(labels)]
            if split == "train" and number % 2:
                del row["label"]
        files[split] = write(tmp_path / f"{split}.jsonl", rows)
    model = {"model": sections["teacher"]["model"], "training": {"max_steps": 6, "batch_size": 8, "checkpoints": 3}}
    ensemble = {"members": ["tfidf", model, {"labels_from": "said"}], "folds": FOLDS}
    student = {"model": sections["teacher"]["model"]}
    return sections | {"data": files, "student": student, "teacher": {"ensemble": ensemble}}


@pytest.fixture
def without_gold(few: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The same without a gold label in the training rows, and without a model."""
    rows = [{"text": row["text"], "said": row["said"]} for row in read(few["data"]["train"])]
    few["data"]["train"] = write(tmp_path / "said.jsonl", rows)
    few["teacher"]["ensemble"]["members"] = ["tfidf", {"labels_from": "said"}]
    return few
