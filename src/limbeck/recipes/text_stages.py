"""Stages and terms that several recipes for generative models share."""

from __future__ import annotations

from dataclasses import replace

from limbeck.losses.term import WeightedTerm
from limbeck.losses.tokens import TokenTerm
from limbeck.numerics.token_losses import LabelLoss
from limbeck.recipes.fine_tune import fine_tune
from limbeck.sequences.source import Sampled, WithCorpus
from limbeck.stages.stage import Stage
from limbeck.types import CompletionSource

__all__ = ["beside_corpus", "corpus_term", "sft_first"]


def sft_first(share: float) -> tuple[Stage, ...]:
    """Return the stage of plain fine-tuning that comes before training on a student's own texts.

    A student that cannot do the task yet generates texts that teach it nothing; on-policy methods start from one that
    was fine-tuned on the task. With `share` 0 there is none: the student was already fine-tuned.
    """
    if share == 0:
        return ()
    (stage,) = fine_tune().stages
    return (replace(stage, share=share),)


def corpus_term(weight: float) -> tuple[WeightedTerm, ...]:
    """Return the language-modelling loss of the plain-text corpus, if it has a weight."""
    if weight == 0:
        return ()
    return (WeightedTerm("corpus", TokenTerm(LabelLoss(), sources=(CompletionSource.CORPUS,)), weight=weight),)


def beside_corpus(source: Sampled, weight: float) -> Sampled | WithCorpus:
    """Return the source with the plain-text corpus added, if that has a weight."""
    return WithCorpus(source) if weight else source
