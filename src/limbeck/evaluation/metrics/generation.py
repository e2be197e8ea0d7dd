"""Metrics of generative students: of the probabilities of references, and of answers.

Every figure is a ratio of sums over rows: per token, which weighs all tokens equally, or per row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from limbeck.evaluation.generation.exact_match import exact_match
from limbeck.evaluation.generation.numeric_match import numeric_match
from limbeck.evaluation.generation.outputs import SystemOutputs
from limbeck.evaluation.generation.repetition import repeated_share
from limbeck.evaluation.generation.rouge import rouge_l
from limbeck.evaluation.generation.words import words
from limbeck.evaluation.metrics.measure import Measure
from limbeck.evaluation.metrics.statistic import Statistic, mean_of, ratio_of
from limbeck.results.figures import Metric

__all__ = ["GENERATION", "WriterOutputs"]


@dataclass(frozen=True)
class WriterOutputs:
    """Outputs of one system and seed on the held-out rows, with the references."""

    outputs: SystemOutputs
    references: Sequence[str]
    """Texts to measure answers against; may be empty without answers."""

    @cached_property
    def answered_N(self) -> NDArray[np.bool_]:
        """Whether each row was answered."""
        return np.asarray([text is not None for text in self.outputs.texts or ()])

    @cached_property
    def answers(self) -> list[str]:
        return [text or "" for text in self.outputs.texts or ()]

    @cached_property
    def words(self) -> list[list[str]]:
        """Words of each answer."""
        return [words(text) for text in self.answers]

    def by_token(self, sums_N: NDArray[np.generic] | None) -> Statistic | None:
        """Return the mean over tokens, from sums over each row's tokens; ``None`` without sums, or if not finite."""
        if sums_N is None or not np.isfinite(sums_N).all():
            return None
        return ratio_of(sums_N, self.outputs.tokens_N)

    def by_answer(self, values_N: ArrayLike | None) -> Statistic | None:
        """Return the mean over the answered rows."""
        if self.outputs.texts is None or values_N is None:
            return None
        return ratio_of(np.asarray(values_N, dtype=np.float64), self.answered_N)


def _nll(of: WriterOutputs) -> Statistic | None:
    return of.by_token(of.outputs.nll_sum_N)


def _nll_by_row(of: WriterOutputs) -> Statistic | None:
    return None if _nll(of) is None else mean_of(np.asarray(of.outputs.nll_sum_N) / of.outputs.tokens_N)


def _against_references(score: Callable[[str, str], float]) -> Callable[[WriterOutputs], Statistic | None]:
    def statistic(of: WriterOutputs) -> Statistic | None:
        if of.outputs.texts is None:
            return None
        return of.by_answer([float(score(*pair)) for pair in zip(of.answers, of.references, strict=True)])

    return statistic


def _of_answers(score: Callable[[str, list[str]], float]) -> Callable[[WriterOutputs], Statistic | None]:
    """Return the mean of a score of each answer's text and words."""
    return lambda of: of.by_answer([float(score(*pair)) for pair in zip(of.answers, of.words, strict=True)])


GENERATION: list[Measure[WriterOutputs]] = [
    Measure(
        Metric(
            key="numeric_match",
            title="Right numbers",
            detail="of answers",
            unit="share",
            higher_is_better=True,
            meaning="The share of answers whose final number (after ####, else the last one) is the reference's; "
            "whole numbers exactly, others to one part in 10,000.",
        ),
        _against_references(numeric_match),
        compared=True,
        retained=True,
    ),
    Measure(
        Metric(
            key="rouge_l",
            title="ROUGE-L",
            detail="F1",
            unit="share",
            higher_is_better=True,
            meaning="How much of answer and reference is shared in the same order (F1 of the longest common "
            "subsequence of words). Words of any script, case folded, not stemmed; in scripts without spaces "
            "each character is a word. It cannot tell whether an answer is true.",
        ),
        _against_references(rouge_l),
        compared=True,
        retained=True,
    ),
    Measure(
        Metric(
            key="exact_match",
            title="Exact match",
            detail="of answers",
            unit="share",
            higher_is_better=True,
            meaning="The share of answers that equal the reference up to case, width of characters, white space and "
            "a closing full stop.",
        ),
        _against_references(exact_match),
        compared=True,
        retained=True,
    ),
    Measure(
        Metric(
            key="perplexity",
            title="Perplexity",
            detail="of references",
            unit="perplexity",
            higher_is_better=False,
            meaning="The exponential of the loss per token: the number of equally likely tokens the model hesitates "
            "between, so to speak. Comparable only between models with the same tokenizer.",
        ),
        _nll,
        after=np.exp,
        retained=True,
    ),
    Measure(
        Metric(
            key="kl",
            title="KL",
            detail="to teacher",
            unit="nats",
            higher_is_better=False,
            meaning="How far the model's next-token probabilities lie from the teacher's, in nats per token of the "
            "references; 0 means they are the same.",
        ),
        lambda of: of.by_token(of.outputs.kl_sum_N),
        compared=True,
    ),
    Measure(
        Metric(
            key="agreement",
            title="Agreement",
            detail="tokens as teacher",
            unit="share",
            higher_is_better=True,
            meaning="The share of the references' tokens at which model and teacher predict the same next token, "
            "right or wrong.",
        ),
        lambda of: of.by_token(of.outputs.agreed_N),
        compared=True,
    ),
    Measure(
        Metric(
            key="nll",
            title="Loss per token",
            unit="nats",
            higher_is_better=False,
            table="loss",
            meaning="Mean negative log-likelihood of the references' tokens in nats (natural logarithm): each token "
            "counts equally, so long rows weigh more.",
        ),
        _nll,
        compared=True,
    ),
    Measure(
        Metric(
            key="nll_by_row",
            title="Loss per row",
            unit="nats",
            higher_is_better=False,
            table="loss",
            meaning="The same with equal weight for each row.",
        ),
        _nll_by_row,
    ),
    Measure(
        Metric(
            key="words",
            title="Words",
            unit="words",
            higher_is_better=None,
            table="answers",
            meaning="Mean number of words of an answer.",
        ),
        _of_answers(lambda _, said: len(said)),
    ),
    Measure(
        Metric(
            key="repeated_4_grams",
            title="Repeated 4-grams",
            unit="share",
            higher_is_better=False,
            table="answers",
            meaning="The share of an answer's sequences of four words that occurred before in the same answer.",
        ),
        _of_answers(lambda _, said: repeated_share(said)),
    ),
    Measure(
        Metric(
            key="cut_off",
            title="Cut off",
            unit="share",
            higher_is_better=False,
            table="answers",
            meaning="The share of answers that the token limit ended.",
        ),
        lambda of: of.by_answer(of.outputs.cut_off_N),
    ),
    Measure(
        Metric(
            key="empty",
            title="Empty",
            unit="share",
            higher_is_better=False,
            table="answers",
            meaning="The share of answers without any visible character.",
        ),
        _of_answers(lambda text, _: not text.strip()),
    ),
]
"""Metrics in the order of the headline table, except `DISTINCT`."""

DISTINCT = [
    Metric(key="distinct_1", title="Distinct words", unit="share", higher_is_better=None, table="answers"),
    Metric(key="distinct_2", title="Distinct pairs", unit="share", higher_is_better=None, table="answers"),
]
"""Different words (adjacent pairs) over all words of all answers: not a sum over rows, so without intervals."""
