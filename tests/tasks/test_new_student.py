"""Students with a head: of a teacher's layers, of a model folder, of a configuration, and what reads their rows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from limbeck.errors import ConfigError
from limbeck.models.layers import depth
from limbeck.models.load import Head, load_classifier, load_tokenizer
from limbeck.models.pooled_classifier import PooledClassifier, pooling_in
from limbeck.models.pooling import Pooling
from limbeck.numerics.principal_components import reduced
from limbeck.tasks.generation.context import _writing_student as writing_student
from limbeck.tasks.masked_lm.context import _new_student as masked_student
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


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("head", ["rows", "tokens"])
@pytest.mark.parametrize(
    ("layers", "kept"), [({"keep": 2}, (1, 4)), ({"layers": "uniform", "keep": 2}, (2, 4)), ({"layers": [3]}, (3,))]
)
def test_a_student_of_some_layers_of_a_model(
    layers: dict[str, Any], kept: tuple[int, ...], head: Head, encoder_folder: Path
) -> None:
    section, tokenizer = Student.model_validate({"model": str(encoder_folder), **layers}), object()
    student = new_student(section, None, NAMES, tokenizer, head=head)
    whole = load_classifier(str(encoder_folder), labels=NAMES, head=head)
    assert depth(student) == len(kept)
    assert student.copies_unchecked is None
    assert student.head_is_new
    assert list(student.config.id2label.values()) == NAMES
    for own, layer in zip(student.bert.encoder.layer, kept, strict=True):
        copied = whole.bert.encoder.layer[layer - 1].state_dict()
        assert all(torch.equal(x, copied[name]) for name, x in own.state_dict().items())


def test_too_many_layers_of_a_model(encoder_folder: Path) -> None:
    section = Student.model_validate({"model": str(encoder_folder), "layers": "uniform", "keep": 5})
    with pytest.raises(ConfigError, match="cannot keep 5 layers of a model with 4"):
        new_student(section, None, NAMES, None)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"from_teacher": {"keep": 2}, "keep": 2}, "layers and keep are those of model"),
        ({"config": TINY, "layers": [1]}, "layers and keep are those of model"),
        ({"model": "a", "layers": "uniform"}, r"layers: uniform needs keep \(the number of layers\)"),
    ],
)
def test_layers_go_with_a_model(section: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Student.model_validate(section)


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize("pooling", [None, "mean", "first", "pooler"])
@pytest.mark.parametrize("what", ["layers", "model", "config"])
def test_a_student_reads_states_as_told_or_as_it_was_trained(
    what: str, pooling: Pooling | None, sentence_encoder_folder: Path
) -> None:
    teacher = load_classifier(str(sentence_encoder_folder), labels=NAMES)
    section = {
        "layers": Student.model_validate({"from_teacher": {"layers": [2, 4]}}),
        "model": Student.model_validate({"model": str(sentence_encoder_folder), "layers": [2, 4]}),
        "config": Student(config=TINY),
    }[what]
    tokenizer = load_tokenizer(str(sentence_encoder_folder))
    student = new_student(section, teacher, NAMES, tokenizer, pooling=pooling)
    assert pooling_in(student) == (pooling or ("pooler" if what == "config" else "mean"))
    if what != "config":
        body = (student.encoder if isinstance(student, PooledClassifier) else student.bert).encoder.layer
        copied = teacher.encoder.encoder.layer[1].state_dict()
        assert all(torch.equal(x, copied[name]) for name, x in body[0].state_dict().items())
    assert student.head_is_new
    assert getattr(student, "body_is_new", False) == (what == "config")
    if what == "layers" and pooling in (None, "mean"):
        assert torch.equal(student.head.weight, teacher.head.weight)


@pytest.mark.parametrize("keep", [2, 4])
def test_a_trained_head_stays_on_all_layers_and_begins_anew_on_some(keep: int, sentence_encoder_folder: Path) -> None:
    teacher = load_classifier(str(sentence_encoder_folder), labels=NAMES)
    teacher.head_is_new = False
    section = Student.model_validate({"from_teacher": {"layers": "uniform", "keep": keep}})
    student = new_student(section, teacher, NAMES, load_tokenizer(str(sentence_encoder_folder)))
    assert student.head_is_new == (keep < 4)


def test_word_embeddings_of_a_student_from_a_configuration(encoder: Path) -> None:
    teacher, tokenizer = load_classifier(str(encoder), labels=NAMES), load_tokenizer(str(encoder))
    section = Student(config={**TINY, "vocab_size": len(tokenizer)}, word_embeddings="pca")
    student = new_student(section, teacher, NAMES, tokenizer)
    own, other = (model.get_input_embeddings().weight for model in (student, teacher))
    distances = (torch.cdist(own, own), torch.cdist(other, other))
    assert own.shape[1] < other.shape[1]
    assert torch.corrcoef(torch.stack([x.flatten() for x in distances]))[0, 1] > 0.8
    assert student.body_is_new
    with pytest.raises(ValidationError, match="word_embeddings are those of a student with config"):
        Student.model_validate({"from_teacher": {"layers": [1]}, "word_embeddings": "pca"})


def test_word_embeddings_of_language_models_from_a_configuration() -> None:
    from tests.tasks.generation import text_models
    from tests.tasks.masked_lm import masked_models

    made: list[tuple[Any, Any, Any, dict[str, Any]]] = [
        (
            masked_student,
            masked_models.make_model(),
            masked_models.make_tokenizer(),
            {**masked_models.TINY, "hidden_size": 8},
        ),
        (
            writing_student,
            text_models.make_model(text_models.LLAMA, rows=400),
            text_models.make_tokenizer(),
            {**text_models.LLAMA, "hidden_size": 8},
        ),
    ]
    for make, teacher, tokenizer, config in made:
        sections = [Student.model_validate({"config": config, "word_embeddings": what}) for what in ("pca", "random")]
        own, other = (
            make(SimpleNamespace(student=section), teacher, tokenizer, 0).get_input_embeddings().weight
            for section in sections
        )
        torch.testing.assert_close(own, reduced(teacher.get_input_embeddings().weight, 8))
        assert not torch.equal(own, other)
