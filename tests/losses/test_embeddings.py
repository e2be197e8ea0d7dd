"""Terms on embeddings: what each reads and trains, and models whose first token says nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from limbeck.errors import ConfigError
from limbeck.losses.embeddings import EMBEDDING_MAP, BatchRelations, EmbeddingMap
from limbeck.numerics.contrastive import supervised_contrastive
from limbeck.numerics.retrieval import batch_relations_kl
from limbeck.types import Batch, Needs, Shapes, Signal, Tap

PAIR = Shapes(4, 6, 2, 5, outputs=3)


def given() -> tuple[Signal, Signal, Batch]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(4, width, generator=generator, dtype=torch.float64) for width in (5, 6))
    batch: Batch = {"labels_B": torch.tensor([0, 1, 0, -100]), "rows_B": torch.arange(4)}
    return {"states": {Tap("first", 2): student}}, {"states": {Tap("first", 4): teacher}}, batch


def randomised(term: Any) -> Any:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in term.projection.double().parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return term


def test_the_map_learns_from_labels() -> None:
    _, teacher, batch = given()
    term = randomised(EmbeddingMap(0.5).bind(PAIR))
    mapped = term.projection(teacher["states"][Tap("first", 4)])
    expected = supervised_contrastive(features_BD=mapped, labels_B=batch["labels_B"], temperature=0.5)
    assert term.values({}, teacher, batch).equal(expected)  # reads the teacher alone
    assert term.mask(batch).tolist() == [True, False, True, False]
    assert term.needs == Needs(labels=True, teacher_taps=frozenset([Tap("first", 4)]))
    assert all(parameter.requires_grad for parameter in term.module().parameters())


def test_relations_compare_the_student_with_the_mapped_teacher() -> None:
    student, teacher, batch = given()
    term = randomised(BatchRelations(0.5).bind(PAIR))
    mapped = term.projection(teacher["states"][Tap("first", 4)])
    own = student["states"][Tap("first", 2)]
    expected = batch_relations_kl(teacher_BD=mapped, student_BD=own, temperature=0.5)
    assert term.values(student, teacher, batch).equal(expected)
    assert term.mask(batch).all()
    assert term.needs == Needs(
        student_taps=frozenset([Tap("first", 2)]), teacher_taps=frozenset([Tap("first", 4)])
    )  # any tokenizers
    assert not any(parameter.requires_grad for parameter in term.module().parameters())


def test_relations_go_on_with_the_map() -> None:
    first, second = EmbeddingMap().bind(PAIR), BatchRelations().bind(PAIR)
    assert set(first.kept_modules) == set(second.kept_modules) == {EMBEDDING_MAP}
    assert (first.continues, second.continues) == (False, True)
    assert first.rows_together is second.rows_together is None
    assert EmbeddingMap.suits == BatchRelations.suits == {"classes"}


def test_causal_models_are_refused() -> None:
    with pytest.raises(ConfigError, match="compares the states of first tokens"):
        BatchRelations().bind(PAIR._replace(causal=True))


def test_a_temperature_of_0_is_refused() -> None:
    with pytest.raises(ConfigError, match="similarity_temperature"):
        EmbeddingMap(0.0)
