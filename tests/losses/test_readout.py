"""Every kind of student has the same step for every split, padding and order, and logs the metrics that it should."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.attribution import AttributionDistance
from limbeck.losses.hints.attention import AttentionMSE
from limbeck.losses.hints.hidden import HiddenStates, LastHiddenCosine, PatientHints
from limbeck.losses.hints.relations import AttentionRelation
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL, TeacherCrossEntropy
from limbeck.losses.objective import Objective
from limbeck.losses.readout import ClassReadout, LabelReadout, Readout, TagReadout, TokenReadout, ValueReadout
from limbeck.losses.targets import BinaryCrossEntropy, BinaryKL, SquaredError
from limbeck.losses.term import Term, WeightedTerm, bind_terms
from limbeck.losses.tokens import TokenTerm
from limbeck.models.layers import shapes
from limbeck.numerics.token_losses import LabelLoss, TokenDivergence
from limbeck.teachers.local import LocalTeacher
from limbeck.types import UNLABELLED, Batch

ROWS, OUTPUTS = 10, 3
HINTS: tuple[Term, ...] = (
    LastHiddenCosine(),
    PatientHints(),
    HiddenStates("nearest", layer_norm=True, projected=True),
    HiddenStates(over_layers="sum"),
    HiddenStates(over_layers="sum", projected=True, bias=True, embeddings=True, own_embedding_map=True),
    AttentionMSE(),
    AttentionRelation("query", "key"),
    AttentionRelation("value", "value", 8, teacher_layer=3),
)


class Kind(NamedTuple):
    readout: Readout
    terms: tuple[Term, ...]
    metrics: tuple[str, str]
    """Beside the teacher and beside gold."""


SHARES = "agreement", "accuracy"
KINDS = {
    "classes": Kind(
        ClassReadout(),
        (LabelCrossEntropy(), ForwardKL(2.0), TeacherCrossEntropy(), *HINTS, AttributionDistance(2, 5)),
        SHARES,
    ),
    "tags": Kind(TagReadout(), (LabelCrossEntropy(), ForwardKL(2.0), TeacherCrossEntropy(True), *HINTS), SHARES),
    "values": Kind(
        ValueReadout(),
        (SquaredError(), SquaredError("teacher"), *HINTS, AttributionDistance(output="values")),
        ("distance_to_teacher", "absolute_error"),
    ),
    "labels": Kind(
        LabelReadout(), (BinaryCrossEntropy(), BinaryKL(2.0), *HINTS, AttributionDistance(output="labels")), SHARES
    ),
}
EVERY = pytest.mark.parametrize("name", KINDS)


def tiny(name: str, layers: int, seed: int, scale: float = 1.0) -> Any:
    from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, num_labels=OUTPUTS, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        initializer_range=0.3,
    )  # fmt: skip
    model = (BertForTokenClassification if name == "tags" else BertForSequenceClassification)(config).double()
    with torch.no_grad():
        model.classifier.weight *= scale
    return model


class Setting:
    """A student, its teacher and rows of one kind, and one optimiser step over any split of them."""

    def __init__(self, name: str, make_task: Callable[..., Any]) -> None:
        self.kind, self.task = KINDS[name], make_task(ROWS)
        self.name, self.student, self.teacher = name, tiny(name, 2, seed=1), tiny(name, 4, seed=2, scale=4.0)
        weights = (1.0, 0.7, 2.0, 0.3, 1.5, 0.6, 0.8, 0.9, 0.4, 1.1, 0.5, 1.2)
        terms = tuple(WeightedTerm(f"term{i}", t, weights[i]) for i, t in enumerate(self.kind.terms))
        self.terms = bind_terms(terms, shapes(self.teacher, self.student))
        for t in self.terms:
            if (module := t.term.module()) is not None:
                module.double()
        rng = np.random.default_rng(5)
        self.targets = torch.from_numpy(rng.integers(0, 2, (ROWS, OUTPUTS)) + (name == "values") * rng.random(OUTPUTS))
        self.targets = self.targets.double()
        self.targets[2], self.targets[5, 1] = math.nan, math.nan
        self.tags = rng.integers(0, OUTPUTS, (ROWS, 40))
        self.words = rng.random((ROWS, 40)) < 0.6

    def batch(self, rows: Sequence[int], more: int = 0) -> Batch:
        batch: Batch = self.task.batch(rows)
        for side in ("student", "teacher"):
            batch[side] = {n: torch.nn.functional.pad(x, (0, more)) for n, x in batch[side].items()}  # type: ignore[literal-required]
        if self.name in ("values", "labels"):
            batch["targets_BC"] = self.targets[list(rows)]
        if self.name == "tags":
            read_BT = batch["student"]["attention_mask"].bool()
            batch["words_BT"] = torch.from_numpy(self.words[list(rows), : read_BT.shape[1]]) & read_BT
            tags_BT = torch.from_numpy(self.tags[list(rows), : read_BT.shape[1]])
            bare_B1 = (batch["rows_B"] % 4 == 1)[:, None]  # rows without any gold tag
            batch["labels_BT"] = tags_BT.masked_fill(~batch["words_BT"] | bare_B1, UNLABELLED)
        return batch

    def step(self, batches: Sequence[Batch]) -> tuple[float, Tensor, dict[str, float]]:
        objective = Objective(self.student, self.terms, self.kind.readout)
        objective.zero_grad(set_to_none=True)
        counts, total, logged = objective.count(batches), 0.0, dict[str, float]()
        for batch in batches:
            batch["signal"] = LocalTeacher(self.teacher).signal(batch, objective.needs)
            loss, parts = objective(batch, counts)
            loss.backward()
            total += loss.item()
            logged = {key: logged.get(key, 0.0) + part.item() for key, part in parts.items()}
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in objective.parameters()]
        return total, torch.cat([g.flatten() for g in gradients]), logged


@pytest.fixture
def setting(name: str, make_task: Callable[..., Any]) -> Setting:
    return Setting(name, make_task)


@EVERY
def test_any_split_order_and_padding_gives_the_same_step(setting: Setting) -> None:
    loss, gradient, logged = setting.step([setting.batch(range(ROWS))])
    assert gradient.abs().max() > 1e-2
    assert all(value != 0 for key, value in logged.items() if key.startswith("term"))
    for split in ([range(3), [3], range(4, ROWS)], [[row] for row in range(ROWS)], [range(ROWS)[::-1]]):
        other, other_gradient, other_logged = setting.step([setting.batch(list(rows), more=2) for rows in split])
        assert other == pytest.approx(loss, rel=1e-6)
        assert other_logged == pytest.approx(logged, rel=1e-6)
        torch.testing.assert_close(other_gradient, gradient, rtol=1e-6, atol=1e-9)


@EVERY
def test_terms_on_logits_and_what_is_watched_are_means_over_what_there_is(setting: Setting) -> None:
    batch = setting.batch(range(ROWS))
    _, _, logged = setting.step([batch])
    own, other = (m.eval()(**batch["student"]).logits.detach() for m in (setting.student, setting.teacher))
    if setting.name in ("classes", "tags"):
        gold = batch["labels_BT" if setting.name == "tags" else "labels_B"]
        everything = batch["words_BT"] if setting.name == "tags" else torch.ones(ROWS, dtype=torch.bool)
        said = gold != UNLABELLED
        assert 0 < said.sum() < everything.sum()
        right = own.argmax(-1)
        expected = {
            "term/term0": torch.nn.functional.cross_entropy(own[said], gold[said]),
            "term/term1": 4 * torch.nn.functional.kl_div(
                (own[everything] / 2).log_softmax(-1), (other[everything] / 2).log_softmax(-1),
                log_target=True, reduction="batchmean",
            ),
            "train/agreement": (right == other.argmax(-1))[everything].double().mean(),
            "train/accuracy": (right == gold)[said].double().mean(),
        }  # fmt: skip
    else:
        said = ~torch.isnan(setting.targets)
        rows = said.any(-1)
        gold, weights = setting.targets.nan_to_num(), said / said.sum(-1, keepdim=True).clamp(min=1)
        if setting.name == "values":
            each, beside = (own - gold).square(), (own - other).square().mean()
            compared = (own - other).abs().mean(), (own - gold)[said].abs().mean()
        else:
            each = torch.nn.functional.binary_cross_entropy_with_logits(own, gold, reduction="none")
            p, q = ((z / 2).sigmoid() for z in (other, own))
            beside = 4 * (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()
            compared = ((own > 0) == (other > 0)).double().mean(), ((own > 0) == (gold > 0.5))[said].double().mean()
        expected = {"term/term0": (each * weights).sum(-1)[rows].mean(), "term/term1": beside}
        expected |= {f"train/{key}": value for key, value in zip(setting.kind.metrics, compared, strict=True)}
    for key, value in expected.items():
        assert logged[key] == pytest.approx(value.item(), rel=1e-5), key


@EVERY
def test_a_step_without_gold_gives_0_for_it_and_goes_on(setting: Setting) -> None:
    batch = setting.batch(range(ROWS))
    batch["labels_B"].fill_(UNLABELLED)
    if "labels_BT" in batch:
        batch["labels_BT"].fill_(UNLABELLED)
    if "targets_BC" in batch:
        batch["targets_BC"].fill_(math.nan)
    loss, gradient, logged = setting.step([batch])
    assert logged["term/term0"] == 0
    assert math.isfinite(loss)
    assert gradient.isfinite().all()


def test_a_term_that_does_not_suit_the_student_is_refused_by_name() -> None:
    for readout, term in ((TokenReadout(), TeacherCrossEntropy()), (ClassReadout(), TokenTerm(LabelLoss()))):
        with pytest.raises(ConfigError, match=rf"the term 'wrong' \({type(term).__name__}\) reads .*, but this"):
            Objective(torch.nn.Identity(), (WeightedTerm("wrong", term),), readout)


@pytest.mark.parametrize(
    ("readout", "gold", "soft"),
    [
        (ClassReadout(), LabelCrossEntropy(), ForwardKL(3.0)),
        (TagReadout(), LabelCrossEntropy(), ForwardKL(3.0)),
        (TokenReadout(), LabelCrossEntropy(), ForwardKL(3.0)),
        (LabelReadout(), BinaryCrossEntropy(), BinaryKL(3.0)),
        (ValueReadout(), SquaredError(), SquaredError("teacher")),
    ],
    ids=lambda value: getattr(value, "output", None),
)
def test_gold_labels_and_soft_targets_are_asked_of_every_kind_of_student(
    readout: Readout, gold: Term, soft: Term
) -> None:
    assert (LabelCrossEntropy().of(readout.output), ForwardKL(3.0).of(readout.output)) == (gold, soft)
    assert all(readout.output in term.suits for term in (LabelCrossEntropy(), ForwardKL(), gold, soft))


def test_gold_labels_and_soft_targets_of_tokens_are_the_losses_of_tokens() -> None:
    assert LabelCrossEntropy().token_loss == LabelLoss()
    assert ForwardKL(3.0).token_loss == TokenDivergence("forward_kl", loss_temperature=3.0)
    batch: Batch = {"labels_BT": torch.tensor([[UNLABELLED, 3, 0]]), "rows_B": torch.tensor([7])}
    for term in (LabelCrossEntropy(), ForwardKL()):
        assert term.mask(batch).tolist() == [[False, True, True]]
        assert not term.by_row
