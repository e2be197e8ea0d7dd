"""Which kinds of task a recipe suits: it follows from its terms and sources."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import and_
from typing import Literal, get_args

from limbeck.losses.term import Output, Term
from limbeck.recipes.recipe import RankingOptions, Recipe
from limbeck.sequences.curriculum import Curriculum
from limbeck.sequences.given import GivenRows, Paired
from limbeck.sequences.source import Source

__all__ = ["RUNS", "Kind", "for_kind", "suits"]

Kind = Literal["classification", "token_classification", "regression", "multi_label", "generation", "instructions"]
_Kinds = frozenset[Kind]
_ALL: _Kinds = frozenset(get_args(Kind))
_CLASSES: _Kinds = frozenset({"classification"})
_ROWS: _Kinds = frozenset({"classification", "token_classification", "regression", "multi_label"})
_CANDIDATES: _Kinds = frozenset({"instructions"})
_TOKENS: _Kinds = frozenset({"generation"})

_STUDENTS: dict[Output, Kind] = {
    "classes": "classification",
    "tags": "token_classification",
    "values": "regression",
    "labels": "multi_label",
    "tokens": "generation",
    "candidates": "instructions",
}
"""The kind of task whose students put out what a term reads."""

RUNS: dict[Kind, str] = {
    "classification": "classification runs",
    "token_classification": "runs on entities (task.kind: token_classification)",
    "regression": "runs on numbers (task.kind: regression)",
    "multi_label": "runs on several labels (task.kind: multi_label)",
    "generation": "runs on texts (task.kind: generation)",
    "instructions": "cross-lingual runs (task.kind: instructions)",
}
"""What messages call the runs of a kind."""


def suits(recipe: Recipe) -> _Kinds:
    """Return the kinds of task whose students all terms can read and whose rows all sources can give."""
    terms = [_of_term(term.term) for stage in recipe.stages for term in stage.terms]
    sources = [_of_source(stage.source) for stage in recipe.stages]
    ranks = recipe.options != RankingOptions() or recipe.starts_from == "teacher"
    return reduce(and_, [*terms, *sources], _CANDIDATES if ranks else _ALL)


def for_kind(recipe: Recipe, kind: Kind) -> Recipe:
    """Return a recipe whose terms are those of the kind's students."""
    output = next(output for output, of in _STUDENTS.items() if of == kind)
    stages = tuple(
        replace(stage, terms=tuple(replace(term, term=term.term.of(output)) for term in stage.terms))
        for stage in recipe.stages
    )
    return replace(recipe, stages=stages)


def _of_term(term: Term) -> _Kinds:
    return frozenset(_STUDENTS[output] for output in term.suits)


def _of_source(source: Source) -> _Kinds:
    if isinstance(source, GivenRows):
        return {"all": _ROWS | _TOKENS, "labelled": _ALL}.get(source.which, _CANDIDATES)
    if isinstance(source, Paired):
        return _CANDIDATES
    return _CLASSES if isinstance(source, Curriculum) else _TOKENS
