"""Word embeddings of a new student that are its teacher's, reduced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from limbeck.errors import ConfigError
from limbeck.models.layers import word_embeddings
from limbeck.numerics.principal_components import reduced
from limbeck.students.embeddings import reduce_word_embeddings
from limbeck.students.initialise import student_from_config

Make = Callable[..., Any]


def student_of(width: int, vocabulary: int = 40) -> Any:
    torch.manual_seed(5)
    config = {"model_type": "bert", "hidden_size": width, "num_hidden_layers": 1, "num_attention_heads": 2,
              "intermediate_size": 8, "vocab_size": vocabulary}  # fmt: skip
    return student_from_config(config, ["a", "b", "c"])


@pytest.mark.parametrize("vocabulary", [30, 40, 45])
def test_the_table_is_that_of_the_teacher_along_its_components_and_nothing_else_changes(
    vocabulary: int, make_classifier: Make
) -> None:
    teacher, student, untouched = make_classifier(), student_of(8, vocabulary), student_of(8, vocabulary)
    before = word_embeddings(teacher).weight.clone()
    reduce_word_embeddings(teacher, student)
    rows = min(vocabulary, 40)
    table, random = word_embeddings(student).weight, word_embeddings(untouched).weight
    torch.testing.assert_close(table[:rows], reduced(before, 8)[:rows])
    assert torch.equal(table[rows:], random[rows:])
    assert table.requires_grad
    assert torch.equal(word_embeddings(teacher).weight, before)
    others = dict(untouched.named_parameters())
    same = {name for name, parameter in student.named_parameters() if torch.equal(parameter, others[name])}
    assert set(others) - same == {"bert.embeddings.word_embeddings.weight"}


def test_a_table_of_the_same_width_is_copied_and_a_wider_one_refused(make_classifier: Make) -> None:
    teacher, student = make_classifier(), student_of(16)
    reduce_word_embeddings(teacher, student)
    assert torch.equal(word_embeddings(student).weight, word_embeddings(teacher).weight)
    with pytest.raises(ConfigError, match=r"which have 16 components, and those of student.config have 32"):
        reduce_word_embeddings(teacher, student_of(32))
