"""There is one list of kinds; which of them a recipe suits follows from its terms and sources."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import limbeck
from limbeck.errors import ConfigError
from limbeck.losses.candidates import CandidateMSE
from limbeck.losses.hints.hidden import PatientHints
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.targets import BinaryCrossEntropy, BinaryKL, SquaredError
from limbeck.losses.term import Term, WeightedTerm
from limbeck.losses.tokens import TokenTerm
from limbeck.numerics.token_losses import LabelLoss
from limbeck.recipes.catalogue import RECIPES, build_recipe, recipes_for
from limbeck.recipes.kinds import KINDS, suits
from limbeck.recipes.recipe import RankingOptions, Recipe
from limbeck.sequences.class_pairs import ClassPairs
from limbeck.sequences.curriculum import Curriculum
from limbeck.sequences.given import GivenRows, Paired, TeacherWritten
from limbeck.sequences.on_policy import OnPolicy
from limbeck.sequences.replay import Replay
from limbeck.sequences.rollouts import Rollouts
from limbeck.sequences.source import Source, WithCorpus, parts_of
from limbeck.stages.stage import Stage

ANY = WeightedTerm("labels", LabelCrossEntropy())
ROWS = WeightedTerm("hints", PatientHints())
TOKENS = WeightedTerm("labels", TokenTerm(LabelLoss()))

OF_ROWS = {"classification", "token_classification", "regression", "multi_label"}


def kinds_in(text: str) -> set[str]:
    """Kinds of task that a source text has as strings."""
    if sum(kind in text for kind in KINDS) < 2:  # parsing takes longer
        return set()
    return KINDS.keys() & {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}


def test_no_other_file_lists_kinds_of_task() -> None:
    assert kinds_in('A = ["ranking", 1]\nB: Literal["regression"] = "regression"') == {"ranking", "regression"}
    folder = Path(limbeck.__file__).parent
    found = {file.relative_to(folder).as_posix(): kinds_in(file.read_text("utf-8")) for file in folder.rglob("*.py")}
    assert {name: kinds for name, kinds in found.items() if len(kinds) > 1} == {"recipes/kinds.py": set(KINDS)}


@pytest.mark.parametrize(
    ("source", "suited"),
    [
        (GivenRows(), OF_ROWS | {"generation", "masked_lm"}),
        (GivenRows("labelled"), OF_ROWS | {"generation", "masked_lm", "ranking"}),
        (GivenRows("source"), {"ranking"}),
        (GivenRows("target"), {"ranking"}),
        (GivenRows("source+target"), {"ranking"}),
        (Paired(), {"ranking"}),
        (Curriculum(), {"classification"}),
        (ClassPairs(), {"classification"}),
        (TeacherWritten(), {"generation"}),
        (OnPolicy(), {"generation"}),
        (Replay(), {"generation"}),
        (Rollouts(), {"generation"}),
        (WithCorpus(GivenRows()), {"generation"}),
    ],
)
def test_kinds_of_sources(source: Source, suited: set[str]) -> None:
    assert suits(Recipe("Own", (Stage("own", (), source=source),))) == suited


def test_all_terms_and_stages_must_fit() -> None:
    of_rows, of_tokens = Stage("rows", (ROWS,)), Stage("tokens", (TOKENS,))
    assert suits(Recipe("Own", (Stage("any", (ANY,)),))) == {*OF_ROWS, "generation", "masked_lm"}
    assert suits(Recipe("Own", (Stage("any", (ANY,), source=GivenRows("labelled")),))) == set(KINDS)
    assert suits(Recipe("Own", (of_rows,))) == OF_ROWS
    assert suits(Recipe("Own", (of_tokens,))) == {"generation"}
    assert suits(Recipe("Own", (Stage("any", (ANY,), fit_head=True),))) == {"classification"}
    assert not suits(Recipe("Own", (of_rows, of_tokens)))
    assert not suits(Recipe("Own", (of_rows,), starts_from="teacher"))
    assert not suits(Recipe("Own", (of_rows,), options=RankingOptions(critic=True)))


def test_a_recipe_of_no_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.recipes.fine_tune.LabelCrossEntropy", lambda: CandidateMSE())
    monkeypatch.setattr("limbeck.recipes.fine_tune.GivenRows", lambda which: Curriculum())
    with pytest.raises(ConfigError, match="terms and sources that no kind of task has together"):
        build_recipe("limbeck.recipes.fine_tune:fine_tune", {}, "classification")


def test_every_recipe_is_for_some_kind_and_a_refusal_names_both_sides() -> None:
    assert set(RECIPES) == {name for kind in KINDS for name in recipes_for(kind)}
    message = (
        "recipe 'anon' is for classification runs, not for cross-lingual runs (task.kind: ranking). Recipes "
        f"for this task: {', '.join(recipes_for('ranking'))} (limbeck recipes NAME describes them)"
    )
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_recipe("anon", {"confidence_threshold": 0.5}, "ranking")


def test_what_sources_are_made_of() -> None:
    texts, corpus = TeacherWritten(), WithCorpus(OnPolicy(0.5, otherwise=TeacherWritten()))
    assert parts_of(corpus) == (corpus, corpus.source, texts)
    stage = Stage("own", (TOKENS,), source=corpus)
    assert (stage.part(TeacherWritten), stage.part(GivenRows), stage.sampled) == (texts, None, corpus.source)
    assert not stage.packable
    assert Stage("own", (TOKENS,), source=texts).packable


@pytest.mark.parametrize(
    ("kind", "terms"),
    [
        ("classification", [ForwardKL(2.0), LabelCrossEntropy()]),
        ("token_classification", [ForwardKL(2.0), LabelCrossEntropy()]),
        ("regression", [SquaredError("teacher"), SquaredError()]),
        ("multi_label", [BinaryKL(2.0), BinaryCrossEntropy()]),
        ("masked_lm", [ForwardKL(2.0), LabelCrossEntropy()]),
    ],
)
def test_one_recipe_has_the_terms_of_each_kinds_students(kind: str, terms: list[Term]) -> None:
    (stage,) = build_recipe("kd", {}, kind).stages
    assert [weighted.term for weighted in stage.terms] == terms
