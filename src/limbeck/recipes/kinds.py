"""Which kinds of task a recipe suits: it follows from its terms and sources."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import and_
from typing import Literal

from limbeck.losses.term import ALL_OUTPUTS, Output
from limbeck.recipes.recipe import RankingOptions, Recipe
from limbeck.sequences.curriculum import Curriculum
from limbeck.sequences.given import GivenRows, Paired
from limbeck.sequences.source import Source

__all__ = ["RUNS", "Kind", "for_kind", "suits"]

Kind = Literal["classification", "token_classification", "regression", "multi_label", "generation", "ranking"]

_OUTPUTS: dict[Kind, Output] = {
    "classification": "classes",
    "token_classification": "tags",
    "regression": "values",
    "multi_label": "labels",
    "generation": "tokens",
    "ranking": "candidates",
}
"""What the students of a kind put out."""

RUNS: dict[Kind, str] = {
    "classification": "classification runs",
    "token_classification": "runs on entities (task.kind: token_classification)",
    "regression": "runs on numbers (task.kind: regression)",
    "multi_label": "runs on several labels (task.kind: multi_label)",
    "generation": "runs on texts (task.kind: generation)",
    "ranking": "cross-lingual runs (task.kind: ranking)",
}
"""What messages call the runs of a kind."""


def suits(recipe: Recipe) -> frozenset[Kind]:
    """Return the kinds of task whose students all terms can read and whose rows all sources can give."""
    read = [term.term.suits for stage in recipe.stages for term in stage.terms]
    given = [_given_to(stage.source) for stage in recipe.stages]
    ranks = recipe.options != RankingOptions() or recipe.starts_from == "teacher"
    outputs = reduce(and_, [*read, *given], frozenset[Output](("candidates",)) if ranks else ALL_OUTPUTS)
    return frozenset(kind for kind, output in _OUTPUTS.items() if output in outputs)


def for_kind(recipe: Recipe, kind: Kind) -> Recipe:
    """Return a recipe whose terms are those of the kind's students."""
    output = _OUTPUTS[kind]
    stages = tuple(
        replace(stage, terms=tuple(replace(term, term=term.term.of(output)) for term in stage.terms))
        for stage in recipe.stages
    )
    return replace(recipe, stages=stages)


def _given_to(source: Source) -> frozenset[Output]:
    """Return the students, by what they put out, that can be trained on a source."""
    if source == GivenRows("labelled"):
        return ALL_OUTPUTS
    if source == GivenRows("all"):
        return ALL_OUTPUTS - {"candidates"}
    if isinstance(source, GivenRows | Paired):
        return frozenset(("candidates",))
    return frozenset(("classes",)) if isinstance(source, Curriculum) else frozenset(("tokens",))
