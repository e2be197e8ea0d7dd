"""TinyBERT against its equations, term by term in float64, for an encoder and a decoder."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.hints.attention import AttentionMSE
from limbeck.losses.hints.hidden import HiddenStates
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.objective import Objective
from limbeck.losses.readout import TokenReadout
from limbeck.losses.targets import BinaryKL, SquaredError
from limbeck.losses.term import Term, bind_terms
from limbeck.models.layers import shapes
from limbeck.recipes.catalogue import build_recipe
from limbeck.recipes.tinybert import tinybert
from limbeck.stages.stage import Training
from limbeck.teachers.local import LocalTeacher
from limbeck.types import Batch, Shapes

LENGTHS = (6, 3, 4)
HIDDEN = HiddenStates(over_layers="sum", projected=True, bias=True, embeddings=True)
BOTH = pytest.mark.parametrize("kind", ["bert", "llama"])


def tiny(kind: str, layers: int, width: int, seed: int) -> Any:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        kind, vocab_size=30, hidden_size=width, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=16,
        initializer_range=0.4, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=0, num_labels=3,
    )  # fmt: skip
    return AutoModelForSequenceClassification.from_config(config).double()


def batch_of(more: int = 0) -> Batch:
    mask = (torch.arange(max(LENGTHS) + more) < torch.tensor(LENGTHS)[:, None]).long()
    ids = 3 + (torch.arange(mask.shape[1]) + torch.tensor([[0], [7], [11]])) % 20
    inputs = {"input_ids": ids * mask, "attention_mask": mask}
    rows = torch.arange(len(LENGTHS))
    return {"student": inputs, "teacher": inputs, "labels_B": rows % 3, "rows_B": rows}


def objective_of(stage: int, teacher: Any, student: Any, **arguments: Any) -> Objective:
    terms = build_recipe("tinybert", arguments, "classification").stages[stage].terms
    made = Objective(student, bind_terms(terms, shapes(teacher, student)))
    made.term_modules.double()
    torch.manual_seed(9)
    for parameter in made.term_modules.parameters():
        with torch.no_grad():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def step(objective: Objective, teacher: Any, batch: Batch) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    objective.zero_grad()
    batch["signal"] = LocalTeacher(teacher).signal(batch, objective.needs)
    loss, parts = objective(batch, objective.count([batch]))
    loss.backward()
    return loss.detach(), parts, gradient_of(objective)


def gradient_of(objective: Objective) -> Tensor:
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in objective.parameters()])


def inner(model: Any, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
    """Embeddings and the layers' outputs; scores of each layer, from its input by the layer's own weights."""
    body = model.base_model
    layers = body.encoder.layer if hasattr(body, "encoder") else body.layers
    states: list[Tensor] = []
    handles = [layer.register_forward_hook(lambda m, i, o: states.append(o)) for layer in layers]
    hidden = model(**batch["student"], output_hidden_states=True).hidden_states
    for handle in handles:
        handle.remove()
    states = [hidden[0], *states]
    scores = []
    for layer, x in zip(layers, states, strict=False):
        if hasattr(body, "encoder"):
            own = layer.attention.self
            query, key = own.query(x), own.key(x)
        else:
            x = layer.input_layernorm(x)
            query, key = layer.self_attn.q_proj(x), layer.self_attn.k_proj(x)
        query, key = (part.unflatten(-1, (2, -1)).transpose(1, 2) for part in (query, key))
        if not hasattr(body, "encoder"):
            query, key = rotated(query), rotated(key)
        scores.append(query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5)
    return states, scores


def rotated(x: Tensor) -> Tensor:
    """Rotate pairs of components by their positions."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[-2], dtype=torch.float64)[:, None] * 10_000.0 ** -(torch.arange(half) / half)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()], dim=-1)


def visible(kind: str, batch: Batch) -> Tensor:
    """Which keys each query may attend to, ``[B, T, T]``."""
    mask = batch["student"]["attention_mask"].bool()
    seen = mask[:, None, :].expand(-1, mask.shape[1], -1)
    return seen.tril() if kind == "llama" else seen


@BOTH
@pytest.mark.parametrize("embedding_map", ["shared", "own"])
def test_the_first_stage_is_its_equations_in_value_and_gradient(kind: str, embedding_map: str) -> None:
    teacher, student, batch = tiny(kind, 4, 16, 2), tiny(kind, 2, 8, 1), batch_of(more=2)
    objective = objective_of(0, teacher, student, embedding_map=embedding_map)
    loss, parts, gradient = step(objective, teacher, batch)
    maps = list(objective.term_modules.parameters())
    assert len(maps) == (2 if embedding_map == "shared" else 4)
    objective.zero_grad()
    with torch.no_grad():
        states_T, scores_T = inner(teacher, batch)
    states_S, scores_S = inner(student, batch)
    read = batch["student"]["attention_mask"].bool()
    hidden = torch.zeros((), dtype=torch.float64)
    for layer, of_teacher in ((0, 0), (1, 2), (2, 4)):
        weight, bias = maps[-2:] if layer == 0 else maps[:2]
        through = states_S[layer] @ weight.T + bias
        hidden = hidden + (through - states_T[of_teacher])[read].square().mean()
    attention = torch.zeros((), dtype=torch.float64)
    seen = visible(kind, batch)
    for layer, of_teacher in ((1, 2), (2, 4)):
        squares = (scores_S[layer - 1] - scores_T[of_teacher - 1]).square().mean(dim=1)
        by_query = (squares * seen).sum(-1) / seen.sum(-1).clamp(min=1)
        attention = attention + by_query[read].mean()
    assert parts["term/hidden_states"].item() == pytest.approx(hidden.item(), rel=1e-5)
    assert parts["term/attention"].item() == pytest.approx(attention.item(), rel=1e-5)
    assert loss.item() == pytest.approx((hidden + attention).item(), rel=1e-5)
    (hidden + attention).backward()
    assert gradient.abs().max() > 0.1
    torch.testing.assert_close(gradient, gradient_of(objective), rtol=1e-4, atol=1e-5)


@BOTH
def test_padding_changes_neither_stage(kind: str) -> None:
    teacher, student = tiny(kind, 4, 16, 2), tiny(kind, 2, 8, 1)
    for stage in (0, 1):
        objective = objective_of(stage, teacher, student)
        loss, _, gradient = step(objective, teacher, batch_of())
        padded, _, padded_gradient = step(objective, teacher, batch_of(more=5))
        assert padded.item() == pytest.approx(loss.item(), rel=1e-6)
        torch.testing.assert_close(padded_gradient, gradient, rtol=1e-5, atol=1e-6)


@BOTH
def test_a_copy_of_the_teacher_starts_with_all_terms_at_0(kind: str) -> None:
    teacher = tiny(kind, 2, 8, 1)
    student = copy.deepcopy(teacher)
    for stage in tinybert().stages:
        objective = Objective(student, bind_terms(stage.terms, shapes(teacher, student)))
        objective.term_modules.double()
        _, parts, gradient = step(objective, teacher, batch_of())
        assert all(part.abs() < 1e-6 for name, part in parts.items() if name.startswith("term/"))
        assert gradient.abs().max() < 1e-6


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_second_stage_has_the_gradient_of_soft_cross_entropy_without_t_squared(temperature: float) -> None:
    teacher, student, batch = tiny("bert", 4, 16, 2), tiny("bert", 2, 8, 1), batch_of()
    objective = objective_of(1, teacher, student, loss_temperature=temperature)
    _, _, gradient = step(objective, teacher, batch)
    objective.zero_grad()
    with torch.no_grad():
        target = (teacher(**batch["student"]).logits / temperature).softmax(-1)
    log_q = (student(**batch["student"]).logits / temperature).log_softmax(-1)
    (-(target * log_q).sum(-1).mean()).backward()
    assert gradient.abs().max() > 0.01
    torch.testing.assert_close(gradient, gradient_of(objective), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("layers", "of", "expected"),
    [
        (4, 12, [(0, 0), (1, 3), (2, 6), (3, 9), (4, 12)]),
        (6, 12, [(0, 0), (1, 2), (2, 4), (3, 6), (4, 8), (5, 10), (6, 12)]),
    ],
)
def test_layers_are_compared_with_every_n_over_mth(layers: int, of: int, expected: list[tuple[int, int]]) -> None:
    stage, _ = tinybert().stages
    bound = {t.name: t.term for t in bind_terms(stage.terms, Shapes(of, 768, layers, 312, 12, 12))}
    hidden, attention = bound["hidden_states"], bound["attention"]
    assert isinstance(hidden, HiddenStates)
    assert isinstance(attention, AttentionMSE)
    assert list(hidden.pairs) == expected
    assert list(attention.pairs) == expected[1:]
    assert hidden.projection is not None
    assert (hidden.projection.weight.shape, hidden.projection.bias.shape) == ((768, 312), (768,))


def test_terms_shares_and_schedules() -> None:
    first, second = tinybert().stages
    assert [(t.term, t.weight) for t in first.terms] == [(HIDDEN, 1.0), (AttentionMSE(), 1.0)]
    soft, gold = second.terms
    assert (soft.term, soft.weight) == (ForwardKL(1.0, "gold"), 1.0)
    assert (gold.term, gold.weight) == (LabelCrossEntropy(), 0.0)
    assert (first.name, second.name, first.share) == ("intermediate", "prediction", 0.77)
    schedules = [Training.model_validate(dict(stage.settings)) for stage in (first, second)]
    assert [(one.schedule, one.warmup_ratio) for one in schedules] == [("constant", 0.0), ("linear", 0.1)]
    other = tinybert(
        intermediate_fraction=0.5, hidden_weight=2.0, attention_weight=3.0, embedding_map="own", loss_temperature=2.0,
        label_weight=0.5, regression_target="teacher",
    )  # fmt: skip
    first, second = other.stages
    assert [t.weight for stage in (first, second) for t in stage.terms] == [2.0, 3.0, 0.25, 0.5]
    assert first.terms[0].term != HIDDEN
    assert second.terms[0].term == ForwardKL(2.0, "teacher")
    assert (first.share, second.share) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("kind", "target", "expected"),
    [
        ("regression", "gold", SquaredError()),
        ("regression", "teacher", SquaredError("teacher")),
        ("multi_label", "gold", BinaryKL(1.0)),
        ("token_classification", "gold", ForwardKL(1.0, "gold")),
    ],
)
def test_what_other_kinds_of_students_learn_in_the_second_stage(kind: str, target: str, expected: Term) -> None:
    _, stage = build_recipe("tinybert", {"regression_target": target}, kind).stages
    assert stage.terms[0].term == expected


def test_a_causal_model_has_both_stages() -> None:
    terms = [stage.terms for stage in build_recipe("tinybert", {}, "generation").stages]
    pair = Shapes(4, 16, 2, 8, 2, 2)
    for of_stage in terms:
        Objective(torch.nn.Linear(1, 1), bind_terms(of_stage, pair), TokenReadout())


def test_unequal_heads_and_a_first_stage_without_terms_are_refused() -> None:
    unequal = Shapes(4, 16, 2, 8, 4, 2)
    with pytest.raises(ConfigError, match="the teacher has 4 in each layer and the student 2"):
        bind_terms(tinybert().stages[0].terms, unequal)
    bind_terms(tinybert(attention_weight=0.0).stages[0].terms, unequal)
    with pytest.raises(ConfigError, match=re.escape("are both 0: nothing is left of the first stage. Use kd")):
        tinybert(hidden_weight=0.0, attention_weight=0.0)
    for arguments, words in (
        ({"intermediate_fraction": 1}, "recipe.intermediate_fraction: Input should be less than 1"),
        ({"loss_temperature": 0}, "recipe.loss_temperature: Input should be greater than 0"),
        ({"embedding_map": "none"}, "recipe.embedding_map: Input should be 'shared' or 'own'"),
    ):
        with pytest.raises(ConfigError, match=re.escape(words)):
            build_recipe("tinybert", arguments, "classification")


def test_the_first_stage_cannot_be_judged_by_what_the_model_answers() -> None:
    for name in ("tinybert", "minilm", "minilm_v2"):
        first, second = build_recipe(name, {}, "regression").stages
        assert (first.only_hints, second.only_hints) == (True, False)
    assert not any(stage.only_hints for stage in build_recipe("pkd", {}, "classification").stages)
