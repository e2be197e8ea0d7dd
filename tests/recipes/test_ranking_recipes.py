"""The cross-lingual recipes: where each starts, what it reads, which records its stages train on."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.losses.candidates import AdvantageActorCritic, CandidateMSE
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.term import needs_of
from limbeck.recipes.catalogue import RECIPES, build_recipe, recipe_card, recipes_for
from limbeck.recipes.ml_dft import ml_dft
from limbeck.recipes.ml_ipd import ml_ipd
from limbeck.recipes.pl_bl import pl_bl
from limbeck.recipes.recipe import RankingOptions, Recipe
from limbeck.recipes.rl_ia import rl_ia
from limbeck.recipes.source_model import source_model
from limbeck.recipes.transfer import transfer
from limbeck.sequences.given import GivenRows, Paired
from limbeck.stages.stage import Training

RANKING = recipes_for("ranking")
EVERY_RECIPE = pytest.mark.parametrize("name", RANKING)


def terms(system: Recipe) -> list[list[tuple[Any, float]]]:
    return [[(term.term, term.weight) for term in stage.terms] for stage in system.stages]


def test_the_source_model_is_cross_entropy_on_english_records() -> None:
    system = source_model()
    assert [stage.source for stage in system.stages] == [GivenRows("source")]
    assert terms(system) == [[(LabelCrossEntropy(), 1.0)]]
    assert (system.starts_from, system.options) == ("student", RankingOptions())


def test_ml_ipd_distils_and_then_sees_a_few_labels() -> None:
    system = ml_ipd()
    assert system.starts_from == "teacher"
    assert [(stage.name, stage.source) for stage in system.stages] == [
        ("distillation", Paired("parallel", 0.5)), ("target", GivenRows("target")),
    ]  # fmt: skip
    assert terms(system) == [
        [(CandidateMSE(outputs="logits"), 1.0), (LabelCrossEntropy(), 0.0)],
        [(LabelCrossEntropy(), 1.0)],
    ]
    assert not needs_of(system.stages[0].terms).labels
    assert not needs_of(system.stages[1].terms).teacher


def test_every_argument_of_ml_ipd_reaches_its_place() -> None:
    system = ml_ipd(pairing="mixed", confidence_threshold=0.2, outputs="probs", label_weight=0.1)
    assert system.part(Paired) == Paired("mixed", 0.2)
    assert terms(system)[0] == [(CandidateMSE(outputs="probs"), 1.0), (LabelCrossEntropy(), 0.1)]


def test_ml_dft_reads_all_labels_together_with_no_prompt_but_the_tasks_name() -> None:
    system = ml_dft()
    assert [stage.source for stage in system.stages] == [GivenRows("source+target")]
    assert (system.starts_from, system.options) == ("student", RankingOptions(prompts="task_name"))
    assert not needs_of(system.stages[0].terms).teacher
    assert system.stages[0].settings == {"optim": "adamw"}  # the learning rate is the run's


@pytest.mark.parametrize(
    ("arguments", "settings", "title"),
    [
        ({"optim": "sgd"}, {"optim": "sgd", "learning_rate": 1e-2}, "ML-DFT (SGD)"),
        ({"optim": "sgd", "learning_rate": 0.1}, {"optim": "sgd", "learning_rate": 0.1}, "ML-DFT (SGD)"),
        ({"learning_rate": 3e-5}, {"optim": "adamw", "learning_rate": 3e-5}, "ML-DFT"),
    ],
)
def test_ml_dft_with_either_optim(arguments: dict[str, Any], settings: dict[str, Any], title: str) -> None:
    system = ml_dft(**arguments)
    assert system.stages[0].settings == settings
    assert system.title == title


def test_pl_bl_is_the_verbaliser_behind_hard_prompts() -> None:
    system = pl_bl()
    assert (system.starts_from, system.options) == ("student", RankingOptions("verbaliser", "hard"))
    assert [stage.source for stage in system.stages] == [GivenRows("source+target")]
    assert terms(system) == [[(LabelCrossEntropy(), 1.0)]]
    assert (pl_bl().stages[0].share, pl_bl(share=0.25).stages[0].share) == (1.0, 0.25)


def test_rl_ia_is_rewarded_from_the_source_model_on() -> None:
    system = rl_ia()
    assert (system.starts_from, system.options) == ("teacher", RankingOptions(critic=True))
    assert [stage.source for stage in system.stages] == [GivenRows("source+target")]
    ((term, weight),) = terms(system)[0]
    assert isinstance(term, AdvantageActorCritic)
    assert (weight, term.value_weight, term.entropy_weight, term.reward) == (1.0, 0.5, 0.01, "gold")
    assert system.stages[0].settings == {"learning_rate": 1e-5, "max_grad_norm": 0.5}
    other = rl_ia(reward="reciprocal_rank", value_weight=0.2, entropy_weight=0.3, learning_rate=0.4, max_grad_norm=0.6)
    ((term, _),) = terms(other)[0]
    assert (term.value_weight, term.entropy_weight, term.reward) == (0.2, 0.3, "reciprocal_rank")
    assert other.stages[0].settings == {"learning_rate": 0.4, "max_grad_norm": 0.6}


def test_transfer_is_ml_ipd_without_its_distillation() -> None:
    assert transfer().stages == ml_ipd().stages[1:]
    assert transfer().starts_from == ml_ipd().starts_from
    assert transfer().options == ml_ipd().options


@EVERY_RECIPE
def test_stages_have_names_of_their_own_and_settings_that_are_settings(name: str) -> None:
    system = build_recipe(name, {}, "ranking")
    names = [stage.name for stage in system.stages]
    assert len(set(names)) == len(names)
    for stage in system.stages:
        assert set(stage.settings) <= set(Training.model_fields)
        Training.model_validate(dict(stage.settings))
        assert any(term.weight > 0 for term in stage.terms)


@EVERY_RECIPE
def test_every_card_is_complete(name: str) -> None:
    card = recipe_card(name)
    assert card.summary.endswith(".")
    assert "`" not in card.summary.replace("`ml_ipd`", "")
    assert card.paper
    module, function = RECIPES[name].split(":")
    made = getattr(sys.modules[module], function)
    assert list(card.defaults) == list(inspect.signature(made).parameters)
    for argument in card.defaults:
        assert f"    {argument}: " in (inspect.getdoc(made) or "")


def test_what_recipes_need() -> None:
    assert {name: recipe_card(name).needs for name in RANKING} == {
        "fine_tune": ["labels (for texts: completions)"],
        "ml_dft": ["the pretrained backbone", "source-language labels", "few target-language labels (data.shots)"],
        "ml_ipd": [
            "the English model, which every run trains first",
            "target-language texts without labels",
            "their translations (pairing: same needs none)",
            "few target-language labels (data.shots)",
        ],
        "pl_bl": [
            "the pretrained backbone with its masked-language head",
            "source-language labels",
            "few target-language labels (data.shots)",
        ],
        "rl_ia": [
            "the English model, which every run trains first",
            "source-language labels",
            "few target-language labels (data.shots)",
        ],
        "transfer": ["the English model, which every run trains first", "few target-language labels (data.shots)"],
    }


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("ml_idp", {}, "unknown recipe 'ml_idp': did you mean 'ml_ipd' or 'ml_dft'?"),
        ("ml_ipd", {"pairings": "same"}, "recipe.pairings: 'ml_ipd' has no such argument; did you mean 'pairing'?"),
        ("ml_ipd", {"pairing": "some"}, "recipe.pairing: Input should be 'parallel', 'same' or 'mixed' (got 'some')"),
        (
            "ml_ipd",
            {"confidence_threshold": 1.5},
            "recipe.confidence_threshold: Input should be less than or equal to 1",
        ),
        ("ml_ipd", {"confidence_threshold": float("nan")}, "recipe.confidence_threshold: "),
        ("ml_ipd", {"outputs": "pooled"}, "recipe.outputs: Input should be 'logits' or 'probs'"),
        ("ml_ipd", {"label_weight": -1}, "recipe.label_weight: Input should be greater than or equal to 0"),
        ("ml_dft", {"optim": "adam"}, "recipe.optim: Input should be 'adamw' or 'sgd'"),
        ("ml_dft", {"learning_rate": 0}, "recipe.learning_rate: Input should be greater than 0"),
        ("rl_ia", {"reward": "golden"}, "recipe.reward: Input should be 'gold' or 'reciprocal_rank'"),
        ("rl_ia", {"learning_rate": float("inf")}, "recipe.learning_rate: Input should be a finite number"),
        (
            "pl_bl",
            {"confidence_threshold": 0.5},
            "recipe.confidence_threshold: 'pl_bl' has no such argument; known here: share",
        ),
        ("pl_bl", {"share": 0}, "recipe.share: Input should be greater than 0"),
        ("pl_bl", {"share": 1.1}, "recipe.share: Input should be less than or equal to 1"),
        ("transfer", {"confidence_threshold": 0.5}, "recipe.confidence_threshold: 'transfer' takes no arguments"),
        (
            "limbeck.recipes.pkd:pkd",
            {},
            "'limbeck.recipes.pkd:pkd' is for classification runs and token-classification runs (task.kind: ",
        ),
        (
            "pkd",
            {},
            "not for cross-lingual runs (task.kind: ranking). Recipes for this task: fine_tune, ml_ipd",
        ),
    ],
)
def test_refusals(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_recipe(name, arguments, "ranking")


@pytest.mark.parametrize(
    "arguments",
    [{"value_weight": -1}, {"value_weight": float("nan")}, {"entropy_weight": -0.1}, {"entropy_weight": float("inf")}],
)
def test_weights_inside_the_actor_critic_are_checked(arguments: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        build_recipe("rl_ia", arguments, "ranking")


def test_anyones_own_function_is_a_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_systems.py").write_text(
        "from dataclasses import replace\nfrom limbeck.recipes.transfer import transfer\n"
        "def own(*, title: str = 'Own'):\n    return replace(transfer(), title=title)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert build_recipe("own_systems:own", {"title": "Mine"}, "ranking").title == "Mine"
