"""Relations of a batch and looked-up answers: values by hand, identity, gradients."""

from __future__ import annotations

import pytest
import torch

from limbeck.numerics.contrastive import supervised_contrastive
from limbeck.numerics.retrieval import batch_relations_kl, retrieved, unit

Z = torch.tensor([[1, 0], [0, 1], [0.6, 0.8]], dtype=torch.float64)
S = torch.tensor([[0.8, 0.6], [0, 1], [1, 0]], dtype=torch.float64)


def test_relations_of_an_example() -> None:
    found = batch_relations_kl(teacher_BD=Z, student_BD=S, temperature=1.0)
    assert found.tolist() == pytest.approx([0.036860, 0.128313, 0.047875], abs=5e-7)
    assert found.mean().item() == pytest.approx(0.071016, abs=5e-7)


def test_lengths_do_not_matter_and_equal_embeddings_have_no_distance() -> None:
    longer = batch_relations_kl(teacher_BD=7 * Z, student_BD=0.1 * S, temperature=1.0)
    assert torch.allclose(longer, batch_relations_kl(teacher_BD=Z, student_BD=S, temperature=1.0))
    assert batch_relations_kl(teacher_BD=Z, student_BD=3 * Z, temperature=0.1).abs().max().item() < 1e-12


def test_gradients_are_the_students_alone() -> None:
    teacher, student = Z.clone().requires_grad_(), S.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda s: batch_relations_kl(teacher_BD=Z, student_BD=s, temperature=0.5), student)
    batch_relations_kl(teacher_BD=teacher, student_BD=student, temperature=0.5).sum().backward()
    assert teacher.grad is None
    assert student.grad is not None


def test_the_contrast_of_an_example() -> None:
    features = torch.tensor([[1, 0], [0.8, 0.6], [0, 1], [-1, 0]], dtype=torch.float64)
    found = supervised_contrastive(features_BD=features, labels_B=torch.tensor([0, 0, 1, 1]), temperature=0.5)
    assert found.mean().item() == pytest.approx(0.676401, abs=5e-7)


def test_answers_of_an_example() -> None:
    query = torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    answers = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]], dtype=torch.float64)
    found, weights, numbers = retrieved(5 * query, Z, answers, neighbours=2, temperature=1.0)
    assert numbers.tolist() == [[2, 1]]
    assert weights[0].tolist() == pytest.approx([0.549834, 0.450166], abs=5e-7)
    assert found[0].tolist() == pytest.approx([0.309967, 0.690033], abs=5e-7)


def test_few_entries_are_all_looked_up() -> None:
    _, weights, _ = retrieved(unit(S), Z, torch.eye(3, dtype=torch.float64), neighbours=16, temperature=0.1)
    assert weights.shape == (3, 3)
    assert weights.sum(dim=-1).tolist() == pytest.approx([1, 1, 1])
