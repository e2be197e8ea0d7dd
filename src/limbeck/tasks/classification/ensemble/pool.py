"""The answers of an ensemble: how much each member counts, and how sure their mean is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.numerics.opinion_pool import pool_weights, pooled
from limbeck.tasks.classification.temperature import student_temperature
from limbeck.teachers.labels.calibration import temperature
from limbeck.teachers.labels.label_probs import LabelProbs

__all__ = ["Answers", "Pool", "fit_pool"]

DISAGREE = "members_disagree"
"""Flag of rows to which two members give different labels."""


@dataclass(frozen=True)
class Answers:
    """The cross-fitted answers of all members to all rows."""

    probs_MNC: NDArray[np.float64]
    answered_MN: NDArray[np.bool_]
    """False where a field has no label."""
    column: int | None = None
    """The member that is a field, which did not learn anything."""


@dataclass(frozen=True)
class Pool:
    """A fitted ensemble."""

    weights_M: NDArray[np.float64]
    """Weights of the members, which sum to 1."""
    temperature: float | None
    """Of their weighted mean; ``None``: not fitted, as no row has a gold label."""
    rows: int
    """Rows that the weights were fitted on."""

    def probs(self, answers: Answers) -> LabelProbs:
        """Return the ensemble's probabilities for all rows."""
        scored = _mean(answers, self.weights_M)
        return scored if self.temperature is None else temperature(scored, self.temperature)


def fit_pool(answers: Answers, wanted_N: NDArray[np.int64], *, gold: bool) -> Pool:
    """Return the weights with the smallest log-loss of the members' mean, and the temperature of that mean.

    Without gold labels the rows are labelled by the field that is a member itself, which cannot be judged by its own
    labels: it counts as one of the M members, 1 / M, and only the others are weighted. There is no temperature then.

    Args:
        answers: of the members; those that learn have to be cross-fitted.
        wanted_N: labels to judge the members by; below 0: none.
        gold: whether these are gold labels.
    """
    members = len(answers.probs_MNC)
    judged = np.arange(members)
    rows = np.flatnonzero((wanted_N >= 0) & answers.answered_MN.all(axis=0))
    if answers.column is not None and (not gold or not len(rows)):
        judged = np.delete(judged, answers.column)
        rows = np.flatnonzero(wanted_N >= 0)
    gold_probs_NM = answers.probs_MNC[judged][:, rows, wanted_N[rows]].T
    weights_M = np.full(members, 1 / members)
    weights_M[judged] = pool_weights(gold_probs_NM) * len(judged) / members
    if not gold:
        return Pool(weights_M, None, len(rows))
    logs_NC = np.log(np.maximum(_mean(answers, weights_M).probs_NC, np.finfo(np.float32).tiny)).astype(np.float32)
    return Pool(weights_M, student_temperature(logs_NC, wanted_N), len(rows))


def _mean(answers: Answers, weights_M: NDArray[np.float64]) -> LabelProbs:
    probs_NC = pooled(answers.probs_MNC, answers.answered_MN, weights_M)
    probs_NC /= probs_NC.sum(axis=1, keepdims=True)  # float32 answers do not sum to 1 exactly
    label_MN = answers.probs_MNC.argmax(axis=-1)
    highest_N = np.where(answers.answered_MN, label_MN, -1).max(axis=0)
    lowest_N = np.where(answers.answered_MN, label_MN, probs_NC.shape[1]).min(axis=0)
    flags = tuple(frozenset({DISAGREE} if differ else ()) for differ in (highest_N != lowest_N).tolist())
    kept_N: NDArray[np.bool_] = np.any(answers.answered_MN, axis=0)
    return LabelProbs(probs_NC, probs_NC.copy(), kept_N, flags, "ensemble")
