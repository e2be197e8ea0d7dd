"""Policy gradients, against the exact gradient of a divergence between all texts that two models can write."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.objective import Objective
from limbeck.losses.policy import ClippedPolicyGradient, PolicyGradient
from limbeck.losses.readout import TokenReadout
from limbeck.losses.term import WeightedTerm
from limbeck.losses.tokens import TokenTerm
from limbeck.numerics.returns import future_returns
from limbeck.numerics.token_losses import LabelLoss, TokenDivergence
from limbeck.recipes.catalogue import build_recipe
from limbeck.sequences.on_policy import OnPolicy, OnPolicyWriter
from limbeck.types import Batch, CompletionSource, DenseLogits

BOTH = torch.ones(1, 2, dtype=torch.bool)
WIDE = 0.999
"""A clip that clips nothing here."""
SINGLE = WeightedTerm("single", TokenTerm(TokenDivergence("reverse_kl"), reduction="sum_per_sequence"))
LONG = WeightedTerm("long", PolicyGradient(reduction="sum_per_sequence"))
CLIPPED = WeightedTerm("long", ClippedPolicyGradient(clip=WIDE, reduction="sum_per_sequence"))


def weighed(lm2: Any, teacher_fraction: float = 0.0, **options: Any) -> Callable[[int, Batch], None]:
    """Return what adds MiniLLM's returns, and the log-probability of what drew the text, to a micro-batch."""
    rewards_NT = lm2.log_p_NT - lm2.log_q_NT
    drawn_NT = teacher_fraction * lm2.log_p_NT.exp() + (1 - teacher_fraction) * lm2.log_q_NT.exp()

    def add(number: int, batch: Batch) -> None:
        batch["returns_BT"] = future_returns(rewards_NT[number : number + 1], BOTH, **options)
        batch["behaviour_log_probs_BT"] = drawn_NT[number : number + 1].log()

    return add


def exact_gradient(lm2: Any) -> Any:
    """Return the gradient of KL(Q || P) over all texts, by autograd."""
    log_probs_IV = lm2.student.table_IV.log_softmax(-1)
    log_q_N = torch.stack([log_probs_IV[3, one] + log_probs_IV[one, two] for one, two in lm2.sequences])
    return lm2.gradient((log_q_N.exp() * (log_q_N - lm2.log_p_NT.sum(1))).sum())


def gradient_of(lm2: Any, *terms: WeightedTerm, share_N: Tensor | None = None, **options: Any) -> Any:
    return lm2.gradient(lm2.expected(terms, lm2.q_N if share_N is None else share_N, weighed(lm2, **options)))


def test_the_oracle(lm2: Any) -> None:
    """The numbers of section 8."""
    gradient_IV = exact_gradient(lm2)
    assert float(gradient_IV.norm()) == pytest.approx(0.726771, abs=5e-7)
    assert gradient_IV[3].tolist() == pytest.approx([-0.480331, 0.298894, 0.181438], abs=5e-7)


@pytest.mark.parametrize("long", [LONG, CLIPPED], ids=["plain", "clipped"])
def test_single_and_long_are_the_gradient_of_the_divergence_of_texts(lm2: Any, long: WeightedTerm) -> None:
    """MiniLLM's decomposition, exactly; in texts of two tokens each return is of at most one reward."""
    single_IV, long_IV = gradient_of(lm2, SINGLE), gradient_of(lm2, long)
    assert float(single_IV.norm()) == pytest.approx(0.590299, abs=5e-7)
    assert float(long_IV.norm()) == pytest.approx(0.228956, abs=5e-7)
    torch.testing.assert_close(single_IV + long_IV, exact_gradient(lm2))
    torch.testing.assert_close(gradient_of(lm2, SINGLE, long), exact_gradient(lm2))


def test_single_alone_points_elsewhere(lm2: Any) -> None:
    cosine = torch.cosine_similarity(gradient_of(lm2, SINGLE).flatten(), exact_gradient(lm2).flatten(), dim=0)
    assert cosine.item() == pytest.approx(0.960611, abs=5e-7)


@pytest.mark.parametrize("baseline", [0.0, 1.0])
def test_reinforce_with_or_without_a_baseline_is_the_gradient_of_the_divergence_of_texts(
    lm2: Any, baseline: float
) -> None:
    """Section 8: returns that hold a token's own reward, and no single-step part."""
    add = weighed(lm2, inclusive=True, normalise=False)

    def less_baseline(number: int, batch: Batch) -> None:
        add(number, batch)
        batch["returns_BT"] -= baseline

    gradient_IV = lm2.gradient(lm2.expected((LONG,), lm2.q_N, less_baseline))
    torch.testing.assert_close(gradient_IV, exact_gradient(lm2))


def test_the_released_pairing_counts_the_single_step_part_twice(lm2: Any) -> None:
    """Section 8: what ``inclusive`` returns do beside Single."""
    released_IV = gradient_of(lm2, SINGLE, LONG, inclusive=True, normalise=False)
    exact_IV = exact_gradient(lm2)
    torch.testing.assert_close(released_IV, exact_IV + gradient_of(lm2, SINGLE))
    assert float(released_IV.norm() / exact_IV.norm()) == pytest.approx(1.794481, abs=5e-7)
    cosine = torch.cosine_similarity(released_IV.flatten(), exact_IV.flatten(), dim=0)
    assert cosine.item() == pytest.approx(0.992058, abs=5e-7)


def test_texts_drawn_with_the_teacher_are_nearly_right_with_a_weight_for_each_token(lm2: Any) -> None:
    """Section 8: with a = 0.2 the per-token weight leaves an error of 12.3 %; without it there is more."""
    share_N = (0.2 * lm2.log_p_NT.exp() + 0.8 * lm2.log_q_NT.exp()).prod(1)
    assert share_N.sum().item() == pytest.approx(1)
    exact_IV = exact_gradient(lm2)

    def error(long: WeightedTerm) -> float:
        found_IV = gradient_of(lm2, SINGLE, long, share_N=share_N, teacher_fraction=0.2)
        return float((found_IV - exact_IV).norm() / exact_IV.norm())

    assert error(CLIPPED) == pytest.approx(0.123, abs=5e-4)
    assert error(LONG) > 0.13


def test_minillms_recipe_has_this_gradient(lm2: Any) -> None:
    """Two tokens in each text, so its mean over tokens is half the sum."""
    (stage,) = build_recipe("minillm", {"fine_tune_fraction": 0, "teacher_fraction": 0}, "generation").stages
    torch.testing.assert_close(2 * gradient_of(lm2, *stage.terms), exact_gradient(lm2))


# One token at a time.


def term_value(
    term: Any, *, returns: float, log_prob: float, behaviour: float, with_gradient: bool = False
) -> tuple[float, float]:
    log_probs_S = torch.tensor([log_prob], dtype=torch.float64, requires_grad=True)
    batch: Batch = {
        "labels_BT": torch.tensor([[1]]),
        "returns_BT": torch.tensor([[returns]], dtype=torch.float64),
        "behaviour_log_probs_BT": torch.tensor([[behaviour]], dtype=torch.float64),
    }
    value = term.values({"log_probs_S": log_probs_S}, {}, batch)
    value.sum().backward()
    assert log_probs_S.grad is not None
    return value.item(), log_probs_S.grad.item()


@pytest.mark.parametrize(
    ("advantage", "ratio", "value", "gradient"),
    [
        (1, 1.5, -1.2, 0.0),
        (1, 0.5, -0.5, -0.5),
        (-1, 1.5, 1.5, 1.5),
        (-1, 0.5, 0.8, 0.0),
        (1, 1.1, -1.1, -1.1),
        (-1, 0.9, 0.9, 0.9),
        (0, 1.5, 0.0, 0.0),
    ],
)
def test_clip_table(advantage: float, ratio: float, value: float, gradient: float) -> None:
    """Section 8: pushed no further than the clip, and never kept from going back."""
    behaviour = -1.3
    log_prob = behaviour + torch.tensor(ratio, dtype=torch.float64).log().item()
    found = term_value(ClippedPolicyGradient(), returns=advantage, log_prob=log_prob, behaviour=behaviour)
    assert found == pytest.approx((value, gradient), abs=1e-9)


def test_the_width_of_the_clip_is_a_choice() -> None:
    value, _ = term_value(ClippedPolicyGradient(clip=0.4), returns=1.0, log_prob=-1.0, behaviour=-2.0)
    assert value == pytest.approx(-1.4)


def test_reinforce_is_the_return_times_the_log_probability() -> None:
    assert term_value(PolicyGradient(), returns=3.0, log_prob=-0.7, behaviour=0.0) == pytest.approx((2.1, -3.0))


@pytest.mark.parametrize("clip", [0.0, 1.0, -0.2, float("nan")])
def test_a_clip_outside_0_and_1_is_refused(clip: float) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"clip must be between 0 and 1, not {clip}")):
        ClippedPolicyGradient(clip=clip)


@pytest.mark.parametrize("term", [PolicyGradient, ClippedPolicyGradient], ids=["plain", "clipped"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_in_rows_of_others_reaches_neither_loss_nor_gradient(
    table_model: Callable[[Tensor], Any], term: Any, value: float
) -> None:
    model = table_model(torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    own = (CompletionSource.STUDENT,)
    terms = (WeightedTerm("policy", term(sources=own)), WeightedTerm("labels", TokenTerm(LabelLoss())))
    objective = Objective(model, terms, TokenReadout())

    def step(elsewhere: float) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        batch: Batch = {
            "student": {"input_ids": torch.tensor([[0, 1, 2], [3, 4, 0]])},
            "labels_BT": torch.tensor([[1, 3, -100], [2, 0, 1]]),
            "source_B": torch.tensor([int(CompletionSource.STUDENT), int(CompletionSource.CORPUS)]),
            "returns_BT": torch.tensor([[1.0, -0.5, elsewhere], [elsewhere] * 3], dtype=torch.float64),
            "behaviour_log_probs_BT": torch.tensor([[-1.0, -2.0, elsewhere], [elsewhere] * 3], dtype=torch.float64),
        }
        model.zero_grad()
        loss, parts = objective(batch, objective.count([batch]))
        loss.backward()
        return loss.detach(), model.table_IV.grad.clone(), parts

    loss, gradient_IV, parts = step(0.0)
    other_loss, other_gradient_IV, other_parts = step(value)
    assert torch.equal(other_loss, loss)
    assert torch.equal(other_gradient_IV, gradient_IV)
    assert other_parts == parts


@pytest.mark.parametrize("term", [PolicyGradient, ClippedPolicyGradient], ids=["plain", "clipped"])
def test_a_step_in_which_the_student_wrote_nothing_has_no_reward(term: Any) -> None:
    """As of GKD with a reward, in the steps on the rows' own completions."""
    batch: Batch = {"labels_BT": torch.tensor([[1, -100]]), "source_B": torch.tensor([int(CompletionSource.DATA)])}
    batch["behaviour_log_probs_BT"] = torch.zeros(1, 2)
    found = term(sources=(CompletionSource.STUDENT,))
    assert found.values({"log_probs_S": torch.tensor([-1.0])}, {}, batch).tolist() == [0.0]
    assert not found.mask(batch).any()


def test_returns_carry_no_gradient() -> None:
    returns_BT = torch.tensor([[2.0]], requires_grad=True)
    batch: Batch = {"labels_BT": torch.tensor([[1]]), "returns_BT": returns_BT}
    batch["behaviour_log_probs_BT"] = torch.tensor([[-1.0]], requires_grad=True)
    log_probs_S = torch.tensor([-1.0], requires_grad=True)
    for term in (PolicyGradient(), ClippedPolicyGradient()):
        term.values({"log_probs_S": log_probs_S}, {}, batch).sum().backward()
    assert returns_BT.grad is None
    assert batch["behaviour_log_probs_BT"].grad is None


# A reward for what the student writes: equation 5 of Agarwal et al. 2024 (GKD), over all texts that it can write.

REWARDS_N = torch.tensor([3.0, -1, 0.5, 2, 0, -2, 1, 4, 0.25], dtype=torch.float64)
"""Of the nine texts; their mean under the student is not 0."""


def step_of(lm2: Any, numbers: tuple[int, ...], split: tuple[int, ...], source: CompletionSource) -> list[Batch]:
    """Return the texts of these numbers as a step's micro-batches, with returns where the student wrote them."""
    choice = OnPolicy(1.0, reward="my.module:reward")

    def write_rows(rows: Any, decoding: Any, seed: int) -> Batch:
        texts = [lm2.batch(lm2.sequences[row], source) for row in rows]
        read_BT = torch.cat([text["student"]["input_ids"] for text in texts])
        return {
            "student": {"input_ids": read_BT},
            "labels_BT": torch.cat([text["labels_BT"] for text in texts]),
            "source_B": torch.cat([text["source_B"] for text in texts]),
            "signal": {"tokens": DenseLogits(lm2.teacher.table_IV.detach()[read_BT.flatten()])},
            "rewards_B": REWARDS_N[rows],
        }

    rows = iter(numbers)
    batches: list[Batch] = [{"rows_B": torch.tensor([next(rows) for _ in range(size)])} for size in split]
    return OnPolicyWriter(choice, write_rows, seed=0).write(0, batches)


def step_gradient(lm2: Any, terms: tuple[WeightedTerm, ...], batches: list[Batch]) -> Any:
    """Return the gradient of a whole step, micro-batch by micro-batch."""
    objective = Objective(lm2.student, terms, TokenReadout())
    counts = objective.count(batches)
    return sum(lm2.gradient(objective(batch, counts)[0]) for batch in batches)


def expected_gradient(
    lm2: Any, terms: tuple[WeightedTerm, ...], texts: int, share_N: Tensor, source: CompletionSource
) -> Any:
    """Return the mean of the step's gradient over all that may be drawn for it."""
    total = torch.zeros_like(lm2.student.table_IV)
    for numbers in product(range(9), repeat=texts):
        batches = step_of(lm2, numbers, (1,) * texts, source)
        total += share_N[list(numbers)].prod() * step_gradient(lm2, terms, batches)
    return total


def reward_gradient(lm2: Any) -> Any:
    """Return the gradient of the expected reward of what the student writes, by autograd."""
    log_probs_IV = lm2.student.table_IV.log_softmax(-1)
    log_q_N = torch.stack([log_probs_IV[3, one] + log_probs_IV[one, two] for one, two in lm2.sequences])
    return lm2.gradient((log_q_N.exp() * REWARDS_N).sum())


def gkd_terms(**arguments: Any) -> tuple[WeightedTerm, ...]:
    terms = build_recipe("gkd", {"reward": "my.module:reward", **arguments}, "generation").stages[-1].terms
    return tuple(term for term in terms if term.weight > 0)


@pytest.mark.parametrize("texts", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_reward_gives_the_gradient_of_its_expectation(lm2: Any, texts: int) -> None:
    """With the mean over all texts of the step as baseline it would be too small by 1 / texts: 0 for a single one."""
    terms = gkd_terms(reward_weight=1, on_policy_fraction=1)
    found_IV = expected_gradient(lm2, terms, texts, lm2.q_N, CompletionSource.STUDENT)
    torch.testing.assert_close(found_IV, -reward_gradient(lm2), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("split", [(4,), (2, 2), (1, 3), (1, 1, 1, 1)])
def test_the_gradient_of_a_step_with_rewards_is_the_same_for_every_split(lm2: Any, split: tuple[int, ...]) -> None:
    terms, numbers = gkd_terms(reward_weight=0.4, on_policy_fraction=1), (0, 7, 5, 5)
    found_IV = step_gradient(lm2, terms, step_of(lm2, numbers, split, CompletionSource.STUDENT))
    whole_IV = step_gradient(lm2, terms, step_of(lm2, numbers, (4,), CompletionSource.STUDENT))
    torch.testing.assert_close(found_IV, whole_IV, rtol=1e-6, atol=1e-8)
    # By hand: rewards 3, 4, -2, -2, each less the mean of the others.
    log_probs_IV = lm2.student.table_IV.log_softmax(-1)
    log_q = [log_probs_IV[3, one] + log_probs_IV[one, two] for one, two in (lm2.sequences[n] for n in numbers)]
    returns = [3 - 0 / 3, 4 - -1 / 3, -2 - 5 / 3, -2 - 5 / 3]
    by_hand = -0.4 * sum(r * q for r, q in zip(returns, log_q, strict=True)) / 4
    divergence = tuple(term for term in terms if term.name == "divergence")
    rest_IV = step_gradient(lm2, divergence, step_of(lm2, numbers, (4,), CompletionSource.STUDENT))
    torch.testing.assert_close(found_IV, lm2.gradient(by_hand) + rest_IV, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_over_the_coin_the_reward_has_the_weight_of_equation_5(lm2: Any, share: float) -> None:
    """``alpha D - (1 - alpha) r``, D on given texts in the other steps: r's weight is that, whatever lambda is."""
    given_N = torch.linspace(1, 3, 9, dtype=torch.float64) / 18
    terms = gkd_terms(reward_weight=0.3, on_policy_fraction=share, beta=1)
    own_IV, given_IV = (
        expected_gradient(lm2, terms, 1, share_N, source)
        for share_N, source in ((lm2.q_N, CompletionSource.STUDENT), (given_N, CompletionSource.DATA))
    )
    divergence = (WeightedTerm("D", TokenTerm(TokenDivergence("reverse_kl"), reduction="sequence")),)
    of_own_IV, of_given_IV = (lm2.gradient(lm2.expected(divergence, share_N)) for share_N in (lm2.q_N, given_N))
    expected_IV = 0.7 * (share * of_own_IV + (1 - share) * of_given_IV) - 0.3 * reward_gradient(lm2)
    torch.testing.assert_close(share * own_IV + (1 - share) * given_IV, expected_IV, rtol=1e-6, atol=1e-8)
