"""How the losses of a step's tokens are put together, and that whole texts come out right."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.data.generation.collate import TokenSequence, collate
from limbeck.errors import ConfigError
from limbeck.losses.objective import Objective
from limbeck.losses.policy import PolicyGradient
from limbeck.losses.readout import TokenReadout
from limbeck.losses.reduction import Reduction
from limbeck.losses.term import WeightedTerm, bind_terms
from limbeck.losses.tokens import LogProbTerm, TokenTerm
from limbeck.models.layers import shapes
from limbeck.numerics.masking import supervised_positions
from limbeck.numerics.token_losses import LabelLoss, TokenDivergence
from limbeck.recipes.catalogue import build_recipe
from limbeck.teachers.language_model import LanguageTeacher
from limbeck.types import UNLABELLED, Batch, CompletionSource, Shapes

LABELS = TokenTerm(LabelLoss())
FORWARD, REVERSE = TokenDivergence("forward_kl"), TokenDivergence("reverse_kl")


def divergence(kind: Any, reduction: Reduction = "sum_per_sequence", **options: Any) -> tuple[WeightedTerm, ...]:
    return (WeightedTerm("divergence", TokenTerm(TokenDivergence(kind, **options), reduction=reduction)),)


# Known losses at each token: a model whose loss on a token is chosen with it.


def known_losses(table_model: Callable[[Tensor], Any], *rows: Sequence[float]) -> tuple[Any, Batch]:
    """Return a model and a micro-batch with these cross-entropies, row by row, each behind a token that is not learnt.

    Reading token i, the model gives token 0 the probability ``exp(-loss_i)``.
    """
    values = sorted({value for row in rows for value in row})
    log_q_I = -torch.tensor(values, dtype=torch.float64)
    model = table_model(torch.stack([log_q_I, torch.log(-torch.expm1(log_q_I))], dim=1))
    width = 1 + max(map(len, rows))
    ids_BT, labels_BT = torch.zeros(len(rows), width, dtype=torch.int64), torch.full((len(rows), width), UNLABELLED)
    for number, row in enumerate(rows):
        ids_BT[number, 1 : 1 + len(row)] = torch.tensor([values.index(value) for value in row])
        labels_BT[number, 1 : 1 + len(row)] = 0
    source_B = torch.full((len(rows),), int(CompletionSource.DATA))
    return model, {"student": {"input_ids": ids_BT}, "labels_BT": labels_BT, "source_B": source_B}


def loss_of(model: Any, terms: tuple[WeightedTerm, ...], *batches: Batch) -> float:
    objective = Objective(model, terms, TokenReadout())
    counts = objective.count(batches)
    losses: list[float] = [objective(batch, counts)[0].item() for batch in batches]
    return sum(losses)


@pytest.mark.parametrize(("reduction", "expected"), [("token", 1 / 6), ("sequence", 0.2), ("sum_per_sequence", 0.5)])
def test_reductions(table_model: Any, reduction: Reduction, expected: float) -> None:
    """Section 0.2: rows of losses (0.4, 0.2) and (0.1, 0.1, 0.1, 0.1)."""
    model, batch = known_losses(table_model, (0.4, 0.2), (0.1, 0.1, 0.1, 0.1))
    terms = (WeightedTerm("labels", TokenTerm(LabelLoss(), reduction=reduction)),)
    assert loss_of(model, terms, batch) == pytest.approx(expected, rel=1e-6)
    assert loss_of(model, terms, batch, batch) == pytest.approx(expected, rel=1e-6)  # pitfall 1: nothing twice
    halves = [rows_of(batch, slice(0, 1)), rows_of(batch, slice(1, 2))]
    assert loss_of(model, terms, *halves) == pytest.approx(expected, rel=1e-6)


def rows_of(batch: Batch, rows: slice) -> Batch:
    return {
        "student": {name: tensor[rows] for name, tensor in batch["student"].items()},
        "labels_BT": batch["labels_BT"][rows],
        "source_B": batch["source_B"][rows],
    }


def test_a_mean_over_tokens_is_no_mean_of_micro_batch_means(table_model: Any) -> None:
    """Pitfall 8: 10 tokens of loss 1 and 1000 of loss 0.1 have the mean 0.10891, not 0.55."""
    model, long = known_losses(table_model, (0.1,) * 1000, (1.0,) * 10)
    first, second = rows_of(long, slice(1, 2)), rows_of(long, slice(0, 1))
    assert loss_of(model, (WeightedTerm("labels", LABELS),), first, second) == pytest.approx(110 / 1010, rel=1e-6)


@pytest.mark.parametrize("reduction", ["token", "sequence"])
def test_means_do_not_grow_with_length_or_batch(table_model: Any, reduction: Reduction) -> None:
    """Pitfall 20."""
    terms = (WeightedTerm("labels", TokenTerm(LabelLoss(), reduction=reduction)),)
    for rows in ([(0.3,)], [(0.3,) * 9], [(0.3,) * 2, (0.3,) * 7, (0.3,)]):
        model, batch = known_losses(table_model, *rows)
        assert loss_of(model, terms, batch) == pytest.approx(0.3, rel=1e-6)


def test_only_rows_of_the_named_authors_count(table_model: Any) -> None:
    model, batch = known_losses(table_model, (0.4, 0.2), (0.1,), (0.9, 0.9, 0.9))
    batch["source_B"] = torch.tensor(
        [int(w) for w in (CompletionSource.TEACHER, CompletionSource.STUDENT, CompletionSource.CORPUS)]
    )
    expected = {
        None: 3.4 / 6,
        (CompletionSource.TEACHER,): 0.3,
        (CompletionSource.STUDENT,): 0.1,
        (CompletionSource.TEACHER, CompletionSource.STUDENT): 0.7 / 3,
        (CompletionSource.DATA,): 0.0,
    }
    for sources, value in expected.items():
        terms = (WeightedTerm("labels", TokenTerm(LabelLoss(), sources=sources)),)
        assert loss_of(model, terms, batch) == pytest.approx(value, rel=1e-6)
    per_row = TokenTerm(
        LabelLoss(), reduction="sum_per_sequence", sources=(CompletionSource.TEACHER, CompletionSource.CORPUS)
    )
    assert loss_of(model, (WeightedTerm("labels", per_row),), batch) == pytest.approx((0.6 + 2.7) / 2, rel=1e-6)


def test_what_a_term_says_about_itself() -> None:
    assert LABELS.needs.labels
    assert not LABELS.needs.logits
    assert TokenTerm(FORWARD).needs.logits
    assert not TokenTerm(FORWARD).needs.labels
    assert not PolicyGradient().needs.teacher
    assert LABELS.bind(Shapes(1, 2, 3, 4)) is LABELS
    batch: Batch = {"labels_BT": torch.tensor([[UNLABELLED, 3, 0], [UNLABELLED] * 3])}
    assert supervised_positions(batch).tolist() == [[False, True, True], [False] * 3]
    assert LABELS.mask(batch).tolist() == [[False, True, True], [False] * 3]
    assert not LABELS.by_row
    assert TokenTerm(LabelLoss(), reduction="sequence").by_row
    with pytest.raises(NotImplementedError):
        LogProbTerm().values({}, {}, batch)


def test_terms_need_different_names(table_model: Any) -> None:
    with pytest.raises(ConfigError, match=r"terms need different names, .*: one, one"):
        Objective(
            table_model(torch.zeros(2, 2)), (WeightedTerm("one", LABELS), WeightedTerm("one", LABELS)), TokenReadout()
        )


# A small Llama as a student, a larger one as a teacher, rows of uneven length.

VOCABULARY = 19


def make_llama(layers: int, seed: int, vocabulary: int = VOCABULARY) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=16, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=16,
        initializer_range=0.5, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config).double()


PROMPTS_AND_COMPLETIONS = [(4, 2), (1, 6), (3, 1), (6, 4), (2, 3), (1, 1)]
SOURCES = [CompletionSource(source) for source in (0, 2, 3, 2, 1, 0)]
TERMS = (
    WeightedTerm("forward", TokenTerm(FORWARD), weight=0.7),
    WeightedTerm("reverse", TokenTerm(REVERSE, reduction="sequence", sources=(CompletionSource.STUDENT,)), weight=1.3),
    WeightedTerm(
        "labels", TokenTerm(LabelLoss(), sources=(CompletionSource.CORPUS, CompletionSource.DATA)), weight=0.5
    ),
    WeightedTerm(
        "policy", PolicyGradient(reduction="sum_per_sequence", sources=(CompletionSource.STUDENT,)), weight=0.2
    ),
)


class Setting:
    def __init__(self) -> None:
        self.student = make_llama(1, seed=1)
        self.teacher = LanguageTeacher(make_llama(2, seed=2))
        rng = np.random.default_rng(0)
        self.sequences = []
        for prompt, completion in PROMPTS_AND_COMPLETIONS:
            ids = rng.integers(3, VOCABULARY, prompt + completion).astype(np.int32)
            self.sequences.append(TokenSequence(ids, np.arange(len(ids)) >= prompt, prompt, False))

    def batch(self, rows: Sequence[int], **options: Any) -> Batch:
        batch = collate([self.sequences[row] for row in rows], 0, **options)
        batch["source_B"] = torch.tensor([int(SOURCES[row]) for row in rows])
        batch["returns_BT"] = torch.zeros(batch["labels_BT"].shape, dtype=torch.float64)
        for place, row in enumerate(rows):
            count = int((batch["labels_BT"][place] != UNLABELLED).sum())
            of_row = torch.randn(count, generator=torch.Generator().manual_seed(row), dtype=torch.float64)
            batch["returns_BT"][place, batch["labels_BT"][place] != UNLABELLED] = of_row
        return batch

    def step(
        self, *batches: Batch, terms: tuple[WeightedTerm, ...] = TERMS, vocabulary: int | None = None
    ) -> tuple[float, Tensor, dict[str, float]]:
        """Return loss, gradient and logged values of an optimiser step of these micro-batches."""
        objective = Objective(self.student, terms, TokenReadout(vocabulary))
        self.student.zero_grad(set_to_none=True)
        counts = objective.count(batches)
        total, logged = 0.0, dict.fromkeys((f"term/{term.name}" for term in terms), 0.0)
        for batch in batches:
            batch["signal"] = self.teacher.signal(batch, objective.needs)
            loss, parts = objective(batch, counts)
            loss.backward()
            total += loss.item()
            for name, part in parts.items():
                assert not part.requires_grad
                logged[name] += part.item()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.student.parameters()]
        return total, torch.cat([gradient.flatten() for gradient in gradients]), logged


@pytest.fixture
def setting() -> Setting:
    return Setting()


ALL = range(len(PROMPTS_AND_COMPLETIONS))


@pytest.mark.parametrize("split", [[[0, 1, 2], [3, 4, 5]], [[5], [0, 1, 2, 3, 4]], [[3, 0], [1], [5, 2, 4]],
                                   [[i] for i in ALL]], ids=["halves", "uneven", "shuffled", "single"])  # fmt: skip
def test_any_split_into_micro_batches_gives_the_same_step(setting: Setting, split: list[list[int]]) -> None:
    loss, gradient, logged = setting.step(setting.batch(ALL))
    assert gradient.norm() > 0.1
    split_loss, split_gradient, split_logged = setting.step(*map(setting.batch, split))
    assert split_loss == pytest.approx(loss, rel=1e-5)
    assert split_logged == pytest.approx(logged, rel=1e-5)
    torch.testing.assert_close(split_gradient, gradient, rtol=1e-5, atol=1e-7)


def test_a_repeated_batch_changes_nothing(setting: Setting) -> None:
    """Pitfall 1."""
    loss, gradient, _ = setting.step(setting.batch(ALL))
    twice, twice_gradient, _ = setting.step(setting.batch(ALL), setting.batch(ALL))
    assert twice == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(twice_gradient, gradient, rtol=1e-5, atol=1e-7)


def test_prompts_of_different_length_lose_no_token(setting: Setting) -> None:
    """Pitfall 6: with each row's own number of tokens the loss is that of the rows alone, put together."""
    terms = (WeightedTerm("forward", TokenTerm(FORWARD)),)
    rows = [0, 3]
    together, _, _ = setting.step(setting.batch(rows), terms=terms)
    alone = [setting.step(setting.batch([row]), terms=terms)[0] for row in rows]
    tokens = [PROMPTS_AND_COMPLETIONS[row][1] for row in rows]
    assert together == pytest.approx(np.average(alone, weights=tokens), rel=1e-6)


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_changes_nothing(setting: Setting, side: str) -> None:
    """Pitfall 7."""
    loss, gradient, logged = setting.step(setting.batch(ALL))
    batch = setting.batch(ALL, pad_left=side == "left")
    for name, tensor in batch["student"].items():
        batch["student"][name] = torch.nn.functional.pad(tensor, (4, 0) if side == "left" else (0, 4))
    fills = {"labels_BT": UNLABELLED, "returns_BT": 0}
    for name, fill in fills.items():
        padded = torch.nn.functional.pad(batch[name], (4, 0) if side == "left" else (0, 4), value=fill)  # type: ignore[literal-required]
        batch[name] = padded  # type: ignore[literal-required]
    other_loss, other_gradient, other_logged = setting.step(batch)
    assert other_loss == pytest.approx(loss, rel=1e-6)
    assert other_logged == pytest.approx(logged, rel=1e-6)
    torch.testing.assert_close(other_gradient, gradient, rtol=1e-5, atol=1e-7)


def test_the_loss_is_the_weighted_sum_of_what_dense_logits_say(setting: Setting) -> None:
    batch = setting.batch(ALL)
    loss, gradient, logged = setting.step(batch)
    supervised_BT = supervised_positions(batch)
    labels_S = batch["labels_BT"][supervised_BT]
    setting.student.zero_grad(set_to_none=True)
    log_q_SV = setting.student(**batch["student"]).logits[supervised_BT].log_softmax(-1)
    with torch.no_grad():
        log_p_SV = setting.teacher.model(**batch["student"]).logits[supervised_BT].log_softmax(-1)
    row_S = supervised_BT.nonzero()[:, 0]
    nll_S = -log_q_SV.gather(1, labels_S[:, None])[:, 0]
    reverse_S = (log_q_SV.exp() * (log_q_SV - log_p_SV)).sum(-1)
    policy_S = batch["returns_BT"][supervised_BT] * nll_S

    def of(values_S: Tensor, row: int) -> Tensor:
        return values_S[row_S == row]

    expected = {
        "forward": (log_p_SV.exp() * (log_p_SV - log_q_SV)).sum(-1).mean(),
        "reverse": (of(reverse_S, 1).mean() + of(reverse_S, 3).mean()) / 2,
        "labels": torch.cat([of(nll_S, row) for row in (0, 2, 5)]).mean(),
        "policy": (of(policy_S, 1).sum() + of(policy_S, 3).sum()) / 2,
    }
    assert logged == pytest.approx({f"term/{name}": value.item() for name, value in expected.items()}, rel=1e-5)
    total = torch.stack([term.weight * expected[term.name] for term in TERMS]).sum()
    assert loss == pytest.approx(total.item(), rel=1e-5)
    total.backward()
    own = torch.cat([p.grad.flatten() for p in setting.student.parameters()])
    torch.testing.assert_close(gradient, own, rtol=1e-5, atol=1e-7)


def test_taid_is_a_step_towards_a_target_between_both_models(setting: Setting) -> None:
    """Against logits of all positions in float64, with the share that the objective has reached."""
    terms = build_recipe("taid", {"start": 0.3, "step_size": 0.5}, "generation").stages[0].terms[:1]
    terms = bind_terms(terms, shapes(setting.teacher.model, setting.student))
    objective = Objective(setting.student, terms, TokenReadout())
    objective.terms["divergence"].step_end(1.0, 0.2)
    share = objective.terms["divergence"].logged()["teacher_fraction"]
    assert share == pytest.approx(0.3 + 0.7 * 0.2)
    batch = setting.batch(ALL)
    batch["signal"] = setting.teacher.signal(batch, objective.needs)
    setting.student.zero_grad(set_to_none=True)
    loss, parts = objective(batch, objective.count([batch]))
    loss.backward()
    gradient = torch.cat([p.grad.flatten() for p in setting.student.parameters()])

    supervised_BT = supervised_positions(batch)
    setting.student.zero_grad(set_to_none=True)
    student_SV = setting.student(**batch["student"]).logits[supervised_BT]
    with torch.no_grad():
        teacher_SV = setting.teacher.model(**batch["student"]).logits[supervised_BT]
        target_SV = ((1 - share) * student_SV + share * teacher_SV).log_softmax(-1)
    expected = (target_SV.exp() * (target_SV - student_SV.log_softmax(-1))).sum(-1).mean()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert parts["term/divergence"].item() == pytest.approx(expected.item(), rel=1e-6)
    own = torch.cat([p.grad.flatten() for p in setting.student.parameters()])
    torch.testing.assert_close(gradient, own, rtol=1e-5, atol=1e-7)


def without_labels(batch: Batch) -> Batch:
    return {**batch, "labels_BT": torch.full_like(batch["labels_BT"], UNLABELLED)}


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_a_step_without_any_token_has_no_loss_and_a_gradient_of_0(setting: Setting, term: WeightedTerm) -> None:
    """Pitfall 22."""
    loss, gradient, logged = setting.step(without_labels(setting.batch(ALL)), terms=(term,))
    assert loss == 0
    assert logged == {f"term/{term.name}": 0}
    assert (gradient == 0).all()


def test_an_empty_micro_batch_adds_nothing(setting: Setting) -> None:
    """Pitfall 22."""
    loss, gradient, _ = setting.step(setting.batch([0, 1, 2]))
    more, more_gradient, _ = setting.step(without_labels(setting.batch([3, 4])), setting.batch([0, 1, 2]))
    assert more == pytest.approx(loss, rel=1e-6)
    torch.testing.assert_close(more_gradient, gradient, rtol=1e-6, atol=1e-8)


def test_a_term_whose_rows_are_missing_gives_0(setting: Setting) -> None:
    _, gradient, logged = setting.step(setting.batch([0, 2, 5]))  # none by the student
    assert logged["term/reverse"] == logged["term/policy"] == 0
    assert torch.isfinite(gradient).all()


def test_a_log_probability_term_alone_trains(setting: Setting) -> None:
    """As GKD with a reward alone."""
    loss, gradient, _ = setting.step(setting.batch(ALL), terms=(TERMS[3],))
    _, _, logged = setting.step(setting.batch(ALL))
    assert loss == pytest.approx(0.2 * logged["term/policy"], rel=1e-6)
    assert gradient.norm() > 0


def test_a_student_that_is_the_teacher_has_no_divergence(setting: Setting) -> None:
    setting.teacher = LanguageTeacher(make_llama(1, seed=1))
    loss, gradient, _ = setting.step(setting.batch(ALL), terms=TERMS[:2])
    assert loss == pytest.approx(0, abs=1e-12)
    assert gradient.abs().max() < 1e-9


def test_another_teacher_gives_another_gradient(setting: Setting) -> None:
    """Pitfall 25."""
    _, gradient, _ = setting.step(setting.batch(ALL), terms=TERMS[:1])
    setting.teacher = LanguageTeacher(make_llama(2, seed=3))
    _, other, _ = setting.step(setting.batch(ALL), terms=TERMS[:1])
    assert not torch.allclose(gradient, other, rtol=0.1, atol=0.01)


def test_padded_vocabularies_are_cut_to_the_tokens_there_are(setting: Setting) -> None:
    """Pitfall 11: rows of logits behind the tokenizer's last id change nothing."""
    loss, gradient, _ = setting.step(setting.batch(ALL))
    padded_student, padded_teacher = make_llama(1, 1, VOCABULARY + 3), make_llama(2, 2, VOCABULARY + 5)
    for small, large in ((setting.student, padded_student), (setting.teacher.model, padded_teacher)):
        large.load_state_dict(
            {name: grown(tensor, large.state_dict()[name]) for name, tensor in small.state_dict().items()}
        )
    setting.student, setting.teacher = padded_student, LanguageTeacher(padded_teacher, VOCABULARY)
    padded_loss, padded_gradient, _ = setting.step(setting.batch(ALL), vocabulary=VOCABULARY)
    assert padded_loss == pytest.approx(loss, rel=1e-6)
    assert float(padded_gradient.norm()) == pytest.approx(float(gradient.norm()), rel=1e-6)


def grown(tensor: Tensor, large: Tensor) -> Tensor:
    return torch.cat([tensor, large[len(tensor) :]]) if tensor.shape != large.shape else tensor


# Whole texts: LM-2 of section 0.4, where all texts can be enumerated.


@pytest.mark.parametrize(
    ("kind", "source", "expected"),
    [
        ("forward_kl", "p", 0.610598),
        ("reverse_kl", "q", 0.947482),
        ("reverse_cross_entropy", "q", 2.990628),
        ("total_variation", "p", 0.688366),
        ("total_variation", "q", 0.824081),
    ],
)
def test_divergences_of_whole_texts(lm2: Any, kind: Any, source: str, expected: float) -> None:
    """KL of either direction decomposes exactly over tokens; total variation is bounded (sections 0.4 and 7)."""
    share_N = lm2.p_N if source == "p" else lm2.q_N
    assert lm2.expected(divergence(kind), share_N).item() == pytest.approx(expected, abs=5e-7)


def test_the_forward_and_reverse_kl_are_those_of_the_texts(lm2: Any) -> None:
    p_N, q_N = lm2.p_N, lm2.q_N
    kl, reverse = (p_N * (p_N / q_N).log()).sum().item(), (q_N * (q_N / p_N).log()).sum().item()
    assert lm2.expected(divergence("forward_kl"), p_N).item() == pytest.approx(kl, rel=1e-9)
    assert lm2.expected(divergence("reverse_kl"), q_N).item() == pytest.approx(reverse, rel=1e-9)


def test_whole_texts_against_sums_over_their_tokens(lm2: Any) -> None:
    """Section 0.4: total variation of texts is below each bound; ENGINE's loss is the reverse KL and an entropy."""
    p_N, q_N = lm2.p_N, lm2.q_N
    variation = 0.5 * (p_N - q_N).abs().sum().item()
    assert variation == pytest.approx(0.462603, abs=5e-7)
    for share_N in (p_N, q_N):
        assert lm2.expected(divergence("total_variation"), share_N).item() > variation
    entropy, engine = (-(q_N * log_N).sum().item() for log_N in (q_N.log(), p_N.log()))
    assert (entropy, engine) == pytest.approx((2.043146, 2.990628), abs=5e-7)
    assert lm2.expected(divergence("reverse_kl"), q_N).item() + entropy == pytest.approx(engine, rel=1e-9)
    m_N = (p_N + q_N) / 2
    exact = sum((side_N * (side_N / m_N).log()).sum().item() / 2 for side_N in (p_N, q_N))
    assert exact == pytest.approx(0.164192, abs=5e-7)
    # Of conditionals that are averaged it is another number, as section 7 says of f-DISTILL's.
    halves = [lm2.expected(divergence("jensen_shannon"), share_N).item() for share_N in (p_N, q_N)]
    assert all(abs(half - exact) > 0.01 for half in halves)


@pytest.mark.parametrize(("variant", "expected"), [("kl", 0.610598), ("rkl", 0.947482), ("js", 0.176039),
                                                   ("tvd", 0.756223)])  # fmt: skip
def test_f_distill_is_half_on_the_teachers_and_half_on_the_students_texts(
    lm2: Any, variant: str, expected: float
) -> None:
    """Section 7; its JS with the mixture of conditionals is .176039 (that of whole texts is .164192)."""
    (stage,) = build_recipe("f_distill", {"variant": variant, "pre_distillation_fraction": 0}, "generation").stages
    sums = tuple(WeightedTerm(t.name, summed(t.term), t.weight) for t in stage.terms)
    found = lm2.expected(sums, lm2.p_N, source=CompletionSource.TEACHER) + lm2.expected(sums, lm2.q_N)
    assert found.item() == pytest.approx(expected, abs=5e-7)


def summed(term: Any) -> TokenTerm:
    return TokenTerm(term.loss, reduction="sum_per_sequence", sources=term.sources)


def test_seqkd(lm2: Any) -> None:
    """Section 2: on the teacher's mode, and in expectation over its samples, where it is KL + H(P)."""
    (stage,) = build_recipe("seqkd", {}, "generation").stages
    terms = tuple(WeightedTerm(t.name, summed(t.term), t.weight) for t in stage.terms if t.weight)
    mode_N = torch.zeros(9, dtype=torch.float64)
    mode_N[lm2.sequences.index((0, 0))] = 1
    assert int(lm2.p_N.argmax()) == lm2.sequences.index((0, 0))
    assert lm2.expected(terms, mode_N).item() == pytest.approx(2.392989, abs=5e-7)
    assert lm2.expected(terms, lm2.p_N).item() == pytest.approx(2.385300, abs=5e-7)
    entropy = -(lm2.p_N * lm2.p_N.log()).sum().item()
    assert entropy == pytest.approx(1.774701, abs=5e-7)
    assert lm2.expected(divergence("forward_kl"), lm2.p_N).item() == pytest.approx(2.385300 - entropy, abs=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 0.5])
@pytest.mark.parametrize("kind", ["skew_forward_kl", "skew_reverse_kl"])
def test_skew_divergences_of_texts_are_bounded(lm2: Any, kind: Any, alpha: float) -> None:
    """Section 6: at most ``-log alpha`` at each of the two tokens."""
    value = lm2.expected(divergence(kind, alpha=alpha), lm2.q_N).item()
    assert 0 < value < -2 * math.log(alpha)


def test_on_policy_gkd_with_the_reverse_kl_is_minillms_single_step_part(lm2: Any) -> None:
    """Section 9: no gradient through sampling, so it is not yet the gradient of KL(Q || P)."""
    gradient_IV = lm2.gradient(lm2.expected(divergence("jensen_shannon", beta=1.0), lm2.q_N))
    single_IV = lm2.gradient(lm2.expected(divergence("reverse_kl"), lm2.q_N))
    torch.testing.assert_close(gradient_IV, single_IV)
    assert float(gradient_IV.norm()) == pytest.approx(0.590299, abs=5e-7)


def test_gkds_sequence_mean_is_half_the_sum_over_texts_of_two_tokens(lm2: Any) -> None:
    (stage,) = build_recipe(
        "gkd", {"fine_tune_fraction": 0, "on_policy_fraction": 1.0, "beta": 1.0}, "generation"
    ).stages
    mean = lm2.expected(stage.terms, lm2.q_N).item()
    assert mean == pytest.approx(0.947482 / 2, abs=5e-7)
