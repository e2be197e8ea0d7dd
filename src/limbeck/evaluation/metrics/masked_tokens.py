"""Metrics of masked language models: of the probabilities of masked tokens.

Every figure is a ratio of sums over texts, per masked token, so all masked tokens weigh the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluation.generation.outputs import SystemOutputs
from limbeck.evaluation.metrics.measure import Measure
from limbeck.evaluation.metrics.statistic import Statistic, ratio_of
from limbeck.results.figures import Metric

__all__ = ["MASKED_TOKENS"]


def _by_token(of: SystemOutputs, sums_N: NDArray[np.generic] | None) -> Statistic | None:
    """Return the mean over masked tokens; ``None`` without sums, or if they are not finite."""
    return None if sums_N is None or not np.isfinite(sums_N).all() else ratio_of(sums_N, of.tokens_N)


MASKED_TOKENS: list[Measure[SystemOutputs]] = [
    Measure(
        Metric(
            key="nll",
            title="Loss per masked token",
            unit="nats",
            higher_is_better=False,
            meaning="Mean negative log-likelihood of the masked tokens of the held-out texts, in nats (natural "
            "logarithm). Comparable only between models with the same tokens, at the same share of masks.",
        ),
        lambda of: _by_token(of, of.nll_sum_N),
        compared=True,
    ),
    Measure(
        Metric(
            key="accuracy",
            title="Accuracy",
            detail="of masked tokens",
            unit="share",
            higher_is_better=True,
            meaning="The share of masked tokens that are the model's most likely ones.",
        ),
        lambda of: _by_token(of, of.right_N),
        compared=True,
        retained=True,
    ),
    Measure(
        Metric(
            key="kl",
            title="KL",
            detail="to teacher",
            unit="nats",
            higher_is_better=False,
            meaning="How far the model's probabilities lie from the teacher's, in nats per masked token; 0 means they "
            "are the same.",
        ),
        lambda of: _by_token(of, of.kl_sum_N),
        compared=True,
    ),
    Measure(
        Metric(
            key="agreement",
            title="Agreement",
            detail="masked tokens as teacher",
            unit="share",
            higher_is_better=True,
            meaning="The share of masked tokens for which model and teacher find the same token most likely, right or "
            "wrong.",
        ),
        lambda of: _by_token(of, of.agreed_N),
        compared=True,
    ),
]
"""Metrics in the order of the table; the verdict uses the first."""
