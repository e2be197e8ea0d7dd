"""The kinds of task, and which of them a recipe suits, derived from its terms and sources."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import and_
from typing import NamedTuple

from limbeck.losses.term import ALL_OUTPUTS, Output
from limbeck.recipes.recipe import RankingOptions, Recipe
from limbeck.sequences.class_pairs import ClassPairs
from limbeck.sequences.curriculum import Curriculum
from limbeck.sequences.given import GivenRows, Paired
from limbeck.sequences.source import Source

__all__ = ["DEFAULT_KIND", "KINDS", "Kind", "for_kind", "kind_called", "suits"]


class Kind(NamedTuple):
    """The facts about a kind of task that are used outside its folder, ``limbeck.tasks.NAME``."""

    name: str
    """Its name in run files (``task.kind``), records and folders."""
    title: str
    """Its title in the list of recipes."""
    runs: str
    """Its runs, in messages."""
    output: Output
    """The output of its students."""
    shares_budget: bool = True
    """Whether the stages of a recipe share the optimiser steps of a run, or each has its own."""

    also: tuple[str, ...] = ()
    """What others call it, for whoever writes that in a run file."""

    def named(self, words: str) -> str:
        """Return words for this kind, with the key that selects it in a run file unless it is the default."""
        return words if self.name == DEFAULT_KIND else f"{words} (task.kind: {self.name})"


KINDS = {
    kind.name: kind
    for kind in (
        Kind("classification", "Classification", "classification runs", "classes",
             also=("text_classification", "sequence_classification", "single_label", "sentiment", "nli", "intent")),
        Kind("token_classification", "Token classification", "token-classification runs", "tags",
             also=("ner", "tagging", "tagger", "sequence_labelling", "sequence_labeling", "entities", "pos")),
        Kind("regression", "Regression", "regression runs", "values", also=("sts", "similarity", "score", "scoring")),
        Kind("multi_label", "Multi-label classification", "multi-label runs", "labels",
             also=("multilabel", "multi_label_classification", "multilabel_classification")),
        Kind("generation", "Text generation", "generation runs", "tokens",
             also=("text_generation", "causal_lm", "sft", "chat", "instruct", "summarization", "summarisation",
                   "translation", "seq2seq", "text2text", "texts")),
        Kind("masked_lm", "Masked language modelling", "masked-language-modelling runs", "masked_tokens",
             also=("mlm", "fill_mask", "masked_language_modelling", "masked_language_modeling", "pretraining",
                   "pre_training", "pretrain", "task_agnostic", "general_distillation")),
        Kind("ranking", "Cross-lingual runs", "cross-lingual runs", "candidates", shares_budget=False,
             also=("instructions", "multiple_choice", "cross_lingual", "multilingual", "reranking", "rerank")),
    )
}  # fmt: skip
"""All kinds of task by name: the one list of them."""

DEFAULT_KIND = next(iter(KINDS))
"""The kind of a run file that does not set one."""


def kind_called(word: str) -> str | None:
    """Return the kind of task that others call `word`, whatever its case and hyphens; ``None`` for no such word.

    >>> kind_called("NER")
    'token_classification'
    """
    written = word.lower().replace("-", "_").replace(" ", "_")
    return next((kind.name for kind in KINDS.values() if written in (kind.name, *kind.also)), None)


def suits(recipe: Recipe) -> frozenset[str]:
    """Return the kinds of task whose students suit all terms and whose rows suit all sources."""
    read = [term.term.suits for stage in recipe.stages for term in stage.terms]
    given = [_given_to(stage.source) for stage in recipe.stages]
    ranks = recipe.options != RankingOptions() or recipe.starts_from == "teacher"
    fitted = [frozenset[Output](("classes",)) for stage in recipe.stages if stage.fit_head or stage.outer]
    divided = [ALL_OUTPUTS - {"candidates"} for stage in recipe.stages if stage.trains not in ("all", "terms")]
    answers = frozenset[Output](("candidates",)) if ranks else ALL_OUTPUTS
    outputs = reduce(and_, [*read, *given, *fitted, *divided], answers)
    return frozenset(kind.name for kind in KINDS.values() if kind.output in outputs)


def for_kind(recipe: Recipe, kind: str) -> Recipe:
    """Return the recipe with its terms for the kind's students."""
    output = KINDS[kind].output
    stages = tuple(
        replace(stage, terms=tuple(replace(term, term=term.term.of(output)) for term in stage.terms))
        for stage in recipe.stages
    )
    return replace(recipe, stages=stages)


def _given_to(source: Source) -> frozenset[Output]:
    """Return the outputs of students that can be trained on a source."""
    if source == GivenRows("labelled"):
        return ALL_OUTPUTS
    if source == GivenRows("all"):
        return ALL_OUTPUTS - {"candidates"}
    if isinstance(source, GivenRows | Paired):
        return frozenset(("candidates",))
    return frozenset(("classes",)) if isinstance(source, ClassPairs | Curriculum) else frozenset(("tokens",))
