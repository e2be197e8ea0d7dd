"""What does each held-out row add to each figure of a system?

Every figure is a sum over rows divided by another: per token, so that a token has one vote, or per row.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluation.generation.exact_match import exact_match
from limbeck.evaluation.generation.numeric_match import numeric_match
from limbeck.evaluation.generation.outputs import SystemOutputs
from limbeck.evaluation.generation.repetition import repeated_share
from limbeck.evaluation.generation.rouge import rouge_l
from limbeck.evaluation.generation.words import words
from limbeck.generation_results import GenerationMetric

__all__ = ["Quantity", "RowFigure", "TextMetric", "row_figures"]

TextMetric = Literal["rouge_l", "exact_match", "numeric_match"]
Quantity = GenerationMetric | Literal["nll_by_row_nats", "words", "repeated_4_grams", "cut_off", "empty"]

_SCORES = {"rouge_l": rouge_l, "exact_match": exact_match, "numeric_match": numeric_match}
assert set(_SCORES) == set(get_args(TextMetric))


class RowFigure(NamedTuple):
    """A figure as ``values_N.sum() / weights_N.sum()``."""

    values_N: NDArray[np.float64]
    weights_N: NDArray[np.float64]
    """Tokens, or 1 for each row."""


def row_figures(
    outputs: SystemOutputs, references: Collection[str], metrics: Collection[TextMetric]
) -> dict[Quantity, RowFigure]:
    """Return every quantity that these outputs allow.

    Args:
        outputs: of one system and seed.
        references: texts to measure answers against; may be empty where there are no answers.
        metrics: how answers are measured against them.
    """
    tokens = np.asarray(outputs.tokens_N, dtype=np.float64)
    found: dict[Quantity, RowFigure] = {}
    if outputs.nll_sum_N is not None:
        nll = np.asarray(outputs.nll_sum_N, dtype=np.float64)
        found["nll_nats"] = RowFigure(nll, tokens)
        found["nll_by_row_nats"] = _per_row(nll / tokens)
    if outputs.kl_sum_N is not None:
        found["kl_to_teacher_nats"] = RowFigure(np.asarray(outputs.kl_sum_N, dtype=np.float64), tokens)
    if outputs.agreed_N is not None:
        found["agreement"] = RowFigure(np.asarray(outputs.agreed_N, dtype=np.float64), tokens)
    if outputs.texts is None:
        return found
    answered = np.asarray([text is not None for text in outputs.texts])
    answers = [text or "" for text in outputs.texts]
    for metric in metrics:
        pairs = zip(answers, references, strict=True)
        found[metric] = _per_row([float(_SCORES[metric](answer, reference)) for answer, reference in pairs], answered)
    split = [words(text) for text in answers]
    found["words"] = _per_row([len(said) for said in split], answered)
    found["repeated_4_grams"] = _per_row([repeated_share(said) for said in split], answered)
    found["empty"] = _per_row([not text.strip() for text in answers], answered)
    if outputs.cut_off_N is not None:
        found["cut_off"] = _per_row(outputs.cut_off_N, answered)
    return found


def _per_row(values: object, counted: NDArray[np.bool_] | None = None) -> RowFigure:
    """One vote for each row that counts; all do by default."""
    values_N = np.asarray(values, dtype=np.float64)
    weights_N = np.ones(len(values_N)) if counted is None else counted.astype(np.float64)
    return RowFigure(values_N * weights_N, weights_N)
