"""The models of a run with a head."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from limbeck.models.load import load_classifier, load_tokenizer
from limbeck.models.pooled_classifier import pooling_in
from limbeck.tasks.head_config import HeadStudent
from limbeck.tasks.head_context import make_student


@pytest.mark.parametrize(("pooling", "begun"), [("auto", True), ("mean", True), ("first", False), ("pooler", False)])
def test_a_student_begins_in_its_teachers_units_if_it_has_the_teachers_head(
    pooling: str, begun: bool, sentence_encoder_folder: Path
) -> None:
    folder = str(sentence_encoder_folder)
    teacher, tokenizer = load_classifier(folder, labels=["price"]), load_tokenizer(folder)
    called: list[Any] = []
    coder: Any = SimpleNamespace(
        outputs=["price"], head="rows", call=lambda model: None, begin=lambda *models: called.append(models)
    )
    section = HeadStudent.model_validate({"from_teacher": {"layers": [1]}, "pooling": pooling})
    config: Any = SimpleNamespace(student=section, task=SimpleNamespace())
    student = make_student(config, coder, teacher, tokenizer, seed=0)
    assert pooling_in(student) == ("mean" if pooling == "auto" else pooling)
    assert called == ([(student, teacher)] if begun else [])
