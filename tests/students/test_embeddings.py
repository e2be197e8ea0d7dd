"""Embeddings of a new student that are its teacher's, or reduced ones."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.tasks.masked_lm.masked_models import TINY, make_model

from limbeck.errors import ConfigError
from limbeck.models.layers import word_embeddings
from limbeck.numerics.principal_components import reduced
from limbeck.students.embeddings import copy_embeddings, reduce_word_embeddings
from limbeck.students.initialise import student_from_config
from limbeck.tasks.new_student import new_student
from limbeck.tasks.run_config import Student

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


# ---- all embeddings as they are

MOBILE = {
    "model_type": "mobilebert", "embedding_size": 8, "intra_bottleneck_size": 8, "intermediate_size": 16,
    "num_feedforward_networks": 2,
}  # fmt: skip


def changed(model: Any, **arguments: Any) -> dict[str, bool]:
    """Copy, and return which parameters are the teacher's now, by name; all others are as they were."""
    teacher = arguments["teacher"]
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter += 1
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    copy_embeddings(teacher, model)
    of_teacher = dict(teacher.named_parameters())
    copied = {n: n in of_teacher and torch.equal(p, of_teacher[n]) for n, p in model.named_parameters()}
    assert all(copied[name] or torch.equal(p, before[name]) for name, p in model.named_parameters())
    return copied


def test_everything_beside_the_words_is_copied() -> None:
    teacher, student = (make_model(**MOBILE, num_hidden_layers=n) for n in (2, 1))
    copied = changed(student, teacher=teacher)
    embeddings = {name for name in copied if name.startswith("mobilebert.embeddings.")}
    assert {name for name, same in copied.items() if same} == embeddings
    assert len(embeddings) == 7
    assert student.cls.predictions.decoder.weight is student.mobilebert.embeddings.word_embeddings.weight


def test_what_has_another_shape_or_kind_is_left_as_it_is() -> None:
    teacher = make_model(**MOBILE, normalization_type="layer_norm", max_position_embeddings=40)
    copied = changed(make_model(**MOBILE), teacher=teacher)
    assert sorted(name.removeprefix("mobilebert.embeddings.") for name, same in copied.items() if same) == [
        "embedding_transformation.bias", "embedding_transformation.weight", "token_type_embeddings.weight",
        "word_embeddings.weight",
    ]  # fmt: skip


def test_of_a_decoder_only_the_words_are_copied() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    fields: Any = {"vocab_size": 9, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
                   "num_attention_heads": 2, "pad_token_id": 0}  # fmt: skip
    copied = changed(LlamaForCausalLM(LlamaConfig(**fields)), teacher=LlamaForCausalLM(LlamaConfig(**fields)))
    assert [name for name, same in copied.items() if same] == ["model.embed_tokens.weight"]


def test_a_run_file_asks_for_it(make_classifier: Make) -> None:
    teacher, config = make_classifier(layers=3), {**TINY, "num_hidden_layers": 1, "vocab_size": 40}
    for wanted in ("random", "teacher"):
        section = Student(config=config, word_embeddings=wanted)
        student = new_student(section, teacher, ["a", "b", "c"], SimpleNamespace(pad_token_id=0))
        words = [model.get_input_embeddings().weight for model in (teacher, student)]
        assert torch.equal(*words) is (wanted == "teacher")


def test_a_table_of_another_shape_is_not_copied() -> None:
    message = r"has 25 rows of width 16, and the student's 25 of width 8.*or use word_embeddings: pca"
    with pytest.raises(ConfigError, match=message):
        copy_embeddings(make_model(), make_model(**MOBILE))
