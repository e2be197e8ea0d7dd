"""Terms of mixtures: against labels and logits mixed by hand, for every kind of output and every split."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL, LogitDistance
from limbeck.losses.mixup import MixedLabels, MixedTargets
from limbeck.losses.objective import Objective
from limbeck.losses.readout import ClassReadout, LabelReadout, TagReadout, ValueReadout
from limbeck.losses.term import Term, WeightedTerm
from limbeck.sequences.mixing import MixedPairs
from limbeck.teachers.local import LocalTeacher
from limbeck.types import UNLABELLED, Batch, Mixup, Needs, Signal

Make = Callable[..., Any]
MIX = Mixup()
ROWS = 8
PARTNERS, SHARES = torch.tensor([1, 0, 3, 2]), torch.tensor([0.3, 0.6, 1.0, 0.0], dtype=torch.float64)
MIXING = {"partner_B": PARTNERS, "share_B": SHARES}
LOGITS = torch.tensor([[0.3, -1.2, 2.0], [1.0, 1.1, -0.5], [0.0, 2.0, 1.0], [-1.0, 0.0, 0.5]], dtype=torch.float64)
OTHERS = LOGITS.flip(0) * 1.5


def signal(logits: Tensor) -> Signal:
    return {"logits": torch.full_like(logits, math.nan), "probes": {MIX: logits}}


def test_labels_of_a_mixture_are_those_of_both_rows_by_their_shares() -> None:
    """(.3, .7) for a share of .3; no class wins outright."""
    batch: Batch = {"labels_B": torch.tensor([0, 1, 2, 0]), "mixing": MIXING, "rows_B": torch.arange(4)}
    found = MixedLabels(LabelCrossEntropy()).values(signal(LOGITS), {}, batch)
    one_hot = torch.eye(3, dtype=torch.float64)[batch["labels_B"]]
    mixed = SHARES[:, None] * one_hot + (1 - SHARES[:, None]) * one_hot[PARTNERS]
    assert mixed[0].tolist() == pytest.approx([0.3, 0.7, 0])
    torch.testing.assert_close(found.double(), -(mixed * LOGITS.log_softmax(-1)).sum(-1), atol=1e-6, rtol=1e-6)


def test_rows_without_a_label_or_with_a_partner_without_one_do_not_count() -> None:
    term = MixedLabels(LabelCrossEntropy())
    batch: Batch = {"labels_B": torch.tensor([0, UNLABELLED, 2, 0]), "mixing": MIXING, "rows_B": torch.arange(4)}
    assert term.mask(batch).tolist() == [False, False, True, True]
    assert torch.isfinite(term.values(signal(LOGITS), {}, batch)[2:]).all()
    nan = math.nan
    targets = torch.tensor([[0, 1, 1], [1, nan, 0], [nan, nan, 1], [1, 1, nan]], dtype=torch.float64)
    for_labels = term.of("labels")
    numbers: Batch = {"targets_BC": targets, "mixing": MIXING, "rows_B": torch.arange(4)}
    assert for_labels.mask(numbers).tolist() == [True, True, False, False]


@pytest.mark.parametrize("output", ["values", "labels"])
def test_values_and_labels_are_mixed(output: Any) -> None:
    targets = torch.tensor([[0, 1, 1], [1, 0, 0], [1, 1, 1], [0, 1, 0]], dtype=torch.float64)
    batch: Batch = {"targets_BC": targets, "mixing": MIXING, "rows_B": torch.arange(4)}
    y = SHARES[:, None] * targets + (1 - SHARES[:, None]) * targets[PARTNERS]
    entropy = -(y * torch.nn.functional.logsigmoid(LOGITS) + (1 - y) * torch.nn.functional.logsigmoid(-LOGITS))
    expected = {"values": (LOGITS - y).square().mean(-1), "labels": entropy.mean(-1)}
    found = MixedLabels(LabelCrossEntropy()).of(output).values(signal(LOGITS), {}, batch)
    torch.testing.assert_close(found, expected[output])


def test_tags_are_mixed_where_both_rows_have_one() -> None:
    tags = torch.tensor([[0, 1, UNLABELLED], [2, UNLABELLED, 1]])
    mixing = {"partner_B": torch.tensor([1, 0]), "share_B": torch.tensor([0.25, 1.0], dtype=torch.float64)}
    batch: Batch = {"labels_BT": tags, "words_BT": torch.ones_like(tags).bool(), "mixing": mixing}
    logits = torch.stack([LOGITS[:3], OTHERS[:3]])
    term = MixedLabels(LabelCrossEntropy())
    assert term.mask(batch).tolist() == [[True, False, False], [True, False, False]]
    found, log_probs = term.values(signal(logits), {}, batch), logits.log_softmax(-1)
    expected = [-0.25 * log_probs[0, 0, 0] - 0.75 * log_probs[0, 0, 2], -log_probs[1, 0, 2]]
    assert found[:, 0].tolist() == pytest.approx([x.item() for x in expected])
    assert MixedTargets(LogitDistance()).mask(batch).all()


def test_targets_are_compared_as_of_rows() -> None:
    batch: Batch = {"rows_B": torch.arange(4), "mixing": MIXING}
    found = MixedTargets(LogitDistance()).values(signal(LOGITS), signal(OTHERS), batch)
    torch.testing.assert_close(found, (LOGITS - OTHERS).square().mean(-1))
    soft = MixedTargets(ForwardKL(2.0)).values(signal(LOGITS), signal(OTHERS), batch)
    expected = ForwardKL(2.0).values({"logits": LOGITS}, {"logits": OTHERS}, batch)
    torch.testing.assert_close(soft, expected)


def test_what_they_need() -> None:
    mixed = frozenset({Mixup(0.2)})
    targets, labels = MixedTargets(LogitDistance(), 0.2), MixedLabels(LabelCrossEntropy(), 0.2)
    assert targets.needs == Needs(student_probes=mixed, teacher_probes=mixed, same_tokens=True)
    assert labels.needs == Needs(student_probes=mixed, labels=True)
    assert targets.needs.teacher
    assert not labels.needs.teacher  # mixed labels alone need none
    assert (targets.rows_together, labels.rows_together) == (2, 2)
    with pytest.raises(ConfigError, match="concentration"):
        MixedTargets(LogitDistance(), 0.0)


# Whole models.


def terms(output: Any = "classes") -> tuple[WeightedTerm, ...]:
    every: tuple[Term, ...] = (
        MixedLabels(LabelCrossEntropy()), MixedTargets(LogitDistance()), MixedTargets(ForwardKL(2.0)),
    )  # fmt: skip
    return tuple(WeightedTerm(f"term{i}", term.of(output), weight=1.0 + i) for i, term in enumerate(every))


def step(objective: Objective, teacher: Any, batches: list[Batch]) -> tuple[float, Tensor, dict[str, float]]:
    objective.zero_grad(set_to_none=True)
    counts, total, logged = objective.count(batches), 0.0, dict[str, float]()
    for batch in batches:
        batch["signal"] = LocalTeacher(teacher).signal(batch, objective.needs)
        loss, parts = objective(batch, counts)
        loss.backward()
        total += loss.item()
        logged = {name: logged.get(name, 0.0) + part.item() for name, part in parts.items()}
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in objective.parameters()]
    return total, torch.cat([g.flatten() for g in gradients]), logged


def mixed(batch: Batch, at: int = 3) -> Batch:
    return MixedPairs(0.4, seed=0).write(at, [batch])[0]


KINDS = {"classes": ClassReadout(), "tags": TagReadout(), "values": ValueReadout(), "labels": LabelReadout()}


def models(output: str, make_classifier: Make) -> tuple[Any, Any]:
    made = [make_classifier(layers=layers, seed=layers, scale=8.0).double() for layers in (2, 4)]
    if output == "tags":
        from transformers import BertForTokenClassification

        made = [BertForTokenClassification(model.config).double() for model in made]
        for model in made:
            torch.nn.init.normal_(model.classifier.weight)
    return made[0], made[1]


def batch_of(output: str, task: Any, rows: list[int]) -> Batch:
    batch: Batch = task.batch(rows)
    known = torch.tensor(rows)[:, None] % 5 != 2
    if output in ("values", "labels"):
        targets = ((batch["rows_B"][:, None] + torch.arange(3)) % 2).double()
        batch["targets_BC"] = targets.masked_fill(~known, math.nan)
    if output == "tags":
        read = batch["student"]["attention_mask"].bool()
        batch["words_BT"] = read & (batch["student"]["input_ids"] % 3 > 0)
        gold = batch["words_BT"] & known
        batch["labels_BT"] = (batch["student"]["input_ids"] % 3).masked_fill(~gold, UNLABELLED)
    return mixed(batch)


@pytest.mark.parametrize("output", KINDS)
def test_any_split_of_whole_pairs_gives_the_same_step(output: str, make_classifier: Make, make_task: Make) -> None:
    task, (student, teacher) = make_task(ROWS, labelled=1.0), models(output, make_classifier)
    objective = Objective(student, terms(output), KINDS[output])
    expected = step(objective, teacher, [batch_of(output, task, list(range(ROWS)))])
    assert all(expected[2][f"term/term{i}"] > 0 for i in range(3))
    for split in ([[0, 1], [2, 3, 4, 5], [6, 7]], [[6, 7, 2, 3], [0, 1, 4, 5]], [[1, 0], [3, 2], [5, 4], [7, 6]]):
        found = step(objective, teacher, [batch_of(output, task, rows) for rows in split])
        assert found[0] == pytest.approx(expected[0], rel=1e-6)
        torch.testing.assert_close(found[1], expected[1], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("output", KINDS)
def test_equal_models_agree_about_every_mixture(output: str, make_classifier: Make, make_task: Make) -> None:
    student, _ = models(output, make_classifier)
    objective = Objective(student, terms(output)[1:], KINDS[output])

    _, gradient, logged = step(
        objective, copy.deepcopy(student), [batch_of(output, make_task(ROWS), list(range(ROWS)))]
    )
    assert max(abs(logged[f"term/term{i}"]) for i in (1, 2)) < 1e-12
    assert gradient.abs().max() < 1e-10


def test_with_itself_or_a_share_of_1_it_is_the_loss_of_rows(make_classifier: Make, make_task: Make) -> None:
    student, teacher = models("classes", make_classifier)
    task, clean = make_task(ROWS, labelled=1.0), (LabelCrossEntropy(), LogitDistance(), ForwardKL(2.0))
    task.labels[0] = 2
    of_rows = tuple(WeightedTerm(f"term{i}", term, weight=1.0 + i) for i, term in enumerate(clean))
    batch = task.batch(range(ROWS))
    expected = step(Objective(student, of_rows), teacher, [batch])
    ones, halves = torch.ones(ROWS), torch.full((ROWS,), 0.5)
    for partner, share in ((torch.arange(ROWS), halves), (torch.arange(ROWS) ^ 1, ones)):
        batch["mixing"] = {"partner_B": partner, "share_B": share}
        found = step(Objective(student, terms()), teacher, [batch])
        assert found[0] == pytest.approx(expected[0], rel=1e-6)
        torch.testing.assert_close(found[1], expected[1], atol=1e-6, rtol=1e-5)


def test_each_model_mixes_its_own_embeddings_by_the_same_share(make_classifier: Make, make_task: Make) -> None:
    """A teacher with other embeddings is not asked about the student's."""
    student, teacher = models("classes", make_classifier)
    batch = batch_of("classes", make_task(ROWS), list(range(ROWS)))
    objective = Objective(student, terms())
    signal = LocalTeacher(teacher).signal(batch, objective.needs)
    words, mask = teacher.bert.embeddings.word_embeddings, batch["teacher"]["attention_mask"]
    own, share = words(batch["teacher"]["input_ids"]) * mask[..., None], batch["mixing"]["share_B"].double()
    partner = batch["mixing"]["partner_B"]
    given = share[:, None, None] * own + (1 - share)[:, None, None] * own[partner]
    types = torch.where(mask.bool(), batch["teacher"]["token_type_ids"], batch["teacher"]["token_type_ids"][partner])
    expected = teacher(inputs_embeds=given, attention_mask=mask | mask[partner], token_type_ids=types).logits
    torch.testing.assert_close(signal["probes"][MIX], expected, atol=1e-6, rtol=1e-6)
    assert not signal["probes"][MIX].requires_grad
