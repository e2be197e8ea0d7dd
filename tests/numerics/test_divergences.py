"""Divergences: published numbers, slow loops from the papers, limits, and what must never change them.

The forward KL comes first and in full; what all of them have in common follows.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from limbeck.numerics import divergences
from limbeck.numerics.divergences import forward_kl

TEACHER = (2.0, 1.0, 0.1, -1.0)
STUDENT = (1.0, 1.5, 0.2, -0.5)
OTHER_TEACHER = (2.0, 1.0, 0.0, -1.0, -2.0)
OTHER_STUDENT = (0.0, 1.5, -0.5, 0.5, -1.0)

logit = st.floats(-30, 30)
pairs_of_logits = st.lists(st.tuples(logit, logit), min_size=2, max_size=8)
temperature = st.sampled_from([0.5, 1.0, 2.0, 4.0, 20.0])


def double(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def value_and_gradient(teacher: Tensor, student: Tensor, loss_temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    student = student.clone().requires_grad_()
    value = forward_kl(teacher_logits=teacher, student_logits=student, loss_temperature=loss_temperature)
    (gradient,) = torch.autograd.grad(value.sum(), student)
    return value.detach(), gradient


def softened(logits: tuple[float, ...], loss_temperature: float) -> list[float]:
    """Hinton et al. 2015, equation 1."""
    exponentials = [math.exp(z / loss_temperature) for z in logits]
    return [e / sum(exponentials) for e in exponentials]


def slow_kl(teacher: tuple[float, ...], student: tuple[float, ...], loss_temperature: float) -> float:
    p, q = softened(teacher, loss_temperature), softened(student, loss_temperature)
    return loss_temperature**2 * sum(p[i] * (math.log(p[i]) - math.log(q[i])) for i in range(len(p)))


@pytest.mark.parametrize(("loss_temperature", "nats"), [(1, 0.246281), (2, 0.236002), (4, 0.216782)])
def test_value_of_the_reference_vectors(loss_temperature: float, nats: float) -> None:
    value, _ = value_and_gradient(double(TEACHER), double(STUDENT), loss_temperature)
    assert value.item() == pytest.approx(nats, abs=1e-6)


def test_value_of_the_second_pair_is_that_of_the_forward_direction() -> None:
    value, _ = value_and_gradient(double(OTHER_TEACHER), double(OTHER_STUDENT))
    assert value.item() == pytest.approx(0.7801817, abs=1e-7)
    swapped, _ = value_and_gradient(double(OTHER_STUDENT), double(OTHER_TEACHER))
    assert swapped.item() == pytest.approx(0.7022811, abs=1e-7)


@pytest.mark.parametrize(
    ("loss_temperature", "gradient"),
    [(1, (-0.336969, 0.261695, 0.039857, 0.035417)), (2, (-0.318714, 0.202110, 0.042251, 0.074352))],
)
def test_gradient_of_the_reference_vectors(loss_temperature: float, gradient: tuple[float, ...]) -> None:
    _, found = value_and_gradient(double(TEACHER), double(STUDENT), loss_temperature)
    torch.testing.assert_close(found, double(gradient), atol=1e-6, rtol=0)


@pytest.mark.parametrize("loss_temperature", [0.5, 1, 2, 4, 10])
def test_gradient_is_temperature_times_difference_of_softened_probs(loss_temperature: float) -> None:
    p, q = softened(TEACHER, loss_temperature), softened(STUDENT, loss_temperature)
    expected = double([loss_temperature * (qi - pi) for pi, qi in zip(p, q, strict=True)])
    _, found = value_and_gradient(double(TEACHER), double(STUDENT), loss_temperature)
    torch.testing.assert_close(found, expected)


def test_limit_of_high_temperature_is_half_the_variance_of_the_differences() -> None:
    difference = double(TEACHER) - double(STUDENT)
    limit = (difference - difference.mean()).square().sum() / (2 * len(difference))
    assert limit.item() == pytest.approx(0.188437, abs=1e-6)
    value, _ = value_and_gradient(double(TEACHER), double(STUDENT), 1e4)
    assert value.item() == pytest.approx(limit.item(), rel=1e-3)


def test_squared_temperature_keeps_the_size_of_the_gradient() -> None:
    norms = [value_and_gradient(double(TEACHER), double(STUDENT), T)[1].norm().item() for T in (1, 2, 4, 8)]
    assert norms == pytest.approx([0.429971, 0.386963, 0.350172, 0.329061], abs=1e-6)


@given(pairs_of_logits, temperature)
def test_equal_to_the_slow_loop(pairs: list[tuple[float, float]], loss_temperature: float) -> None:
    teacher, student = zip(*pairs, strict=True)
    value, _ = value_and_gradient(double(teacher), double(student), loss_temperature)
    assert value.item() == pytest.approx(slow_kl(teacher, student, loss_temperature), rel=1e-9, abs=1e-9)


def test_gradcheck() -> None:
    torch.manual_seed(0)
    teacher, student = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda s: forward_kl(teacher_logits=teacher, student_logits=s, loss_temperature=2.0), student.requires_grad_()
    )


@given(pairs_of_logits, temperature)
def test_never_negative(pairs: list[tuple[float, float]], loss_temperature: float) -> None:
    teacher, student = zip(*pairs, strict=True)
    value, _ = value_and_gradient(double(teacher), double(student), loss_temperature)
    assert value.item() >= -1e-10


@given(st.lists(logit, min_size=2, max_size=8), temperature)
def test_zero_value_and_gradient_where_both_are_equal(logits: list[float], loss_temperature: float) -> None:
    value, gradient = value_and_gradient(double(logits), double(logits), loss_temperature)
    assert value.item() == 0
    torch.testing.assert_close(gradient, torch.zeros_like(gradient))


@given(pairs_of_logits, st.floats(-50, 50), st.floats(-50, 50))
def test_blind_to_a_constant_added_to_either_side(
    pairs: list[tuple[float, float]], for_teacher: float, for_student: float
) -> None:
    teacher, student = (double(side) for side in zip(*pairs, strict=True))
    value, gradient = value_and_gradient(teacher, student, 2.0)
    shifted_value, shifted_gradient = value_and_gradient(teacher + for_teacher, student + for_student, 2.0)
    torch.testing.assert_close(shifted_value, value, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(shifted_gradient, gradient, rtol=1e-9, atol=1e-9)


@given(pairs_of_logits, st.randoms())
def test_blind_to_the_order_of_classes(pairs: list[tuple[float, float]], random: object) -> None:
    order = random.sample(range(len(pairs)), len(pairs))  # type: ignore[attr-defined]
    teacher, student = (double(side) for side in zip(*pairs, strict=True))
    value, gradient = value_and_gradient(teacher, student)
    other_value, other_gradient = value_and_gradient(teacher[order], student[order])
    torch.testing.assert_close(other_value, value, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(other_gradient, gradient[order], rtol=1e-9, atol=1e-9)


def test_rows_do_not_see_each_other_and_every_shape_is_reduced_over_its_last_dimension() -> None:
    torch.manual_seed(0)
    teacher, student = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    value, gradient = value_and_gradient(teacher, student, 2.0)
    flat_value, flat_gradient = value_and_gradient(teacher.reshape(6, 5), student.reshape(6, 5), 2.0)
    torch.testing.assert_close(value, flat_value.reshape(2, 3))
    torch.testing.assert_close(gradient, flat_gradient.reshape(2, 3, 5))
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close(value[i, j], value_and_gradient(teacher[i, j], student[i, j], 2.0)[0])


def test_no_gradient_reaches_the_teacher() -> None:
    teacher, student = double(TEACHER).requires_grad_(), double(STUDENT).requires_grad_()
    forward_kl(teacher_logits=teacher, student_logits=student).backward()
    assert teacher.grad is None
    assert student.grad is not None


@pytest.mark.parametrize("loss_temperature", [1.0, 4.0])
def test_huge_logits_give_a_finite_value_and_gradient(loss_temperature: float) -> None:
    teacher, student = torch.tensor([1e4, -1e4, 0.0]), torch.tensor([-1e4, 1e4, 0.0])
    value, gradient = value_and_gradient(teacher, student, loss_temperature)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss_temperature * 2e4, rel=1e-6)
    torch.testing.assert_close(gradient, loss_temperature * torch.tensor([-1.0, 1.0, 0.0]))


def test_a_spread_of_300_does_not_underflow() -> None:
    value, gradient = value_and_gradient(torch.tensor([150.0, -150.0]), torch.tensor([-150.0, 150.0]))
    assert value.item() == pytest.approx(300)
    assert gradient.isfinite().all()


def test_a_class_ruled_out_on_both_sides_is_as_good_as_absent() -> None:
    teacher, student = torch.tensor([*TEACHER, -math.inf]), torch.tensor([*STUDENT, -math.inf])
    value, gradient = value_and_gradient(teacher, student)
    expected_value, expected_gradient = value_and_gradient(torch.tensor(TEACHER), torch.tensor(STUDENT))
    torch.testing.assert_close(value, expected_value)
    torch.testing.assert_close(gradient, torch.cat([expected_gradient, torch.zeros(1)]))


def test_a_class_ruled_out_by_the_teacher_alone_contributes_nothing_but_is_pushed_down() -> None:
    teacher, student = torch.tensor([1.0, 0.0, -math.inf]), torch.tensor([0.5, 0.0, 1.0])
    value, gradient = value_and_gradient(teacher, student, 2.0)
    p, q = torch.softmax(teacher / 2, 0), torch.softmax(student / 2, 0)
    torch.testing.assert_close(value, 4 * (p[:2] * (p[:2].log() - q[:2].log())).sum())
    torch.testing.assert_close(gradient, 2 * (q - p))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    teacher, student = 2 * torch.randn(64, 10, dtype=torch.float64), 2 * torch.randn(64, 10, dtype=torch.float64)
    exact, _ = value_and_gradient(teacher, student, 2.0)
    value, gradient = value_and_gradient(teacher.to(dtype), student.to(dtype), 2.0)
    assert value.dtype == torch.float32
    assert gradient.dtype == dtype
    torch.testing.assert_close(value.double().mean(), exact.mean(), rtol=2e-2, atol=0)
    torch.testing.assert_close(value.double(), exact, rtol=2e-2, atol=2e-2)


def test_both_sides_are_named_by_role() -> None:
    with pytest.raises(TypeError):
        forward_kl(torch.tensor(TEACHER), torch.tensor(STUDENT))  # type: ignore[misc]


# All divergences

KINDS: dict[str, tuple[str, dict[str, float | bool]]] = {
    "forward_kl": ("forward_kl", {}),
    "reverse_kl": ("reverse_kl", {}),
    "jensen_shannon": ("jensen_shannon", {"beta": 0.5}),
    "jensen_shannon-0.9": ("jensen_shannon", {"beta": 0.9}),
    "jensen_shannon-0.1-normalised": ("jensen_shannon", {"beta": 0.1, "normalise": True}),
    "interpolated_kl": ("interpolated_kl", {"beta": 0.6}),
    "total_variation": ("total_variation", {}),
    "skew_forward_kl": ("skew_forward_kl", {"alpha": 0.1}),
    "skew_reverse_kl": ("skew_reverse_kl", {"alpha": 0.1}),
    "alpha_beta": ("alpha_beta", {"alpha": 0.4, "beta": 0.7}),
    "adaptive_kl": ("adaptive_kl", {"head_mass": 0.6}),
    "soft_cross_entropy": ("soft_cross_entropy", {}),
    "reverse_cross_entropy": ("reverse_cross_entropy", {}),
    "logit_mse": ("logit_mse", {}),
    "probability_mse": ("probability_mse", {}),
}
CROSS_ENTROPIES = ("soft_cross_entropy", "reverse_cross_entropy")
SIGNED = [name for name in KINDS if name not in CROSS_ENTROPIES]
of_probs = [name for name in KINDS if name != "logit_mse"]
every = pytest.mark.parametrize("name", list(KINDS))


def compute(
    name: str, teacher: Tensor, student: Tensor, loss_temperature: float = 1.0, **more: float | bool
) -> tuple[Tensor, Tensor]:
    """Value and gradient of a divergence of `KINDS`, or of the function `name` with options."""
    kind, options = KINDS.get(name, (name, {}))
    student = student.clone().requires_grad_()
    value = getattr(divergences, kind)(
        teacher_logits=teacher, student_logits=student, loss_temperature=loss_temperature, **{**options, **more}
    )
    (gradient,) = torch.autograd.grad(value.sum(), student)
    return value.detach(), gradient


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("forward_kl", {}, 0.246281),
        ("reverse_kl", {}, 0.243229),
        ("soft_cross_entropy", {}, 1.206953),
        ("reverse_cross_entropy", {}, 1.404346),
        ("jensen_shannon", {}, 0.059824),
        ("jensen_shannon", {"beta": 0.1}, 0.021953),
        ("jensen_shannon", {"beta": 0.9}, 0.021737),
        ("jensen_shannon", {"beta": 0.0}, 0.246281),
        ("jensen_shannon", {"beta": 1.0}, 0.243229),
        ("jensen_shannon", {"beta": 0.1, "normalise": True}, 0.243918),
        ("jensen_shannon", {"beta": 0.5, "normalise": True}, 0.239298),
        ("jensen_shannon", {"beta": 0.9, "normalise": True}, 0.241523),
        ("total_variation", {}, 0.336969),
        ("skew_forward_kl", {}, 0.195879),
        ("skew_forward_kl", {"alpha": 0.5}, 0.059462),
        ("skew_reverse_kl", {}, 0.194457),
        ("skew_reverse_kl", {"alpha": 0.5}, 0.060187),
        ("interpolated_kl", {"beta": 1.0}, 0.246281),
        ("interpolated_kl", {"beta": 0.0}, 0.0),
    ],
    ids=str,
)
def test_value_of_each_on_the_reference_vectors(kind: str, options: dict[str, float], expected: float) -> None:
    value, _ = compute(kind, double(TEACHER), double(STUDENT), **options)
    assert value.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("forward_kl", {}, 0.7801817),
        ("reverse_kl", {}, 0.7022811),
        ("jensen_shannon", {}, 0.1685682),
        ("total_variation", {}, 0.5243180),
        ("skew_forward_kl", {"alpha": 0.1}, 0.5752161),
        ("skew_reverse_kl", {"alpha": 0.1}, 0.5433973),
        ("jensen_shannon", {"beta": 0.9}, 0.0615827),
        ("jensen_shannon", {"beta": 0.99}, 0.0069298),
        ("jensen_shannon", {"beta": 0.99, "normalise": True}, 0.69998),
    ],
    ids=str,
)
def test_value_of_each_on_the_second_pair(kind: str, options: dict[str, float], expected: float) -> None:
    value, _ = compute(kind, double(OTHER_TEACHER), double(OTHER_STUDENT), **options)
    assert value.item() == pytest.approx(expected, abs=3e-6)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_interpolation_is_of_logits_and_has_no_gradient_of_its_own(share: float) -> None:
    teacher, student = double(OTHER_TEACHER), double(OTHER_STUDENT)
    between = torch.softmax((1 - share) * student + share * teacher, dim=-1)
    q = torch.softmax(student, dim=-1)
    value, gradient = compute("interpolated_kl", teacher, student, beta=share)
    torch.testing.assert_close(value, (between * (between / q).log()).sum(dim=-1))
    torch.testing.assert_close(gradient, q - between)


def test_jensen_shannon_is_none_of_the_wrong_forms_that_tools_have_had() -> None:
    def kl(one: Tensor, other: Tensor) -> float:
        return float((one * (one / other).log()).sum())

    p, q = (torch.softmax(double(side), 0) for side in (TEACHER, STUDENT))
    geometric = (p * q).sqrt()  # log-probabilities mixed, not probabilities
    wrong = (kl(p, geometric) + kl(q, geometric)) / 2
    assert wrong == pytest.approx(0.122377, abs=1e-6)
    assert compute("jensen_shannon", double(TEACHER), double(STUDENT))[0].item() != pytest.approx(wrong, rel=0.5)
    for beta, crossed in ((0.1, 0.176554), (0.9, 0.175266)):
        m = beta * p + (1 - beta) * q
        assert (1 - beta) * kl(p, m) + beta * kl(q, m) == pytest.approx(crossed, abs=1e-6)
        value, _ = compute("jensen_shannon", double(TEACHER), double(STUDENT), beta=beta)
        assert value.item() != pytest.approx(crossed, rel=0.5)
    weight_on_the_student = 0.0667629
    value, _ = compute("jensen_shannon", double(OTHER_TEACHER), double(OTHER_STUDENT), beta=0.9)
    assert value.item() != pytest.approx(weight_on_the_student, rel=0.05)
    value, _ = compute("jensen_shannon", double(OTHER_TEACHER), double(OTHER_STUDENT), beta=0.1)
    assert value.item() == pytest.approx(weight_on_the_student, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "gradient"),
    [
        ("forward_kl", (-0.336969, 0.261695, 0.039857, 0.035417)),
        ("reverse_kl", (-0.299362, 0.251074, 0.014309, 0.033979)),
        ("total_variation", (-0.210438, 0.149473, 0.040736, 0.020229)),
        ("soft_cross_entropy", (-0.336969, 0.261695, 0.039857, 0.035417)),
        ("reverse_cross_entropy", (-0.287558, 0.022323, 0.127846, 0.137389)),
    ],
)
def test_gradient_of_each_on_the_reference_vectors(kind: str, gradient: tuple[float, ...]) -> None:
    _, found = compute(kind, double(TEACHER), double(STUDENT))
    torch.testing.assert_close(found, double(gradient), atol=1e-6, rtol=0)


def test_divergences_are_sums_over_the_vocabulary_and_keep_pinskers_bound() -> None:
    """`F.kl_div(reduction="mean")` divides by its size as well: 0.061570."""
    value, _ = compute("forward_kl", double(TEACHER), double(STUDENT))
    assert value.item() / len(TEACHER) == pytest.approx(0.061570, abs=1e-6)
    variation, _ = compute("total_variation", double(TEACHER), double(STUDENT))
    assert variation.item() <= (value / 2).sqrt().item() == pytest.approx(0.350913, abs=1e-6)


def test_means_over_the_vocabulary() -> None:
    value, gradient = compute("logit_mse", double((2.0, -1.0)), double((1.0, 0.5)))
    assert value.item() == 1.625
    torch.testing.assert_close(gradient, double((-1.0, 1.5)))
    value, _ = compute("probability_mse", double(TEACHER), double(STUDENT))
    p, q = softened(TEACHER, 1), softened(STUDENT, 1)
    assert value.item() == pytest.approx(sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) / 4)


def test_jensen_shannon_over_its_small_weight_goes_to_the_kl_at_both_ends() -> None:
    teacher, student = double(TEACHER), double(STUDENT)
    assert compute("jensen_shannon", teacher, student, beta=1e-4)[0].item() / 1e-4 == pytest.approx(0.246253, abs=1e-6)
    near_one = compute("jensen_shannon", teacher, student, beta=1 - 1e-4)[0].item()
    assert near_one / 1e-4 == pytest.approx(0.243203, abs=1e-6)


@pytest.mark.parametrize(("options", "kind"), [((1, 1e-7), "forward_kl"), ((1e-7, 1), "reverse_kl")], ids=str)
def test_alpha_beta_goes_to_both_kl(options: tuple[float, float], kind: str) -> None:
    teacher, student = double(TEACHER), double(STUDENT)
    value, gradient = compute("alpha_beta", teacher, student, alpha=options[0], beta=options[1])
    expected, expected_gradient = compute(kind, teacher, student)
    torch.testing.assert_close(value, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("head_mass", "head"), [(0.3, [1]), (0.5, [1]), (0.51, [1, 3]), (0.85, [0, 1, 3]), (0.99, [0, 1, 2, 3])]
)
def test_adaptive_kl_weighs_the_directions_by_the_gap_on_head_and_tail(head_mass: float, head: list[int]) -> None:
    p, q = [0.15, 0.5, 0.05, 0.3], [0.4, 0.3, 0.2, 0.1]
    gap = [0.25, 0.2, 0.15, 0.2]
    weight = sum(gap[i] for i in head) / sum(gap)
    teacher, student = double(p).log(), double(q).log()
    value, gradient = compute("adaptive_kl", teacher, student, head_mass=head_mass)
    (forward, forward_gradient), (reverse, reverse_gradient) = (
        compute(kind, teacher, student) for kind in ("forward_kl", "reverse_kl")
    )
    torch.testing.assert_close(value, weight * forward + (1 - weight) * reverse)
    torch.testing.assert_close(gradient, weight * forward_gradient + (1 - weight) * reverse_gradient)


@pytest.mark.parametrize(("kind", "plain"), [("skew_forward_kl", "forward_kl"), ("skew_reverse_kl", "reverse_kl")])
def test_skew_goes_to_the_plain_direction_and_to_zero(kind: str, plain: str) -> None:
    teacher, student = double(TEACHER), double(STUDENT)
    near_zero, _ = compute(kind, teacher, student, alpha=1e-9)
    torch.testing.assert_close(near_zero, compute(plain, teacher, student)[0], atol=1e-6, rtol=0)
    assert compute(kind, teacher, student, alpha=1 - 1e-9)[0].item() == pytest.approx(0, abs=1e-9)


wide = st.lists(st.tuples(st.floats(-500, 500), st.floats(-500, 500)), min_size=2, max_size=6)


@given(wide, st.sampled_from([0.1, 0.5, 0.9]))
def test_bounds(pairs: list[tuple[float, float]], weight: float) -> None:
    teacher, student = (double(side) for side in zip(*pairs, strict=True))
    entropy = -weight * math.log(weight) - (1 - weight) * math.log(1 - weight)
    assert compute("jensen_shannon", teacher, student, beta=weight)[0].item() <= entropy + 1e-9
    for kind in ("skew_forward_kl", "skew_reverse_kl"):
        assert compute(kind, teacher, student, alpha=weight)[0].item() <= -math.log(weight) + 1e-9
    pinsker = (compute("forward_kl", teacher, student)[0].clamp(min=0) / 2).sqrt().item()
    assert compute("total_variation", teacher, student)[0].item() <= min(1, pinsker) + 1e-7


@given(wide, st.floats(0.01, 0.99))
def test_jensen_shannon_with_sides_and_weight_swapped_is_the_same(pairs: list[tuple[float, float]], b: float) -> None:
    teacher, student = (double(side) for side in zip(*pairs, strict=True))
    value, _ = compute("jensen_shannon", teacher, student, beta=b)
    swapped, _ = compute("jensen_shannon", student, teacher, beta=1 - b)
    torch.testing.assert_close(value, swapped, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", SIGNED)
@settings(max_examples=8)
@given(pairs=wide, loss_temperature=temperature)
def test_each_is_not_negative_and_finite(name: str, pairs: list[tuple[float, float]], loss_temperature: float) -> None:
    teacher, student = (double(side) for side in zip(*pairs, strict=True))
    value, gradient = compute(name, teacher, student, loss_temperature)
    assert -1e-9 <= value.item() < math.inf
    assert gradient.isfinite().all()


@every
def test_each_is_zero_where_both_are_equal(name: str) -> None:
    logits = 5 * torch.randn(4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    value, gradient = compute(name, logits, logits, 2.0)
    p = torch.softmax(logits / 2, -1)
    expected = -4 * (p * p.log()).sum(-1) if name in CROSS_ENTROPIES else torch.zeros(4, dtype=torch.float64)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12)
    if name != "reverse_cross_entropy":  # which wants a student that is surer than its teacher
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)


@every
def test_each_is_blind_to_order_and_those_of_probabilities_to_constants(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    teacher, student = (torch.randn(3, 7, dtype=torch.float64, generator=generator) for _ in range(2))
    value, gradient = compute(name, teacher, student, 2.0)
    order = torch.randperm(7, generator=generator)
    other_value, other_gradient = compute(name, teacher[:, order], student[:, order], 2.0)
    torch.testing.assert_close(other_value, value)
    torch.testing.assert_close(other_gradient, gradient[:, order])
    shifted, _ = compute(name, teacher + 11.0, student - 5.0, 2.0)
    assert torch.allclose(shifted, value) == (name in of_probs)


@pytest.mark.parametrize("name", [name for name in KINDS if name not in ("adaptive_kl", "interpolated_kl")])
def test_each_against_numerical_differences(name: str) -> None:
    """But for those that have weights or a target which are held fixed."""
    generator = torch.Generator().manual_seed(1)
    teacher, student = (torch.randn(2, 5, dtype=torch.float64, generator=generator) for _ in range(2))
    kind, options = KINDS[name]
    function = getattr(divergences, kind)
    assert torch.autograd.gradcheck(
        lambda s: function(teacher_logits=teacher, student_logits=s, loss_temperature=1.5, **options),
        student.requires_grad_(),
    )


@every
def test_no_gradient_of_any_reaches_the_teacher(name: str) -> None:
    teacher, student = double(TEACHER).requires_grad_(), double(STUDENT).requires_grad_()
    kind, options = KINDS[name]
    getattr(divergences, kind)(teacher_logits=teacher, student_logits=student, **options).backward()
    assert teacher.grad is None
    assert student.grad is not None


@every
def test_temperature_divides_both_sides_and_the_factor_can_be_left_out(name: str) -> None:
    teacher, student = double(TEACHER), double(STUDENT)
    plain, _ = compute(name, teacher / 3, student / 3)
    torch.testing.assert_close(compute(name, teacher, student, 3.0)[0], 9 * plain)
    torch.testing.assert_close(compute(name, teacher, student, 3.0, temperature_squared=False)[0], plain)


RULED_OUT = {
    "teacher": ((-math.inf, 1.0, 0.0), (0.5, 0.0, 1.0)),
    "student": ((0.5, 0.0, 1.0), (-math.inf, 1.0, 0.0)),
    "both": ((-math.inf, 1.0, 0.0), (-math.inf, 0.0, 1.0)),
    "different": ((-math.inf, 1.0, 0.0), (1.0, 0.0, -math.inf)),
    "huge": ((1e4, -1e4, 0.0), (-1e4, 1e4, 0.0)),
    "spread of 300": ((150.0, -150.0, 0.0), (0.0, -150.0, 150.0)),
}


@every
@pytest.mark.parametrize("logits", list(RULED_OUT.values()), ids=list(RULED_OUT))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_each_is_finite_at_extreme_logits(
    name: str, logits: tuple[tuple[float, ...], ...], dtype: torch.dtype
) -> None:
    teacher, student = (torch.tensor(side, dtype=dtype) for side in logits)
    value, gradient = compute(name, teacher, student, 2.0)
    assert value.isfinite()
    assert gradient.isfinite().all()


@every
def test_a_token_ruled_out_on_both_sides_changes_no_gradient_of_the_others(name: str) -> None:
    value, gradient = compute(name, double((*TEACHER, -math.inf)), double((*STUDENT, -math.inf)))
    expected_value, expected_gradient = compute(name, double(TEACHER), double(STUDENT))
    share = 4 / 5 if name.endswith("mse") else 1  # a mean over five tokens
    torch.testing.assert_close(value, share * expected_value)
    torch.testing.assert_close(gradient, share * torch.cat([expected_gradient, torch.zeros(1, dtype=torch.float64)]))


def test_what_the_student_alone_rules_out_costs_the_teachers_mass() -> None:
    """`docs/conventions.md`: finite, 100,000 nats times p, and the gradient is that of any other logits."""
    teacher, student, t = double((0.5, 0.0, 1.0)), double((-math.inf, 1.0, 0.0)), 2.0
    value, gradient = compute("forward_kl", teacher, student, t)
    p, q = torch.softmax(teacher / t, 0), torch.softmax(student / t, 0)
    of_others = (p[1:] * (p[1:] / q[1:]).log()).sum()
    assert value.item() == pytest.approx(t**2 * (p[0] * (p[0].log() + 1e5) + of_others).item(), rel=1e-12)
    torch.testing.assert_close(gradient, t * (q - p))
    for name in ("soft_cross_entropy", "adaptive_kl"):
        _, found = compute(name, teacher, student)
        _, near = compute(name, teacher, student.clamp(min=-60))
        torch.testing.assert_close(found, near)


def test_what_the_teacher_rules_out_costs_the_student_its_mass() -> None:
    student = double((0.5, 0.0, 1.0))
    value, gradient = compute("reverse_kl", double((-math.inf, 1.0, 0.0)), student)
    assert value.item() == pytest.approx(1e4 * torch.softmax(student, 0)[0].item(), rel=1e-3)
    assert gradient[0] > 0  # descent takes mass from it


@every
def test_bf16_logits_are_near_float64(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    teacher, student = (2 * torch.randn(64, 10, dtype=torch.float64, generator=generator) for _ in range(2))
    exact, _ = compute(name, teacher, student)
    value, gradient = compute(name, teacher.bfloat16(), student.bfloat16())
    assert value.dtype == torch.float32
    assert gradient.dtype == torch.bfloat16
    torch.testing.assert_close(value.double().mean(), exact.mean(), rtol=2e-2, atol=0)
