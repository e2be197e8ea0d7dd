"""A step of masked language modelling: what its terms are means over, against plain formulas in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.masked_lm.masked_models import make_model, make_tokenizer, texts
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, kl_div

from limbeck.data.generation.records import Example, Examples
from limbeck.data.generation.task import Generation
from limbeck.data.masked.encode import MaskedTexts, encode_texts
from limbeck.data.masked.task import MaskedLM
from limbeck.losses.objective import Objective
from limbeck.losses.readout import MaskedReadout
from limbeck.losses.term import bind_terms
from limbeck.models.layers import shapes
from limbeck.recipes.catalogue import build_recipe
from limbeck.teachers.language_model import LanguageTeacher
from limbeck.types import UNLABELLED, Batch, Needs, Origin

ROWS = 10


def encoded() -> MaskedTexts:
    rows = [Example((), text, Origin("rows", i)) for i, text in enumerate(texts(ROWS))]
    return encode_texts(
        Examples(Generation(text="text"), rows, 0, 0, "", ()), MaskedLM(mask_fraction=0.3), make_tokenizer(), 32
    )


def tiny(seed: int, layers: int = 2, **changes: Any) -> Any:
    options = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.4}
    return make_model(seed, num_hidden_layers=layers, **options, **changes).double()


class Setting:
    """A student, its teacher, and one optimiser step of a recipe's stage over any split of the texts."""

    def __init__(self, recipe: str, arguments: dict[str, Any] | None = None, *, student: Any = None) -> None:
        self.teacher = tiny(2, layers=4)
        self.student = tiny(1) if student is None else student
        self.texts = encoded()
        self.stages = build_recipe(recipe, arguments or {}, "masked_lm").stages

    def batch(self, rows: Sequence[int], more: int = 0, *, masks: bool = True) -> Batch:
        batch = self.texts.batch(rows, masks=masks)
        batch["student"] = {n: torch.nn.functional.pad(x, (0, more)) for n, x in batch["student"].items()}
        batch["labels_BT"] = torch.nn.functional.pad(batch["labels_BT"], (0, more), value=UNLABELLED)
        return batch

    def step(self, batches: Sequence[Batch], stage: int = 0) -> tuple[float, Tensor, dict[str, float]]:
        terms = bind_terms(self.stages[stage].terms, shapes(self.teacher, self.student))
        for term in terms:
            if (module := term.term.module()) is not None:
                module.double()
        objective = Objective(self.student, terms, MaskedReadout())
        objective.zero_grad(set_to_none=True)
        counts, total, logged = objective.count(batches), 0.0, dict[str, float]()
        for batch in batches:
            if objective.needs.teacher:
                batch["signal"] = LanguageTeacher(self.teacher).signal(batch, objective.needs)
            loss, parts = objective(batch, counts)
            loss.backward()
            total += loss.item()
            logged = {key: logged.get(key, 0.0) + part.item() for key, part in parts.items()}
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in objective.parameters()]
        return total, torch.cat([g.flatten() for g in gradients]), logged


EVERY = pytest.mark.parametrize(
    ("recipe", "arguments"),
    [
        ("fine_tune", {}),
        ("kd", {}),
        ("distilbert", {}),
        ("distilbert", {"soft_targets_at": "masks"}),
        ("tinybert", {}),
        ("minilm", {}),
        ("minilm_v2", {}),
    ],
    ids=str,
)


@EVERY
def test_any_split_order_and_padding_gives_the_same_step(recipe: str, arguments: dict[str, Any]) -> None:
    setting = Setting(recipe, arguments)
    for number, stage in enumerate(setting.stages):
        masks = not stage.only_hints
        loss, gradient, logged = setting.step([setting.batch(range(ROWS), masks=masks)], number)
        assert gradient.abs().max() > 1e-2
        assert all(value != 0 for value in logged.values())
        for split in ([range(3), [3], range(4, ROWS)], [[row] for row in range(ROWS)], [range(ROWS)[::-1]]):
            batches = [setting.batch(list(rows), more=2, masks=masks) for rows in split]
            other, other_gradient, other_logged = setting.step(batches, number)
            assert other == pytest.approx(loss, rel=1e-6)
            assert other_logged == pytest.approx(logged, rel=1e-6)
            torch.testing.assert_close(other_gradient, gradient, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("at", ["all", "masks"])
def test_distilbert_is_its_formula(at: str) -> None:
    """``5 T^2 KL`` over all tokens or masked ones, ``2 CE`` over masked ones, and the cosine over all tokens."""
    setting = Setting("distilbert", {"soft_targets_at": at})
    batch = setting.batch(range(ROWS), more=1)
    loss, gradient, logged = setting.step([batch])
    read_BT, masked_BT = batch["student"]["attention_mask"].bool(), batch["labels_BT"] != UNLABELLED
    assert 0 < masked_BT.sum() < read_BT.sum() < read_BT.numel()
    outputs = {
        name: model.eval()(**batch["student"], output_hidden_states=True)
        for name, model in (("student", setting.student), ("teacher", setting.teacher))
    }
    own, other = (outputs[name].logits for name in ("student", "teacher"))
    compared_BT = read_BT if at == "all" else masked_BT
    soft = 4 * kl_div(
        (own[compared_BT] / 2).log_softmax(-1), (other[compared_BT].detach() / 2).log_softmax(-1),
        log_target=True, reduction="batchmean",
    )  # fmt: skip
    gold = cross_entropy(own[masked_BT], batch["labels_BT"][masked_BT])
    states = [outputs[name].hidden_states[-1][read_BT] for name in ("student", "teacher")]
    cosine = (1 - cosine_similarity(states[0], states[1].detach(), dim=-1)).mean()
    expected = {"term/soft_targets": soft, "term/labels": gold, "term/cosine": cosine}
    assert logged == pytest.approx({name: value.item() for name, value in expected.items()}, rel=1e-6)
    assert loss == pytest.approx((5 * soft + 2 * gold + cosine).item(), rel=1e-6)
    setting.student.zero_grad()
    (5 * soft + 2 * gold + cosine).backward()
    plain = [torch.zeros_like(p) if p.grad is None else p.grad for p in setting.student.parameters()]
    torch.testing.assert_close(gradient, torch.cat([g.flatten() for g in plain]), rtol=1e-6, atol=1e-7)


def test_kd_and_fine_tune_look_at_masks_alone() -> None:
    kd, plain = Setting("kd", {"label_weight": 0.3}), Setting("fine_tune")
    batch = kd.batch(range(ROWS))
    masked_BT = batch["labels_BT"] != UNLABELLED
    own, other = (m.eval()(**batch["student"]).logits.detach()[masked_BT] for m in (kd.student, kd.teacher))
    gold = cross_entropy(own, batch["labels_BT"][masked_BT]).item()
    soft = (
        4
        * kl_div((own / 2).log_softmax(-1), (other / 2).log_softmax(-1), log_target=True, reduction="batchmean").item()
    )
    assert kd.step([batch])[0] == pytest.approx(0.7 * soft + 0.3 * gold, rel=1e-6)
    assert plain.step([plain.batch(range(ROWS))])[0] == pytest.approx(gold, rel=1e-6)


def test_a_student_that_is_its_teacher_has_nothing_to_imitate() -> None:
    for recipe in ("distilbert", "kd"):
        setting = Setting(recipe, {"label_weight": 0.0}, student=tiny(2, layers=4))
        loss, gradient, _ = setting.step([setting.batch(range(ROWS))])
        assert loss == pytest.approx(0, abs=1e-9)
        assert gradient.abs().max() < 1e-9


def test_whole_texts_have_nothing_to_predict_and_states_to_imitate() -> None:
    setting = Setting("minilm_v2")
    batch = setting.batch(range(ROWS), masks=False)
    assert (batch["labels_BT"] == UNLABELLED).all()
    assert not (batch["student"]["input_ids"] == make_tokenizer().mask_token_id).any()
    loss, _, logged = setting.step([batch])
    assert loss > 0
    assert logged.keys() == {"term/queries", "term/keys", "term/values"}


def test_teacher_and_student_are_compared_at_the_same_positions() -> None:
    setting = Setting("distilbert")
    batch = setting.batch(range(ROWS), more=3)
    masked, read = int((batch["labels_BT"] != UNLABELLED).sum()), int(batch["student"]["attention_mask"].sum())
    for needs, rows in ((Needs(logits=True), masked), (Needs(logits=True, everywhere=True), read)):
        assert LanguageTeacher(setting.teacher).signal(batch, needs)["tokens"].rows == rows
        assert MaskedReadout().run(setting.student, batch, needs)["tokens"].rows == rows


def test_masks_of_a_pass_are_those_of_its_number() -> None:
    both = encoded()
    first, second = (both.batch(np.arange(ROWS) + turn * ROWS) for turn in (0, 1))
    assert (first["student"]["attention_mask"] == second["student"]["attention_mask"]).all()
    assert not torch.equal(first["labels_BT"], second["labels_BT"])
    alone = both.batch([3 + ROWS])
    length = int(alone["student"]["attention_mask"].sum())
    assert torch.equal(alone["student"]["input_ids"][0], second["student"]["input_ids"][3, :length])
    others = [both.read_by("student", 0), both.read_by("student", 5), both.read_by("teacher", 0)]
    drawn = {tuple(one.batch(range(ROWS))["labels_BT"].flatten().tolist()) for one in [both, *others]}
    assert len(drawn) == 4
