"""The answers of an ensemble: how much each member counts, and how sure their mean is."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    """False where a member has no label."""
    labeller: int | None = None
    """The member that did not learn anything: a field of the rows, or a model that was asked."""
    certain_N: NDArray[np.bool_] | None = None
    """Whether its label of each row came without a confidence; ``None``: it gives probabilities."""

    def with_labels(self, scored: LabelProbs) -> Answers:
        """Return these answers with others of the member that does not learn."""
        assert self.labeller is not None
        probs_MNC, answered_MN = self.probs_MNC.copy(), self.answered_MN.copy()
        probs_MNC[self.labeller], answered_MN[self.labeller] = scored.probs_NC, scored.kept_N
        return replace(self, probs_MNC=probs_MNC, answered_MN=answered_MN)

    def with_confidence(self, confidence: float | None) -> Answers:
        """Return these answers with a confidence for the labels that came without one."""
        if confidence is None or self.labeller is None or self.certain_N is None:
            return self
        probs_MNC = self.probs_MNC.copy()
        given_NC, classes = probs_MNC[self.labeller], probs_MNC.shape[2]
        sure_NC = np.where(given_NC == given_NC.max(axis=1, keepdims=True), confidence, np.nan)
        sure_NC = np.where(np.isnan(sure_NC), (1 - confidence) / (classes - 1), sure_NC)
        probs_MNC[self.labeller] = np.where(self.certain_N[:, None], sure_NC, given_NC)
        return replace(self, probs_MNC=probs_MNC)


@dataclass(frozen=True)
class Pool:
    """A fitted ensemble."""

    weights_M: NDArray[np.float64]
    """Weights of the members, which sum to 1."""
    temperature: float | None
    """Of their weighted mean; ``None``: not fitted, as no row has a gold label."""
    rows: int
    """Rows that the weights were fitted on."""
    confidence: float | None = None
    """Of the labels that came without one; ``None``: there are none."""

    def probs(self, answers: Answers) -> LabelProbs:
        """Return the ensemble's probabilities for all rows."""
        scored = _mean(answers.with_confidence(self.confidence), self.weights_M)
        return scored if self.temperature is None else temperature(scored, self.temperature)

    def agreement(self, answers: Answers, label_N: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the weight of the members that give each row its label, of those that answered it, from 0 to 1."""
        weights_MN = self.weights_M[:, None] * answers.answered_MN
        agree_MN = answers.probs_MNC.argmax(axis=-1) == label_N
        agreement_N: NDArray[np.float64] = (weights_MN * agree_MN).sum(axis=0) / weights_MN.sum(axis=0)
        return agreement_N


def fit_pool(answers: Answers, wanted_N: NDArray[np.int64], *, gold: bool) -> Pool:
    """Return the weights with the smallest log-loss of the members' mean, and the temperature of that mean.

    Without gold labels the rows are labelled by the member that does not learn, which cannot be judged by its own
    labels: it counts as one of the M members, 1 / M, and only the others are weighted. There is no temperature then.

    A label of it that came without a confidence gets the share of labels that are right, compared with gold
    ones; or else the share that the mean of the other members gives as well.

    Args:
        answers: of the members; those that learn have to be cross-fitted.
        wanted_N: labels to judge the members by; below 0: none.
        gold: whether these are gold labels.
    """
    members, labeller = len(answers.probs_MNC), answers.labeller
    rows = np.flatnonzero((wanted_N >= 0) & answers.answered_MN.all(axis=0))
    if labeller is None or (gold and len(rows)):
        confidence = None if labeller is None else _confidence(answers, wanted_N)
        probs_MNC = answers.with_confidence(confidence).probs_MNC
        weights_M = pool_weights(probs_MNC[:, rows, wanted_N[rows]].T)
    else:
        rows, others = np.flatnonzero(wanted_N >= 0), np.delete(np.arange(members), labeller)
        weights_M = np.full(members, 1 / members)
        weights_M[others] *= pool_weights(answers.probs_MNC[others][:, rows, wanted_N[rows]].T) * len(others)
        given_NC = pooled(answers.probs_MNC[others], answers.answered_MN[others], weights_M[others])
        confidence = _confidence(answers, given_NC.argmax(axis=-1))
    fitted = Pool(weights_M, None, len(rows), confidence)
    if not gold:
        return fitted
    logs_NC = np.log(np.maximum(fitted.probs(answers).probs_NC, np.finfo(np.float32).tiny)).astype(np.float32)
    return replace(fitted, temperature=student_temperature(logs_NC, wanted_N))


def _confidence(answers: Answers, wanted_N: NDArray[np.int64]) -> float | None:
    """Return the share of the labels without a confidence that are as wanted; ``None`` without any of them.

    One more row that is, and one that is not, keep it inside 0 and 1.
    """
    if answers.labeller is None or answers.certain_N is None or not answers.certain_N.any():
        return None
    rows = np.flatnonzero(answers.certain_N & answers.answered_MN[answers.labeller] & (wanted_N >= 0))
    right = int((answers.probs_MNC[answers.labeller][rows].argmax(axis=-1) == wanted_N[rows]).sum())
    return (right + 1) / (len(rows) + 2)


def _mean(answers: Answers, weights_M: NDArray[np.float64]) -> LabelProbs:
    probs_NC = pooled(answers.probs_MNC, answers.answered_MN, weights_M)
    probs_NC /= probs_NC.sum(axis=1, keepdims=True)  # float32 answers do not sum to 1 exactly
    label_MN = answers.probs_MNC.argmax(axis=-1)
    highest_N = np.where(answers.answered_MN, label_MN, -1).max(axis=0)
    lowest_N = np.where(answers.answered_MN, label_MN, probs_NC.shape[1]).min(axis=0)
    flags = tuple(frozenset({DISAGREE} if differ else ()) for differ in (highest_N != lowest_N).tolist())
    kept_N: NDArray[np.bool_] = np.any(answers.answered_MN, axis=0)
    return LabelProbs(probs_NC, probs_NC.copy(), kept_N, flags, "ensemble")
