"""The recipes of students that write: their stages, whose texts they read, and what they refuse."""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import replace
from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.policy import ClippedPolicyGradient, PolicyGradient
from limbeck.losses.tokens import TokenTerm
from limbeck.models.generate import Decoding
from limbeck.numerics.token_losses import LabelLoss, TokenDivergence
from limbeck.recipes.catalogue import RECIPES, build_recipe, recipe_card, recipe_cards, recipes_for
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.given import GivenRows, TeacherWritten
from limbeck.sequences.on_policy import OnPolicy
from limbeck.sequences.replay import Replay
from limbeck.sequences.rollouts import Rollouts
from limbeck.sequences.source import WithCorpus
from limbeck.stages.stage import Stage, Training
from limbeck.types import CompletionSource

OF_TEXTS = recipes_for("generation")
EVERY_RECIPE = pytest.mark.parametrize("name", OF_TEXTS)
LABELS = TokenTerm(LabelLoss())
GOLD = LabelCrossEntropy()
CORPUS = TokenTerm(LabelLoss(), sources=(CompletionSource.CORPUS,))
OWN = (CompletionSource.STUDENT,)
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in OF_TEXTS),
    *(("f_distill", {"variant": variant}) for variant in ("kl", "rkl", "js", "tvd")),
    ("f_distill", {"pre_distillation_fraction": 0}),
    ("tinybert", {"attention_weight": 0, "intermediate_fraction": 0.5}),
    ("gkd", {"reward": "my.module:reward"}),
    ("gkd", {"fine_tune_fraction": 0, "otherwise": "teacher"}),
    ("minillm", {"corpus_weight": 1.0, "fine_tune_fraction": 0}),
    ("distillm", {"corpus_weight": 1.0, "divergence": "skew_forward_kl"}),
    ("seqkd", {"decode": "sample", "word_level_weight": 0.3}),
]


def made(name: str, **arguments: Any) -> Recipe:
    return build_recipe(name, arguments, "generation")


def last(name: str, **arguments: Any) -> Stage:
    """Return the stage that the method is named after."""
    return made(name, **arguments).stages[-1]


def terms(stage: Stage) -> dict[str, tuple[Any, float]]:
    """Return the terms of positive weight."""
    return {term.name: (term.term, term.weight) for term in stage.terms if term.weight > 0}


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_shares_add_up_and_names_differ(name: str, arguments: dict[str, Any]) -> None:
    stages = made(name, **arguments).stages
    assert sum(stage.share for stage in stages) == pytest.approx(1)
    assert all(stage.share > 0 for stage in stages)
    assert len({stage.name for stage in stages}) == len(stages)
    for stage in stages:
        assert len({term.name for term in stage.terms}) == len(stage.terms)
        assert set(stage.settings) <= set(Training.model_fields)
        Training.model_validate(dict(stage.settings))
        assert (stage.part(WithCorpus) is not None) == any(term.name == "corpus" for term in stage.terms)


def test_engine_reads_what_the_student_finds_most_likely() -> None:
    stage = last("engine", max_new_tokens=9)
    assert stage.source == OnPolicy(1.0, decoding=Decoding(9, temperature=0))
    assert terms(stage) == {"energy": (TokenTerm(TokenDivergence("reverse_cross_entropy")), 1.0)}
    assert [stage.name for stage in made("engine").stages] == ["fine_tune", "engine"]
    assert [stage.name for stage in made("engine", fine_tune_fraction=0).stages] == ["engine"]


@EVERY_RECIPE
def test_every_card_is_complete(name: str) -> None:
    card = recipe_card(name)
    assert card.name == name
    assert "generation" in card.kinds
    assert card.summary.endswith(".")
    assert "`" not in card.summary
    assert re.search(r"\d{4}, .*arXiv:\d{4}\.\d{4,5}", card.paper)
    assert card.needs
    module, function = RECIPES[name].split(":")
    recipe = getattr(sys.modules[module], function)
    assert list(card.defaults) == list(inspect.signature(recipe).parameters)
    for argument in card.defaults:
        assert f"    {argument}: " in (inspect.getdoc(recipe) or "")


def test_what_recipes_need() -> None:
    completions, logits, own = "completions", "teacher logits and its vocabulary", "the student's own texts"
    writes, either = "a generative teacher", "labels (for texts: completions)"
    assert {name: recipe_card(name).needs for name in OF_TEXTS} == {
        "fine_tune": [either],
        "kd": [either, "teacher logits (for texts: and its vocabulary)"],
        "minima": [either, "teacher logits (for texts: and its vocabulary)"],
        "distilbert": [
            either,
            "teacher logits (for texts: and its vocabulary)",
            "teacher hidden states",
            "equal width",
            "equal tokenizers",
        ],
        "homodistil": [
            either,
            "teacher logits (for texts: and its vocabulary)",
            "teacher hidden states",
            "a student with fewer units (student.pruned)",
            "equal tokenizers",
        ],
        "tinybert": [
            "teacher logits (for texts: and its vocabulary)",
            "teacher hidden states",
            "equal numbers of attention heads",
            "equal tokenizers",
        ],
        "mobilebert": [
            either,
            "teacher logits (for texts: and its vocabulary)",
            "teacher hidden states",
            "equal width",
            "equal numbers of attention heads",
            "equal tokenizers",
        ],
        "minilm": [
            either,
            "teacher logits (for texts: and its vocabulary)",
            "teacher hidden states",
            "equal numbers of attention heads",
            "equal tokenizers",
        ],
        "minilm_v2": [
            either,
            "teacher logits (for texts: and its vocabulary)",
            "teacher hidden states",
            "equal tokenizers",
        ],
        "seqkd": [writes],
        "reverse_kl": [completions, logits],
        "jensen_shannon": [completions, logits],
        "total_variation": [completions, logits],
        "adaptive_kl": [completions, logits],
        "taid": [completions, logits],
        "f_distill": [completions, writes, logits, own],
        "engine": [completions, logits, own],
        "minillm": [completions, logits, own],
        "gkd": [completions, logits, own],
        "distillm": [completions, logits, own],
    }


def test_cards_of_text_recipes_are_among_all_cards() -> None:
    names = [card.name for card in recipe_cards() if "generation" in card.kinds]
    assert names == OF_TEXTS


@pytest.mark.parametrize(
    ("name", "arguments", "reads", "writes"),
    [
        ("fine_tune", {}, True, False),
        ("kd", {}, True, False),
        ("seqkd", {}, False, True),
        ("f_distill", {}, True, True),
        ("f_distill", {"pre_distillation_fraction": 0}, False, True),
        ("f_distill", {"pre_distillation_fraction": 0, "variant": "rkl"}, False, False),
        ("f_distill", {"pre_distillation_fraction": 0, "variant": "kl"}, False, True),
        ("minillm", {}, True, False),
        ("minillm", {"fine_tune_fraction": 0}, False, False),
        ("gkd", {}, True, False),
        ("gkd", {"fine_tune_fraction": 0}, True, False),
        ("gkd", {"fine_tune_fraction": 0, "on_policy_fraction": 1}, False, False),
        ("gkd", {"on_policy_fraction": 1}, True, False),
        ("gkd", {"fine_tune_fraction": 0, "otherwise": "teacher"}, False, True),
        ("distillm", {"fine_tune_fraction": 0}, True, False),
    ],
)
def test_whose_completions_are_read(name: str, arguments: dict[str, Any], reads: bool, writes: bool) -> None:
    recipe = made(name, **arguments)
    assert (recipe.reads_completions, recipe.part(TeacherWritten) is not None) == (reads, writes)


def test_a_stage_beside_the_rows_reads_their_completions() -> None:
    stage = Stage("own", (), source=OnPolicy(1.0, beside=True))
    assert Recipe("Own", (stage,)).reads_completions
    assert not Recipe("Own", (Stage("own", (), source=OnPolicy(1.0)),)).reads_completions


def test_fine_tuning_is_cross_entropy_alone() -> None:
    (stage,) = made("fine_tune").stages
    assert terms(stage) == {"labels": (GOLD, 1.0)}
    assert stage.source == GivenRows("labelled")


@pytest.mark.parametrize(
    ("name", "arguments", "loss", "label_weight"),
    [
        ("reverse_kl", {}, TokenDivergence("reverse_kl"), 0.0),
        ("reverse_kl", {"loss_temperature": 3}, TokenDivergence("reverse_kl", loss_temperature=3.0), 0.0),
        ("jensen_shannon", {}, TokenDivergence("jensen_shannon", beta=0.5), 0.0),
        (
            "jensen_shannon",
            {"beta": 0.9, "normalise": True, "loss_temperature": 2, "label_weight": 0.2},
            TokenDivergence("jensen_shannon", beta=0.9, normalise=True, loss_temperature=2.0),
            0.2,
        ),
        ("total_variation", {}, TokenDivergence("total_variation"), 0.0),
        ("total_variation", {"label_weight": 0.3}, TokenDivergence("total_variation"), 0.3),
        ("adaptive_kl", {"head_mass": 0.7}, TokenDivergence("adaptive_kl", head_mass=0.7), 0.0),
    ],
)
def test_divergences_on_the_rows(
    name: str, arguments: dict[str, Any], loss: TokenDivergence, label_weight: float
) -> None:
    (stage,) = made(name, **arguments).stages
    expected: dict[str, tuple[Any, Any]] = {"divergence": (TokenTerm(loss), pytest.approx(1 - label_weight))}
    assert terms(stage) == expected | ({"labels": (LABELS, label_weight)} if label_weight else {})
    assert stage.source == GivenRows()


def test_seqkd_learns_what_the_teacher_wrote() -> None:
    stage = last("seqkd")
    assert terms(stage) == {"labels": (LABELS, 1.0)}
    assert stage.source == TeacherWritten(Decoding(128, beams=5))
    sampled = last("seqkd", decode="sample", temperature=0.8, max_new_tokens=7, word_level_weight=0.25)
    assert sampled.source == TeacherWritten(Decoding(7, 0.8, beams=1))
    assert terms(sampled) == {
        "labels": (LABELS, 0.75),
        "divergence": (TokenTerm(TokenDivergence("forward_kl")), 0.25),
    }


TEACHERS = (CompletionSource.TEACHER,)


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("kl", {"teacher": (TokenTerm(TokenDivergence("forward_kl"), sources=TEACHERS), 1.0)}),
        ("rkl", {"student": (TokenTerm(TokenDivergence("reverse_kl"), sources=OWN), 1.0)}),
        (
            "js",
            {
                "teacher": (TokenTerm(TokenDivergence("skew_forward_kl", alpha=0.3), sources=TEACHERS), 0.3),
                "student": (TokenTerm(TokenDivergence("skew_reverse_kl", alpha=0.7), sources=OWN), 0.7),
            },
        ),
        (
            "tvd",
            {
                "teacher": (TokenTerm(TokenDivergence("total_variation"), sources=TEACHERS), 0.5),
                "student": (TokenTerm(TokenDivergence("total_variation"), sources=OWN), 0.5),
            },
        ),
    ],
)
def test_the_four_variants_of_f_distill(variant: str, expected: dict[str, Any]) -> None:
    first, second = made(
        "f_distill", variant=variant, beta=0.3, max_new_tokens=9, pre_distillation_fraction=0.25
    ).stages
    assert (first.share, second.share) == (0.25, 0.75)
    assert terms(first) == {
        "divergence": (TokenTerm(TokenDivergence("forward_kl")), 0.8),
        "labels": (LABELS, 0.2),
    }
    assert first.source == GivenRows()
    assert terms(second) == expected
    texts, own = TeacherWritten(Decoding(9)), OnPolicy(1.0, decoding=Decoding(9))
    both = replace(own, beside=True, otherwise=texts)
    assert second.source == {"kl": texts, "rkl": own, "js": both, "tvd": both}[variant]


def test_minillm_follows_the_paper_by_default() -> None:
    first, stage = made("minillm").stages
    assert terms(first) == {"labels": (GOLD, 1.0)}
    assert (first.share, stage.share) == (0.25, 0.75)
    assert terms(stage) == {
        "single": (TokenTerm(TokenDivergence("reverse_kl"), sources=OWN), 1.0),
        "long": (ClippedPolicyGradient(clip=0.2, sources=OWN), 1.0),
    }
    assert stage.source == Rollouts(prompts=256, epochs=4, teacher_fraction=0.2, decoding=Decoding(128))
    assert isinstance(stage.source, Rollouts)
    assert (stage.source.released_code, stage.source.reward_limit) == (False, 100.0)
    assert stage.settings == {"dropout": 0.0}


def test_minillm_as_released() -> None:
    stage = last(
        "minillm", released_code=True, corpus_weight=1, clip=0.3,
        prompts=16, inner_epochs=2, teacher_fraction=0.1, max_new_tokens=9,
    )  # fmt: skip
    assert stage.part(Rollouts) == Rollouts(
        prompts=16, epochs=2, teacher_fraction=0.1, released_code=True,
        decoding=Decoding(9),
    )  # fmt: skip
    assert terms(stage)["corpus"] == (CORPUS, 1.0)
    assert terms(stage)["long"] == (ClippedPolicyGradient(clip=0.3, sources=OWN), 1.0)


def test_gkd() -> None:
    first, stage = made("gkd", beta=0.9, on_policy_fraction=0.3, max_new_tokens=9, temperature=0.7).stages
    assert terms(first) == {"labels": (GOLD, 1.0)}
    divergence = TokenTerm(TokenDivergence("jensen_shannon", beta=0.9), reduction="sequence")
    assert terms(stage) == {"divergence": (divergence, 1.0)}
    assert stage.source == OnPolicy(0.3, decoding=Decoding(9, 0.7), otherwise=GivenRows())
    assert last("gkd", otherwise="teacher", max_new_tokens=9).part(TeacherWritten) == TeacherWritten(Decoding(9))


def test_gkd_with_a_reward() -> None:
    """In a quarter of the steps there is a reward, so it weighs four times as much there: as in equation 5."""
    stage = last("gkd", reward="my.module:reward", reward_weight=0.3, on_policy_fraction=0.25)
    weights = {name: weight for name, (_, weight) in terms(stage).items()}
    assert weights == pytest.approx({"divergence": 0.7, "reward": 1.2})
    always = last("gkd", reward="my.module:reward", reward_weight=0.3, on_policy_fraction=1)
    assert terms(always)["reward"][1] == pytest.approx(0.3)
    assert (stage.settings, last("gkd").settings) == ({"dropout": 0.0}, {})
    assert terms(stage)["reward"][0] == PolicyGradient(reduction="sum_per_sequence", sources=OWN)
    assert isinstance(stage.source, OnPolicy)
    assert stage.source.reward == "my.module:reward"
    assert set(terms(last("gkd", reward="my.module:reward", reward_weight=1))) == {"reward"}
    assert set(terms(last("gkd", reward_weight=1))) == {"divergence"}  # there is none


def test_distillm() -> None:
    first, stage = made("distillm", capacity=9, validations=3, fresh="constant", max_new_tokens=7).stages
    assert terms(first) == {"labels": (GOLD, 1.0)}
    texts = (CompletionSource.DATA, CompletionSource.STUDENT)
    term = TokenTerm(TokenDivergence("skew_reverse_kl", alpha=0.1), sources=texts)
    assert terms(stage) == {"divergence": (term, 1.0)}
    assert stage.source == Replay(capacity=9, validations=3, fresh="constant", decoding=Decoding(7))
    assert Replay() == Replay(capacity=1000, rise=0.1, tolerance=0.1, fresh="decreasing")
    other = last("distillm", divergence="skew_forward_kl", alpha=0.2, corpus_weight=0.5)
    assert terms(other) == {
        "divergence": (TokenTerm(TokenDivergence("skew_forward_kl", alpha=0.2), sources=texts), 1.0),
        "corpus": (CORPUS, 0.5),
    }


@pytest.mark.parametrize("name", ["gkd", "minillm", "distillm"])
def test_a_student_that_was_fine_tuned_needs_no_first_stage(name: str) -> None:
    (stage,) = made(name, fine_tune_fraction=0).stages
    assert (stage.name, stage.share) == (name, 1.0)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("gdk", {}, "unknown recipe 'gdk': did you mean 'gkd'"),
        ("fine_tune", {"label_weight": 1}, "recipe.label_weight: 'fine_tune' takes no arguments"),
        ("kd", {"temperature": 2}, "recipe.temperature: 'kd' has no such argument; did you mean 'loss_temperature'?"),
        ("kd", {"loss_temperature": 0}, "recipe.loss_temperature: Input should be greater than 0 (got 0)"),
        ("kd", {"loss_temperature": float("inf")}, "recipe.loss_temperature: Input should be a finite number"),
        ("kd", {"label_weight": 1.5}, "recipe.label_weight: Input should be less than or equal to 1"),
        ("reverse_kl", {"label_weight": float("nan")}, "recipe.label_weight: "),
        ("jensen_shannon", {"beta": -0.1}, "recipe.beta: Input should be greater than or equal to 0"),
        ("total_variation", {"loss_temperature": "hot"}, "recipe.loss_temperature: Input should be a valid number"),
        ("seqkd", {"decode": "greedy"}, "recipe.decode: Input should be 'beam' or 'sample' (got 'greedy')"),
        ("seqkd", {"beams": 0}, "recipe.beams: Input should be greater than or equal to 1"),
        ("seqkd", {"max_new_tokens": 0}, "recipe.max_new_tokens: "),
        ("seqkd", {"word_level_weight": 2}, "recipe.word_level_weight: "),
        ("seqkd", {"temperature": float("inf")}, "recipe.temperature: Input should be a finite number"),
        ("f_distill", {"variant": "kld"}, "recipe.variant: Input should be 'kl', 'rkl', 'js' or 'tvd'"),
        (
            "f_distill",
            {"pre_distillation_fraction": 1},
            "recipe.pre_distillation_fraction: Input should be less than 1",
        ),
        ("f_distill", {"beta": 0}, "recipe.beta: Input should be greater than 0"),
        ("minillm", {"teacher_fraction": 1}, "recipe.teacher_fraction: Input should be less than 1"),
        ("minillm", {"clip": 1}, "recipe.clip: Input should be less than 1"),
        ("minillm", {"prompts": 0, "inner_epochs": 0}, "recipe.prompts: "),
        ("minillm", {"prompts": 0, "inner_epochs": 0}, "; recipe.inner_epochs: "),
        ("minillm", {"released_code": 3}, "recipe.released_code: Input should be a valid boolean"),
        ("minillm", {"corpus_weight": -1}, "recipe.corpus_weight: "),
        ("gkd", {"on_policy_fraction": 1.1}, "recipe.on_policy_fraction: Input should be less than or equal to 1"),
        ("gkd", {"fine_tune_fraction": 1}, "recipe.fine_tune_fraction: Input should be less than 1"),
        ("gkd", {"temperature": 0}, "recipe.temperature: Input should be greater than 0"),
        ("gkd", {"temperature": float("inf")}, "recipe.temperature: Input should be a finite number"),
        ("gkd", {"otherwise": "student"}, "recipe.otherwise: Input should be 'data' or 'teacher'"),
        ("gkd", {"reward": 3}, "recipe.reward: "),
        ("gkd", {"reward": "my.module:reward", "temperature": 0.7}, "drawn at temperature 1"),
        ("gkd", {"reward": "my.module:reward", "on_policy_fraction": 0}, "share of steps with such texts is 0"),
        ("gkd", {"reward_weight": -0.5}, "recipe.reward_weight: "),
        ("taid", {"start": 1.5}, "less than or equal to 1"),
        ("taid", {"start": 0.9, "end": 0.5}, "must rise within 0 and 1"),
        ("distillm", {"divergence": "forward_kl"}, "Input should be 'skew_forward_kl' or 'skew_reverse_kl'"),
        ("distillm", {"alpha": 1}, "recipe.alpha: Input should be less than 1"),
        ("distillm", {"capacity": 0}, "recipe.capacity: "),
        ("distillm", {"validations": 0}, "recipe.validations: "),
        ("distillm", {"fresh": "never"}, "recipe.fresh: "),
        (
            "limbeck.recipes.pkd:pkd",
            {},
            "not for generation runs (task.kind: generation). Recipes for this task: fine_tune, kd, ",
        ),
    ],
)
def test_refusals(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_recipe(name, arguments, "generation")


def test_a_recipe_of_texts_is_for_runs_on_texts_alone() -> None:
    for kind in ("classification", "ranking"):
        with pytest.raises(ConfigError, match=re.escape("is for generation runs (task.kind: generation), not for c")):
            build_recipe("limbeck.recipes.taid:taid", {}, kind)
