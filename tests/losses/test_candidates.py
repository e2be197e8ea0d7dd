"""Terms on candidate scores: values and gradients by hand, and candidates that do not exist."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.candidates import AdvantageActorCritic, CandidateMSE
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.term import Term
from limbeck.types import Batch, Needs, Shapes

INF = math.inf
SHAPES = Shapes(4, 16, 2, 8)

SCORES = [[2.0, 1.0, 0.0, -1.0], [0.5, -0.3, 1.2, -INF], [1.0, 1.0, -INF, -INF], [0.1, 0.2, 0.3, 0.4]]
GOLD = [[0.0, 1, 0, 0], [0.5, 0, 0.5, 0], [0, 0, 0, 0], [0.4, 0.3, 0.2, 0.1]]

TEACHER: list[list[float]] = [[2.0, 0, -1], [0.3, 0.4, 0.5]]
STUDENT: list[list[float]] = [[1.0, 1, -1], [0.3, 0.4, 0.5]]


def scores(rows: list[list[float]] = SCORES) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def batch_of(teacher: list[list[float]] | None = None) -> Batch:
    batch: Batch = {
        "rows_B": torch.arange(4),
        "gold_BK": torch.tensor(GOLD),
        "candidates_BK": torch.tensor(SCORES) > -INF,
    }
    if teacher is not None:
        batch["rows_B"] = torch.arange(len(teacher))
        batch["candidates_BK"] = torch.tensor(teacher) > -INF
        batch["signal"] = {"logits": scores(teacher)}
    return batch


def value_and_gradient(term: Term, student: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    student = student.clone().requires_grad_()
    values = term.values({"logits": student}, batch.get("signal", {}), batch)
    (gradient,) = torch.autograd.grad(values.sum(), student)
    return values.detach(), gradient


class TestCrossEntropy:
    def test_reference_scores(self) -> None:
        values, _ = value_and_gradient(LabelCrossEntropy(), scores(), batch_of())
        assert values[0].item() == pytest.approx(1.440190, abs=1e-6)
        probs = torch.softmax(scores()[0], dim=-1)
        assert probs.tolist() == pytest.approx([0.643914, 0.236883, 0.087144, 0.032059], abs=1e-6)

    def test_several_golds_are_averaged_and_grades_weighted(self) -> None:
        values, _ = value_and_gradient(LabelCrossEntropy(), scores(), batch_of())
        for row in (1, 3):
            total = sum(math.exp(z) for z in SCORES[row])
            by_hand = -sum(g * math.log(math.exp(SCORES[row][k]) / total) for k, g in enumerate(GOLD[row]) if g)
            assert values[row].item() == pytest.approx(by_hand, rel=1e-6)

    def test_gradient_is_probability_minus_gold_and_zero_at_padding_and_without_label(self) -> None:
        values, gradient = value_and_gradient(LabelCrossEntropy(), scores(), batch_of())
        expected = torch.softmax(scores(), dim=-1) - torch.tensor(GOLD, dtype=torch.float64)
        expected[2] = 0
        torch.testing.assert_close(gradient, expected, atol=1e-7, rtol=1e-6)
        assert values[2].item() == 0
        assert gradient[1, 3].item() == 0

    def test_counts_labelled_rows(self) -> None:
        assert LabelCrossEntropy().mask(batch_of()).tolist() == [True, True, False, True]

    def test_needs_labels_and_no_teacher(self) -> None:
        assert LabelCrossEntropy().bind(SHAPES).needs == Needs(labels=True)


class TestMSE:
    def test_sum_over_candidates_of_the_reference_rows(self) -> None:
        values, _ = value_and_gradient(CandidateMSE(), scores(STUDENT), batch_of(TEACHER))
        assert values.tolist() == pytest.approx([2.0, 0.0])
        assert values.mean().item() == pytest.approx(1.0)

    def test_zero_for_a_copy_of_the_teacher(self) -> None:
        values, gradient = value_and_gradient(CandidateMSE(), scores(), batch_of(SCORES))
        assert values.tolist() == [0] * 4
        assert not gradient.any()

    def test_a_constant_on_either_side_changes_nothing_when_centred(self) -> None:
        teacher = [[2.0, 0, -1, -INF], [1.0, 3, -2, 0.5]]
        student = [[0.5, 1, -1, -INF], [0.3, 0.4, 0.5, 2]]
        plain, gradient = value_and_gradient(CandidateMSE(), scores(student), batch_of(teacher))
        raised = [[z + 5 for z in row] for row in teacher]
        values, same = value_and_gradient(CandidateMSE(), scores(student) - 3, batch_of(raised))
        torch.testing.assert_close(values, plain)
        torch.testing.assert_close(same, gradient)
        off, _ = value_and_gradient(CandidateMSE(centred=False), scores(student), batch_of(raised))
        assert (off > plain + 1).all()

    def test_the_order_of_candidates_does_not_matter(self) -> None:
        order = [2, 0, 3, 1]
        teacher, student = [[2.0, 0, -1, -INF]], [[0.5, 1, -1, -INF]]
        plain, gradient = value_and_gradient(CandidateMSE(), scores(student), batch_of(teacher))
        shuffled = [[teacher[0][k] for k in order]]
        values, moved = value_and_gradient(CandidateMSE(), scores(student)[:, order], batch_of(shuffled))
        torch.testing.assert_close(values, plain)
        torch.testing.assert_close(moved, gradient[:, order])

    @pytest.mark.parametrize("outputs", ["logits", "probs"])
    def test_padding_changes_nothing(self, outputs: Any) -> None:
        term = CandidateMSE(outputs)
        plain, gradient = value_and_gradient(term, scores([[0.5, 1.0, -1.0]]), batch_of([[2.0, 0.0, -1.0]]))
        padded = [[2.0, 0.0, -1.0, -INF, -INF]]
        for pad in (-INF, 7.0):  # what the student says at padding is not read
            student = scores([[0.5, 1.0, -1.0, pad, pad]])
            values, found = value_and_gradient(term, student, batch_of(padded))
            torch.testing.assert_close(values, plain)
            torch.testing.assert_close(found[:, :3], gradient)
            assert found[:, 3:].tolist() == [[0, 0]]

    def test_gradient_of_centred_scores_by_hand(self) -> None:
        _, gradient = value_and_gradient(CandidateMSE(), scores(STUDENT), batch_of(TEACHER))
        torch.testing.assert_close(gradient[0], torch.tensor([-2.0, 2.0, 0.0], dtype=torch.float64))
        _, gradient = value_and_gradient(CandidateMSE(), scores([[1.0, 1, 0]]), batch_of([[2.0, 0, -1]]))
        difference = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
        torch.testing.assert_close(gradient[0], 2 * (difference - difference.mean()))

    def test_probabilities_are_compared_as_probabilities(self) -> None:
        values, _ = value_and_gradient(CandidateMSE("probs"), scores([[0.0, 0, 0]]), batch_of([[2.0, 0, -1]]))
        total = math.exp(2) + 1 + math.exp(-1)
        by_hand = sum((p / total - 1 / 3) ** 2 for p in (math.exp(2), 1, math.exp(-1)))
        assert values.item() == pytest.approx(by_hand)

    @pytest.mark.parametrize("term", [CandidateMSE(), CandidateMSE(centred=False), CandidateMSE("probs")])
    def test_gradient_is_that_of_finite_differences_and_none_reaches_the_teacher(self, term: CandidateMSE) -> None:
        torch.manual_seed(0)
        batch = batch_of([[2.0, 0, -1, -INF], [0.3, 0.4, 0.5, 0.6]])
        teacher = batch["signal"]["logits"].requires_grad_()
        student = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(
            lambda z: term.values({"logits": z}, batch.get("signal", {}), batch), (student,)
        )
        term.values({"logits": student}, batch.get("signal", {}), batch).sum().backward()
        assert teacher.grad is None

    def test_counts_every_row_and_reads_no_gold(self) -> None:
        batch = batch_of(SCORES)
        assert CandidateMSE().mask(batch).tolist() == [True] * 4
        del batch["gold_BK"]
        CandidateMSE().values({"logits": scores()}, batch["signal"], batch)
        assert CandidateMSE().bind(SHAPES).needs == Needs(logits=True)

    def test_refuses_unknown_outputs(self) -> None:
        with pytest.raises(ConfigError, match="outputs: unknown value 'logit'; did you mean 'logits'"):
            CandidateMSE("logit")  # type: ignore[arg-type]


class TestActorCritic:
    def values(self, term: AdvantageActorCritic, value: list[float] | None = None) -> Tensor:
        student = {"logits": scores(), "value_B": torch.tensor(value or [0.25] * 4)}
        return term.values(student, {}, batch_of())  # type: ignore[arg-type]

    def test_three_equal_candidates(self) -> None:
        batch: Batch = {"gold_BK": torch.tensor([[1.0, 0, 0]] * 200)}
        student = {"logits": torch.zeros(200, 3), "value_B": torch.full((200,), 0.25)}
        values = AdvantageActorCritic(standardise=False).values(student, {}, batch)  # type: ignore[arg-type]
        wrong = -0.25 * math.log(3) + 0.5 * 0.25**2 - 0.01 * math.log(3)
        right = [value for value in values.tolist() if abs(value - 1.094223) < 1e-5]
        assert 40 < len(right) < 95
        assert sorted(values.tolist())[: 200 - len(right)] == pytest.approx([wrong] * (200 - len(right)), abs=1e-6)

    def test_draws_with_the_random_numbers_that_checkpoints_keep(self) -> None:
        def drawn() -> list[float]:
            return [value for _ in range(10) for value in self.values(AdvantageActorCritic()).tolist()]

        torch.manual_seed(1)
        state = torch.get_rng_state()
        first, second = drawn(), drawn()
        assert first != second
        torch.set_rng_state(state)
        assert drawn() == first
        torch.manual_seed(2)
        assert drawn() != first

    def test_gradients_are_finite_and_zero_at_missing_candidates(self) -> None:
        student = scores().float().requires_grad_()
        value = torch.full((4,), 0.2, requires_grad=True)
        for reward in ("gold", "reciprocal_rank"):
            term = AdvantageActorCritic(reward=reward)  # type: ignore[arg-type]
            values = term.values({"logits": student, "value_B": value}, {}, batch_of())
            assert values.dtype == torch.float32
            to_scores, to_value = torch.autograd.grad(values.sum(), (student, value))
            assert to_scores.isfinite().all()
            assert not to_scores[torch.tensor(SCORES) == -INF].any()
            assert to_value.isfinite().all()
            assert to_value.all()

    def test_learns_the_gold_answer_from_rewards_alone(self) -> None:
        torch.manual_seed(0)
        logits, value = torch.zeros(16, 4, requires_grad=True), torch.zeros(16, requires_grad=True)
        gold = torch.nn.functional.one_hot(torch.arange(16) % 4, 4).float()
        term, optimiser = AdvantageActorCritic(), torch.optim.Adam([logits, value], lr=0.1)
        for _ in range(200):
            optimiser.zero_grad()
            term.values({"logits": logits, "value_B": value}, {}, {"gold_BK": gold}).mean().backward()
            optimiser.step()
        assert (logits.argmax(dim=-1) == gold.argmax(dim=-1)).all()

    def test_advantages_are_standardised_over_the_labelled_rows(self) -> None:
        gold = torch.tensor([[1.0, 0]] * 9 + [[0.0, 0]])
        logits, value = torch.zeros(10, 2), torch.linspace(0, 1, 10)

        def advantages(standardise: bool) -> torch.Tensor:
            torch.manual_seed(0)  # the same draws for both
            term = AdvantageActorCritic(0.0, 0.0, standardise=standardise)
            values = term.values({"logits": logits, "value_B": value}, {}, {"gold_BK": gold})
            return values[:9] / math.log(2)

        plain, standardised = advantages(False), advantages(True)
        torch.testing.assert_close(standardised, (plain - plain.mean()) / plain.std())

    def test_counts_labelled_rows_and_needs_labels(self) -> None:
        assert AdvantageActorCritic().mask(batch_of()).tolist() == [True, True, False, True]
        assert AdvantageActorCritic().needs == Needs(labels=True)

    @pytest.mark.parametrize("weights", [{"value_weight": -1.0}, {"entropy_weight": math.nan}])
    def test_refuses_weights_below_0(self, weights: dict[str, float]) -> None:
        with pytest.raises(ConfigError, match="_weight must be a number of at least 0, not"):
            AdvantageActorCritic(**weights)  # type: ignore[arg-type]

    def test_refuses_an_unknown_reward(self) -> None:
        with pytest.raises(ConfigError, match="reward: unknown value 'golden'; did you mean 'gold'"):
            AdvantageActorCritic(reward="golden")  # type: ignore[arg-type]
