"""Students with a head: of a teacher's layers, of a model folder, of a configuration, and what reads their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from limbeck.models.load import Head, load_classifier, load_tokenizer
from limbeck.tasks.new_student import new_student, student_tokenizer
from limbeck.tasks.run_config import Student

NAMES = ["a", "b", "c"]
TINY = {"model_type": "bert", "num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2,
        "intermediate_size": 16, "vocab_size": 50}  # fmt: skip


@pytest.mark.parametrize("head", ["rows", "tokens"])
@pytest.mark.parametrize("what", ["layers", "model", "config"])
def test_every_student_has_the_head_that_was_asked_for(what: str, head: Head, encoder: Path) -> None:
    teacher = load_classifier(str(encoder), labels=NAMES, head=head)
    section = {
        "layers": Student.model_validate({"from_teacher": {"layers": [2]}}),
        "model": Student(model=str(encoder)),
        "config": Student(config=TINY),
    }[what]
    tokenizer = load_tokenizer(str(encoder))
    student = new_student(section, teacher, NAMES, tokenizer, head=head)
    ids = torch.tensor([[2, 5, 6, 3]])
    shape = (1, 3) if head == "rows" else (1, 4, 3)
    assert student(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.shape == shape
    if what == "layers":
        copied, own = (model.bert.encoder.layer[-1].state_dict() for model in (teacher, student))
        assert all(torch.equal(copied[name], own[name]) for name in copied)
    if what == "config":
        assert student.config.pad_token_id == tokenizer.pad_token_id


def test_the_tokenizer_is_the_students_own_or_the_teachers(encoder: Path) -> None:
    of_teacher: Any = object()
    assert student_tokenizer(Student(config=TINY), of_teacher) is of_teacher
    assert student_tokenizer(Student.model_validate({"from_teacher": {"layers": [1]}}), of_teacher) is of_teacher
    assert student_tokenizer(Student(model=str(encoder)), of_teacher).name_or_path == str(encoder)
