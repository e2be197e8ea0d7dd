"""Contrastive losses against loops written from the papers, and against sentence-transformers."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from limbeck.numerics.contrastive import has_partner, pair_cosine_error, supervised_contrastive

LABELS_B = torch.tensor([0, 0, 1, 2, 2, 2, 1, 0])


def features(seed: int = 0, rows: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 5, generator=generator, dtype=torch.float64).requires_grad_()


def cosine(u: Tensor, v: Tensor) -> Tensor:
    return (u * v).sum() / (u.square().sum().sqrt() * v.square().sum().sqrt())


def by_loop(features_BD: Tensor, temperature: float) -> Tensor:
    """Equation 2 of Khosla et al. 2020, row by row."""
    values = []
    for i, label in enumerate(LABELS_B):
        others = [a for a in range(len(LABELS_B)) if a != i]
        partners = [p for p in others if LABELS_B[p] == label]
        below = sum(torch.exp(cosine(features_BD[i], features_BD[a]) / temperature) for a in others)
        each = [torch.log(torch.exp(cosine(features_BD[i], features_BD[p]) / temperature) / below) for p in partners]
        values.append(-torch.stack(each).mean())
    return torch.stack(values)


@pytest.mark.parametrize("temperature", [0.07, 0.1, 1.0])
def test_supervised_contrastive_is_the_papers_equation(temperature: float) -> None:
    features_BD = features()
    found = supervised_contrastive(features_BD=features_BD, labels_B=LABELS_B, temperature=temperature)
    expected = by_loop(features_BD, temperature)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(values.mean(), features_BD)[0] for values in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_pairs_are_compared_by_the_square_of_what_their_cosine_lacks() -> None:
    features_BD = features()
    found = pair_cosine_error(features_BD=features_BD, labels_B=LABELS_B)
    wanted = [1.0, 0.0, 1.0, 0.0]  # (0, 0), (1, 2), (2, 2), (1, 0)
    each = [(cosine(features_BD[2 * p], features_BD[2 * p + 1]) - want) ** 2 for p, want in enumerate(wanted)]
    expected = torch.stack([value for value in each for _ in range(2)])
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(values.mean(), features_BD)[0] for values in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_pairs_are_those_of_sentence_transformers() -> None:
    losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    features_BD = features()
    loss = losses.CosineSimilarityLoss(SimpleNamespace())
    same_P = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    expected = loss.compute_loss_from_embeddings([features_BD[::2], features_BD[1::2]], same_P)
    found = pair_cosine_error(features_BD=features_BD, labels_B=LABELS_B).mean()
    torch.testing.assert_close(found, expected)


def test_gradients_are_those_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(lambda x: pair_cosine_error(features_BD=x, labels_B=LABELS_B), features())
    assert torch.autograd.gradcheck(
        lambda x: supervised_contrastive(features_BD=x, labels_B=LABELS_B, temperature=0.5), features()
    )


def test_limits() -> None:
    """Rows of a class in one direction and those of others at right angles: no error; equal rows: ln of the others."""
    directions = torch.eye(3)[LABELS_B]
    assert pair_cosine_error(features_BD=5 * directions, labels_B=LABELS_B).abs().max() < 1e-6
    values = supervised_contrastive(features_BD=torch.ones(8, 3), labels_B=LABELS_B, temperature=0.1)
    torch.testing.assert_close(values, torch.full((8,), math.log(7)))
    apart = supervised_contrastive(features_BD=directions, labels_B=LABELS_B, temperature=0.05)
    torch.testing.assert_close(apart, torch.log(torch.tensor([2.0, 2, 1, 2, 2, 2, 1, 2])), atol=1e-6, rtol=0)


def test_length_of_features_and_order_of_rows_change_nothing() -> None:
    features_BD, order = features().detach(), torch.randperm(8, generator=torch.Generator().manual_seed(3))
    values = supervised_contrastive(features_BD=features_BD, labels_B=LABELS_B, temperature=0.1)
    longer = features_BD * torch.arange(1, 9)[:, None]
    other = supervised_contrastive(features_BD=longer[order], labels_B=LABELS_B[order], temperature=0.1)
    torch.testing.assert_close(other, values[order])


def test_a_row_alone_in_its_class_has_the_value_0_and_no_gradient_of_its_own() -> None:
    labels_B = torch.tensor([0, 1, 1])
    features_BD = features(rows=3)
    values = supervised_contrastive(features_BD=features_BD, labels_B=labels_B, temperature=0.1)
    assert values[0] == 0
    (gradient,) = torch.autograd.grad(values[0], features_BD)
    assert not gradient.any()
    assert has_partner(labels_B).tolist() == [False, True, True]


def test_half_precision_is_compared_in_float32() -> None:
    features_BD = features().detach().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        within = supervised_contrastive(features_BD=features_BD, labels_B=LABELS_B, temperature=0.1)
    outside = supervised_contrastive(features_BD=features_BD, labels_B=LABELS_B, temperature=0.1)
    assert within.dtype == torch.float32
    torch.testing.assert_close(within, outside)
