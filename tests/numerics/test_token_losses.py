"""What is computed per token: options are checked, and closed forms are those of the plain formulas."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.numerics import divergences
from limbeck.numerics.divergences import STUDENT_FLOOR, TEACHER_FLOOR
from limbeck.numerics.token_losses import (
    DivergenceKind,
    TokenDivergence,
    divergence_form,
    label_form,
    soften,
)

LOSSES = {
    "forward_kl": TokenDivergence("forward_kl"),
    "reverse_kl": TokenDivergence("reverse_kl"),
    "jensen_shannon-0": TokenDivergence("jensen_shannon", beta=0),
    "jensen_shannon-0.5": TokenDivergence("jensen_shannon"),
    "jensen_shannon-0.9-normalised": TokenDivergence("jensen_shannon", beta=0.9, normalise=True),
    "jensen_shannon-1": TokenDivergence("jensen_shannon", beta=1),
    "interpolated_kl-0.4": TokenDivergence("interpolated_kl", beta=0.4),
    "interpolated_kl-1": TokenDivergence("interpolated_kl", beta=1),
    "total_variation": TokenDivergence("total_variation"),
    "skew_forward_kl": TokenDivergence("skew_forward_kl"),
    "skew_reverse_kl": TokenDivergence("skew_reverse_kl", alpha=0.4),
    "alpha_beta": TokenDivergence("alpha_beta", alpha=0.3, beta=0.9),
    "adaptive_kl": TokenDivergence("adaptive_kl", head_mass=0.4),
    "soft_cross_entropy": TokenDivergence("soft_cross_entropy"),
    "reverse_cross_entropy": TokenDivergence("reverse_cross_entropy"),
    "logit_mse": TokenDivergence("logit_mse"),
    "probability_mse": TokenDivergence("probability_mse"),
}
CROSS_ENTROPIES = ("soft_cross_entropy", "reverse_cross_entropy")
every = pytest.mark.parametrize("loss", list(LOSSES.values()), ids=list(LOSSES))


def dense(loss: TokenDivergence, teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
    """Value and gradient of the plain formula, at temperature 1."""
    names = ("alpha", "beta", "head_mass", "normalise")
    options: dict[str, Any] = {name: getattr(loss, name) for name in names if getattr(loss, name)}
    if loss.kind == "jensen_shannon":
        options["beta"] = loss.beta
    student = student.clone().requires_grad_()
    value = getattr(divergences, loss.kind)(teacher_logits=teacher, student_logits=student, **options)
    (gradient,) = torch.autograd.grad(value.sum(), student)
    return value.detach(), gradient


def closed(loss: TokenDivergence, teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
    value, gradient = divergence_form(loss, soften(teacher, 1.0, TEACHER_FLOOR), soften(student, 1.0, STUDENT_FLOOR))
    return value, gradient()


def test_every_kind_is_a_function_of_divergences_and_is_tried_here() -> None:
    assert {loss.kind for loss in LOSSES.values()} == set(get_args(DivergenceKind))
    assert set(get_args(DivergenceKind)) <= set(divergences.__all__)


@every
@pytest.mark.parametrize("spread", [0.1, 3.0, 20.0])
def test_closed_form_is_that_of_autograd(loss: TokenDivergence, spread: float) -> None:
    generator = torch.Generator().manual_seed(0)
    teacher, student = (spread * torch.randn(5, 13, dtype=torch.float64, generator=generator) for _ in range(2))
    value, gradient = closed(loss, teacher, student)
    expected, expected_gradient = dense(loss, teacher, student)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-9, atol=1e-12)


logit = st.floats(-400, 400)


@every
@settings(max_examples=8)
@given(pairs=st.lists(st.tuples(logit, logit), min_size=2, max_size=5))
def test_closed_form_is_that_of_autograd_where_probabilities_underflow(
    loss: TokenDivergence, pairs: list[tuple[float, float]]
) -> None:
    teacher, student = (torch.tensor([side], dtype=torch.float64) for side in zip(*pairs, strict=True))
    value, gradient = closed(loss, teacher, student)
    expected, expected_gradient = dense(loss, teacher, student)
    torch.testing.assert_close(value, expected, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-7, atol=1e-9)


@every
def test_closed_form_is_finite_and_right_in_float32(loss: TokenDivergence) -> None:
    inf = float("inf")
    rows = [(1e4, -1e4, 0.0), (150.0, -150.0, 0.0), (-inf, 1.0, 0.0), (-inf, 0.0, 1.0), (0.0, 1.0, -inf)]
    teacher = torch.tensor(rows)
    student = torch.tensor([rows[0][::-1], rows[1][::-1], *rows[3:], rows[2]])
    value, gradient = closed(loss, teacher, student)
    expected, expected_gradient = dense(loss, teacher.double(), student.double())
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
    assert gradient.isfinite().all()
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-5, atol=1e-5)


@every
def test_equal_sides_give_zero(loss: TokenDivergence) -> None:
    logits = 4 * torch.randn(3, 1000, generator=torch.Generator().manual_seed(0))
    value, gradient = closed(loss, logits, logits)
    p = torch.softmax(logits.double(), -1)
    entropy = -(p * p.log()).sum(-1)
    expected = entropy if loss.kind in CROSS_ENTROPIES else torch.zeros(3, dtype=torch.float64)
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
    if loss.kind != "reverse_cross_entropy":  # which wants a student that is surer than its teacher
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-6)


@pytest.mark.parametrize("use_up", [False, True])
def test_label_form_is_cross_entropy(use_up: bool) -> None:
    logits = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([5, 0, 0, 2])
    expected = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    (expected_gradient,) = torch.autograd.grad(expected.sum(), logits)
    student = soften(logits.detach(), 1.0, None)
    before = student.probs.clone()
    value, gradient = label_form(labels, student, use_up=use_up)
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(gradient(), expected_gradient)
    assert torch.equal(student.probs, before) != use_up


def test_softening_in_place_gives_the_same_distribution() -> None:
    logits = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    expected = soften(logits, 2.0, None)
    buffer = logits.clone()
    found = soften(buffer, 2.0, None, in_place=True)
    assert torch.equal(found.log_probs, expected.log_probs)
    assert torch.equal(found.probs, expected.probs)
    assert found.log_probs.data_ptr() == buffer.data_ptr()


def test_defaults_are_the_papers() -> None:
    assert TokenDivergence("jensen_shannon").beta == 0.5
    assert TokenDivergence("skew_forward_kl").alpha == 0.1
    assert TokenDivergence("skew_reverse_kl").alpha == 0.1
    assert TokenDivergence("forward_kl", loss_temperature=3).factor == 9
    assert TokenDivergence("forward_kl", loss_temperature=3, temperature_squared=False).factor == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "forward_lk"}, "unknown divergence 'forward_lk'; did you mean 'forward_kl'"),
        ({"kind": "forward_kl", "loss_temperature": 0}, "loss_temperature must be a number above 0, not 0"),
        ({"kind": "forward_kl", "loss_temperature": float("nan")}, "loss_temperature"),
        ({"kind": "forward_kl", "beta": 0.5}, "forward_kl has no option beta, but it is set to 0.5; remove it"),
        ({"kind": "jensen_shannon", "alpha": 0.5}, "jensen_shannon has no option alpha"),
        ({"kind": "jensen_shannon", "beta": 1.5}, "beta of jensen_shannon must be from 0 to 1, not 1.5"),
        ({"kind": "skew_forward_kl", "alpha": 0}, "alpha of skew_forward_kl must be between 0 and 1"),
        ({"kind": "skew_reverse_kl", "alpha": 1}, "alpha of skew_reverse_kl must be between 0 and 1"),
        ({"kind": "alpha_beta", "alpha": 1}, "alpha_beta needs beta, a number above 0"),
        ({"kind": "interpolated_kl"}, "interpolated_kl needs beta"),
        ({"kind": "interpolated_kl", "beta": 1.1}, "beta of interpolated_kl must be from 0 to 1"),
        ({"kind": "alpha_beta", "alpha": 1, "beta": 0}, "beta of alpha_beta must be above 0"),
        ({"kind": "reverse_kl", "normalise": True}, "normalise is an option of jensen_shannon"),
    ],
    ids=str,
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TokenDivergence(**options)
