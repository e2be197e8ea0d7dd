"""What every recipe must do, and what the catalogue refuses."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from limbeck.errors import ConfigError
from limbeck.losses.logits import LogitDistance, TeacherCrossEntropy
from limbeck.losses.objective import Objective
from limbeck.losses.term import bind_terms
from limbeck.models.layers import shapes
from limbeck.numerics.divergences import soft_cross_entropy
from limbeck.recipes.catalogue import AUTO, RECIPES, build_recipe, recipe_card, recipe_cards, recipes_for
from limbeck.sequences.class_pairs import ClassPairs
from limbeck.sequences.mixing import mixing_for
from limbeck.stages.stage import Stage
from limbeck.stages.unfreezing import OneLayer
from limbeck.teachers.local import LocalTeacher

Make = Callable[..., Any]
OF_CLASSES = recipes_for("classification")
EVERY_RECIPE = pytest.mark.parametrize("name", OF_CLASSES)
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {"layers": 4} if name == "mobilebert" else {}) for name in OF_CLASSES),
    ("anon", {"labels": "hard"}),
    ("pd", {"fine_tune_fraction": 0.5}),
    ("kd", {"label_weight": 0}),
    ("kd", {"label_weight": 1}),
    ("distilbert", {"label_weight": 0, "soft_target_weight": 0}),
    ("pkd", {"strategy": "last", "use_labels": False}),
    ("anon", {"labels": "hard", "hidden_weight": 0.1}),
    ("tinybert", {"embedding_map": "own", "label_weight": 0.5, "loss_temperature": 2}),
    ("setfit", {"loss": "supervised_contrastive"}),
    ("minilm", {"label_weight": 0}),
    ("metadistil", {"soft_loss": "logits", "strategy": "last"}),
    ("minilm_v2", {"relation_heads": 8, "teacher_layer": 3, "label_weight": 1}),
    ("mixkd", {"loss_temperature": 2}),
    ("mixkd", {"label_weight": 0, "soft_target_weight": 0, "student_mixup_weight": 0}),
    ("ad_kd", {"steps": 2, "top_components": 8, "anneal": True}),
    ("distilbilstm", {"logit_weight": 0.5}),
]

OWN_RECIPES = """
from limbeck.losses.term import WeightedTerm
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.sequences.mixing import mixing_for
from limbeck.stages.stage import Stage


def own(*, weight: float) -> list[Stage]:
    return [Stage("own", (WeightedTerm("labels", LabelCrossEntropy(), weight=weight),))]


def with_default(*, weight: float = 2.0) -> list[Stage]:
    return own(weight=weight)


def in_two_stages() -> list[Stage]:
    (stage,) = own(weight=1.0)
    return [stage, Stage("again", stage.terms, share=0.5)]
"""


def losses_of(stage: Stage, make_classifier: Make, make_task: Make, steps: int) -> list[float]:
    """The stage's loss on a fixed batch in each of `steps` steps of training on it, less what it cannot go below."""
    teacher = make_classifier(layers=4, seed=2, scale=12.0)
    layers = 4 if isinstance(stage.trains, OneLayer) else 2
    student = make_classifier(layers=layers, seed=1, scale=12.0 if isinstance(stage.source, ClassPairs) else 1.0)
    student.requires_grad_(stage.trains_student)
    terms = bind_terms(stage.terms, shapes(teacher, student))
    objective = Objective(student, terms, trains_student=stage.trains_student)
    optimiser = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], lr=1e-2)
    task = make_task(10)
    if isinstance(stage.source, ClassPairs):
        task.labels[:] = [0, 0, 1, 2, 1, 3, 2, 3, 4, 4]  # pairs of both kinds, and one partner for each
    mixing = mixing_for(objective.needs, 0)
    exact = any(isinstance(t.term, LogitDistance) for t in objective.weighted_terms)
    if objective.needs.labels and (exact or mixing):  # both can be reached if the teacher is sure and right
        with torch.no_grad():
            teacher.classifier.weight *= 8
            task.labels[:] = teacher.eval()(**task.batch(range(10))["teacher"]).logits.argmax(-1)
    batch = task.batch(range(10))
    if mixing is not None:
        (batch,) = mixing.write(0, [batch])
    batch["signal"] = LocalTeacher(teacher).signal(batch, objective.needs)
    counts = objective.count([batch])
    losses, logits = [], batch["signal"].get("logits")
    soft = any(isinstance(t.term, TeacherCrossEntropy) and not t.term.hard for t in objective.weighted_terms)
    floor = soft_cross_entropy(teacher_logits=logits, student_logits=logits).mean().item() if soft else 0.0
    for _ in range(steps):
        loss, _ = objective(batch, counts)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item() - floor)
    return losses


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_every_recipe_lowers_its_own_loss(
    make_classifier: Make, make_task: Make, name: str, arguments: dict[str, Any]
) -> None:
    for stage in build_recipe(name, arguments, "classification").stages:
        losses = losses_of(stage, make_classifier, make_task, 30)
        assert losses[1] < losses[0]
        assert losses[-1] < 0.5 * losses[0]


@EVERY_RECIPE
def test_the_shares_of_the_budget_add_up_and_terms_have_names_of_their_own(name: str) -> None:
    stages = build_recipe(name, {}, "classification").stages
    assert sum(stage.share for stage in stages) == (0 if name == "linear_probe" else pytest.approx(1))
    for stage in stages:
        names = [term.name for term in stage.terms]
        assert len(set(names)) == len(names)
        assert not set(names) & {"rows", "labelled"}  # these are counted beside the terms


@EVERY_RECIPE
def test_every_card_is_complete(name: str) -> None:
    card = recipe_card(name)
    assert card.name == name
    assert card.summary.endswith(".")
    assert re.search(r"\d{4}, .*(arXiv:\d{4}\.\d{4,5}|ACL Anthology \d{4}\.[\w-]+\.\d+)", card.paper)
    assert card.needs
    module, function = RECIPES[name].split(":")
    assert list(card.defaults) == list(inspect.signature(getattr(sys.modules[module], function)).parameters)


@EVERY_RECIPE
def test_every_argument_is_documented(name: str) -> None:
    module, function = RECIPES[name].split(":")
    recipe_card(name)
    doc = inspect.getdoc(getattr(sys.modules[module], function)) or ""
    for argument in recipe_card(name).defaults:
        assert f"    {argument}: " in doc


@pytest.mark.parametrize("name", RECIPES)
def test_terms_of_the_paper_that_are_off_by_default_are_named(name: str) -> None:
    card = recipe_card(name)
    of_papers = {"corpus_weight", "hint_weight", "hidden_weight", "rationale_weight"}
    off = {argument for argument in of_papers if card.defaults.get(argument) == 0}
    assert {argument for argument in of_papers if argument in card.left_out} == off
    # A stage and rows of its own, which no weight stands for.
    assert bool(card.left_out) == (bool(off) or name in ("tinybert", "mobilebert", "mixkd", "distilbilstm"))
    assert "`" not in card.left_out


def test_cards_come_in_the_order_of_the_table() -> None:
    assert [card.name for card in recipe_cards()] == list(RECIPES)
    assert AUTO.name not in RECIPES
    assert recipe_card("auto") is AUTO


def test_what_recipes_need() -> None:
    assert {name: recipe_card(name).needs for name in OF_CLASSES} == {
        "fine_tune": ["labels (for texts: completions)"],
        "kd": ["labels (for texts: completions)", "teacher logits (for texts: and its vocabulary)"],
        "minima": ["labels (for texts: completions)", "teacher logits (for texts: and its vocabulary)"],
        "distilbert": [
            "labels (for texts: completions)",
            "teacher logits (for texts: and its vocabulary)",
            "teacher hidden states",
            "equal width",
            "equal tokenizers",
        ],
        "homodistil": [
            "labels (for texts: completions)",
            "teacher logits (for texts: and its vocabulary)",
            "teacher hidden states",
            "a student with fewer units (student.pruned)",
            "equal tokenizers",
        ],
        "distilbilstm": ["teacher logits"],
        "tinybert": [
            "teacher logits (for texts: and its vocabulary)",
            "teacher hidden states",
            "equal numbers of attention heads",
            "equal tokenizers",
        ],
        "mobilebert": [
            "labels (for texts: completions)",
            "teacher logits (for texts: and its vocabulary)",
            "teacher hidden states",
            "equal width",
            "equal numbers of attention heads",
            "equal tokenizers",
        ],
        "minilm": [
            "labels (for texts: completions)",
            "teacher logits (for texts: and its vocabulary)",
            "teacher hidden states",
            "equal numbers of attention heads",
            "equal tokenizers",
        ],
        "minilm_v2": [
            "labels (for texts: completions)",
            "teacher logits (for texts: and its vocabulary)",
            "teacher hidden states",
            "equal tokenizers",
        ],
        "ted": ["labels", "teacher logits", "teacher hidden states", "equal tokenizers"],
        "mixkd": ["labels", "teacher logits", "the teacher on changed embeddings", "equal tokenizers"],
        "ad_kd": ["labels", "teacher logits", "the teacher on changed embeddings", "equal tokenizers"],
        "pkd": ["labels", "teacher logits", "teacher [CLS] states", "equal width"],
        "reaugkd": ["labels", "teacher logits", "teacher [CLS] states"],
        "xtremedistil": ["labels", "teacher logits", "teacher [CLS] states"],
        "metadistil": ["labels", "teacher logits", "teacher [CLS] states", "equal width"],
        "pd": ["teacher logits"],
        "anon": ["teacher logits"],
        "linear_probe": ["labels"],
        "setfit": ["labels"],
    }


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("sft", {}, "unknown recipe 'sft': here it is called 'fine_tune' (or your own as my.module:function)"),
        ("Vanilla-KD", {}, "unknown recipe 'Vanilla-KD': here it is called 'kd'"),
        ("on_policy", {}, "unknown recipe 'on_policy': known here: ad_kd"),  # a recipe of another kind
        ("pdk", {}, "unknown recipe 'pdk': did you mean 'pd' or 'pkd'? (or your own as my.module:function)"),
        (
            "xyzzy",
            {},
            "unknown recipe 'xyzzy': known here: ad_kd, anon, distilbert, distilbilstm, fine_tune, homodistil, kd, "
            "linear_probe, metadistil, minilm, minilm_v2, minima, mixkd, mobilebert, pd, pkd, reaugkd, setfit, ted, "
            "tinybert",
        ),
        ("pkd", {"hint_wieght": 1}, "recipe.hint_wieght: 'pkd' has no such argument; did you mean 'hint_weight'?"),
        ("fine_tune", {"epochs": 1}, "recipe.epochs: 'fine_tune' takes no arguments"),
        ("pkd", {"hint_weight": "much"}, "recipe.hint_weight: Input should be a valid number"),
        ("pkd", {"strategy": "every"}, "recipe.strategy: Input should be 'skip', 'last' or 'cka'"),
        ("pkd", {"use_labels": 3}, "recipe.use_labels: Input should be a valid boolean"),
        ("pkd", {"soft_target_weight": 1.5}, "recipe.soft_target_weight must be between 0 and 1, not 1.5"),
        ("pkd", {"hint_weight": -1}, "the weight of 'hints' must be a number of at least 0, not -1"),
        ("kd", {"label_weight": -0.1}, "recipe.label_weight: Input should be greater than or equal to 0"),
        ("kd", {"label_weight": float("nan")}, "recipe.label_weight: "),
        ("kd", {"loss_temperature": 0}, "recipe.loss_temperature: Input should be greater than 0 (got 0)"),
        ("distilbert", {"cosine_weight": float("inf")}, "the weight of 'cosine' must be a number of at least 0"),
        (
            "distilbert",
            {"soft_target_weight": 0, "label_weight": 0, "cosine_weight": 0},
            "no term of positive weight: nothing to train on",
        ),
        (
            "ml_ipd",
            {},
            "is for cross-lingual runs (task.kind: ranking), not for classification runs. Recipes",
        ),
        (
            "limbeck.recipes.ml_ipd:ml_ipd",
            {},
            "recipe 'limbeck.recipes.ml_ipd:ml_ipd' is for cross-lingual runs (task.kind: ranking)",
        ),
        ("no.such.module:recipe", {}, "cannot import recipe 'no.such.module:recipe'"),
        ("limbeck.recipes.pkd:pdk", {}, "cannot import recipe 'limbeck.recipes.pkd:pdk'"),
    ],
)
def test_refusals(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_recipe(name, arguments, "classification")


def test_all_faults_of_the_arguments_are_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"recipe\.a: .*; recipe\.b: "):
        build_recipe("pkd", {"a": 1, "b": 2}, "classification")
    with pytest.raises(ConfigError, match=r"recipe\.strategy: .*; recipe\.hint_weight: "):
        build_recipe("pkd", {"strategy": 1, "hint_weight": "x"}, "classification")


def test_a_colon_alone_is_no_recipe() -> None:
    with pytest.raises(ConfigError, match="cannot import recipe"):
        build_recipe(":recipe", {}, "classification")


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module with recipes that are not limbeck's, which Python forgets after the test."""
    (tmp_path / "own_recipes.py").write_text(OWN_RECIPES, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("own_recipes", None)
    yield
    sys.modules.pop("own_recipes", None)


@pytest.mark.usefixtures("own_module")
def test_anyones_own_function_is_a_recipe() -> None:
    recipe = build_recipe("own_recipes:own", {"weight": 3}, "classification")
    (stage,) = recipe.stages
    assert recipe.title == "own"
    assert stage.terms[0].weight == 3
    assert recipe_card("own_recipes:with_default").defaults == {"weight": 2.0}
    with pytest.raises(ConfigError, match=r"recipe\.weight: Missing"):
        build_recipe("own_recipes:own", {}, "classification")


@pytest.mark.usefixtures("own_module")
def test_a_recipe_with_an_argument_without_default_has_a_card() -> None:
    assert recipe_card("own_recipes:own").defaults == {}


@pytest.mark.usefixtures("own_module")
def test_shares_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ConfigError, match=re.escape("must add up to 1, not 1, 0.5")):
        build_recipe("own_recipes:in_two_stages", {}, "classification")
